//! What an event means for the state. Total: history is not argued with, and nothing here can refuse.

mod attempts;
mod branches;
mod callbacks;
mod due;
mod halts;
mod people;
mod results;
mod signals;

pub(super) use branches::may_lead_back;
use due::{due_in, listens_since, timer_of_run, waiting_since};

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::definition::{Definition, RegionIx, TransitionIx};
use crate::dialogue::InputVersion;
use crate::run::agenda::{self, Agenda, Todo};
use crate::run::attempt::{Awaited, CurrentAttempt};
use crate::run::few::Few;
use crate::run::state::{Assets, AwaitedMemo, Branches, Due, NodeState, Origin, Phase, Place, Run, Timer};
use crate::run::waiting::Waiting;
use crate::run::{RunEvent, RunStatus};
use crate::run::{landing, migration, recall, succession};
use crate::{BranchId, Json, NodeAddress, Revision, RunId, Timestamp};

impl Run {
    /// Folds the first event of a run.
    ///
    /// # Panics
    /// When `event` is not [`RunEvent::RunStarted`]: the shard checks it where history is read.
    pub(crate) fn started(id: RunId, definition: Arc<Definition>, event: &RunEvent, now: Timestamp) -> Self {
        let starts = definition.region(RegionIx::ROOT).starts.clone();
        let mut run = Self {
            branches: Branches::untouched(&definition),
            agenda: Agenda::default(),
            timers: timer_of_run(&definition, now).into_iter().collect(),
            origin: Origin::of(id, definition, event.clone(), now),
            status: RunStatus::Running,
            revision: Revision::FIRST,
            ending: None,
            assets: Assets::default(),
            description: None,
            waiting: Waiting::default(),
        };
        run.timers.extend(recall::due(&run));
        succession::begin(&mut run);
        starts.into_iter().for_each(|start| run.list(Todo::Begin(Place::root(start))));
        run
    }
}

/// A run while it learns something.
pub(super) struct Fold<'r>(&'r mut Run);

impl Deref for Fold<'_> {
    type Target = Run;

    fn deref(&self) -> &Run {
        self.0
    }
}

impl DerefMut for Fold<'_> {
    fn deref_mut(&mut self) -> &mut Run {
        self.0
    }
}

impl<'r> Fold<'r> {
    /// Whoever restores a run has it learn what follows from the rest.
    pub fn of(run: &'r mut Run) -> Self {
        Self(run)
    }

    pub(super) fn place(&self, id: &NodeAddress) -> Place {
        self.find(id).expect("events name nodes of the definition the run is frozen at")
    }

    pub(in crate::run) fn node_mut(&mut self, place: Place) -> &mut NodeState {
        self.branches.of_mut(place).node_mut(place.node)
    }

    /// Moves a node to its next phase, and with it the timers and the count of active nodes.
    pub(super) fn enter(&mut self, place: Place, phase: Phase) -> Phase {
        match self.node(place).phase {
            Phase::Pending | Phase::AwaitingAssets { .. } | Phase::AwaitingMemo(_) => self.strike(Todo::Begin(place)),
            Phase::Around(_) => self.strike(Todo::Advance(place)),
            Phase::Current(ref current) if current.is_told() => self.strike(Todo::Begin(place)),
            Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => {}
        }
        let (was_active, is_active) = (self.node(place).phase.is_active(), phase.is_active());
        if was_active {
            self.let_go(place);
        }
        let (had_a_place, has_a_place) =
            (agenda::has_a_place(self, place, &self.node(place).phase), agenda::has_a_place(self, place, &phase));
        self.branches.count_under_way(had_a_place, has_a_place);
        let branch = self.branches.of_mut(place);
        branch.active += u32::from(is_active);
        branch.active -= u32::from(was_active);
        let before = std::mem::replace(&mut self.node_mut(place).phase, phase);
        callbacks::close(self, place, &before);
        if is_active {
            self.agenda.rest();
            self.await_next(place);
        }
        before
    }

    /// Notes what an active node has due, and whether it waits for a worker.
    pub(super) fn await_next(&mut self, place: Place) {
        let is_halted = self.is_halted(place);
        // Who is late is late, and people are reminded.
        let is_others = |current: &CurrentAttempt| current.asking().is_some() || current.calling().is_some();
        let asks = self.node(place).phase.current().is_some_and(is_others);
        let is_put_off = |due: Due| is_halted && due != Due::Timeout && !asks;
        let Run { origin, branches, timers, waiting, .. } = &mut **self;
        let (node, phase) = (origin.definition().node(place.node), &branches.of(place).node(place.node).phase);
        if let Some((since, signals)) = listens_since(phase) {
            waiting.dealings_mut().mail.await_these(signals, since, place);
        }
        if let Some((at, due)) = due_in(node, phase).filter(|(_, due)| !is_put_off(*due)) {
            timers.insert((at, Timer::Node(due, place)));
        }
        if let Some(since) = waiting_since(phase).filter(|_| !is_halted) {
            waiting.join(&node.queue, since, place);
        }
    }

