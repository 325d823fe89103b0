//! How a shard begins anew that was released from hold, and what others send it again (ADR 19).

use serde::{Deserialize, Serialize};

use super::{EffectPlace, HoldReason, Mismatch, Owner, Way};
use crate::{Actor, CommandId, Epoch, Incarnation, Sequence, ShardId, Timestamp};

/// That an operator accepted the journal as it was found: whatever stands before is what the shard knows, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replaces {
    /// The incarnation of which more, or something else, was seen.
    pub from: Incarnation,
    /// Names the wish, which may be carried out more than once.
    pub release: CommandId,
    /// What was contradicted.
    pub contradicted: HoldReason,
    /// Who released it, where they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Why, in their words.
    pub reason: String,
    pub at: Timestamp,
}

/// That everything a shard had for another is sent again which that one, in a new incarnation, has not heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resending {
    pub to: ShardId,
    pub incarnation: Incarnation,
    /// The last place that it has heard. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<EffectPlace>,
}

impl Resending {
    pub(super) fn way(&self) -> Way {
        Way::Lane(self.to)
    }

    /// Up to where everything on the way was heard. More of the next bundle may have been; that is heard once all the same.
    pub(super) fn mark(&self) -> Sequence {
        let number = self.heard.map_or(0, |heard| heard.sequence.get().saturating_sub(1));
        Sequence::new(number)
    }
}

impl<C> Owner<C> {
    /// Begins an incarnation with the bundle that opens the epoch. After the last fold.
    ///
    /// # Panics
    /// When it is not later than the journal's own.
    pub fn begin_incarnation(&mut self, incarnation: Incarnation, replaces: Replaces) {
        assert!(incarnation > self.shard.lanes.incarnation, "a later incarnation orders after an earlier one");
        self.epoch = Epoch::first_of(incarnation);
        self.shard.lanes.incarnation = incarnation;
        self.replaces = Some(replaces);
    }

    /// Returns which release began the incarnation that was folded, if a bundle that was folded says so.
    pub fn released_by(&self) -> Option<CommandId> {
        self.released_by
    }

    /// Says with the bundle that opens the epoch that what was sent to a shard is sent again. Whoever folds it inherits that.
    pub fn resend(&mut self, resending: Resending) {
        self.resends.push(resending);
    }

    /// Keeps what was sent to a shard before the entry `until` said that it is sent again: that was asked for by
    /// [`Mismatch::Resent`]. Before anything is folded.
    pub fn keep_for(&mut self, resending: &Resending, until: Sequence) {
        self.outbox.keep(resending.way(), until);
    }

    /// Finds what a bundle sends again and was not kept.
    pub(super) fn lacks(&self, sequence: Sequence, resends: &[Resending]) -> Result<(), Mismatch> {
        let lacking = resends.iter().find(|resending| !self.outbox.has_kept(resending, sequence));
        lacking.map_or(Ok(()), |resending| Err(Mismatch::Resent { resending: resending.clone(), at: sequence }))
    }
}
