//! What an event means for the state. Total: history is not argued with, and nothing here can refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::agenda::Agenda;
use super::attempt::{Awaited, CurrentAttempt};
use super::state::{NodeState, Phase, Run, Timer};
use super::waiting::Waiting;
use super::{RunEvent, RunStatus};
use crate::definition::{Definition, NodeIx, Outcome, TransitionIx};
use crate::dialogue::InputVersion;
use crate::{NodeAddress, Revision, RunId, Timestamp};

impl Run {
    /// Folds the first event of a run.
    ///
    /// # Panics
    /// When `event` is not [`RunEvent::RunStarted`]: the shard checks it where history is read.
    pub(crate) fn started(id: RunId, definition: Arc<Definition>, event: &RunEvent, now: Timestamp) -> Self {
        let RunEvent::RunStarted { workspace, workflow, version, input, trigger, keyed } = event else {
            panic!("the first event of a run is RunStarted, and the shard has checked it");
        };
        Self {
            id,
            workspace: workspace.clone(),
            workflow: workflow.clone(),
            version: *version,
            status: RunStatus::Running,
            input: input.clone(),
            trigger: trigger.clone(),
            keyed: *keyed,
            state: BTreeMap::new(),
            started_at: now,
            revision: Revision::FIRST,
            nodes: vec![NodeState::untouched(); definition.nodes.len()],
            active: 0,
            agenda: definition.starts.iter().copied().collect(),
            ending: None,
            timers: timer_of_run(&definition, now).into_iter().collect(),
            definition,
            unrecorded: Vec::new(),
            consumed: Vec::new(),
            waiting: Waiting::default(),
            facts: OnceLock::new(),
        }
    }

    fn ix(&self, id: &NodeAddress) -> NodeIx {
        self.find(id).expect("events name nodes of the definition the run is frozen at")
    }

    fn node_mut(&mut self, ix: NodeIx) -> &mut NodeState {
        &mut self.nodes[ix.0 as usize]
    }

    /// Moves a node to its next phase, and with it the timers and the count of active nodes.
    fn enter(&mut self, ix: NodeIx, phase: Phase) -> Phase {
        for timer in timers_of(self, ix) {
            self.timers.remove(&timer);
        }
        self.agenda.remove(ix);
        let before = std::mem::replace(&mut self.node_mut(ix).phase, phase);
        if let Phase::Current(current) = &before
            && current.is_waiting()
        {
            self.waiting.leave(&self.definition.node(ix).queue, (current.revision, ix));
        }
        self.join_if_waiting(ix);
        self.active += u32::from(self.node(ix).phase.is_active());
        self.active -= u32::from(before.is_active());
        for timer in timers_of(self, ix) {
            self.timers.insert(timer);
        }
        before
    }

    /// Decides the outgoing transitions: the taken ones fire, the others are dead. Whose turn it is then goes on the agenda.
    fn leave(&mut self, ix: NodeIx, is_taken: impl Fn(TransitionIx) -> bool) {
        let definition = Arc::clone(&self.definition);
        let node = definition.node(ix);
        for transition in node.on_success.iter().chain(&node.on_failure).flatten() {
            let target = self.node_mut(definition.transition(*transition).to);
            target.decided += 1;
            target.taken += u32::from(is_taken(*transition));
        }
        for transition in node.on_success.iter().chain(&node.on_failure).flatten() {
            self.list_if_ready(definition.transition(*transition).to);
        }
    }

    /// Changes the current attempt of a node, and with it what waits.
    fn change_current(&mut self, ix: NodeIx, change: impl FnOnce(&mut CurrentAttempt)) {
        if let Phase::Current(current) = &self.node(ix).phase {
            let mut changed = current.clone();
            change(&mut changed);
            self.enter(ix, Phase::Current(changed));
        }
    }

    /// Notes an attempt that waits for a worker.
    pub(super) fn join_if_waiting(&mut self, ix: NodeIx) {
        if let Phase::Current(current) = &self.nodes[ix.0 as usize].phase
            && current.is_waiting()
        {
            self.waiting.join(&self.definition.node(ix).queue, (current.revision, ix));
        }
    }

    fn close(&mut self, status: RunStatus) {
        self.status = status;
        self.ending = None;
        self.stop();
    }

    /// Lets go of everything that would have happened.
    fn stop(&mut self) {
        self.timers = BTreeSet::new();
        self.agenda = Agenda::default();
    }
}

/// What a run has due from its start to its end.
pub(super) fn timer_of_run(definition: &Definition, started_at: Timestamp) -> Option<(Timestamp, Timer)> {
    definition.timeout.map(|span| (started_at.after(span), Timer::RunTimeout))
}

/// What a node has due in its phase.
pub(super) fn timers_of(run: &Run, ix: NodeIx) -> impl Iterator<Item = (Timestamp, Timer)> + use<> {
    let (first, second) = match &run.node(ix).phase {
        Phase::Current(current) => {
            let timeout = run.definition.node(ix).timeout.filter(|_| current.wakes_at().is_none());
            let timeout = timeout.map(|span| (current.scheduled_at.after(span), Timer::AttemptTimeout(ix)));
            (current.wakes_at().map(|at| (at, Timer::Wake(ix))), timeout)
        }
        Phase::Retrying { due_at, .. } => (Some((*due_at, Timer::Retry(ix))), None),
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Skipped
        | Phase::Cancelled => (None, None),
    };
    first.into_iter().chain(second)
}

