//! What of a run is halted: nothing of it begins until it is resumed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state::{Place, Run};
use crate::definition::{Definition, NodeIx};
use crate::{CommandId, NodeId, Timestamp};

/// How long a grace is at most.
pub const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How a run ends that was cancelled with a grace, and when at the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Stopping {
    pub until: Timestamp,
    pub reason: String,
    /// Nothing of what has succeeded is undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps: bool,
}

/// How often a run is taken in hand in ways that can be undone: as often as it remembers.
pub const OPERATIONS_MAX: usize = 10_000;

/// What of a run is halted, and for how long it was. Most never are, and take no memory for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Halts(Option<Box<Halt>>);

#[derive(Debug, Clone, PartialEq, Default)]
struct Halt {
    /// Since when all of it is.
    since: Option<Timestamp>,
    /// For how long all of it was before, together.
    before: Duration,
    /// Nodes that are, in whatever branch.
    nodes: BTreeSet<NodeIx>,
    /// It ends at once: nothing is done any more before its end.
    terminated: bool,
    /// It comes to an end: nothing of it begins, and what workers hold may report.
    stopping: Option<Stopping>,
    /// What was done that could be undone since, for what comes twice.
    done: BTreeSet<CommandId>,
}

/// What a checkpoint holds of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HaltRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    before_us: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    terminated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopping: Option<Stopping>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<CommandId>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl HaltRecord {
    /// The same where nodes are called otherwise; what is gone is halted no more.
    pub fn renamed(mut self, name: impl Fn(&NodeId) -> Option<NodeId>) -> Self {
        self.nodes = self.nodes.iter().filter_map(name).collect();
        self
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Halts {
    pub const NONE: Self = Self(None);

    /// Makes it again; a node that the definition does not have is not halted.
    pub fn restored(record: HaltRecord, definition: &Definition) -> Self {
        let HaltRecord { since, before_us, nodes, terminated, stopping, done } = record;
        let nodes = nodes.iter().filter_map(|node| definition.find(node)).collect();
        let (before, done) = (Duration::from_micros(before_us), done.into_iter().collect());
        let mut halts = Self(Some(Box::new(Halt { since, before, nodes, terminated, stopping, done })));
        halts.rest();
        halts
    }

    pub fn record(&self, definition: &Definition) -> HaltRecord {
        let Some(halt) = &self.0 else { return HaltRecord::default() };
        let Halt { since, before, nodes, terminated, stopping, done } = &**halt;
        HaltRecord {
            since: *since,
            before_us: u64::try_from(before.as_micros()).unwrap_or(u64::MAX),
            nodes: nodes.iter().map(|node| definition.node(*node).id.clone()).collect(),
            terminated: *terminated,
            stopping: stopping.clone(),
            done: done.iter().copied().collect(),
        }
    }

    /// Returns since when all of the run is halted, if it is.
    pub fn since(&self) -> Option<Timestamp> {
        self.0.as_ref().and_then(|halt| halt.since)
    }

    /// Returns for how long all of it was, before it was resumed last.
    pub fn before(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |halt| halt.before)
    }

    /// Returns whether a node is halted on its own.
    pub fn holds(&self, node: NodeIx) -> bool {
        self.0.as_ref().is_some_and(|halt| halt.nodes.contains(&node))
    }

    /// Returns the nodes that are halted on their own, in the order of the definition.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIx> {
        self.0.iter().flat_map(|halt| halt.nodes.iter().copied())
    }

    pub fn is_terminated(&self) -> bool {
        self.0.as_ref().is_some_and(|halt| halt.terminated)
    }

    /// Returns whether this was done before.
    pub fn has_done(&self, operation: CommandId) -> bool {
        self.0.as_ref().is_some_and(|halt| halt.done.contains(&operation))
    }

    /// Returns how often something was done.
    pub fn count_done(&self) -> usize {
        self.0.as_ref().map_or(0, |halt| halt.done.len())
    }

    /// Remembers that this was done.
    pub fn note(&mut self, operation: CommandId) {
        self.0.get_or_insert_default().done.insert(operation);
    }

    pub fn halt(&mut self, node: Option<NodeIx>, now: Timestamp) {
        let halt = self.0.get_or_insert_default();
        match node {
            Some(node) => _ = halt.nodes.insert(node),
            None => _ = halt.since.get_or_insert(now),
        }
    }

    pub fn resume(&mut self, node: Option<NodeIx>, now: Timestamp) {
        let Some(halt) = &mut self.0 else { return };
        match node {
            Some(node) => _ = halt.nodes.remove(&node),
            None => {
                let span = halt.since.take().map_or(Duration::ZERO, |since| now.since(since));
                halt.before = halt.before.saturating_add(span);
            }
        }
        self.rest();
    }

    /// The run ends: nothing holds it up any more.
    pub fn lift(&mut self) {
        if let Some(halt) = &mut self.0 {
            (halt.since, halt.nodes, halt.stopping) = (None, BTreeSet::new(), None);
            self.rest();
        }
    }

    /// Returns how the run ends, where it was cancelled with a grace that is not over.
    pub fn stopping(&self) -> Option<&Stopping> {
        self.0.as_ref()?.stopping.as_ref()
    }

    /// It comes to an end.
    pub fn stop(&mut self, stopping: Stopping) {
        self.0.get_or_insert_default().stopping = Some(stopping);
    }

    pub fn terminate(&mut self) {
        self.0.get_or_insert_default().terminated = true;
    }

    /// Gives back what an empty one takes of memory.
    fn rest(&mut self) {
        self.0.take_if(|halt| **halt == Halt::default());
    }
}

impl Run {
    /// Returns since when it is paused, if it is.
    pub fn paused_since(&self) -> Option<Timestamp> {
        self.waiting.halts().since()
    }

    /// Returns the nodes of it that are paused on their own, in the order of the definition.
    pub fn paused_nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.waiting.halts().nodes().map(|node| &self.definition().node(node).id)
    }

    /// Returns whether it was cancelled with a grace that is not over: what workers hold is to come to an end.
    pub fn is_stopping(&self) -> bool {
        self.waiting.halts().stopping().is_some()
    }

    /// Returns whether nothing of a node begins now.
    pub(super) fn is_halted(&self, place: Place) -> bool {
        self.paused_since().is_some() || self.is_stopping() || self.waiting.halts().holds(place.node)
    }
}
