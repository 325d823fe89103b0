//! How a run ends before everything was done: first it is certain how, then what is active is withdrawn, perhaps in several
//! turns, and then the end is taken down. What has to happen between the two goes between them.

use serde::{Deserialize, Serialize};

use super::compensation;
use super::decision::Decision;
use super::grace;
use super::landing;
use super::succession;
use super::weight::NAMES_BYTES;
use super::{RunEvent, RunFailure, RunStatus};
use crate::Json;

/// How a run ends, once that is certain and something is still to be done before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Ending {
    /// Everything is done but what runs whatever the end.
    Succeeded {
        output: Json,
    },
    Failed {
        failure: RunFailure,
    },
    Cancelled {
        reason: String,
        /// Nothing of what has succeeded is undone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
}

impl Ending {
    /// Returns whether what has succeeded is undone.
    pub fn compensates(&self) -> bool {
        match self {
            Self::Succeeded { .. } | Self::Cancelled { keeps: true, .. } => false,
            Self::Failed { .. } | Self::Cancelled { keeps: false, .. } => true,
        }
    }

    /// Returns where the run will stand.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded { .. } => RunStatus::Succeeded,
            Self::Failed { .. } => RunStatus::Failed,
            Self::Cancelled { .. } => RunStatus::Cancelled,
        }
    }

    /// Returns the end itself.
    pub fn into_event(self) -> RunEvent {
        match self {
            Self::Succeeded { output } => RunEvent::RunSucceeded { output, successor: None },
            Self::Failed { failure } => RunEvent::RunFailed { failure },
            Self::Cancelled { reason, keeps: _ } => RunEvent::RunCancelled { reason },
        }
    }
}

impl Decision<'_> {
    /// Ends the run badly.
    pub fn fail(&mut self, failure: RunFailure) {
        self.end(Ending::Failed { failure });
    }

    /// Makes certain how the run ends. Where all of it fits this decision, the end stands in the same commit.
    ///
    /// It is certain once: what happens until the end changes nothing of it.
    pub fn end(&mut self, ending: Ending) {
        if self.run().ending.is_some() {
            return succession::withdraw(self, ending);
        }
        let ending = grace::within(self.run(), ending);
        // Those that it has called are told whether they undo anything.
        let keeps = matches!(ending, Ending::Cancelled { keeps: true, .. });
        if keeps || self.definition().finally.is_some() || !self.run().branches.kept().is_empty() {
            return self.emit(RunEvent::RunEnding { ending });
        }
        let (branches, landings) = (&self.run().branches, self.run().assets.landings_count());
        let bytes = (branches.active() as usize + branches.ids().len() + landings).saturating_mul(NAMES_BYTES);
        if self.turn.is_crowded_by(bytes) {
            self.emit(RunEvent::RunEnding { ending });
        } else {
            self.withdraw(ending);
        }
    }

    /// Ends every node that runs or waits, as far as this decision has room, and then the run, unless something is to be undone,
    /// or runs whatever the end, and has not.
    pub fn withdraw(&mut self, ending: Ending) {
        if self.withdraw_all().is_err()
            || compensation::to_begin(self.run()).is_some()
            || self.run().is_before_finally()
        {
            return;
        }
        if succession::hand_over(self) {
            return;
        }
        if landing::leave(self).is_err() {
            return;
        }
        let event = match (ending, self.run().failure_of_finally()) {
            (Ending::Succeeded { .. }, Some(failure)) => RunEvent::RunFailed { failure: failure.clone() },
            (ending, _) => ending.into_event(),
        };
        self.emit(event);
    }
}