/// Folds one event that is not the first. `now` is the commit's time.
pub(crate) fn evolve(run: &mut Run, event: &RunEvent, now: Timestamp) {
    run.revision = run.revision.next();
    match event {
        RunEvent::RunStarted { .. } => {}
        RunEvent::NodeAwaitedAssets { node, needs } => {
            let ix = run.ix(node);
            run.enter(ix, Phase::AwaitingAssets { missing: needs.clone() });
        }
        RunEvent::AssetResolved { node, asset, chosen } => {
            let ix = run.ix(node);
            if let Phase::AwaitingAssets { missing } = &mut run.node_mut(ix).phase {
                missing.retain(|need| need.asset != *asset);
            }
            if let Some(chosen) = chosen {
                let input = InputVersion {
                    asset: chosen.asset.clone(),
                    partition: chosen.partition.clone(),
                    version: chosen.version,
                };
                if let Err(place) = run.consumed.binary_search(&input) {
                    run.consumed.insert(place, input);
                }
                run.node_mut(ix).consumed.push(chosen.clone());
            }
            run.list_if_ready(ix);
        }
        RunEvent::AttemptScheduled { node, attempt, lease, input, wakes_at, handed_to, session } => {
            let ix = run.ix(node);
            let revision = run.revision;
            run.node_mut(ix).attempts = attempt.get();
            run.enter(
                ix,
                Phase::Current(Box::new(CurrentAttempt {
                    attempt: *attempt,
                    lease: *lease,
                    input: input.clone(),
                    scheduled_at: now,
                    revision,
                    awaits: Awaited::of(*wakes_at, handed_to.clone(), *session),
                })),
            );
        }
        RunEvent::AttemptGranted { node, lease, worker, session, .. } => {
            let ix = run.ix(node);
            run.change_current(ix, |current| {
                current.lease = *lease;
                current.awaits = Awaited::of(None, Some(worker.clone()), Some(*session));
            });
        }
        // What comes of it stands in the next event; until then its input must not get lost.
        RunEvent::AttemptReturned { node, .. } => {
            let ix = run.ix(node);
            run.node_mut(ix).returned += 1;
        }
        RunEvent::AttemptStarted { node, worker, .. } => {
            let ix = run.ix(node);
            run.change_current(ix, |current| {
                let session = current.holder().and_then(|(_, session)| session);
                current.awaits = Awaited::Worker { held_by: worker.clone(), session, started: true };
            });
        }
        // What comes of a failed attempt stands in the next event; until then its input must not get lost.
        RunEvent::AttemptFailed { .. } => {}
        RunEvent::RetryArmed { node, due_at, .. } => {
            let ix = run.ix(node);
            let phase = Phase::Retrying { input: None, due_at: *due_at };
            if let Phase::Current(current) = run.enter(ix, phase)
                && let Phase::Retrying { input, .. } = &mut run.node_mut(ix).phase
            {
                *input = current.input;
            }
        }
        RunEvent::NodeSucceeded { node, output, assets, taken, .. } => {
            let ix = run.ix(node);
            run.enter(ix, Phase::Succeeded);
            run.node_mut(ix).output = Some(output.clone());
            if let Some(key) = run.definition.node(ix).store_as.clone() {
                run.state.insert(key, output.clone());
            }
            run.unrecorded.extend(assets.iter().map(|a| (ix, a.asset_id.clone(), a.partition_key.clone())));
            let definition = Arc::clone(&run.definition);
            match taken {
                Some(taken) => run.leave(ix, |transition| taken.contains(&transition.0)),
                None => run.leave(ix, |transition| definition.transition(transition).on == Outcome::Success),
            }
        }
        RunEvent::NodeFailed { node, taken, .. } => {
            let ix = run.ix(node);
            run.enter(ix, Phase::Failed);
            run.leave(ix, |transition| taken.contains(&transition.0));
        }
        RunEvent::NodeSkipped { node } => {
            let ix = run.ix(node);
            run.enter(ix, Phase::Skipped);
            run.leave(ix, |_| false);
        }
        RunEvent::NodeCancelled { node } => {
            let ix = run.ix(node);
            run.enter(ix, Phase::Cancelled);
        }
        RunEvent::AssetRecorded { node, asset, partition, .. } => {
            let ix = run.ix(node);
            run.unrecorded.retain(|waiting| !(waiting.0 == ix && waiting.1 == *asset && waiting.2 == *partition));
        }
        RunEvent::RunEnding { ending } => {
            run.ending = Some(ending.clone());
            run.stop();
            run.waiting.clear();
        }
        RunEvent::RunSucceeded { .. } => run.close(RunStatus::Succeeded),
        RunEvent::RunFailed { .. } => run.close(RunStatus::Failed),
        RunEvent::RunCancelled { .. } => run.close(RunStatus::Cancelled),
    }
}
