//! Which transitions were taken, which not and why, and which could still fire.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::Serialize;

use super::listed::{ENTRY_BYTES, Room, told};
use super::notes::{Left, Notes};
use super::{At, Listed, Why, is_over, loop_of};
use crate::definition::{Definition, Join, OnNoRoute, Outcome, RegionKind, Transition, TransitionIx};
use crate::run::NodeStatus;
use crate::run::evolve::may_lead_back;
use crate::run::state::{Phase, Place, Run};
use crate::run::step::{Readiness, readiness};
use crate::{NodeAddress, NodeId};

/// How many transitions of one node are told.
const WAYS_MAX: usize = 20;

/// A node that has succeeded or failed, and how the run goes on from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    pub node: NodeAddress,
    pub status: NodeStatus,
    /// When it ended.
    pub at: At,
    pub attempts: u32,
    /// It has failed, and the run goes on as if it had not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tolerated: bool,
    /// Its output was made before, by another node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Why>,
    /// The priority of the tier that won. Absent: none did, or nothing leaves the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// It has transitions, none was true, and that is no failure of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_end_here: bool,
    /// Those that leave it: on success first, tier after tier.
    pub ways: Listed<Way>,
}

/// A transition out of a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    pub to: NodeId,
    #[serde(flatten)]
    pub said: Said,
    pub taken: bool,
    pub because: Verdict,
}

/// A transition into a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WayIn {
    pub from: NodeId,
    /// Where the node stands that it comes from.
    pub from_status: NodeStatus,
    #[serde(flatten)]
    pub said: Said,
    pub taken: bool,
    pub because: Verdict,
}

/// A transition that could still fire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenWay {
    pub from: NodeId,
    pub from_status: NodeStatus,
    pub to: NodeId,
    #[serde(flatten)]
    pub said: Said,
}

/// What the definition says of a transition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// `success` or `failure`.
    pub on: &'static str,
    pub priority: u32,
    /// Absent: always true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// It leads back, at most so often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
    /// Once this is true it does not lead back any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Why a transition is taken, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Taken: it has no condition.
    Always,
    /// Taken: its condition was true.
    ConditionTrue,
    /// It was taken out of a turn after which another came.
    Dropped,
    /// Its condition was false, or what it leads back until was true, or they could not be evaluated, which the error then says.
    ConditionNotTrue,
    /// A tier of a lower priority number won: it was not looked at.
    EarlierTier,
    /// It leaves on the other outcome.
    OtherOutcome,
    /// It had led back as often as it may.
    MaxIterations,
    /// It leads to what is not among the run's targets, nor needed for them.
    NotAmongTargets,
    /// The node that it comes from was skipped.
    SourceSkipped,
    /// The node that it comes from was withdrawn.
    SourceCancelled,
    /// The node that it comes from has not ended.
    Open,
}

impl Verdict {
    fn is_taken(self) -> bool {
        match self {
            Self::Always | Self::ConditionTrue => true,
            Self::Dropped
            | Self::ConditionNotTrue
            | Self::EarlierTier
            | Self::OtherOutcome
            | Self::MaxIterations
            | Self::NotAmongTargets
            | Self::SourceSkipped
            | Self::SourceCancelled
            | Self::Open => false,
        }
    }
}

impl Said {
    pub(super) fn of(transition: &Transition) -> Self {
        let Transition { priority, on, when, back, .. } = transition;
        let on = match on {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
        };
        let when = when.as_ref().map(|when| told(when.source()));
        let until = back.as_ref().and_then(|back| back.until.as_ref()).map(|until| told(until.source()));
        Self { on, priority: *priority, when, max_iterations: back.as_ref().map(|back| back.max), until }
    }