    /// Forgets what [`Self::await_next`] noted.
    pub(super) fn let_go(&mut self, place: Place) {
        let Run { origin, branches, timers, waiting, .. } = &mut **self;
        let (node, phase) = (origin.definition().node(place.node), &branches.of(place).node(place.node).phase);
        if let Some((since, signals)) = listens_since(phase) {
            waiting.dealings_mut().mail.await_no_more(signals, since, place);
        }
        if let Some((at, due)) = due_in(node, phase) {
            timers.remove(&(at, Timer::Node(due, place)));
        }
        if let Some(since) = waiting_since(phase) {
            waiting.leave(&node.queue, since, place);
        }
    }

    /// Decides the outgoing transitions: the taken ones fire, the others are dead. Whose turn it is then goes on the agenda.
    fn leave(&mut self, place: Place, is_taken: impl Fn(&Definition, TransitionIx) -> bool) {
        let definition = Arc::clone(self.origin.definition());
        for transition in definition.node(place.node).leaving() {
            self.deliver(place.branch, transition, is_taken(&definition, transition));
        }
        for transition in definition.node(place.node).leaving() {
            self.list_target_if_ready(place.branch, transition);
        }
    }

    fn leave_over(&mut self, place: Place, taken: &[u32]) {
        let taken: FxHashSet<u32> = taken.iter().copied().collect();
        self.leave(place, |_, transition| taken.contains(&transition.0));
    }

    /// Has whatever stands behind a node know that it has failed.
    pub(super) fn note_failed(&mut self, place: Place) {
        let definition = Arc::clone(self.origin.definition());
        for transition in definition.node(place.node).leaving() {
            if let Some(target) = self.target(place.branch, transition) {
                self.node_mut(target).failed += 1;
            }
        }
    }

    /// Changes the current attempt of a node, and with it what waits.
    fn change_current(&mut self, place: Place, change: impl FnOnce(&mut CurrentAttempt)) {
        if let Phase::Current(current) = &self.node(place).phase {
            let mut changed = current.clone();
            change(&mut changed);
            self.enter(place, Phase::Current(changed));
        }
    }

    fn close(&mut self, status: RunStatus) {
        self.status = status;
        self.ending = None;
        self.branches.forget_kept();
        self.stop();
    }

    /// Lets go of everything that would have happened.
    fn stop(&mut self) {
        self.timers = Few::default();
        self.waiting.nobody_asks();
        self.agenda = Agenda::default();
        self.branches.forget_agenda();
    }
}

/// Folds one event that is not the first. `now` is the commit's time.
pub(crate) fn evolve(run: &mut Run, event: &RunEvent, now: Timestamp) {
    run.revision = run.revision.next();
    learn(&mut Fold(run), event, now);
    // What has happened in a branch may have been the last of it; what becomes of a node by hand stands in the next event.
    let is_half = matches!(event, RunEvent::NodeOverruled { .. });
    if let Some(branch) =
        event.node().filter(|_| !is_half).map(NodeAddress::branch).filter(|branch| *branch != BranchId::ROOT)
    {
        run.list_if_done(branch);
    }
}

