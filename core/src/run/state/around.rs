//! What a node is at that has branches open: a `forEach`, or the first node of a loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::branch::State;
use crate::definition::{EachJoin, ForEach, ItemTolerance, Merge};
use crate::failure::RunFailure;
use crate::run::{BRANCHES_OPENED_MAX, BranchOutcome, JoinClosing};
use crate::{BranchId, Json, Timestamp, VALUE_BYTES_MAX};

/// What a node is at that has branches open. Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::run) enum Around {
    Each(Each),
    Loop(Turns),
    Group(Try),
    Undo(Undoing),
}

/// A `forEach`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct Each {
    /// Those to come are here; those that were are not any more.
    pub items: Vec<Json>,
    /// What its branches see of the state.
    #[serde(with = "shared_state", default, skip_serializing_if = "is_empty")]
    pub state: State,
    pub began_at: Timestamp,
    /// How many branches were opened so far.
    pub opened: u32,
    pub open: BTreeSet<BranchId>,
    /// The outputs of items that succeeded.
    pub outputs: BTreeMap<u32, Json>,
    /// How many there were, and how many bytes they have together.
    pub succeeded: u32,
    pub bytes: u64,
    /// Their keys, where they are merged by keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<u32, String>,
    pub failed: u32,
    /// Of the item that failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<JoinClosing>,
}

/// A loop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct Turns {
    /// The turn under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<BranchId>,
    /// How many there were before it.
    pub before: u32,
    /// How often each way back was taken, by its position.
    pub taken: BTreeMap<u32, u32>,
}

/// A try of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct Try {
    /// As its nodes found it; what they wrote is kept if they succeed.
    #[serde(with = "shared_state", default, skip_serializing_if = "is_empty")]
    pub state: State,
    pub began_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<BranchId>,
    /// Whether its branch is being withdrawn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closing: bool,
    /// How it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<BranchOutcome>,
}

/// What undoes, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::run) struct Undoing {
    /// What is undone now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<BranchId>,
    pub undone: u32,
    /// How many could not be undone, and the failures of the first of them.
    pub failed: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<RunFailure>,
}

/// How many failures are told of what could not be undone.
const FAILURES_MAX: usize = 20;

impl Undoing {
    /// Learns how a branch has ended.
    pub fn learn(&mut self, outcome: &BranchOutcome) {
        self.open = None;
        match outcome {
            BranchOutcome::Succeeded { .. } | BranchOutcome::SucceededAs { .. } => self.undone += 1,
            BranchOutcome::Failed { failure } => {
                self.failed += 1;
                if self.failures.len() < FAILURES_MAX {
                    self.failures.push(failure.clone());
                }
            }
            BranchOutcome::Cancelled {} | BranchOutcome::Turned { .. } => self.failed += 1,
        }
    }
}

impl Try {
    pub fn of(state: State, began_at: Timestamp) -> Self {
        Self { state, began_at, open: None, closing: false, outcome: None }
    }
}

/// What a `forEach` does next.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::run) enum EachNext {
    /// Opens so many branches more.
    Open(u32),
    /// Withdraws the rest.
    Close(JoinClosing),
    /// Ends: well, or with a failure.
    End(Option<RunFailure>),
}

/// How many nodes the branches of a run may have together, beside the first branch of each `forEach`.
const ROOM_MAX: u64 = 100_000;
/// How many bytes of outputs are kept: more than one value may have is never merged.
const OUTPUTS_BYTES_MAX: u64 = VALUE_BYTES_MAX as u64;

impl Around {
    /// Returns the branches that are open in it.
    pub fn open(&self) -> Vec<BranchId> {
        match self {
            Self::Each(each) => each.open.iter().copied().collect(),
            Self::Loop(turns) => turns.open.into_iter().collect(),
            Self::Group(group) => group.open.into_iter().collect(),
            Self::Undo(undoing) => undoing.open.into_iter().collect(),
        }
    }

    /// Returns what its branches see of the state, where they have a copy.
    pub fn state(&self) -> Option<&State> {
        match self {
            Self::Each(each) => Some(&each.state),
            Self::Group(group) => Some(&group.state),
            Self::Loop(_) | Self::Undo(_) => None,
        }
    }

    pub fn is_group(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::Each(_) | Self::Loop(_) | Self::Undo(_) => false,
        }
    }

    /// Returns whether none of its branches is open.
    pub fn is_idle(&self) -> bool {
        match self {
            Self::Each(each) => each.open.is_empty(),
            Self::Loop(turns) => turns.open.is_none(),
            Self::Group(group) => group.open.is_none(),
            Self::Undo(undoing) => undoing.open.is_none(),
        }
    }
}

impl Each {
    pub fn of(items: &Json, state: State, began_at: Timestamp) -> Self {
        let items: Vec<Json> = serde_json::from_str(items.as_str()).unwrap_or_default();
        Self {
            items,
            state,
            began_at,
            opened: 0,
            open: BTreeSet::new(),
            outputs: BTreeMap::new(),
            succeeded: 0,
            bytes: 0,
            keys: BTreeMap::new(),
            failed: 0,
            failure: None,
            closing: None,
        }
    }

