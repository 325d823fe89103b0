//! What people are asked in a run, and what they have answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state::Due;
use crate::{Actor, ActorName, CommandId, Json, NodeAddress, Timestamp};

/// How many bytes an answer has.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How many bytes all answers to one task have.
pub const ANSWERS_BYTES_MAX: usize = 2 << 20;
/// How many answers a run receives in all.
pub const ANSWERS_MAX: usize = 10_000;

/// What people are asked, rendered. Its form stands in the definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonTask {
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Each once. None: anybody may answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignees: Vec<ActorName>,
    /// So many answer, each a name of its own.
    pub quorum: u32,
    /// From then on nobody can answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

impl PersonTask {
    /// Returns about how many bytes it has as JSON.
    pub(super) fn len_bytes(&self) -> usize {
        let names: usize = self.assignees.iter().map(|name| 8 + name.as_str().len()).sum();
        64 + self.title.len() + self.description.as_ref().map_or(0, String::len) + names
    }

    /// Returns whether it is asked of somebody.
    pub(super) fn is_for(&self, by: &ActorName) -> bool {
        self.assignees.is_empty() || self.assignees.contains(by)
    }
}

/// What an attempt waits for that waits for people. Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Asking {
    /// Absent only between two facts of one decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<PersonTask>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reminded: bool,
    /// In the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<PersonAnswer>,
    /// Why the last answer is none: the attempt fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PersonAnswer {
    pub by: Actor,
    pub at: Timestamp,
    pub value: Json,
}

impl Asking {
    /// Returns whether everybody has answered who had to, or somebody what cannot be.
    pub fn is_told(&self) -> bool {
        let needed = self.task.as_ref().map(|task| task.quorum as usize);
        self.invalid.is_some() || needed.is_some_and(|needed| self.answers.len() >= needed)
    }

    /// Returns when nobody can answer any more.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.task.as_ref()?.due_at
    }

    /// Returns what is due of it next: the reminder, when three quarters of the time are over, then the end of it.
    pub fn due(&self, since: Timestamp) -> Option<(Timestamp, Due)> {
        let due_at = self.due_at()?;
        if self.reminded {
            return Some((due_at, Due::Timeout));
        }
        let micros = due_at.as_micros().saturating_sub(since.as_micros());
        Some((since.after(Duration::from_micros(micros - micros / 4)), Due::Time))
    }

    /// Returns what was answered.
    pub fn values(&self) -> impl Iterator<Item = &Json> {
        self.answers.iter().map(|answer| &answer.value)
    }
}

/// Which answers a run has ever received, for what comes twice: what each said, by its hash. Most runs have none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(CommandId, u64)>", into = "Vec<(CommandId, u64)>")]
pub(super) struct People(BTreeMap<CommandId, u64>);

impl From<Vec<(CommandId, u64)>> for People {
    fn from(received: Vec<(CommandId, u64)>) -> Self {
        Self(received.into_iter().collect())
    }
}

impl From<People> for Vec<(CommandId, u64)> {
    fn from(people: People) -> Self {
        people.0.into_iter().collect()
    }
}

impl People {
    pub const NONE: Self = Self(BTreeMap::new());

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many have come.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns what was said under this id, by [`hash_of`], if anything ever was.
    pub fn what_said(&self, id: CommandId) -> Option<u64> {
        self.0.get(&id).copied()
    }

    pub fn receive(&mut self, id: CommandId, said: u64) {
        self.0.insert(id, said);
    }
}

/// Returns a hash of what an answer says: the same in every release.
pub(super) fn hash_of(node: &NodeAddress, by: &Actor, value: &Json) -> u64 {
    let Actor::Claimed(name) = by;
    let node = node.to_string();
    let parts = [node.as_bytes(), name.as_str().as_bytes(), value.as_str().as_bytes()];
    CommandId::derived(&parts).as_uuid().as_u64_pair().0
}