    fn len_bytes(&self) -> usize {
        ENTRY_BYTES + [&self.when, &self.until].into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// How a node that has ended is left.
struct Exits<'r> {
    run: &'r Run,
    place: Place,
    left: Option<&'r Left>,
    /// By position.
    taken: FxHashSet<u32>,
    /// The priority of the tier that won.
    tier: Option<u32>,
}

impl<'r> Exits<'r> {
    fn of(run: &'r Run, notes: &'r Notes, place: Place) -> Self {
        let definition: &Definition = run.definition();
        let left = notes.of(place).and_then(|note| note.left.as_ref());
        let all = |outcome: Outcome| {
            definition.node(place.node).leaving().filter(move |ix| definition.transition(*ix).on == outcome)
        };
        let taken: FxHashSet<u32> = match left {
            Some(Left { taken: Some(taken), .. }) => taken.iter().copied().collect(),
            Some(Left { taken: None, outcome, .. }) => all(*outcome).map(|ix| ix.0).collect(),
            None => FxHashSet::default(),
        };
        let first = definition.node(place.node).leaving().find(|ix| taken.contains(&ix.0));
        Self { run, place, left, tier: first.map(|ix| definition.transition(ix).priority), taken }
    }

    fn verdict(&self, ix: TransitionIx) -> Verdict {
        let (run, state) = (self.run, self.run.node(self.place));
        let transition = run.definition().transition(ix);
        match &state.phase {
            Phase::Skipped => return Verdict::SourceSkipped,
            Phase::Cancelled => return Verdict::SourceCancelled,
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::AwaitingMemo(_)
            | Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Around(_) => return Verdict::Open,
            Phase::Succeeded | Phase::Failed => {}
        }
        if self.taken.contains(&ix.0) {
            let region = run.definition().region(run.branches.of(self.place).region);
            let leads_out = !region.holds(transition.to);
            let is_conditional =
                transition.when.is_some() || transition.back.as_ref().is_some_and(|b| b.until.is_some());
            return match (leads_out && turns_again(run, self.place), is_conditional) {
                (true, _) => Verdict::Dropped,
                (false, true) => Verdict::ConditionTrue,
                (false, false) => Verdict::Always,
            };
        }
        // Those on failure were looked at, and none held, before it was tolerated.
        let was_looked_at = |left: &Left| transition.on == left.outcome || state.is_tolerated();
        if !self.left.is_some_and(was_looked_at) {
            Verdict::OtherOutcome
        } else if run.origin.leads_out_of_part(transition.to) {
            Verdict::NotAmongTargets
        } else if self.left.is_some_and(|left| left.outcome == transition.on)
            && self.tier.is_some_and(|tier| tier < transition.priority)
        {
            Verdict::EarlierTier
        } else if self.left.is_some_and(|left| left.exhausted.contains(&ix.0)) {
            Verdict::MaxIterations
        } else {
            Verdict::ConditionNotTrue
        }
    }
}

/// Whether another turn follows the one that a node is in.
fn turns_again(run: &Run, place: Place) -> bool {
    let Some(branch) = run.branches.get(place.branch) else { return false };
    let is_turn = matches!(run.definition().region(branch.region).kind, RegionKind::Loop { .. });
    is_turn && branch.ways().back
}

/// Tells how the run goes on from the nodes that have succeeded or failed.
pub(super) fn decided(run: &Run, notes: &Notes, places: &[Place], mut room: Room) -> Listed<Decided> {
    let mut listed = Listed::default();
    let has_ended = |place: &&Place| matches!(run.node(**place).phase, Phase::Succeeded | Phase::Failed);
    for place in places.iter().filter(has_ended) {
        listed.count(&mut room, len_bytes, |room| decided_at(run, notes, *place, room));
    }
    listed
}

fn len_bytes(decided: &Decided) -> usize {
    let ways = decided.ways.first.iter().map(|way| way.said.len_bytes());
    ENTRY_BYTES + decided.error.as_ref().map_or(0, Why::len_bytes) + ways.sum::<usize>()
}

fn decided_at(run: &Run, notes: &Notes, place: Place, room: Room) -> Decided {
    let definition: &Definition = run.definition();
    let (node, state) = (definition.node(place.node), run.node(place));
    let (note, exits) = (notes.of(place), Exits::of(run, notes, place));
    let (mut ways, mut left) = (Listed::default(), room.within(WAYS_MAX));
    for ix in node.leaving() {
        ways.count(
            &mut left,
            |way: &Way| way.said.len_bytes(),
            |_| {
                let (transition, because) = (definition.transition(ix), exits.verdict(ix));
                let to = definition.node(transition.to).id.clone();
                Way { to, said: Said::of(transition), taken: because.is_taken(), because }
            },
        );
    }
    let has_failed = state.phase == Phase::Failed;
    Decided {
        node: run.address(place),
        status: state.phase.status(),
        at: At(note.map_or_else(Default::default, |note| note.since)),
        attempts: state.attempts,
        tolerated: state.is_tolerated(),
        reused: exits.left.is_some_and(|left| left.reused),
        error: note.and_then(|note| note.failure.clone()).filter(|_| has_failed),
        tier: exits.tier,
        may_end_here: !has_failed
            && exits.taken.is_empty()
            && !node.on_success.is_empty()
            && node.on_no_route == OnNoRoute::End,
        ways,
    }
}

/// Tells why the ways into a node were not taken, those that were among them.
pub(super) fn into(run: &Run, notes: &Notes, place: Place, room: Room) -> Listed<WayIn> {
    let (definition, region): (&Definition, _) = (run.definition(), run.branches.of(place).region);
    let (mut ways, mut left) = (Listed::default(), room.within(WAYS_MAX));
    // What leads into a loop is told of the branch around its turns.
    let is_within = |ix: &&TransitionIx| definition.region(region).holds(definition.transition(**ix).from);
    for ix in definition.node(place.node).incoming.iter().filter(is_within) {
        ways.count(
            &mut left,
            |way: &WayIn| way.said.len_bytes(),
            |_| {
                let transition = definition.transition(*ix);
                let source = place.beside(transition.from);
                let because = Exits::of(run, notes, source).verdict(*ix);
                WayIn {
                    from: definition.node(transition.from).id.clone(),
                    from_status: run.node(source).phase.status(),
                    said: Said::of(transition),
                    taken: because.is_taken(),
                    because,
                }
            },
        );
    }
    ways
}

pub(super) fn len_bytes_in(way: &WayIn) -> usize {
    way.said.len_bytes()
}

/// Tells which transitions could still fire.
pub(super) fn open(run: &Run, places: &[Place], mut room: Room) -> Listed<OpenWay> {
    let definition: &Definition = run.definition();
    let mut listed = Listed::default();
    for place in places.iter().filter(|place| may_end(run, **place)) {
        let from_status = run.node(*place).phase.status();
        let tell = |ix: TransitionIx| {
            let transition = definition.transition(ix);
            let [from, to] = [transition.from, transition.to].map(|end| definition.node(end).id.clone());
            OpenWay { from, from_status, to, said: Said::of(transition) }
        };
        // What happens within a loop its turns tell.
        let stands_for = loop_of(run, *place).filter(|header| *header == place.node);
        let ways: Vec<TransitionIx> = match stands_for {
            Some(_) => definition.region(definition.node(place.node).region).exits.clone(),
            None => definition.node(place.node).leaving().collect(),
        };
        for ix in ways.into_iter().filter(|ix| may_fire(run, *place, *ix)) {
            listed.count(&mut room, |way: &OpenWay| way.said.len_bytes(), |_| tell(ix));
        }
    }
    listed
}

/// Whether a node may still succeed or fail.
fn may_end(run: &Run, place: Place) -> bool {
    let (node, state) = (run.definition().node(place.node), run.node(place));
    let is_dead = state.phase == Phase::Pending
        && !node.incoming.is_empty()
        && node.join != Join::AllDone
        && readiness(node, state) == Readiness::Dead;
    !is_over(&state.phase) && run.goes_on(place) && !run.origin.is_left_out(place) && !is_dead
}

fn may_fire(run: &Run, place: Place, ix: TransitionIx) -> bool {
    let definition: &Arc<Definition> = run.definition();
    let transition = definition.transition(ix);
    let from = definition.node(transition.from);
    let tiers = match transition.on {
        Outcome::Success => &from.on_success,
        Outcome::Failure => &from.on_failure,
    };
    let is_certain = |ix: &TransitionIx| {
        let way = definition.transition(*ix);
        way.when.is_none() && way.back.is_none() && !run.origin.leads_out_of_part(way.to)
    };
    // Behind a tier that always wins no other is looked at.
    let earlier = tiers.iter().take_while(|tier| !tier.contains(&ix));
    let is_behind = earlier.flatten().any(is_certain);
    !is_behind && !run.origin.leads_out_of_part(transition.to) && may_lead_back(run, definition, place.branch, ix)
}
