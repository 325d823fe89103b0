//! When a node becomes ready, and what starting it means.

use std::time::Duration;

use super::budget::Later;
use super::command::Grant;
use super::decide::Decision;
use super::event::{AssetNeed, NAMES_BYTES};
use super::state::{NodeState, Phase, Place};
use super::{RunEvent, RunFailure};
use crate::definition::{Consumes, Execution, Join, Node, parse_span};
use crate::expr::{Scope, Template, Work};
use crate::{Attempt, Json, LeaseToken};

/// What the incoming transitions say about a pending node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Wait,
    Ready,
    /// No way in is left (dead-path elimination).
    Dead,
}

/// Says whether a node's join is satisfied. Costs nothing in the number of its transitions.
pub(super) fn readiness(node: &Node, state: &NodeState) -> Readiness {
    let incoming = u32::try_from(node.incoming.len()).expect("a definition has at most 2,000 nodes");
    let open = incoming - state.decided;
    let (ready, dead) = match node.join {
        Join::All => (open == 0 && state.taken > 0, open == 0 && state.taken == 0),
        Join::Any => (state.taken > 0, open == 0 && state.taken == 0),
        Join::Quorum(needed) => (state.taken >= needed, state.taken + open < needed),
    };
    match (ready, dead) {
        (true, _) => Readiness::Ready,
        (false, true) => Readiness::Dead,
        (false, false) => Readiness::Wait,
    }
}

