//! What a run is, folded from its events.
//!
//! | file | question |
//! |---|---|
//! | `branch` | which passes through the graph are open, and what an address names |
//! | `node` | where one node stands |
//! | `place` | how the run itself names a node in a branch |
//! | `scope` | what expressions see |

mod branch;
mod node;
mod place;
mod scope;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::agenda::Agenda;
use super::attempt::CurrentAttempt;
use super::status::{NodeStatus, RunStatus};
use super::waiting::Waiting;
use super::{Ending, Trigger};
use crate::definition::Definition;
use crate::dialogue::InputVersion;
use crate::{
    AssetId, Attempt, DefinitionVersion, Json, LeaseToken, NodeAddress, PartitionKey, Revision, RunId, SessionId,
};
use crate::{Slug, Timestamp, WorkspaceId};

pub(super) use branch::{Branch, Branches};
pub(super) use node::{NodeState, Phase};
pub(super) use place::Place;

/// One execution of one definition version.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) id: RunId,
    pub(super) workspace: WorkspaceId,
    pub(super) workflow: Slug,
    pub(super) version: DefinitionVersion,
    pub(super) definition: Arc<Definition>,
    pub(super) status: RunStatus,
    pub(super) input: Json,
    pub(super) trigger: Trigger,
    /// Its id was derived from an idempotency key.
    pub(super) keyed: bool,
    pub(super) started_at: Timestamp,
    /// Of the last event folded.
    pub(super) revision: Revision,
    pub(super) branches: Branches,
    /// What has still to begin.
    pub(super) agenda: Agenda,
    /// How it ends, once that is certain and not everything is withdrawn.
    pub(super) ending: Option<Ending>,
    pub(super) timers: BTreeSet<(Timestamp, Timer)>,
    /// Produced, and not yet recorded by the asset's own shard.
    pub(super) unrecorded: Vec<(Place, AssetId, Option<PartitionKey>)>,
    /// Every version consumed so far, sorted, each once.
    pub(super) consumed: Vec<InputVersion>,
    /// The attempts that wait for a worker, by queue, in the order they were scheduled.
    pub(super) waiting: Waiting,
    /// `run` and `trigger` as expressions see them, made when first asked for.
    pub(super) facts: OnceLock<(Json, Json)>,
}

/// What a run can have due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Node(Due, Place),
    RunTimeout,
}

/// What a node can have due; of several at one time, the first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Its attempt has taken too long.
    Timeout,
    /// Its next attempt.
    Retry,
    /// The time it waits for has come.
    Time,
}

impl Run {
    /// Returns the run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Returns the workspace it belongs to.
    pub fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }

    /// Returns the workflow it executes.
    pub fn workflow(&self) -> &Slug {
        &self.workflow
    }

    /// Returns the definition version it was frozen at.
    pub fn version(&self) -> DefinitionVersion {
        self.version
    }

    /// Returns how it ends, where that is certain and it has not ended yet: nothing of it begins or is reported any more.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Returns where it stands.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// Returns the revision of the last event folded.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the input it was started with, defaults filled in.
    pub fn input(&self) -> &Json {
        &self.input
    }

    /// Returns whether its id was derived from an idempotency key.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Returns the definition it is frozen at.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Returns the nodes whose current attempt was handed to a session as it was scheduled, in these revisions.
    pub fn held_since(&self, session: SessionId, first: Revision, last: Revision) -> impl Iterator<Item = NodeAddress> {
        let held = move |current: &CurrentAttempt| {
            current.holder().is_some_and(|(_, of)| of == Some(session)) && (first..=last).contains(&current.revision)
        };
        self.places()
            .filter(move |(_, state)| state.phase.current().is_some_and(held))
            .map(|(place, _)| self.address(place))
    }

    /// Returns when something of it is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Returns where a node stands.
    pub fn node_status(&self, id: &NodeAddress) -> Option<NodeStatus> {
        Some(self.node(self.find(id)?).phase.status())
    }

    /// Returns the lease of the node's current attempt, if it has one.
    pub fn current_lease(&self, id: &NodeAddress) -> Option<(Attempt, LeaseToken)> {
        let current = self.current(self.find(id)?)?;
        Some((current.attempt, current.lease))
    }

    /// Finds what an address names.
    pub(super) fn find(&self, at: &NodeAddress) -> Option<Place> {
        self.branches.find(&self.definition, at)
    }

    /// Returns the address of a place.
    pub(super) fn address(&self, place: Place) -> NodeAddress {
        NodeAddress::new(self.definition.node(place.node).id.clone(), place.branch)
    }

    /// Returns every node's place and state, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &NodeState)> {
        self.branches.places()
    }

    pub(super) fn node(&self, place: Place) -> &NodeState {
        self.branches.of(place).node(place.node)
    }

    /// The attempt of a node that may report: none while the run ends.
    pub(super) fn current(&self, place: Place) -> Option<&CurrentAttempt> {
        self.node(place).phase.current().filter(|_| self.ending.is_none())
    }

    /// Returns what expressions see of the run and of its trigger.
    pub(super) fn facts(&self) -> &(Json, Json) {
        self.facts.get_or_init(|| {
            let run = serde_json::json!({
                "id": self.id, "workflow": self.workflow, "version": self.version,
                "startedAt": self.started_at.to_string(),
            });
            (Json::of(&run), Json::of(&self.trigger))
        })
    }
}

/// Equality of what was folded; the cache of facts is no part of it.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.workspace == other.workspace
            && self.workflow == other.workflow
            && self.version == other.version
            && self.status == other.status
            && self.input == other.input
            && self.trigger == other.trigger
            && self.keyed == other.keyed
            && self.started_at == other.started_at
            && self.revision == other.revision
            && self.branches == other.branches
            && self.agenda == other.agenda
            && self.ending == other.ending
            && self.timers == other.timers
            && self.unrecorded == other.unrecorded
            && self.consumed == other.consumed
            && self.waiting == other.waiting
    }
}
