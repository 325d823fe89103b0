//! How a node ends.

use super::route::{Exit, Failed};
use super::signature::{check_output, refuse_output};
use super::{Seen, Step, memo, undo};
use crate::dialogue::InputVersion;
use crate::run::budget::Later;
use crate::run::describe::set_by;
use crate::run::output::check_depth;
use crate::run::state::{Phase, WayOut};
use crate::run::weight::Weight;
use crate::run::{ProducedAsset, RunEvent, RunFailure};
use crate::{Attempt, Json};

impl Step<'_, '_> {
    /// Ends the node well, once its output is one that can be kept, and fits where it is stored.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened, here and below.
    pub(super) fn succeed(
        &mut self,
        attempt: Attempt,
        output: Json,
        assets: Vec<ProducedAsset>,
        seen: Option<Seen>,
    ) -> Result<(), Later> {
        // What is put together of outputs gets deeper with every turn and every call.
        if let Err(failure) = check_depth(&output) {
            return self.fail(failure, Some(attempt));
        }
        if let Err(failure) = check_output(self, &output) {
            return refuse_output(self, failure);
        }
        if let Err(failure) = self.decision.run().check_state_after(self.place, &output, self.work()) {
            return self.fail(failure, Some(attempt));
        }
        let Exit { taken, failure } =
            Exit::of(self.decision.run(), self.place, WayOut::Succeeded(&output), self.decision.now(), self.work());
        let news = set_by(self.decision.run(), self.place, &output, self.decision.now(), self.work());
        self.decision.turn.check_work()?;
        let news = match news {
            Ok(news) => news,
            Err(failure) => return self.fail(failure, Some(attempt)),
        };
        let kept = undo::kept(self, &output);
        self.decision.turn.check_work()?;
        let kept = match kept {
            Ok(kept) => kept,
            Err(failure) => return self.fail(failure, Some(attempt)),
        };
        let (worker, started_at) = seen.unzip();
        let node = self.address();
        let reused = self.reused.take();
        let landed = self.state().asked.clone();
        let event =
            RunEvent::NodeSucceeded { node, attempt, output, assets, worker, started_at, taken, reused, landed };
        let weight = news.iter().chain(&kept).map(RunEvent::weight).fold(event.weight(), Weight::and);
        if self.find_room(weight, Some(attempt))? {
            news.into_iter().for_each(|news| self.decision.emit(news));
            self.decision.emit(event);
            kept.into_iter().for_each(|kept| self.decision.emit(kept));
            if let Some(failure) = failure {
                self.decision.fail_in(self.place.branch, failure);
            }
        }
        Ok(())
    }

    /// Ends the node well, with versions that were recorded before: by the run that it called, or by who had made its result.
    pub(super) fn succeed_with(
        &mut self,
        attempt: Attempt,
        output: Json,
        recorded: Vec<InputVersion>,
    ) -> Result<(), Later> {
        self.succeed(attempt, output, Vec::new(), None)?;
        if self.state().phase == Phase::Succeeded {
            for InputVersion { asset, partition, version } in recorded {
                let node = self.address();
                self.decision.emit(RunEvent::AssetRecorded { node, asset, partition, version });
            }
        }
        Ok(())
    }

    /// Ends the node badly; the run goes on only over an `on: failure` transition, or where the node may fail.
    pub(super) fn fail(&mut self, failure: RunFailure, attempt: Option<Attempt>) -> Result<(), Later> {
        let failed = self.route_failure(failure.at(&self.address(), attempt))?;
        self.take_failure_down(failed);
        Ok(())
    }

    /// Finds the transitions that a failure takes.
    pub(super) fn route_failure(&self, failure: RunFailure) -> Result<Failed, Later> {
        self.decision.turn.check_work()?;
        let failed = Failed::of(self.decision.run(), self.place, failure, self.decision.now(), self.work());
        self.decision.turn.check_work()?;
        Ok(failed)
    }

    /// Ends the node badly whose way on is known.
    pub(super) fn take_failure_down(&mut self, failed: Failed) {
        let Failed { failure, taken, tolerated, fatal } = failed;
        memo::leave(self);
        let node = self.address();
        self.decision.emit(RunEvent::NodeFailed { node, failure, taken, tolerated });
        if let Some(failure) = fatal {
            self.decision.fail_in(self.place.branch, failure);
        }
    }

    /// Ends the node because the run ends before it does.
    pub(super) fn cancel(&mut self) {
        memo::leave(self);
        let node = self.address();
        self.decision.emit(RunEvent::NodeCancelled { node });
    }

    /// Says whether a fact of such a weight fits. Where it never does, the node fails.
    pub(super) fn find_room(&mut self, weight: Weight, attempt: Option<Attempt>) -> Result<bool, Later> {
        if self.decision.turn.check_room(weight)? {
            return Ok(true);
        }
        if let Some(failure) = self.decision.turn.lacks_memory_for(weight) {
            self.fail(failure, attempt)?;
            return Ok(false);
        }
        let (bytes, max) = match weight.stored {
            0 => (weight.bytes, self.decision.turn.bytes_max()),
            stored => (stored, self.decision.turn.value_bytes_max()),
        };
        self.fail(too_large(bytes, max), attempt)?;
        Ok(false)
    }
}

/// The failure of a node that would write more than ever fits.
pub(super) fn too_large(bytes: usize, max: usize) -> RunFailure {
    let message = format!("what the node would write at once has about {bytes} bytes, and a decision takes {max}");
    RunFailure::new("node_too_large", message)
}