impl Decision<'_, '_, '_> {
    /// Does what the agenda says of a node: begins it, goes on with the assets it got, or skips it.
    ///
    /// # Errors
    /// [`Later`]; nothing has happened, here and below.
    pub fn begin(&mut self, place: Place) -> Result<(), Later> {
        let definition = self.definition();
        let node = definition.node(place.node);
        if self.run.node(place).phase != Phase::Pending {
            return self.schedule(place);
        }
        if !node.incoming.is_empty() && readiness(node, self.run.node(place)) == Readiness::Dead {
            self.emit(RunEvent::NodeSkipped { node: self.run.address(place) });
            return Ok(());
        }
        if node.consumes.is_empty() {
            return self.schedule(place);
        }
        let needs: Result<Vec<_>, _> = self
            .run
            .with_scope(place, None, |scope| node.consumes.iter().map(|c| need(c, scope, &self.work)).collect());
        match needs {
            Ok(needs) => {
                let event = RunEvent::NodeAwaitedAssets { node: self.run.address(place), needs };
                if !self.check_room(event.weight_bytes())? {
                    let failure = self.too_large(event.weight_bytes()).at(&self.run.address(place), None);
                    return self.fail_node(place, failure);
                }
                self.emit(event);
                Ok(())
            }
            Err(failure) => self.fail_node(place, failure.at(&self.run.address(place), None)),
        }
    }

    /// Renders the node's input and starts its first attempt.
    fn schedule(&mut self, place: Place) -> Result<(), Later> {
        let definition = self.definition();
        let node = definition.node(place.node);
        let input = match &node.input {
            None => None,
            Some(template) => match self.run.with_scope(place, None, |scope| template.render_within(scope, &self.work))
            {
                Ok(input) => Some(input),
                Err(error) => {
                    return self.fail_node(place, error.into_failure().at(&self.run.address(place), None));
                }
            },
        };
        match &node.action.execution {
            Execution::Fleet { .. } | Execution::Engine(_) => self.schedule_attempt(place, input, None),
            Execution::Inside { output: None } => self.succeed_pure(place, input.unwrap_or_default()),
            Execution::Inside { output: Some(output) } => {
                match self.run.with_scope(place, None, |scope| output.render_within(scope, &self.work)) {
                    Ok(output) => self.succeed_pure(place, output),
                    Err(error) => self.fail_node(place, error.into_failure().at(&self.run.address(place), None)),
                }
            }
            Execution::Waits { span } => match self.run.with_scope(place, None, |scope| sleep(span, scope, &self.work))
            {
                Ok(span) => self.schedule_attempt(place, input, Some(span)),
                Err(failure) => self.fail_node(place, failure.at(&self.run.address(place), None)),
            },
        }
    }

    /// Starts the next attempt with the input the first one had.
    pub fn schedule_again(&mut self, place: Place) -> Result<(), Later> {
        match &self.run.node(place).phase {
            Phase::Retrying { input, .. } => {
                let input = input.clone();
                self.schedule_attempt(place, input, None)
            }
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::Current(_)
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => Ok(()),
        }
    }

    fn schedule_attempt(&mut self, place: Place, input: Option<Json>, sleep: Option<Duration>) -> Result<(), Later> {
        let definition = self.definition();
        let node = definition.node(place.node);
        // Before a worker's room is taken for it.
        self.check_work()?;
        let bytes = NAMES_BYTES + input.as_ref().map_or(0, Json::len_bytes);
        if !self.check_room(bytes)? {
            let failure = self.too_large(bytes).at(&self.run.address(place), None);
            return self.fail_node(place, failure);
        }
        let attempt = Attempt::new(self.run.node(place).attempts + 1);
        let lease = self.lease(place, attempt);
        let workspace = &self.run.workspace;
        let waits = sleep.is_some() || (self.ground.is_contended)(workspace, &node.queue);
        let hand = if waits { None } else { self.ground.hands.take(workspace, &node.queue) };
        let (handed_to, session) = hand.map(|hand| (hand.worker.clone(), hand.session)).unzip();
        let wakes_at = sleep.map(|span| self.ground.now.after(span));
        let node = self.run.address(place);
        self.emit(RunEvent::AttemptScheduled { node, attempt, lease, input, wakes_at, handed_to, session });
        Ok(())
    }

    /// Gives an attempt that waits to a worker; one that does not wait any more stays where it is.
    pub fn grant(&mut self, grant: Grant) {
        let Grant { node, attempt, worker, session } = grant;
        let Some(place) = self.run.find(&node) else { return };
        if self.run.current(place).is_some_and(|current| current.attempt == attempt && current.is_waiting()) {
            let lease = self.lease(place, attempt);
            self.emit(RunEvent::AttemptGranted { node, attempt, lease, worker, session });
        }
    }

    /// Ends an attempt that its worker has not begun, and schedules the next: no try was made.
    pub fn take_back(&mut self, place: Place) -> Result<(), Later> {
        let Some(current) = self.run.current(place) else { return Ok(()) };
        let (attempt, input) = (current.attempt, current.input.clone());
        // Who said that it runs cannot say that it was never begun.
        let holder = current.holder().filter(|_| !current.is_started());
        let Some(worker) = holder.map(|(worker, _)| worker.clone()) else { return Ok(()) };
        self.emit(RunEvent::AttemptReturned { node: self.run.address(place), attempt, worker });
        self.schedule_attempt(place, input, None)
    }

    /// Makes a lease: for this grant only, and for nobody to guess.
    fn lease(&self, place: Place, attempt: Attempt) -> LeaseToken {
        place.with_bytes(|place| {
            self.ground.hands.secret.lease(&[
                self.run.id.as_uuid().as_bytes(),
                place,
                &attempt.get().to_be_bytes(),
                &self.run.revision.get().to_be_bytes(),
            ])
        })
    }
}

fn need(consumes: &Consumes, scope: &Scope<'_>, work: &Work) -> Result<AssetNeed, RunFailure> {
    let failed = crate::expr::EvaluationError::into_failure;
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

/// How long a sleep takes.
fn sleep(span: &Template, scope: &Scope<'_>, work: &Work) -> Result<Duration, RunFailure> {
    let value = span.render_within(scope, work).map_err(|error| match error.limit {
        None => RunFailure::new("sleep_duration", error.to_string()),
        Some(_) => error.into_failure(),
    })?;
    span_of(&value).map_err(|reason| RunFailure::new("sleep_duration", reason))
}

/// A span from a rendered value: a number of milliseconds, or a text like `90s`, `2h`, `500ms`.
fn span_of(value: &Json) -> Result<Duration, String> {
    let value = value.to_value();
    match &value {
        serde_json::Value::Number(number) => number
            .as_u64()
            .map(Duration::from_millis)
            .ok_or_else(|| format!("a sleep takes a whole number of milliseconds, not {number}")),
        serde_json::Value::String(text) => parse_span(text).map_err(|error| error.to_string()),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err("a sleep takes a number of milliseconds or a text like 90s".to_owned()),
    }
}