    /// Learns how the branch of an item has ended, its output looked up. What comes when it is certain how the whole ends counts no more.
    pub fn learn(&mut self, each: Option<&ForEach>, branch: BranchId, index: u32, outcome: &BranchOutcome) {
        self.open.remove(&branch);
        if self.closing.is_some() {
            return;
        }
        match (outcome, each) {
            (BranchOutcome::Succeeded { output, key }, Some(each)) => self.keep(each, index, output, key.as_ref()),
            (BranchOutcome::Failed { failure }, _) => {
                self.failed += 1;
                self.failure = Some(failure.clone());
            }
            (
                BranchOutcome::Succeeded { .. }
                | BranchOutcome::SucceededAs { .. }
                | BranchOutcome::Cancelled {}
                | BranchOutcome::Turned { .. },
                _,
            ) => self.failed += 1,
        }
    }

    /// Keeps what an item has made, as far as the merge asks for it.
    fn keep(&mut self, each: &ForEach, index: u32, output: &Json, key: Option<&String>) {
        self.succeeded += 1;
        if let Merge::Last = each.merge {
            if self.outputs.last_key_value().is_some_and(|(last, _)| *last > index) {
                return;
            }
            self.outputs.clear();
            self.bytes = 0;
        }
        self.bytes += output.len_bytes() as u64;
        self.outputs.insert(index, output.clone());
        if let Some(key) = key {
            self.bytes += key.len() as u64;
            self.keys.insert(index, key.clone());
        }
    }

    /// Says what it does next; `None`: it waits for its branches. `room` is what the branches of the run take already, and
    /// `size` what one of its own takes.
    pub fn next(&self, each: &ForEach, room: u64, size: u64) -> Option<EachNext> {
        let end = match &self.closing {
            Some(JoinClosing::Enough {}) => Some(None),
            Some(JoinClosing::Failed { failure }) => Some(Some(failure.clone())),
            None => self.verdict(each),
        };
        match end {
            Some(failure) if self.open.is_empty() => Some(EachNext::End(failure)),
            Some(_) if self.closing.is_some() => None,
            Some(None) => Some(EachNext::Close(JoinClosing::Enough {})),
            Some(Some(failure)) => Some(EachNext::Close(JoinClosing::Failed { failure })),
            None => self.may_open(each, room, size).map(EachNext::Open),
        }
    }

    /// Says whether it is certain how it ends: well, or with a failure.
    fn verdict(&self, each: &ForEach) -> Option<Option<RunFailure>> {
        let count = self.items.len() as u64;
        let (succeeded, failed) = (u64::from(self.succeeded), u64::from(self.failed));
        if self.bytes > OUTPUTS_BYTES_MAX {
            let message = format!("the outputs of the items have more than {OUTPUTS_BYTES_MAX} bytes together");
            return Some(Some(RunFailure::new("node_too_large", message)));
        }
        let needed = match each.join {
            EachJoin::All => None,
            EachJoin::Any => Some(1),
            EachJoin::Quorum(needed) => Some(u64::from(needed)),
        };
        let cause = |message: String| {
            let code = self.failure.as_ref().map_or("for_each_failed", |failure| failure.code.as_str());
            let why = self.failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
            Some(Some(RunFailure::new(code, format!("{message}{why}"))))
        };
        let tolerated = match each.tolerated {
            ItemTolerance::Count(tolerated) => u64::from(tolerated),
            ItemTolerance::Percent(percent) => count * u64::from(percent) / 100,
            ItemTolerance::Any => count,
        };
        if failed > tolerated {
            return cause(format!("{failed} of {count} items failed, and {tolerated} may"));
        }
        match needed {
            _ if count == 0 => Some(None),
            Some(needed) if succeeded >= needed => Some(None),
            Some(needed) if count - failed < needed => {
                cause(format!("{needed} of {count} items were to succeed, and {failed} failed"))
            }
            Some(_) => None,
            None => (succeeded + failed == count).then_some(None),
        }
    }

    fn may_open(&self, each: &ForEach, room: u64, size: u64) -> Option<u32> {
        let left = self.items.len() as u32 - self.opened.min(self.items.len() as u32);
        let open = self.open.len() as u32;
        let by_number = each.concurrency.map_or(u32::MAX, |max| max.saturating_sub(open));
        let by_room = (ROOM_MAX.saturating_sub(room) / size.max(1)).min(u64::from(u32::MAX)) as u32;
        let by_room = by_room.max(u32::from(open == 0));
        Some(left.min(by_number).min(by_room).min(BRANCHES_OPENED_MAX)).filter(|count| *count > 0)
    }
}

fn is_empty(state: &State) -> bool {
    state.is_empty()
}

/// A state as checkpoints hold it.
mod shared_state {
    use super::{Arc, BTreeMap, Json, State};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(state.iter().map(|(key, value)| (&**key, value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
        let entries = BTreeMap::<String, Json>::deserialize(deserializer)?;
        Ok(Arc::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }
}
