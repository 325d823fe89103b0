//! What it means for the state that a run goes over to another version. Total: what cannot be leaves the run as it was, and
//! whoever folds history has asked before ([`crate::run::check_legal`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Trail, renamed};
use crate::definition::{Definition, NodeIx, RegionIx, RegionKind, TransitionIx};
use crate::run::agenda::Todo;
use crate::run::evolve::Fold;
use crate::run::state::{Phase, Place, Run};
use crate::run::{NodeStatus, RunEvent};
use crate::{BranchId, NodeAddress};

/// Learns that the run goes over.
pub(in crate::run) fn pass(run: &mut Fold<'_>, event: &RunEvent) {
    if let Some(mut next) = migrated(run, event) {
        next.waiting.leave_behind(std::mem::take(&mut run.waiting));
        **run = next;
    }
}

/// Returns the run as it is once it has gone over; `None` where it cannot: it has branches open, the version was not brought, or
/// something of it has no place there.
pub(in crate::run) fn migrated(run: &Run, event: &RunEvent) -> Option<Run> {
    let RunEvent::RunMigrated { operation, version, map, taken, reason: _ } = event else { return None };
    let definition = Arc::clone(run.origin.brought(*version)?);
    if !run.branches.ids().is_empty() {
        return None;
    }
    let names = |node: &NodeAddress| {
        let now = renamed(map, node.node())?;
        definition.find(now)?;
        Some(NodeAddress::new(now.clone(), node.branch()))
    };
    let trail = Trail::after(run, map);
    let (record, listed) = run.record().renamed(*version, names, trail);
    let mut next = record.restore(Arc::clone(&definition)).ok()?;
    skip_what_loops_left(&mut next);
    recount(&mut next, taken);
    relist(&mut next, listed);
    next.waiting.dealings_mut().halts.note(*operation);
    Some(next)
}

/// A node that was not there when its loop went round happens no more.
fn skip_what_loops_left(run: &mut Run) {
    let definition = Arc::clone(run.definition());
    for node in (0..definition.nodes.len() as u32).map(NodeIx) {
        let outermost = loops_around(&definition, node).and_then(|loops| loops.last().copied());
        let is_over = outermost.is_some_and(|header| header != node && has_ended(run, header));
        if is_over && run.node(Place::root(node)).phase == Phase::Pending {
            Fold::of(run).node_mut(Place::root(node)).phase = Phase::Skipped;
        }
    }
}

/// Decides the transitions that lead from nodes that have ended, as if they had ended in this version.
fn recount(run: &mut Run, taken: &[u32]) {
    let (definition, taken) = (Arc::clone(run.definition()), taken.iter().copied().collect::<BTreeSet<u32>>());
    for node in at_home(&definition) {
        let mut fold = Fold::of(run);
        let state = fold.node_mut(Place::root(node));
        (state.taken, state.decided) = (0, 0);
    }
    for (from, node) in definition.nodes.iter().enumerate() {
        let from = NodeIx(from as u32);
        if !has_ended(run, from) {
            continue;
        }
        let came_to_something = matches!(run.node(Place::root(from)).phase, Phase::Succeeded | Phase::Failed);
        for way in node.leaving().filter(|way| is_at_home(&definition, *way)) {
            let is_taken = came_to_something && taken.contains(&way.0);
            Fold::of(run).deliver(BranchId::ROOT, way, is_taken);
        }
    }
}

/// Lists what was listed, as far as it still is to be done, and then what can begin that could not.
fn relist(run: &mut Run, listed: Vec<NodeAddress>) {
    let definition = Arc::clone(run.definition());
    let before = listed.iter().filter_map(|node| definition.find(node.node()));
    let starts = definition.region(RegionIx::ROOT).starts.iter().copied();
    for node in before.chain(starts).chain(at_home(&definition)) {
        let place = Place::root(node);
        let begins_with_the_run = definition.node(node).incoming.is_empty();
        if !begins_with_the_run || run.node(place).phase.status() != NodeStatus::Pending {
            run.list_if_ready(place);
        } else if definition.region(RegionIx::ROOT).starts.contains(&node) {
            run.list(Todo::Begin(place));
        }
    }
}

/// Returns whether a node of the run itself has ended.
pub(super) fn has_ended(run: &Run, node: NodeIx) -> bool {
    match run.node(Place::root(node)).phase.status() {
        NodeStatus::Succeeded | NodeStatus::Failed | NodeStatus::Skipped | NodeStatus::Cancelled => true,
        NodeStatus::Pending | NodeStatus::Queued | NodeStatus::Running | NodeStatus::Waiting => false,
    }
}

/// Returns the nodes that happen in the run itself, among them those that stand for a loop of it.
pub(super) fn at_home(definition: &Definition) -> impl Iterator<Item = NodeIx> {
    (0..definition.nodes.len() as u32).map(NodeIx).filter(|node| happens_at_home(definition, *node))
}

/// Returns whether a transition leads to such a node, and not back.
pub(super) fn is_at_home(definition: &Definition, way: TransitionIx) -> bool {
    let transition = definition.transition(way);
    transition.back.is_none() && happens_at_home(definition, transition.to)
}

fn happens_at_home(definition: &Definition, node: NodeIx) -> bool {
    loops_around(definition, node).is_some_and(|loops| loops.is_empty() || loops == [node])
}

/// Returns the first nodes of the loops that a node lies in, the innermost first; `None`: it lies in a body.
pub(super) fn loops_around(definition: &Definition, node: NodeIx) -> Option<Vec<NodeIx>> {
    let (mut at, mut loops) = (definition.node(node).region, Vec::new());
    while at != RegionIx::ROOT {
        let region = definition.region(at);
        let RegionKind::Loop { header } = region.kind else { return None };
        loops.push(header);
        at = region.parent;
    }
    Some(loops)
}
