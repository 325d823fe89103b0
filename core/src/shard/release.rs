//! What releasing an aggregate means for the state.

use std::sync::Arc;

use super::compiled::Compiled;
use super::kinds;
use super::load::Unanswered;
use super::poison::{self, Poison};
use super::quarantine::{Release, TakenUp};
use super::state::Shard;
use super::{AggregateId, AssetKey, Command, Commit, Decided, Effect, Event, Owner, Rejection};
use crate::asset::{AssetCommand, RecordAsset};
use crate::credit::Hands;
use crate::dialogue::Answer;
use crate::run::{RunCommand, RunStatus};
use crate::{Actor, CommandId, Revision, RunId, Timestamp};

/// What is to be released and how, made of its history by [`super::Refolding`].
#[derive(Debug, Clone, PartialEq)]
pub struct Refolded {
    pub aggregate: AggregateId,
    pub(super) release: Release,
    /// Of the last event that the journal holds of it.
    pub(super) last: Revision,
    /// Behind the release itself, for those who read histories: how a run ended that is ended.
    pub(super) events: Vec<Event>,
    /// The graphs that folding it took.
    pub(super) compiled: Arc<[Compiled]>,
}

/// How many bytes a release may have as JSON: a bundle takes it, and the broker the bundle.
const RELEASE_BYTES_MAX: usize = 4 << 20;

impl<C> Owner<C> {
    /// Releases an aggregate from quarantine. The answer is that of a command; who waited for it is taken up by
    /// [`Self::take_up`].
    pub fn release(&mut self, caller: C, id: CommandId, actor: Option<Actor>, refolded: Refolded, now: Timestamp) {
        self.shard.definitions.offer(refolded.compiled.clone());
        let outcome = self.shard.release(id, actor, refolded, now).map(|decided| self.take_in(decided));
        self.shard.definitions.offer(Arc::default());
        self.filling.waiting.push(Unanswered { caller, outcome });
    }

    /// Decides the next of the wishes that waited for a release that has been; returns whether there was one. What it needs
    /// is taken from `compiled`, where it is not there.
    ///
    /// # Panics
    /// As [`Owner::submit`].
    pub fn take_up(
        &mut self,
        caller: impl FnOnce() -> C,
        compiled: Arc<[Compiled]>,
        now: Timestamp,
        hands: &mut Hands,
    ) -> bool {
        let Some(submission) = self.shard.take_released() else { return false };
        let id = submission.id;
        let outcome = match self.refused.get(&id) {
            Some(reason) => Err(Rejection::Poisoned { reason: reason.clone() }),
            None => {
                let (aggregate, wish) = (submission.command.target(), submission.clone());
                let name = |said| Poison::Command { id, aggregate, own: false, said };
                self.shard.definitions.offer(compiled);
                let decided = poison::named(|| self.shard.decide_now(wish, now, hands), name);
                self.shard.definitions.offer(Arc::default());
                decided
            }
        };
        let outcome = outcome.map(|decided| self.take_in(decided));
        let then = outcome.as_ref().err().and_then(|rejection| submission.refused(rejection));
        self.filling.follows.extend(then.clone().map(|then| Effect::Submit(Box::new(then))));
        self.filling.aside.taken_up.push(TakenUp { id, then });
        self.filling.waiting.push(Unanswered { caller: caller(), outcome });
        true
    }
}

impl Shard {
    /// Releases an aggregate.
    ///
    /// # Errors
    /// [`Rejection::NotQuarantined`], [`Rejection::NotReleased`] with the reason, [`Rejection::NotOwner`] while its quarantine
    /// is not durable: ask again.
    pub(super) fn release(
        &mut self,
        command: CommandId,
        by: Option<Actor>,
        refolded: Refolded,
        now: Timestamp,
    ) -> Result<Decided, Rejection> {
        let Refolded { aggregate, mut release, last, events, compiled: _ } = refolded;
        let Some(quarantine) = self.quarantined.by_id.get(&aggregate) else { return Err(Rejection::NotQuarantined) };
        if quarantine.since.is_none() {
            return Err(Rejection::NotOwner);
        }
        self.leave_out_what_is_parked(&aggregate, &mut release.owed);
        let revision = quarantine.last.max(last).next();
        let events = std::iter::once(Event::Released(Box::new(release))).chain(events).collect();
        let commit = Commit {
            aggregate,
            revision,
            command,
            time: now.max(self.memory.clock),
            by: by.map(Box::new),
            cause: None,
            stored: None,
            events,
        };
        let bytes = serde_json::to_vec(&commit).expect("commits have text keys, and a Vec takes every byte").len();
        if bytes > RELEASE_BYTES_MAX {
            let reason = format!("its record has {bytes} bytes, and a bundle takes {RELEASE_BYTES_MAX}");
            return Err(Rejection::NotReleased { reason });
        }
        let mut effects = Vec::new();
        let ended = self.fold_release(&commit, &mut effects).map_err(|reason| Rejection::NotReleased { reason })?;
        Ok(Decided { commit: Some(commit), effects, ended, ..Decided::default() })
    }

    /// Leaves out what was certainly delivered once: its answer is parked.
    fn leave_out_what_is_parked(&self, aggregate: &AggregateId, owed: &mut Vec<Effect>) {
        let Some(parked) = self.quarantined.parked.get(aggregate) else { return };
        let has_started = |run: &RunId| {
            parked.iter().any(|wish| {
                matches!(&wish.command,
                    Command::Asset { command: AssetCommand::EndProducer { run: ended, .. }, .. }
                    | Command::Run {
                        command: RunCommand::AnswerCall { answer: Answer::Ended { child: ended, .. }, .. }, ..
                    } if ended == run)
            })
        };
        let is_recorded = |key: &AssetKey, record: &RecordAsset| {
            parked.iter().any(|wish| {
                matches!(&wish.command,
                    Command::Run { command: RunCommand::AcknowledgeAsset { node, asset, partition, .. }, .. }
                        if *asset == key.asset && *node == record.node && *partition == record.partition)
            })
        };
        owed.retain(|effect| match effect.command() {
            Some(Command::Run { run, command: RunCommand::StartRun(_) }) => !has_started(run),
            Some(Command::Asset { key, command: AssetCommand::RecordAsset(record) }) => !is_recorded(key, record),
            Some(_) | None => true,
        });
    }

    /// Folds the commit of a release: its aggregate stands as it says, whatever came before.
    ///
    /// # Errors
    /// Why that cannot be read; nothing has changed.
    pub(super) fn fold_release(
        &mut self,
        commit: &Commit,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<(RunId, RunStatus)>, String> {
        let Some(Event::Released(release)) = commit.events.first() else {
            return Err("it is not a release".to_owned());
        };
        let ended = kinds::put(self, commit, &release.record)?;
        self.quarantined.by_id.remove(&commit.aggregate);
        self.memory.remember(commit, false, &self.bounds);
        effects.extend(release.owed.iter().cloned());
        Ok(ended)
    }
}
