//! What a run is, folded from its events.
//!
//! | file | question |
//! |---|---|
//! | `origin` | what it was started with |
//! | `assets` | what it has taken of assets, and what it has given them |
//! | `branch` | which passes through the graph are open, and what an address names |
//! | `around` | what a node is at that has branches open |
//! | `node` | where one node stands |
//! | `part` | which nodes happen where only a part of it was asked for |
//! | `place` | how the run itself names a node in a branch |
//! | `scope` | what expressions see |
//! | `kept` | what has succeeded and can be undone |
//! | `large` | how much memory its large values take |

mod around;
mod assets;
mod branch;
mod kept;
mod large;
mod node;
mod origin;
mod part;
mod place;
mod scope;

use std::sync::Arc;

use super::agenda::Agenda;
use super::attempt::CurrentAttempt;
use super::few::Few;
use super::migration::address_now;
use super::status::{NodeStatus, RunStatus};
use super::waiting::Waiting;
use super::{Description, Ending};
use crate::definition::Definition;
use crate::dialogue::ContinuedFrom;
use crate::{Attempt, DefinitionVersion, Json, LeaseToken, NodeAddress, NodeId, Revision, RunId};
use crate::{Slug, Timestamp, WorkspaceId};

pub(super) use around::{Around, Each, EachNext, Try, Turns, Undoing};
pub(super) use assets::{Assets, Landing};
pub(super) use branch::{Branch, Branches, State};
pub(super) use kept::KeptAll;
pub(crate) use large::large_bytes;
pub(super) use node::{AwaitedMemo, NodeState, Phase};
pub(super) use origin::Origin;
pub(super) use part::{Part, check as check_targets};
pub(super) use place::Place;
pub(super) use scope::WayOut;

/// One execution of one definition version.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub(super) origin: Origin,
    pub(super) status: RunStatus,
    /// Of the last event folded.
    pub(super) revision: Revision,
    pub(super) branches: Branches,
    /// What has still to begin.
    pub(super) agenda: Agenda,
    /// How it ends, once that is certain and not everything is withdrawn.
    pub(super) ending: Option<Box<Ending>>,
    pub(super) timers: Few<(Timestamp, Timer)>,
    pub(super) assets: Assets,
    /// What it is called.
    pub(super) description: Option<Box<Description>>,
    /// The attempts that wait for a worker, by queue, in the order they were scheduled; and what was said to it.
    pub(super) waiting: Waiting,
}

/// What a run can have due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Node(Due, Place),
    RunTimeout,
    /// It waits to be told what it goes on from.
    Recall,
    /// The grace is over.
    Stop,
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
        self.origin.id()
    }

    /// Returns the workspace it belongs to.
    pub fn workspace(&self) -> &WorkspaceId {
        self.origin.workspace()
    }

    /// Returns the workflow it executes.
    pub fn workflow(&self) -> &Slug {
        self.origin.workflow()
    }

    /// Returns the definition version it was frozen at.
    pub fn version(&self) -> DefinitionVersion {
        self.origin.version()
    }

    /// Returns how it ends, where that is certain and it has not ended yet: nothing of it begins or is reported any more.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_deref()
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
        self.origin.input()
    }

    /// Returns whether its id was derived from an idempotency key.
    pub fn is_keyed(&self) -> bool {
        self.origin.is_keyed()
    }

    /// Returns which nodes it was started for; none: all.
    pub fn targets(&self) -> &[NodeId] {
        self.origin.targets()
    }

    /// Returns the run that it goes on from, if it does.
    pub fn continued_from(&self) -> Option<&ContinuedFrom> {
        self.origin.continued()
    }

    /// Returns the definition it is frozen at.
    pub fn definition(&self) -> &Arc<Definition> {
        self.origin.definition()
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

    /// Finds what an address names, also one that was given out in a version before.
    pub(super) fn find(&self, at: &NodeAddress) -> Option<Place> {
        let named = |at: &NodeAddress| self.branches.find(self.origin.definition(), at);
        named(at).or_else(|| named(&address_now(self, at)?))
    }

    /// Returns the address of a place.
    pub(super) fn address(&self, place: Place) -> NodeAddress {
        NodeAddress::new(self.origin.definition().node(place.node).id.clone(), place.branch)
    }

    /// Returns every node's place and state, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &NodeState)> {
        self.branches.places()
    }

    pub(super) fn node(&self, place: Place) -> &NodeState {
        self.branches.of(place).node(place.node)
    }

    /// The attempt of a node that may report: none while the run ends, or its branch.
    pub(super) fn current(&self, place: Place) -> Option<&CurrentAttempt> {
        self.node(place).phase.current().filter(|_| self.goes_on(place))
    }

    /// Returns whether something may still happen to a node but that it is withdrawn.
    pub(super) fn goes_on(&self, place: Place) -> bool {
        (self.ending.is_none() || self.is_at_the_end(place)) && !self.branches.is_closing(place.branch)
    }

    /// Returns what an address names, whether or not its branch is open.
    pub(super) fn place_of(&self, at: &NodeAddress) -> Option<Place> {
        let definition = self.definition();
        let found = definition.find(at.node()).or_else(|| definition.find(address_now(self, at)?.node()));
        found.map(|node| Place { branch: at.branch(), node })
    }
}
