//! What follows when a node ends: its transitions, the failure of the run, or its end.

use super::agenda::Step;
use super::budget::Later;
use super::decide::Decision;
use super::event::ProducedAsset;
use super::state::Place;
use super::{RunEvent, RunFailure};
use crate::definition::{Definition, OnNoRoute, TransitionIx};
use crate::expr::{EvaluationError, Scope, Work};
use crate::{Attempt, Json, Timestamp, WorkerId};

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
    tiers: &[Vec<TransitionIx>],
    definition: &Definition,
    scope: &Scope<'_>,
    work: &Work,
) -> Result<Route, EvaluationError> {
    for tier in tiers {
        let mut taken = Vec::new();
        for ix in tier {
            let holds = match &definition.transition(*ix).when {
                None => true,
                Some(condition) => condition.holds_within(scope, work)?,
            };
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

fn is_unconditional(tiers: &[Vec<TransitionIx>], definition: &Definition) -> bool {
    match tiers {
        [] => true,
        [tier] => tier.iter().all(|ix| definition.transition(*ix).when.is_none()),
        [_, _, ..] => false,
    }
}

/// How a node ends badly: why, and over which transitions the run goes on.
pub(super) struct Failed {
    failure: RunFailure,
    taken: Vec<u32>,
}

impl Decision<'_, '_, '_> {
    /// Ends a node well, once its output fits where it is stored.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened, here and below.
    pub fn succeed_node(
        &mut self,
        place: Place,
        attempt: Attempt,
        output: Json,
        assets: Vec<ProducedAsset>,
        seen: Option<(WorkerId, Timestamp)>,
    ) -> Result<(), Later> {
        let definition = self.definition();
        let node = definition.node(place.node);
        if let Err(failure) = self.run.check_state_after(place, &output, &self.work) {
            return self.fail_node(place, failure.at(&self.run.address(place), Some(attempt)));
        }
        let route = if is_unconditional(&node.on_success, &definition) {
            Ok(Route::All)
        } else if let Err(limit) = self.work.take(self.run.branches.of(place).state.len() as u64) {
            Err(RunFailure::from(limit).at(&self.run.address(place), None))
        } else {
            self.run
                .with_scope_after(place, &output, |scope| route(&node.on_success, &definition, scope, &self.work))
                .map_err(|error| error.into_failure().at(&self.run.address(place), None))
        };
        let (taken, failure) = match route {
            Ok(Route::All) => (None, None),
            Ok(Route::Taken(taken)) => (Some(taken), None),
            Ok(Route::Blocked) => {
                let failure = match node.on_no_route {
                    OnNoRoute::End => None,
                    OnNoRoute::Fail => {
                        let message = format!("no transition out of {} holds", node.id);
                        Some(RunFailure::new("no_route", message).at(&self.run.address(place), None))
                    }
                };
                (Some(Vec::new()), failure)
            }
            Err(failure) => (Some(Vec::new()), Some(failure)),
        };
        self.check_work()?;
        let (worker, started_at) = seen.unzip();
        let event = RunEvent::NodeSucceeded {
            node: self.run.address(place),
            attempt,
            output,
            assets,
            worker,
            started_at,
            taken,
        };
        if !self.check_room(event.weight_bytes())? {
            let failure = self.too_large(event.weight_bytes()).at(&self.run.address(place), Some(attempt));
            return self.fail_node(place, failure);
        }
        self.emit(event);
        if let Some(failure) = failure {
            self.fail_run(failure);
        }
        Ok(())
    }

    /// Ends a node whose output was computed inside the decision.
    pub fn succeed_pure(&mut self, place: Place, output: Json) -> Result<(), Later> {
        let definition = self.definition();
        let node = definition.node(place.node);
        let assets = super::produce::of_pure(node, &output);
        match super::produce::check(node, assets, &self.work) {
            Ok(assets) => self.succeed_node(place, Attempt::FIRST, output, assets, None),
            Err(failure) => self.fail_node(place, failure.at(&self.run.address(place), None)),
        }
    }

    /// Ends a node badly; the run goes on only over an `on: failure` transition.
    pub fn fail_node(&mut self, place: Place, failure: RunFailure) -> Result<(), Later> {
        let failed = self.route_failure(place, failure)?;
        self.take_failure_down(place, failed);
        Ok(())
    }

    /// Finds the transitions that a failure takes.
    pub fn route_failure(&self, place: Place, failure: RunFailure) -> Result<Failed, Later> {
        self.check_work()?;
        let node = self.run.definition.node(place.node);
        let definition = &self.run.definition;
        let routed =
            self.run.with_scope(place, Some(&failure), |scope| route(&node.on_failure, definition, scope, &self.work));
        let failed = match routed {
            Ok(Route::Taken(taken)) => Failed { failure, taken },
            Ok(Route::Blocked | Route::All) => Failed { failure, taken: Vec::new() },
            Err(error) => Failed {
                failure: error.into_failure().at(&self.run.address(place), failure.attempt),
                taken: Vec::new(),
            },
        };
        self.check_work()?;
        Ok(failed)
    }

    /// Ends a node badly whose way on is known.
    pub fn take_failure_down(&mut self, place: Place, failed: Failed) {
        let Failed { failure, taken } = failed;
        let is_fatal = taken.is_empty();
        let node = self.run.address(place);
        self.emit(RunEvent::NodeFailed { node, failure: failure.clone(), taken });
        if is_fatal {
            self.fail_run(failure);
        }
    }

    /// Goes on with the agenda until nothing is left on it, or this decision has no room: then the next goes on.
    pub fn settle(&mut self) {
        while let Some(step) = self.run.next_step() {
            if !self.may_begin() {
                return;
            }
            let done = match step {
                Step::Begin(place) => self.begin(place),
                Step::Finish => self.finish(),
                Step::Withdraw => {
                    let Some(ending) = self.run.ending.clone() else { return };
                    self.withdraw(ending);
                    Ok(())
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Ends the run with its output.
    fn finish(&mut self) -> Result<(), Later> {
        let definition = self.definition();
        let output = match &definition.output {
            Some(template) => self
                .run
                .with_scope_of_end(|scope| template.render_within(scope, &self.work))
                .map_err(|error| RunFailure::new(error.code(), format!("the run's output has no value: {error}"))),
            None => self.outputs_of_ends(&definition),
        };
        let checked = output.and_then(|output| match &definition.output_schema {
            None => Ok(output),
            Some(schema) => match schema.check_within(&output, &self.work) {
                Ok(()) => Ok(output),
                Err(refusal) => Err(refusal.into_failure("output_schema", "")),
            },
        });
        self.check_work()?;
        let event = match checked {
            Ok(output) => RunEvent::RunSucceeded { output },
            Err(failure) => RunEvent::RunFailed { failure },
        };
        let has_room = self.check_room(event.weight_bytes())?;
        self.emit(if has_room { event } else { RunEvent::RunFailed { failure: self.output_too_large() } });
        Ok(())
    }

    fn output_too_large(&self) -> RunFailure {
        let message = format!("the run's output has more than {} bytes", self.budget.bytes);
        RunFailure::new("decision_too_large", message)
    }

    /// The outputs of the nodes without a successor, by node id.
    fn outputs_of_ends(&self, definition: &Definition) -> Result<Json, RunFailure> {
        let ends =
            definition.nodes.iter().zip(&self.run.branches.root().nodes).filter(|(node, _)| node.on_success.is_empty());
        let outputs: std::collections::BTreeMap<&str, &Json> =
            ends.filter_map(|(node, state)| Some((node.id.as_str(), state.output.as_ref()?))).collect();
        if outputs.values().map(|output| output.len_bytes()).sum::<usize>() > self.budget.bytes {
            return Err(self.output_too_large());
        }
        Ok(Json::of(&outputs))
    }
}