fn learn(run: &mut Fold<'_>, event: &RunEvent, now: Timestamp) {
    match event {
        RunEvent::RunStarted { .. } => {}
        RunEvent::ResultsRecalled { results, .. } => recall::learn(run, results),
        RunEvent::RunDescribed { description } => run.description.get_or_insert_default().learn(description),
        RunEvent::NodeAwaitedAssets { node, needs } => {
            let place = run.place(node);
            run.enter(place, Phase::AwaitingAssets { missing: needs.clone() });
        }
        RunEvent::AssetResolved { node, asset, chosen } => {
            let place = run.place(node);
            if let Phase::AwaitingAssets { missing } = &mut run.node_mut(place).phase {
                missing.retain(|need| need.asset != *asset);
            }
            if let Some(chosen) = chosen {
                results::consume(run, place, chosen.clone());
            }
            run.list_if_ready(place);
        }
        RunEvent::MemoAsked { node, digest, max_age_ms, input } => {
            let place = run.place(node);
            run.node_mut(place).asked = Some(digest.as_str().into());
            let (digest, max_age_ms, input) = (digest.clone(), *max_age_ms, input.clone());
            run.enter(place, Phase::AwaitingMemo(Box::new(AwaitedMemo { digest, max_age_ms, input, cleared: false })));
        }
        RunEvent::MemoCleared { node } => {
            let place = run.place(node);
            if let Phase::AwaitingMemo(awaited) = &mut run.node_mut(place).phase {
                awaited.cleared = true;
            }
            run.list_if_ready(place);
        }
        RunEvent::MemoLeft { node, .. } => landing::forget(run, node),
        RunEvent::SignalReceived { .. } | RunEvent::SignalTaken { .. } | RunEvent::SignalAnswered { .. } => {
            run.hear(event, now);
        }
        RunEvent::CallbackAwaited { .. } | RunEvent::CallbackHeard { .. } | RunEvent::CallbackAnswered { .. } => {
            callbacks::hear(run, event, now);
        }
        RunEvent::SuccessorChosen { .. }
        | RunEvent::SuccessorCalled { .. }
        | RunEvent::SuccessorWithdrawn { .. }
        | RunEvent::SignalInherited { .. } => signals::hear_of_chain(run, event, now),
        RunEvent::PersonAsked { .. }
        | RunEvent::PersonAnswered { .. }
        | RunEvent::PersonReassigned { .. }
        | RunEvent::PersonReminded { .. } => run.hear_of_people(event, now),
        RunEvent::AttemptScheduled { .. } | RunEvent::ChildCalled { .. } => attempts::attempt(run, event, now),
        // What comes of it stands in the next event.
        RunEvent::ChildWithdrawn { .. } => {}
        RunEvent::AttemptGranted { node, lease, worker, session, .. } => {
            let place = run.place(node);
            run.change_current(place, |current| {
                current.lease = *lease;
                current.awaits = Awaited::of(None, Some(worker.clone()), Some(*session));
            });
        }
        // What comes of it stands in the next event; until then its input must not get lost.
        RunEvent::AttemptReturned { node, .. } => {
            let place = run.place(node);
            run.node_mut(place).returned += 1;
        }
        RunEvent::AttemptStarted { node, worker, .. } => {
            let place = run.place(node);
            run.change_current(place, |current| {
                let session = current.holder().and_then(|(_, session)| session);
                current.awaits = Awaited::Worker { held_by: worker.clone(), session, started: true };
            });
        }
        // What comes of a failed attempt stands in the next event; until then its input must not get lost.
        RunEvent::AttemptFailed { .. } => {}
        RunEvent::RetryArmed { node, due_at, .. } => {
            let place = run.place(node);
            let phase = Phase::Retrying { input: None, due_at: *due_at };
            if let Phase::Current(current) = run.enter(place, phase)
                && let Phase::Retrying { input, .. } = &mut run.node_mut(place).phase
            {
                *input = current.input;
            }
        }
        RunEvent::NodeSucceeded { .. } => results::succeed(run, event),
        RunEvent::NodeFailed { node, failure, taken, tolerated } => {
            let place = run.place(node);
            run.enter(place, Phase::Failed);
            // What older releases applied asks for no failure, and their checkpoints hold none.
            if run.definition().has_later_words {
                run.node_mut(place).failure = Some(Box::new(failure.clone()));
            }
            run.node_mut(place).output = tolerated.then(Json::null);
            run.note_failed(place);
            run.leave_over(place, taken);
        }
        RunEvent::CompensationKept { node, input } => {
            let place = run.place(node);
            run.branches.kept_mut().keep(place, input.clone());
        }
        RunEvent::NodeSkipped { node } => {
            let place = run.place(node);
            run.enter(place, Phase::Skipped);
            run.skip_loop(place);
            run.leave(place, |_, _| false);
        }
        RunEvent::NodeCancelled { node } => {
            let place = run.place(node);
            run.leave_for(place, Phase::Cancelled);
        }
        RunEvent::RunPaused { .. }
        | RunEvent::RunResumed { .. }
        | RunEvent::RunTerminated { .. }
        | RunEvent::RunStopping { .. }
        | RunEvent::NodeOverruled { .. }
        | RunEvent::TimerChanged { .. } => run.take_in_hand(event, now),
        RunEvent::RunMigrated { .. } => migration::pass(run, event),
        RunEvent::AssetRecorded { node, asset, partition, version } => {
            let version = InputVersion { asset: asset.clone(), partition: partition.clone(), version: *version };
            // Its branch may have ended.
            if let Some(place) = run.place_of(node) {
                run.assets.record(place, &version);
            }
            if run.origin.trigger().promised().contains(asset) {
                run.assets.keep_promise(version);
            }
        }
        RunEvent::ItemsListed { node, items } => run.list_items(node, items, now),
        RunEvent::BranchesOpened { node, kind: _, first, from, count } => {
            run.open_branches(node, *first, *from, *count, now)
        }
        RunEvent::BranchClosing { branch, failure } => run.close_branches(&[*branch], Some(failure)),
        RunEvent::JoinClosing { node, join } => run.close_join(node, join),
        RunEvent::BranchEnded { branch, outcome } => run.end_branch(*branch, outcome),
        RunEvent::RunEnding { ending } => {
            run.ending = Some(Box::new(ending.clone()));
            run.status = RunStatus::Running;
            run.stop();
            run.waiting.clear();
        }
        RunEvent::RunSucceeded { .. } => run.close(RunStatus::Succeeded),
        RunEvent::RunFailed { .. } => run.close(RunStatus::Failed),
        RunEvent::RunCancelled { .. } => run.close(RunStatus::Cancelled),
    }
}
