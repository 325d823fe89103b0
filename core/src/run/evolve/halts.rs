//! What it means that somebody took a run in hand.

use super::{Fold, timer_of_run};
use crate::Timestamp;
use crate::definition::NodeIx;
use crate::run::agenda::list_again;
use crate::run::attempt::Awaited;
use crate::run::halt::Stopping;
use crate::run::state::{Phase, Place, Timer};
use crate::run::{RunEvent, RunStatus};

impl Fold<'_> {
    /// Learns that it is paused or goes on, that it ends at once, or that a node is ended or is due by hand.
    pub(super) fn take_in_hand(&mut self, event: &RunEvent, now: Timestamp) {
        if let RunEvent::RunPaused { operation, node, .. } = event {
            self.waiting.dealings_mut().halts.note(*operation);
            let node = node.as_ref().and_then(|node| self.definition().find(node));
            self.rearrange(node, |run| run.waiting.dealings_mut().halts.halt(node, now));
        } else if let RunEvent::RunResumed { operation, node, .. } = event {
            self.waiting.dealings_mut().halts.note(*operation);
            let node = node.as_ref().and_then(|node| self.definition().find(node));
            self.rearrange(node, |run| run.waiting.dealings_mut().halts.resume(node, now));
        } else if let RunEvent::RunStopping { until, reason, keeps } = event {
            let stopping = Stopping { until: *until, reason: reason.clone(), keeps: *keeps };
            self.rearrange(None, |run| run.waiting.dealings_mut().halts.stop(stopping));
            self.time_stop();
        } else if let RunEvent::RunTerminated { .. } = event {
            self.waiting.dealings_mut().halts.terminate();
        } else if let RunEvent::NodeOverruled { node, .. } = event {
            let place = self.place(node);
            // It stands where it stood before it began: what is said in the next event is what becomes of it.
            self.leave_for(place, Phase::Pending);
        } else if let RunEvent::TimerChanged { operation, node, due_at, .. } = event {
            self.waiting.dealings_mut().halts.note(*operation);
            let place = self.place(node);
            self.let_go(place);
            match &mut self.node_mut(place).phase {
                Phase::Retrying { due_at: due, .. } => *due = *due_at,
                Phase::Current(current) => current.awaits = Awaited::Time(*due_at),
                Phase::Pending
                | Phase::AwaitingAssets { .. }
                | Phase::AwaitingMemo(_)
                | Phase::Around(_)
                | Phase::Succeeded
                | Phase::Failed
                | Phase::Skipped
                | Phase::Cancelled => {}
            }
            self.await_next(place);
        }
    }

    /// Changes what is halted: the run, or a node of it; and with it what is due, what waits for a worker, and what may begin.
    fn rearrange(&mut self, node: Option<NodeIx>, change: impl FnOnce(&mut Self)) {
        let is_meant = |place: Place| node.is_none_or(|node| place.node == node);
        let active = self.places().filter(|(place, state)| is_meant(*place) && state.phase.is_active());
        let active: Vec<Place> = active.map(|(place, _)| place).collect();
        active.iter().for_each(|place| self.let_go(*place));
        self.time_run(false);
        change(self);
        self.time_run(true);
        active.iter().for_each(|place| self.await_next(*place));
        if let Some(node) = node {
            list_again(self, node);
        }
        self.status = if self.paused_since().is_some() { RunStatus::Paused } else { RunStatus::Running };
    }

    /// Has it end at the latest when its grace is over.
    pub(in crate::run) fn time_stop(&mut self) {
        if let Some(until) = self.waiting.halts().stopping().map(|stopping| stopping.until) {
            self.timers.insert((until, Timer::Stop));
        }
    }

    /// Has the time that the whole run may take run, or stand still.
    pub(in crate::run) fn time_run(&mut self, runs: bool) {
        let timer = timer_of_run(self.definition(), self.origin.started_at().after(self.waiting.halts().before()));
        let Some((at, timer)) = timer else { return };
        if runs && self.paused_since().is_none() {
            self.timers.insert((at, timer));
        } else {
            self.timers.remove(&(at, Timer::RunTimeout));
        }
    }
}
