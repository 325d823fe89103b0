//! The owner of a shard, without its I/O: what may leave before and after an append is acknowledged.
//!
//! At most one bundle is in flight; the next fills while it is. A lone command never waits for company.
//!
//! Every answer waits for a bundle that was handed out after its decision, never for the one in flight by then; where
//! there is nothing to append, the bundle is empty (`SHD-4`). Only an append that lands tells that nobody else has
//! appended before it: an owner that was stopped and lost its shard unawares learns of it before it says no.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Granted;
use super::bundle::{Head, digest};
use super::lane;
use super::load::{Answer, Append, Load, Outcome, Released, Unanswered};
use super::outbox::{Inherited, Outbox};
use super::poison::{self, CommitPlace, Poison};
use super::reactions::Reactions;
use super::{
    AggregateId, Bundle, Corrupt, Decided, Effect, HandedTasks, Mismatch, Origin, Position, Quarantine, Rejection,
    Replaces, Resending, Shard, Submission, Way,
};
use crate::credit::Hands;
use crate::run::{Run, RunStatus};
use crate::{BundleId, CommandId, Epoch, Revision, RunId, Sequence, Timestamp};

/// The one process that decides for a shard, as long as nobody else appends.
#[derive(Debug)]
pub struct Owner<C> {
    pub(super) shard: Shard,
    pub(super) epoch: Epoch,
    /// Of the last bundle that is durable.
    last: Sequence,
    /// Of the last bundle that was handed out or folded.
    digest: String,
    pub(super) filling: Load<C>,
    in_flight: Option<(Load<C>, String)>,
    /// Whether the bundle that opens the epoch was handed out.
    opened: bool,
    /// What is quarantined, and no bundle says so yet.
    unsaid: Vec<AggregateId>,
    pub(super) outbox: Outbox,
    /// What the bundle that opens the epoch says of incarnations.
    pub(super) replaces: Option<Replaces>,
    pub(super) resends: Vec<Resending>,
    pub(super) released_by: Option<CommandId>,
    /// Commands that are refused unseen, and why.
    pub(super) refused: FxHashMap<CommandId, String>,
    /// Commits that are not looked at, and why.
    spared: BTreeMap<CommitPlace, String>,
}

/// How many aggregates one bundle quarantines at most; the next one goes on.
const QUARANTINED_MAX: usize = 1_000;

/// What an owner has folded beside the state of its shard.
pub(super) struct Folded<'o> {
    pub epoch: Epoch,
    pub last: Sequence,
    pub digest: Cow<'o, str>,
    pub inherited: Vec<Inherited>,
}

impl<C> Owner<C> {
    /// How many bytes of commits one bundle takes before the owner asks for patience.
    pub const BUNDLE_BYTES_MAX: usize = 4 << 20;
    /// How many bytes of values are stored before one bundle, at most, before the owner asks for patience.
    pub const STOWED_BYTES_MAX: usize = 32 << 20;
    /// How many callers wait for one bundle before the owner asks for patience: those who are refused add no bytes.
    pub const WAITING_MAX: usize = 32_768;

