//! What it means that people were asked, and answered.

use super::Fold;
use crate::run::RunEvent;
use crate::run::attempt::Awaited;
use crate::run::person::{Asking, PersonAnswer, hash_of};
use crate::{NodeAddress, Timestamp};

impl Fold<'_> {
    /// Learns what people are asked, and what they say.
    pub(super) fn hear_of_people(&mut self, event: &RunEvent, now: Timestamp) {
        if let RunEvent::PersonAsked { node, task, .. } = event {
            self.change_asking(node, |asking| asking.task = Some((**task).clone()));
        } else if let RunEvent::PersonAnswered { node, answer, by, value, invalid, .. } = event {
            self.waiting.dealings_mut().people.receive(*answer, hash_of(node, by, value));
            self.change_asking(node, |asking| {
                asking.answers.push(PersonAnswer { by: by.clone(), at: now, value: value.clone() });
                asking.invalid.clone_from(invalid);
            });
            let place = self.place(node);
            self.list_if_ready(place);
        } else if let RunEvent::PersonReassigned { operation, node, assignees, .. } = event {
            self.waiting.dealings_mut().halts.note(*operation);
            self.change_asking(node, |asking| {
                if let Some(task) = &mut asking.task {
                    task.assignees.clone_from(assignees);
                }
            });
        } else if let RunEvent::PersonReminded { node, .. } = event {
            self.change_asking(node, |asking| asking.reminded = true);
        }
    }

    fn change_asking(&mut self, node: &NodeAddress, change: impl FnOnce(&mut Asking)) {
        let place = self.place(node);
        self.change_current(place, |current| {
            if let Awaited::Person(asking) = &mut current.awaits {
                change(asking);
            }
        });
    }
}
