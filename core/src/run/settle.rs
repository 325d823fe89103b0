//! What follows when a node ends: its transitions, the failure of the run, or its end.

use super::decide::{DECISION_BYTES_MAX, Decision, too_large};
use super::event::ProducedAsset;
use super::schedule::{Readiness, readiness};
use super::state::Phase;
use super::{RunEvent, RunFailure};
use crate::definition::{Definition, Node, NodeIx, OnNoRoute, TransitionIx};
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

impl Decision<'_, '_, '_> {
    /// Ends a node well, once its output fits where it is stored.
    pub fn succeed_node(
        &mut self,
        ix: NodeIx,
        attempt: Attempt,
        output: Json,
        assets: Vec<ProducedAsset>,
        seen: Option<(WorkerId, Timestamp)>,
    ) {
        let definition = self.definition();
        let node = definition.node(ix);
        if let Err(failure) = self.check_state(&definition, node, &output) {
            return self.fail_node(ix, failure.at(&node.id, Some(attempt)));
        }
        let route = if is_unconditional(&node.on_success, &definition) {
            Ok(Route::All)
        } else if let Err(limit) = self.work.take(self.run.state.len() as u64) {
            Err(RunFailure::from(limit).at(&node.id, None))
        } else {
            self.run
                .with_scope_after(ix, &output, |scope| route(&node.on_success, &definition, scope, &self.work))
                .map_err(|error| error.into_failure().at(&node.id, None))
        };
        let (taken, failure) = match route {
            Ok(Route::All) => (None, None),
            Ok(Route::Taken(taken)) => (Some(taken), None),
            Ok(Route::Blocked) => {
                let failure = match node.on_no_route {
                    OnNoRoute::End => None,
                    OnNoRoute::Fail => {
                        let message = format!("no transition out of {} holds", node.id);
                        Some(RunFailure::new("no_route", message).at(&node.id, None))
                    }
                };
                (Some(Vec::new()), failure)
            }
            Err(failure) => (Some(Vec::new()), Some(failure)),
        };
        let (worker, started_at) = seen.unzip();
        self.emit(RunEvent::NodeSucceeded {
            node: node.id.clone(),
            attempt,
            output,
            assets,
            worker,
            started_at,
            taken,
        });
        match failure {
            None => self.ended.push(ix),
            Some(failure) => self.fail_run(failure),
        }
    }

    /// Ends a node whose output was computed inside the decision.
    pub fn succeed_pure(&mut self, ix: NodeIx, output: Json) {
        let definition = self.definition();
        let node = definition.node(ix);
        let assets = super::produce::of_pure(node, &output);
        match super::produce::check(node, assets, &self.work) {
            Ok(assets) => self.succeed_node(ix, Attempt::FIRST, output, assets, None),
            Err(failure) => self.fail_node(ix, failure.at(&node.id, None)),
        }
    }

    /// Ends a node badly; the run goes on only over an `on: failure` transition.
    pub fn fail_node(&mut self, ix: NodeIx, failure: RunFailure) {
        let definition = self.definition();
        let node = definition.node(ix);
        let routed =
            self.run.with_scope(ix, Some(&failure), |scope| route(&node.on_failure, &definition, scope, &self.work));
        let (taken, failure) = match routed {
            Ok(Route::Taken(taken)) => (taken, failure),
            Ok(Route::Blocked | Route::All) => (Vec::new(), failure),
            Err(error) => (Vec::new(), error.into_failure().at(&node.id, failure.attempt)),
        };
        let fatal = taken.is_empty();
        self.emit(RunEvent::NodeFailed { node: node.id.clone(), failure: failure.clone(), taken });
        if fatal { self.fail_run(failure) } else { self.ended.push(ix) }
    }

    /// Ends the run badly.
    pub fn fail_run(&mut self, failure: RunFailure) {
        self.cancel_active();
        self.emit(RunEvent::RunFailed { failure });
    }

    /// Ends every node that runs or waits.
    pub fn cancel_active(&mut self) {
        let definition = self.definition();
        for (state_ix, node) in definition.nodes.iter().enumerate() {
            if self.run.active == 0 {
                return;
            }
            if self.run.nodes[state_ix].phase.is_active() {
                self.emit(RunEvent::NodeCancelled { node: node.id.clone() });
            }
        }
    }

    /// Follows the transitions of every node that ended, until nothing moves; then ends the run if nothing is left.
    pub fn settle(&mut self) {
        let definition = self.definition();
        let mut next = 0;
        while let Some(ix) = self.ended.get(next).copied() {
            next += 1;
            let node = definition.node(ix);
            for transition in node.on_success.iter().chain(&node.on_failure).flatten() {
                if self.run.status.is_terminal() {
                    break;
                }
                self.arrive(definition.transition(*transition).to, &definition);
            }
        }
        self.ended.clear();
        let rests = self.run.active == 0 && self.run.unrecorded.is_empty();
        if rests && !self.run.status.is_terminal() {
            self.finish(&definition);
        }
    }

    fn arrive(&mut self, ix: NodeIx, definition: &Definition) {
        if self.run.node(ix).phase != Phase::Pending {
            return;
        }
        match readiness(definition.node(ix), self.run.node(ix)) {
            Readiness::Wait => {}
            Readiness::Ready => self.begin(ix),
            Readiness::Dead => {
                self.emit(RunEvent::NodeSkipped { node: definition.node(ix).id.clone() });
                self.ended.push(ix);
            }
        }
    }

    fn finish(&mut self, definition: &Definition) {
        let output = match &definition.output {
            Some(template) => self
                .run
                .with_scope_of_end(|scope| template.render_within(scope, &self.work))
                .map_err(|error| RunFailure::new(error.code(), format!("the run's output has no value: {error}"))),
            None => self.outputs_of_ends(definition),
        };
        let checked = output.and_then(|output| match &definition.output_schema {
            None => Ok(output),
            Some(schema) => match schema.check_within(&output, &self.work) {
                Ok(()) => Ok(output),
                Err(refusal) => Err(refusal.into_failure("output_schema", "")),
            },
        });
        match checked {
            Ok(output) => self.emit(RunEvent::RunSucceeded { output }),
            Err(failure) => self.emit(RunEvent::RunFailed { failure }),
        }
    }

    /// The outputs of the nodes without a successor, by node id.
    fn outputs_of_ends(&self, definition: &Definition) -> Result<Json, RunFailure> {
        let ends = definition.nodes.iter().zip(&self.run.nodes).filter(|(node, _)| node.on_success.is_empty());
        let outputs: std::collections::BTreeMap<&str, &Json> =
            ends.filter_map(|(node, state)| Some((node.id.as_str(), state.output.as_ref()?))).collect();
        if outputs.values().map(|output| output.len_bytes()).sum::<usize>() > DECISION_BYTES_MAX {
            return Err(too_large());
        }
        Ok(Json::of(&outputs))
    }

    fn check_state(&self, definition: &Definition, node: &Node, output: &Json) -> Result<(), RunFailure> {
        let (Some(schema), Some(key)) = (&definition.state_schema, &node.store_as) else { return Ok(()) };
        let bytes = output.len_bytes() + self.run.state.values().map(Json::len_bytes).sum::<usize>();
        self.work.scan(bytes).map_err(RunFailure::from)?;
        let mut state = self.run.state.clone();
        state.insert(key.clone(), output.clone());
        let state = Json::of(&state);
        schema.check_within(&state, &self.work).map_err(|refusal| refusal.into_failure("state_schema", ""))
    }
}
