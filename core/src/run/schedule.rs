//! When a node becomes ready, and what starting it means.

use std::time::Duration;

use super::decide::{Decision, Handover};
use super::event::AssetNeed;
use super::state::{NodeState, Phase};
use super::{RunEvent, RunFailure};
use crate::definition::{Action, Consumes, Join, Node, NodeIx, parse_span};
use crate::expr::Scope;
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
    /// Begins a node: waits for its assets first, if it consumes any.
    pub fn begin(&mut self, ix: NodeIx) {
        let definition = self.definition();
        let node = definition.node(ix);
        if node.consumes.is_empty() {
            return self.schedule(ix);
        }
        let needs: Result<Vec<_>, _> =
            self.run.with_scope(ix, None, |scope| node.consumes.iter().map(|c| need(c, scope)).collect());
        match needs {
            Ok(needs) => self.emit(RunEvent::NodeAwaitedAssets { node: node.id.clone(), needs }),
            Err(failure) => self.fail_node(ix, failure.at(&node.id, None)),
        }
    }

    /// Renders the node's input and starts its first attempt.
    pub fn schedule(&mut self, ix: NodeIx) {
        let definition = self.definition();
        let node = definition.node(ix);
        let input = match &node.input {
            None => None,
            Some(template) => match self.run.with_scope(ix, None, |scope| template.render(scope)) {
                Ok(input) => Some(input),
                Err(error) => {
                    let failure = RunFailure::new("expression_error", error.to_string());
                    return self.fail_node(ix, failure.at(&node.id, None));
                }
            },
        };
        match &node.action {
            Action::Job { .. } | Action::BuiltIn(_) => self.schedule_attempt(ix, input, None),
            Action::Noop => self.succeed_pure(ix, input.unwrap_or_default()),
            Action::Transform { output } => match self.run.with_scope(ix, None, |scope| output.render(scope)) {
                Ok(output) => self.succeed_pure(ix, output),
                Err(error) => {
                    let failure = RunFailure::new("expression_error", error.to_string());
                    self.fail_node(ix, failure.at(&node.id, None));
                }
            },
            Action::Sleep { duration } => {
                let span = self.run.with_scope(ix, None, |scope| {
                    duration.render(scope).map_err(|error| error.to_string()).and_then(|value| span_of(&value))
                });
                match span {
                    Ok(span) => self.schedule_attempt(ix, input, Some(span)),
                    Err(reason) => {
                        self.fail_node(ix, RunFailure::new("sleep_duration", reason).at(&node.id, None));
                    }
                }
            }
        }
    }

    /// Starts the next attempt with the input the first one had.
    pub fn schedule_again(&mut self, ix: NodeIx) {
        if let Phase::Retrying { input, .. } = &self.run.node(ix).phase {
            let input = input.clone();
            self.schedule_attempt(ix, input, None);
        }
    }

    fn schedule_attempt(&mut self, ix: NodeIx, input: Option<Json>, sleep: Option<Duration>) {
        let definition = self.definition();
        let node = definition.node(ix);
        let attempt = Attempt::new(self.run.node(ix).attempts + 1);
        let lease = LeaseToken::derived(&[
            self.run.id.as_uuid().as_bytes(),
            &ix.0.to_be_bytes(),
            &attempt.get().to_be_bytes(),
            &self.run.revision.get().to_be_bytes(),
        ]);
        let workspace = &self.run.workspace;
        let has_room = |hand: &&mut Handover| {
            sleep.is_none() && hand.slots > 0 && hand.workspace == *workspace && hand.queues.contains(&node.queue)
        };
        let handed_to = self.ground.hands.iter_mut().find(has_room).map(|hand| {
            hand.slots -= 1;
            hand.worker.clone()
        });
        let wakes_at = sleep.map(|span| self.ground.now.after(span));
        self.emit(RunEvent::AttemptScheduled { node: node.id.clone(), attempt, lease, input, wakes_at, handed_to });
    }
}

fn need(consumes: &Consumes, scope: &Scope<'_>) -> Result<AssetNeed, RunFailure> {
    let failed = |error: crate::expr::EvaluationError| RunFailure::new("expression_error", error.to_string());
    let partition = match &consumes.partition {
        None => None,
        Some(template) => {
            let key = template.render(scope).map_err(failed)?.to_value();
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            Some(key.parse().map_err(|error: crate::InvalidName| RunFailure::new("partition_key", error.to_string()))?)
        }
    };
    let producer_input = match &consumes.producer_input {
        None => None,
        // A mapping of inputs that the consumer has not itself says nothing.
        Some(template) => Some(template.render(scope).map_err(failed)?).filter(|input| !input.is_null()),
    };
    Ok(AssetNeed {
        asset: consumes.asset.clone(),
        partition,
        require: consumes.require,
        on_miss: consumes.on_miss,
        producer_input,
    })
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
