//! How history becomes state, and what of it is corrupt.

use std::collections::BTreeMap;

use super::poison::{self, CommitPlace, Poison};
use super::quarantine::Quarantine;
use super::reactions::Reactions;
use super::state::Shard;
use super::{AggregateId, Bundle, Commit, Effect, Resending, kinds};
use crate::{Epoch, Sequence, ShardId};

/// Says that a bundle cannot follow what was folded before: the journal as a whole is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("the bundle belongs to shard {found}, not {expected}")]
    Shard { expected: ShardId, found: ShardId },
    #[error("the bundle names {found} as the hash of the one before, which is {expected}")]
    Previous { expected: String, found: String },
    #[error("the bundle is of epoch {found}, after one of epoch {before}")]
    Epoch { before: Epoch, found: Epoch },
    /// Nothing is wrong with the journal: fold it from its first entry, with [`super::Owner::keep_for`].
    #[error("entry {at} sends again what was not kept for shard {}", .resending.to)]
    Resent { resending: Resending, at: Sequence },
}

/// Says that the history of one aggregate breaks the rules; it is quarantined, the others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{aggregate}: {reason}")]
pub struct Corrupt {
    pub aggregate: AggregateId,
    pub reason: String,
}

impl Shard {
    /// Folds one bundle; appends the effects of its commits where `effects` is given.
    ///
    /// Returns the aggregates whose history breaks the rules. They are quarantined: their commits are passed over
    /// and their commands refused.
    pub fn fold(&mut self, bundle: &Bundle, effects: Option<&mut Vec<Effect>>) -> Vec<Corrupt> {
        let mut reactions = effects.is_some().then(Reactions::default);
        let corrupt = self.fold_at(Sequence::ZERO, bundle, reactions.as_mut(), &BTreeMap::new());
        if let (Some(effects), Some(reactions)) = (effects, reactions) {
            effects.append(&mut reactions.worked_out(&self.definitions.compiler));
        }
        corrupt
    }

    /// Folds the bundle of a place. Commits named in `spared` are corrupt without having been looked at, for the
    /// reason given.
    ///
    /// # Panics
    /// With [`Poison::Commit`] when a commit makes the rules panic: the shard is to be dropped.
    pub(super) fn fold_at(
        &mut self,
        sequence: Sequence,
        bundle: &Bundle,
        mut reactions: Option<&mut Reactions>,
        spared: &BTreeMap<CommitPlace, String>,
    ) -> Vec<Corrupt> {
        let mut corrupt = Vec::new();
        self.lanes.fold(bundle);
        if let Some(aside) = &bundle.aside {
            self.fold_aside(sequence, aside);
        }
        for (number, commit) in bundle.commits.iter().enumerate() {
            let last = commit.revision.after(commit.events.len().saturating_sub(1) as u64);
            if let Some(quarantine) = self.quarantined.by_id.get_mut(&commit.aggregate)
                && !commit.is_release()
            {
                quarantine.last = quarantine.last.max(last);
                continue;
            }
            let place = (sequence, number);
            let folded = match spared.get(&place) {
                Some(reason) => Err(reason.clone()),
                None => poison::named(
                    || self.fold_commit(commit, reactions.as_deref_mut()),
                    |said| Poison::Commit { place, aggregate: commit.aggregate.clone(), said },
                ),
            };
            if let Err(reason) = folded {
                let at = Some(sequence);
                self.set_aside(&commit.aggregate, Quarantine { reason: reason.clone(), at, last, since: None });
                corrupt.push(Corrupt { aggregate: commit.aggregate.clone(), reason });
            }
        }
        if let Some(aside) = &bundle.aside {
            self.fold_taken_up(aside, reactions.map(|reactions| &mut reactions.effects));
        }
        corrupt
    }

    pub(super) fn fold_commit(&mut self, commit: &Commit, reactions: Option<&mut Reactions>) -> Result<(), String> {
        if commit.events.is_empty() {
            return Err("a commit without events".to_owned());
        }
        if let Some(lacks) = commit.lacks() {
            return Err(lacks);
        }
        if commit.time < self.memory.clock {
            return Err(format!("a commit of {} after one of {}", commit.time, self.memory.clock));
        }
        if commit.is_release() {
            let mut nowhere = Vec::new();
            let effects = reactions.map_or(&mut nowhere, |reactions| &mut reactions.effects);
            return self.fold_release(commit, effects).map(drop);
        }
        kinds::fold(self, commit, reactions)
    }
}
