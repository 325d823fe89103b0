//! Over which transitions a run goes on from a node that has ended.

use crate::Timestamp;
use crate::definition::{Definition, OnNoRoute, Transition, TransitionIx};
use crate::expr::{EvaluationError, Scope, Work};
use crate::run::RunFailure;
use crate::run::evolve::may_lead_back;
use crate::run::state::{Place, Run, WayOut};

/// Which transitions leave.
enum Route {
    /// There are no conditions: all of them, also when there are none.
    All,
    Taken(Vec<u32>),
    /// There are some and none is true.
    Blocked,
}

/// The first tier with a true condition wins, and all its true transitions fire.
fn route(
    (run, place): (&Run, Place),
    tiers: &[Vec<TransitionIx>],
    scope: &Scope<'_>,
    work: &Work,
) -> Result<Route, EvaluationError> {
    let definition = run.definition();
    // What leads to a node that does not happen in this run is not there.
    let is_there = |ix: &&TransitionIx| !leads_out_of_part(run, **ix);
    for tier in tiers {
        let mut taken = Vec::new();
        for ix in tier.iter().filter(is_there) {
            let Transition { when, back, .. } = definition.transition(*ix);
            let until = back.as_ref().and_then(|back| back.until.as_ref());
            let holds = may_lead_back(run, definition, place.branch, *ix)
                && when.as_ref().map_or(Ok(true), |when| when.holds_within(scope, work))?
                && !until.map_or(Ok(false), |until| until.holds_within(scope, work))?;
            if holds {
                taken.push(ix.0);
            }
        }
        if !taken.is_empty() {
            return Ok(Route::Taken(taken));
        }
    }
    Ok(Route::Blocked)
}

fn leads_out_of_part(run: &Run, way: TransitionIx) -> bool {
    run.origin.leads_out_of_part(run.definition().transition(way).to)
}

fn is_unconditional(tiers: &[Vec<TransitionIx>], definition: &Definition) -> bool {
    match tiers {
        [] => true,
        [tier] => tier.iter().map(|ix| definition.transition(*ix)).all(|way| way.when.is_none() && way.back.is_none()),
        [_, _, ..] => false,
    }
}

/// How a node is left that has ended well.
pub(in crate::run) struct Exit {
    /// Absent: over all transitions that leave on success.
    pub taken: Option<Vec<u32>>,
    /// Why the run ends with it all the same.
    pub failure: Option<RunFailure>,
}

impl Exit {
    /// Finds how a node is left that ends so.
    pub fn of(run: &Run, place: Place, end: WayOut<'_>, now: Timestamp, work: &Work) -> Self {
        let definition = run.definition();
        let node = definition.node(place.node);
        let here = |failure: RunFailure| failure.at(&run.address(place), None);
        let route = if is_unconditional(&node.on_success, definition) {
            Ok(Route::All)
        } else if let Err(limit) = work.take(run.state_of(place.branch).len() as u64) {
            Err(here(limit.into()))
        } else {
            run.with_scope_after(place, end, &[], now, |scope| route((run, place), &node.on_success, scope, work))
                .map_err(|error| here(error.into_failure()))
        };
        match route {
            Ok(Route::All) => Self { taken: None, failure: None },
            Ok(Route::Taken(taken)) => Self { taken: Some(taken), failure: None },
            Ok(Route::Blocked) => {
                let failure = match node.on_no_route {
                    OnNoRoute::End => None,
                    OnNoRoute::Fail if node.on_success.iter().flatten().any(|ix| leads_out_of_part(run, *ix)) => None,
                    OnNoRoute::Fail => {
                        let message = format!("no transition out of {} holds", node.id);
                        Some(here(RunFailure::new("no_route", message)))
                    }
                };
                Self { taken: Some(Vec::new()), failure }
            }
            Err(failure) => Self { taken: Some(Vec::new()), failure: Some(failure) },
        }
    }
}

/// How a node ends badly.
pub(in crate::run) struct Failed {
    /// Why.
    pub failure: RunFailure,
    /// Over which transitions the run goes on.
    pub taken: Vec<u32>,
    pub tolerated: bool,
    /// Why the run ends with it.
    pub fatal: Option<RunFailure>,
}

impl Failed {
    /// Finds how a node is left that this has happened to.
    pub fn of(run: &Run, place: Place, failure: RunFailure, now: Timestamp, work: &Work) -> Self {
        let definition = run.definition();
        let tiers = &definition.node(place.node).on_failure;
        match run.with_scope(place, Some(&failure), now, |scope| route((run, place), tiers, scope, work)) {
            Ok(Route::Taken(taken)) => Self { failure, taken, tolerated: false, fatal: None },
            Ok(Route::Blocked | Route::All) => Self::without_route(run, place, failure, now, work),
            Err(error) => {
                let failure = error.into_failure().at(&run.address(place), failure.attempt);
                Self::fatal(failure)
            }
        }
    }
}
