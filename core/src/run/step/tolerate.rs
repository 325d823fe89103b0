//! Whether a run goes on after a failure that no transition takes.

use super::route::{Exit, Failed};
use crate::Timestamp;
use crate::expr::Work;
use crate::run::RunFailure;
use crate::run::state::{Place, Run, WayOut};

impl Failed {
    /// The run ends with it.
    pub(super) fn fatal(failure: RunFailure) -> Self {
        Self { fatal: Some(failure.clone()), failure, taken: Vec::new(), tolerated: false }
    }

    /// Finds how a node is left whose failure takes no transition: where it may fail, as if it had succeeded with `null`.
    pub(super) fn without_route(run: &Run, place: Place, failure: RunFailure, now: Timestamp, work: &Work) -> Self {
        let node = run.definition().node(place.node);
        if !node.allow_failure.is_for(&failure.code) {
            return Self::fatal(failure);
        }
        let Exit { taken, failure: fatal } = Exit::of(run, place, WayOut::Tolerated, now, work);
        let taken = taken.unwrap_or_else(|| node.on_success.iter().flatten().map(|ix| ix.0).collect());
        Self { failure, taken, tolerated: true, fatal }
    }
}
