//! What it means for `human_tasks` that people are asked and answer.

use headwater_core::run::RunEvent;
use headwater_core::{RunId, Timestamp};

use super::Changes;
use crate::tables::{TaskAnswer, TraceStatus};

impl Changes {
    pub(super) fn fold_people(&mut self, run: RunId, event: RunEvent, time: Timestamp) {
        if let RunEvent::PersonAsked { node, attempt, task } = event {
            self.traces.of(run, &node, attempt.get(), TraceStatus::Waiting);
            let row = self.tasks.of(run, &node, attempt);
            row.asked = Some((time, *task));
            (row.assignees, row.reminded_at) = (None, None);
            row.answers.clear();
        } else if let RunEvent::PersonAnswered { node, attempt, by, .. } = event {
            self.tasks.of(run, &node, attempt).answers.push(TaskAnswer::of(by, time));
        } else if let RunEvent::PersonReassigned { node, attempt, assignees, .. } = event {
            self.tasks.of(run, &node, attempt).assignees = Some(assignees);
        } else if let RunEvent::PersonReminded { node, attempt } = event {
            self.tasks.of(run, &node, attempt).reminded_at = Some(time);
        }
    }
}
