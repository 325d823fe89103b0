//! Which versions of assets a node waits for, and what comes of that.

use super::Step;
use crate::AssetId;
use crate::definition::{Consumes, OnMiss};
use crate::expr::{ConsumedAsset, EvaluationError, Scope, Work};
use crate::run::budget::Later;
use crate::run::recall;
use crate::run::state::Phase;
use crate::run::{AssetNeed, RunEvent, RunFailure};

impl Step<'_, '_> {
    /// Asks for what the node consumes.
    pub(super) fn await_assets(&mut self) -> Result<(), Later> {
        let consumes = &self.node().consumes;
        let (run, now) = (self.decision.run(), self.decision.now());
        let needs: Result<Vec<_>, _> = run
            .with_scope(self.place, None, now, |scope| consumes.iter().map(|c| need(c, scope, self.work())).collect());
        match needs {
            Ok(mut needs) => {
                if recall::is_sandbox(run) {
                    needs.iter_mut().for_each(start_nothing);
                }
                let event = RunEvent::NodeAwaitedAssets { node: self.address(), needs };
                if self.find_room(event.weight(), None)? {
                    self.decision.emit(event);
                }
                Ok(())
            }
            Err(failure) => self.fail(failure, None),
        }
    }

    /// Takes the version that an asset has chosen, or that it has none, if the node still waits for it.
    pub fn take_asset(&mut self, asset: AssetId, chosen: Option<ConsumedAsset>) -> Result<(), Later> {
        if !self.awaits(&asset) {
            return Ok(());
        }
        let event = RunEvent::AssetResolved { node: self.address(), asset, chosen };
        if self.find_room(event.weight(), None)? {
            self.decision.emit(event);
        }
        Ok(())
    }

    /// Ends the node, if it still waits for an asset that cannot give it anything.
    pub fn miss_asset(&mut self, asset: &AssetId, failure: RunFailure) -> Result<(), Later> {
        if self.awaits(asset) { self.fail(failure, None) } else { Ok(()) }
    }

    fn awaits(&self, asset: &AssetId) -> bool {
        match &self.state().phase {
            Phase::AwaitingAssets { missing } => missing.iter().any(|need| need.asset == *asset),
            Phase::Pending
            | Phase::AwaitingMemo(_)
            | Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Around(_)
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => false,
        }
    }
}

/// Has nobody make what is missing.
fn start_nothing(need: &mut AssetNeed) {
    if need.on_miss != Some(OnMiss::Ignore) {
        need.on_miss = Some(OnMiss::Fail);
    }
}

fn need(consumes: &Consumes, scope: &Scope<'_>, work: &Work) -> Result<AssetNeed, RunFailure> {
    let failed = EvaluationError::into_failure;
    let partition = match &consumes.partition {
        None => None,
        Some(template) => {
            let key = template.render_within(scope, work).map_err(failed)?.to_value();
            if key.is_array() || key.is_object() {
                let message = format!("the partition of {} is one key, a text, not {key}", consumes.asset);
                return Err(RunFailure::new("partition_key", message));
            }
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            Some(key.parse().map_err(|error: crate::InvalidName| RunFailure::new("partition_key", error.to_string()))?)
        }
    };
    let producer_input = match &consumes.producer_input {
        None => None,
        // A mapping of inputs that the consumer has not itself says nothing.
        Some(template) => Some(template.render_within(scope, work).map_err(failed)?).filter(|input| !input.is_null()),
    };
    Ok(AssetNeed {
        asset: consumes.asset.clone(),
        partition,
        require: consumes.require,
        on_miss: consumes.on_miss,
        producer_input,
    })
}
