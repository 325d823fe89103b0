//! What updates were answered with: signals that somebody waits for an answer to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Run, RunFailure};
use crate::{CommandId, Json};

/// How many bytes a reply has: less than what stands beside the journal.
pub const REPLY_BYTES_MAX: usize = 32 << 10;
/// How many replies a run remembers. Of those before it only knows that there were.
pub const REPLIES_KEPT_MAX: usize = 1_000;
/// How many bytes of them.
pub const REPLIES_KEPT_BYTES_MAX: usize = 4 << 20;

/// What an update was answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    pub value: Json,
    /// Why there is no value: the reply could not be made, and the node that took the update failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
}

impl Reply {
    pub(super) fn len_bytes(&self) -> usize {
        self.value.len_bytes() + self.failure.as_ref().map_or(0, RunFailure::len_bytes)
    }
}

/// Where an update stands.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateStanding {
    /// The run has not received it.
    Unknown,
    /// No node has answered it yet.
    Waits,
    Replied(Reply),
    /// It was answered so long ago that the run does not know any more with what.
    Forgotten,
}

/// The replies that a run remembers. Most runs have none. Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Replies(Option<Box<Kept>>);

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    /// The newest last.
    order: VecDeque<CommandId>,
    replies: BTreeMap<CommandId, Reply>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forgotten: BTreeSet<CommandId>,
}

impl Replies {
    pub const NONE: Self = Self(None);

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns what an update was answered with, as far as that is remembered.
    pub fn of(&self, update: CommandId) -> Option<&Reply> {
        self.0.as_ref()?.replies.get(&update)
    }

    /// Returns whether an update was answered, however long ago.
    pub fn has(&self, update: CommandId) -> bool {
        self.of(update).is_some() || self.0.as_ref().is_some_and(|kept| kept.forgotten.contains(&update))
    }

    /// Remembers a reply, and forgets what there is no more room for.
    pub fn keep(&mut self, update: CommandId, reply: Reply) {
        let kept = self.0.get_or_insert_default();
        if kept.replies.insert(update, reply).is_none() {
            kept.order.push_back(update);
        }
        let mut bytes: usize = kept.replies.values().map(Reply::len_bytes).sum();
        while kept.order.len() > REPLIES_KEPT_MAX || bytes > REPLIES_KEPT_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else { return };
            bytes -= kept.replies.remove(&oldest).map_or(0, |reply| reply.len_bytes());
            kept.forgotten.insert(oldest);
        }
    }
}

/// Returns where an update of a run stands.
pub fn standing_of_update(run: &Run, update: CommandId) -> UpdateStanding {
    match run.waiting.replies().of(update) {
        Some(reply) => UpdateStanding::Replied(reply.clone()),
        None if run.waiting.replies().has(update) => UpdateStanding::Forgotten,
        None if run.waiting.mail().has_received(update) => UpdateStanding::Waits,
        None => UpdateStanding::Unknown,
    }
}
