//! The lanes between shards: one for each sender at each receiver, strictly in order, so that what was heard is one place
//! and not a memory of commands (ADR 14).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bundle::EffectPlace;
use super::state::Shard;
use super::{Bundle, Command, Effect, Rejection, ShardMap};
use crate::run::RunCommand;
use crate::{Incarnation, Sequence, ShardId};

/// Where a command between shards comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    pub shard: ShardId,
    pub place: EffectPlace,
    /// What was sent before it on the same lane and has not been answered yet. Absent: whatever came before was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EffectPlace>,
    /// For which incarnation of the receiver it is meant: an earlier one had heard what a later one may not have.
    #[serde(default, skip_serializing_if = "Incarnation::is_first")]
    pub toward: Incarnation,
}

/// On which way an effect leaves. What is on one does not hold up what is on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// To a shard, perhaps the same.
    Lane(ShardId),
    Feed,
    Definitions,
}

impl Effect {
    /// Returns on which way it leaves. `None`: nobody waits until it is delivered, or nobody can be told.
    pub fn way(&self, map: &ShardMap) -> Option<Way> {
        match self {
            Self::Submit(submission) => map.shard_of(&submission.command.target()).map(Way::Lane),
            Self::PublishAsset(_) => Some(Way::Feed),
            Self::PublishDefinition { .. } => Some(Way::Definitions),
            Self::CancelTasks { .. } => None,
        }
    }
}

/// Says of commands among the effects of the bundle at `sequence` where they come from.
pub(super) fn number(shard: ShardId, sequence: Sequence, effects: &mut [Effect]) {
    for (index, effect) in (0..).zip(effects) {
        match effect {
            Effect::Submit(submission) => {
                submission.from = Some(Origin {
                    shard,
                    place: EffectPlace { sequence, index },
                    after: None,
                    toward: Incarnation::FIRST,
                });
            }
            Effect::CancelTasks { .. } | Effect::PublishAsset(_) | Effect::PublishDefinition { .. } => {}
        }
    }
}

impl Bundle {
    /// Returns up to where the effects on a way have been delivered.
    pub(super) fn delivered_on(&self, way: Way) -> Sequence {
        let Some(ahead) = &self.ahead else { return self.effects_done };
        ahead.behind.iter().find(|(behind, _)| *behind == way).map_or(ahead.done, |(_, done)| *done)
    }
}

/// What is to be done with a command that came on a lane.
pub(super) enum Hearing {
    Decide,
    /// It was heard before, and has changed what it changes.
    Heard,
}

/// What a shard has heard of each other one, in which life of its journal, and for which lives of others what it sends is meant.
#[derive(Debug, Default)]
pub struct Lanes {
    pub(super) incarnation: Incarnation,
    /// The last place of each shard's journal that was heard here, its own too.
    pub(super) heard: BTreeMap<ShardId, EffectPlace>,
    /// Where it is not the first.
    pub(super) toward: BTreeMap<ShardId, Incarnation>,
}

impl Lanes {
    /// Returns which life of the shard's journal it is.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Returns the last place of another shard's journal that was heard here.
    pub fn heard(&self, sender: ShardId) -> Option<EffectPlace> {
        self.heard.get(&sender).copied()
    }

    /// Returns for which incarnations of others what is sent there is meant, where it is not the first.
    pub fn toward_others(&self) -> impl Iterator<Item = (ShardId, Incarnation)> {
        self.toward.iter().map(|(shard, incarnation)| (*shard, *incarnation))
    }

    /// Returns for which incarnation of another shard what is sent there is meant.
    pub fn toward(&self, other: ShardId) -> Incarnation {
        self.toward.get(&other).copied().unwrap_or_default()
    }

    /// Folds what a bundle says of lanes.
    pub(super) fn fold(&mut self, bundle: &Bundle) {
        self.heard.extend(bundle.heard.iter().copied());
        self.incarnation = bundle.epoch.incarnation();
        self.toward.extend(bundle.resends.iter().map(|resending| (resending.to, resending.incarnation)));
    }

    /// Hears what comes to the shard `at`; returns whether it is new.
    fn hear(&mut self, at: ShardId, from: Origin) -> Result<bool, Rejection> {
        let heard = self.heard(from.shard);
        // What a shard has heard of itself falls back with it, and nothing else does.
        if from.shard != at && from.toward != self.incarnation {
            return Err(Rejection::Gap { heard });
        }
        if Some(from.place) <= heard {
            return Ok(false);
        }
        if from.after > heard {
            return Err(Rejection::Gap { heard });
        }
        self.heard.insert(from.shard, from.place);
        Ok(true)
    }
}

impl Shard {
    /// Returns what it has heard of others, and what it sends them.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Returns the last place of another shard's journal that was heard here.
    pub fn heard(&self, sender: ShardId) -> Option<EffectPlace> {
        self.lanes.heard(sender)
    }

    /// Takes a command in that comes on a lane. Whatever is decided of it then, it has been heard.
    ///
    /// # Errors
    /// [`Rejection::Gap`]: something before it was not heard, or may not have been by this incarnation.
    pub(super) fn hear(&mut self, from: Origin, command: &Command) -> Result<Hearing, Rejection> {
        let decides = self.lanes.hear(self.id(), from)? || command.is_question() || self.never_happened(command);
        Ok(if decides { Hearing::Decide } else { Hearing::Heard })
    }

    /// Whether a command that was heard before was certainly refused, and is to be refused again: its sender acts on
    /// that. Of the others none does.
    fn never_happened(&self, command: &Command) -> bool {
        let Command::Run { run, command: RunCommand::StartRun(_) } = command else { return false };
        !self.shelves.runs.contains_key(run)
            && self.memory.ended(*run).is_none()
            && !self.memory.may_have_forgotten(*run)
    }
}