    /// Takes over a shard whose journal is empty so far; fold what there is with [`Self::fold`].
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            epoch: Epoch::FIRST,
            last: Sequence::ZERO,
            digest: String::new(),
            filling: Load::empty(),
            in_flight: None,
            opened: false,
            unsaid: Vec::new(),
            outbox: Outbox::default(),
            replaces: None,
            resends: Vec::new(),
            released_by: None,
            refused: FxHashMap::default(),
            spared: BTreeMap::new(),
        }
    }

    /// Returns what an owner has folded, for a checkpoint.
    ///
    /// # Panics
    /// When it has decided or handed out anything: that may not be durable, and a checkpoint holds only what is.
    pub(super) fn folded(&self) -> (&Shard, Folded<'_>) {
        // Every field is named, so that a new one does not compile until it is known whether checkpoints hold it.
        let Self {
            shard,
            epoch,
            last,
            digest,
            filling,
            in_flight,
            opened,
            unsaid: _,
            outbox,
            replaces,
            resends,
            released_by: _,
            refused: _,
            spared: _,
        } = self;
        let has_begun = *opened
            || replaces.is_some()
            || !resends.is_empty()
            || in_flight.is_some()
            || !filling.waiting.is_empty()
            || outbox.has_sent();
        assert!(!has_begun && filling.count == 0, "a checkpoint is taken before anything is decided");
        (shard, Folded { epoch: *epoch, last: *last, digest: digest.into(), inherited: outbox.inherited(shard) })
    }

    /// Goes on where an owner that had folded this much stood.
    pub(super) fn resumed(shard: Shard, folded: Folded<'_>) -> Self {
        let Folded { epoch, last, digest, inherited } = folded;
        // What is not inherited was delivered.
        let mut outbox = Outbox::delivered_up_to(last);
        for (sequence, effects) in inherited {
            outbox.inherit_effects(&shard, sequence, effects);
        }
        Self { epoch, last, digest: digest.into_owned(), outbox, ..Self::new(shard) }
    }

    /// Returns the sequence of the last bundle that is durable.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Returns whether these are the bytes of the last bundle it folded.
    pub fn stands_on(&self, bytes: &[u8]) -> bool {
        digest(bytes) == self.digest
    }

    /// Sets an aggregate aside at a commit that made folding panic before, instead of folding it. Before it is folded.
    pub fn spare(&mut self, place: CommitPlace, reason: String) {
        self.spared.insert(place, reason);
    }

    /// Refuses a command that made deciding panic before, whenever it comes (`Rejection::Poisoned`).
    pub fn refuse(&mut self, id: CommandId, reason: String) {
        self.refused.insert(id, reason);
    }

    /// Quarantines an aggregate that makes the shard's own commands panic. Before anything is handed out: the bundle that opens
    /// the epoch says so.
    pub fn set_aside(&mut self, aggregate: &AggregateId, reason: String) {
        self.shard.set_aside(aggregate, Quarantine { reason, at: None, last: Revision::new(0), since: None });
    }

    /// Folds one message of the journal, by its number in the stream, in order, before anything is submitted.
    ///
    /// # Errors
    /// [`Mismatch`]: the journal as a whole is not to be trusted, or has to be folded otherwise; nothing was folded.
    ///
    /// # Panics
    /// With [`Poison::Commit`] when a commit makes the rules panic. Drop the owner, and fold anew with a new one that
    /// spares the commit.
    pub fn fold(&mut self, sequence: Sequence, bundle: &Bundle, bytes: &[u8]) -> Result<Vec<Corrupt>, Mismatch> {
        if bundle.shard != self.shard.id() {
            return Err(Mismatch::Shard { expected: self.shard.id(), found: bundle.shard });
        }
        if bundle.previous != self.digest {
            return Err(Mismatch::Previous { expected: self.digest.clone(), found: bundle.previous.clone() });
        }
        if bundle.epoch.next() < self.epoch {
            return Err(Mismatch::Epoch { before: self.epoch, found: bundle.epoch });
        }
        let sequence = sequence.within(bundle.epoch.incarnation());
        self.lacks(sequence, &bundle.resends)?;
        bundle.resends.iter().for_each(|resending| self.keep_for(resending, sequence));
        let mut reactions = Reactions::default();
        let corrupt = self.shard.fold_at(sequence, bundle, Some(&mut reactions), &self.spared);
        self.outbox.delivered(bundle);
        self.outbox.resent(sequence, &bundle.resends);
        self.outbox.inherit(&self.shard, sequence, reactions);
        self.released_by = bundle.replaces.as_ref().map(|replaces| replaces.release).or(self.released_by);
        self.epoch = bundle.epoch.next();
        self.last = sequence;
        self.digest = digest(bytes);
        Ok(corrupt)
    }

    /// Works out what [`Self::inherit`] returns, which takes long where new versions were not delivered. After the last fold.
    pub fn work_out_inherited(&mut self) {
        self.outbox.work_out(&self.shard);
    }

    /// Returns the effects that the owner before may not have delivered, with the sequence each batch is confirmed
    /// by, and after them whatever active runs still wait for. Once, after the last fold.
    pub fn inherit(&mut self) -> Vec<(Sequence, Vec<Effect>)> {
        let mut effects = self.outbox.take_inherited(&self.shard);
        for (sequence, effects) in &effects {
            self.outbox.sent(&self.shard, *sequence, effects);
        }
        effects.push((Sequence::ZERO, self.shard.outstanding()));
        effects
    }

    /// Returns the state, which includes decisions that are not durable yet.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Returns the epoch this owner writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns whether the bundle being filled is so large, or so many wait for it, that whatever else is asked should
    /// wait outside.
    pub fn is_full(&self) -> bool {
        let bytes = self.filling.commits.len() + self.filling.aside_bytes;
        bytes >= Self::BUNDLE_BYTES_MAX
            || self.filling.stowed_bytes >= Self::STOWED_BYTES_MAX
            || self.filling.waiting.len() >= Self::WAITING_MAX
    }

    /// Returns whether a bundle is in flight.
    pub fn is_appending(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Returns whether something was decided that the next bundle takes along.
    pub fn is_filling(&self) -> bool {
        !self.filling.waiting.is_empty()
    }

    /// Decides a command. Its answer comes out of [`Self::appended`], with the next bundle that is handed out (`SHD-4`).
    ///
    /// # Panics
    /// With [`Poison::Command`] when the command makes the rules panic. Drop the owner: its state is half of a story.
    pub fn submit(&mut self, caller: C, submission: Submission, now: Timestamp, hands: &mut Hands) {
        let outcome = match self.refused.get(&submission.id) {
            Some(reason) => Err(Rejection::Poisoned { reason: reason.clone() }),
            None => {
                let (id, own, aggregate) = (submission.id, submission.command.is_own(), submission.command.target());
                let from = submission.from;
                let name = |said| Poison::Command { id, aggregate, own, said };
                let outcome = poison::named(|| self.decide(submission, now, hands), name);
                self.note_heard(from);
                outcome
            }
        };
        self.filling.waiting.push(Unanswered { caller, outcome });
    }

    fn decide(
        &mut self,
        submission: Submission,
        now: Timestamp,
        hands: &mut Hands,
    ) -> Result<(Option<Granted>, HandedTasks), Rejection> {
        let known = self.shard.quarantined().len();
        let decided = self.shard.decide(submission, now, hands);
        if self.shard.quarantined().len() > known {
            let mut fresh = self.shard.unsaid();
            fresh.retain(|aggregate| !self.unsaid.contains(aggregate));
            // Before whatever waits to be said: the same bundle may park what waits for it.
            self.unsaid.splice(0..0, fresh);
        }
        Ok(self.take_in(decided?))
    }

    /// Takes what was decided into the bundle that fills, and notes what who folds it has to know.
    pub(super) fn take_in(&mut self, decided: Decided) -> (Option<Granted>, HandedTasks) {
        if let Some(AggregateId::Run(id)) = decided.commit.as_ref().map(|commit| &commit.aggregate) {
            self.filling.leaves_agenda |= self.shard.run(*id).is_some_and(Run::has_agenda);
        }
        if let Some(commit) = &decided.commit {
            self.filling.has_later_words |= self.shard.definitions.have_later_words(commit);
        }
        self.filling.take(decided, self.shard.bounds.stored_from)
    }

    /// Sends effects that follow from what was folded long ago, with the next bundle: as all effects they have a place in the
    /// journal, and are heard once. What is withdrawn until then does not leave. The next owner does not inherit them.
    pub fn ask_anew(&mut self, caller: C, effects: Vec<Effect>) {
        self.filling.anew.extend(effects);
        self.hold(caller);
    }

    /// Whatever was decided, the next bundle says what was heard.
    fn note_heard(&mut self, from: Option<Origin>) {
        if let Some(Origin { shard, place, .. }) = from
            && self.shard.heard(shard) == Some(place)
        {
            self.filling.heard.insert(shard, place);
        }
    }

    /// Keeps a caller whose answer was read off [`Self::shard`] without a command. It comes out of [`Self::appended`]
    /// like the caller of a command that is granted and changes nothing: when what was read is known to have been
    /// true (`SHD-4`).
    pub fn hold(&mut self, caller: C) {
        self.filling.waiting.push(Unanswered { caller, outcome: Ok((None, HandedTasks::new())) });
    }

    /// Hands out the next bundle, if anybody waits for it and nothing is in flight. It is empty where nothing changed:
    /// then all it does is to land behind everything its owner knows. The first bundle of an epoch is handed out in any
    /// case: it fences every owner before.
    pub fn next_append(&mut self, id: BundleId) -> Option<Append> {
        let is_idle = self.filling.waiting.is_empty() && self.opened && self.unsaid.is_empty();
        if self.in_flight.is_some() || is_idle {
            return None;
        }
        if !std::mem::replace(&mut self.opened, true) {
            self.unsaid = self.shard.unsaid();
        }
        let mut load = std::mem::replace(&mut self.filling, Load::empty());
        // Runs come before the definitions they are frozen at.
        let said = self.unsaid.drain(..QUARANTINED_MAX.min(self.unsaid.len())).collect();
        load.aside.quarantined = self.shard.quarantine_of(said);
        let head = Head {
            shard: self.shard.id(),
            epoch: self.epoch,
            id,
            previous: &self.digest,
            effects_done: self.outbox.done(self.last),
            ahead: self.outbox.ahead(self.last),
            heard: &load.heard,
            leaves_agenda: load.leaves_agenda,
            has_later_words: load.has_later_words,
            has_stored: !load.stowage.is_empty(),
            replaces: self.replaces.as_ref(),
            resends: &self.resends,
            aside: &load.aside,
            releases: load.releases,
        };
        let bytes = head.write(&load.commits);
        (self.replaces, self.resends) = (None, Vec::new());
        let commits = load.count;
        let values = std::mem::take(&mut load.stowage).into_values().collect();
        self.in_flight = Some((Load { commits: Vec::new(), ..load }, digest(&bytes)));
        Some(Append { id, bytes, expected: self.last, commits, values })
    }

    /// Learns that the bundle in flight is durable, under this number in the stream.
    ///
    /// # Panics
    /// When nothing is in flight: the driver appends only what it was handed.
    pub fn appended(&mut self, sequence: Sequence) -> Released<C> {
        let (load, digest) = self.in_flight.take().expect("the driver appends only what it was handed");
        self.digest = digest;
        let sequence = sequence.within(self.epoch.incarnation());
        self.last = sequence;
        let position = Position { shard: self.shard.id(), sequence };
        let answer = |Unanswered { caller, outcome }| Answer {
            caller,
            outcome: outcome.map(|(granted, tasks)| Outcome { position, granted, tasks }),
        };
        let answers = load.waiting.into_iter().map(answer).collect();
        self.shard.quarantined_since(sequence, &load.aside);
        let mut effects = load.effects;
        effects.extend(load.follows);
        effects.extend(self.shard.still_outstanding(load.anew));
        lane::number(self.shard.id(), sequence, &mut effects);
        self.outbox.sent(&self.shard, sequence, &effects);
        Released {
            answers,
            sequence: (!effects.is_empty()).then_some(sequence),
            effects,
            ended: load.ended.into_iter().map(|(run, status)| (run, status, position)).collect(),
            replied: load.replied,
        }
    }

    /// Returns how a run ended, and the place where one can see it; no place while its bundle is not durable.
    pub fn ended_run(&self, id: RunId) -> Option<(RunStatus, Option<Position>)> {
        let ended = self.shard.ended_run(id)?;
        let in_flight = self.in_flight.iter().flat_map(|(load, _)| &load.ended);
        let pending = self.filling.ended.iter().chain(in_flight).any(|(run, _)| *run == id);
        let position = Position { shard: self.shard.id(), sequence: self.last };
        Some((ended.status, (!pending).then_some(position)))
    }

    /// Learns that all effects of a bundle on one way have been delivered. Unknown ones are ignored.
    pub fn effects_delivered(&mut self, way: Way, sequence: Sequence) {
        self.outbox.confirmed(way, sequence);
    }

    /// Gives every caller back, also those that were held, for an owner that steps down: whether their commands were
    /// granted is for the next owner to say.
    pub fn abandon(self) -> Vec<C> {
        let in_flight = self.in_flight.into_iter().flat_map(|(load, _)| load.waiting);
        in_flight.chain(self.filling.waiting).map(|waiting| waiting.caller).collect()
    }
}
