//! Whether a run fits another version, and everything that is in the way: all of it is said at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::passage::{loops_around, migrated};
use super::{Renamed, counterpart, ways};
use crate::definition::{Definition, Execution, NodeIx};
use crate::expr::Work;
use crate::run::state::{NodeState, Phase, Place, Run};
use crate::run::{DECISION_BYTES_MAX, RunEvent};
use crate::{BranchId, NodeId, Timestamp};

/// How many problems are said at once.
pub const MIGRATION_PROBLEMS_MAX: usize = 100;
/// How many names that nodes had before a run keeps.
const NAMES_MAX: usize = 10_000;

/// Something that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationProblem {
    /// Stable: one of those in docs/api.md.
    pub code: String,
    /// Of the version that the run is at, or, where it is not of that, of the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    pub message: String,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<MigrationProblem>);

impl Problems {
    pub fn of(&mut self, code: impl Into<String>, node: &NodeId, message: impl Into<String>) {
        self.say(code, Some(node), message);
    }

    fn say(&mut self, code: impl Into<String>, node: Option<&NodeId>, message: impl Into<String>) {
        if self.0.len() < MIGRATION_PROBLEMS_MAX {
            self.0.push(MigrationProblem { code: code.into(), node: node.cloned(), message: message.into() });
        }
    }
}

/// Completes the event with which the run goes over: the transitions that count as taken.
///
/// # Errors
/// Everything that is in the way, at most [`MIGRATION_PROBLEMS_MAX`].
pub(super) fn of(
    run: &Run,
    definition: &Definition,
    mut event: RunEvent,
    now: Timestamp,
    work: &Work,
) -> Result<RunEvent, Vec<MigrationProblem>> {
    let RunEvent::RunMigrated { map, taken, .. } = &mut event else { return Ok(event) };
    let mut problems = Problems::default();
    // Each node of both is looked at a few times, and so is each transition.
    let size = run.definition().nodes.len() + definition.nodes.len() + definition.transitions.len();
    if work.take(4 * size as u64).is_err() {
        problems.say("too_large", None, "the graphs are more than one decision may look at");
        return Err(problems.0);
    }
    check_names(run, definition, map, &mut problems);
    check_run(run, definition, map, work, &mut problems);
    check_nodes(run, definition, map, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let map = map.clone();
    *taken = Vec::new();
    match migrated(run, &event) {
        Some(next) => {
            let found = ways::taken(run, &next, &map, now, work, &mut problems);
            if let RunEvent::RunMigrated { taken, .. } = &mut event {
                *taken = found;
            }
        }
        None => problems.say("unfit", None, "something of the run has no place in the version"),
    }
    if event.weight().bytes > DECISION_BYTES_MAX / 2 {
        problems.say("too_large", None, "the map and the ways taken are more than one decision may take down");
    }
    if problems.0.is_empty() { Ok(event) } else { Err(problems.0) }
}

/// An id names one node as long as the run lives: what is outside goes by it.
fn check_names(run: &Run, definition: &Definition, map: &Renamed, problems: &mut Problems) {
    let before = run.definition();
    let mut targets = BTreeSet::new();
    for (node, now) in map {
        if before.find(node).is_none() {
            problems.of("source_unknown", node, "the run's version has no such node");
        }
        let Some(now) = now.as_ref() else {
            if definition.find(node).is_some() {
                problems.of("target_exists", node, "it is said to be gone, and the version has a node of that name");
            }
            continue;
        };
        if definition.find(now).is_none() {
            problems.of("target_unknown", node, format!("the version has no node `{now}`"));
        }
        if !targets.insert(now) || (now != node && before.find(now).is_some()) {
            problems.of("name_taken", node, format!("`{now}` names another node of the run, and keeps doing so"));
        }
        if now != node && definition.find(node).is_some() {
            problems.of(
                "name_taken",
                node,
                format!("it is called `{now}` from now on, and no other node can be called `{node}`"),
            );
        }
    }
    let Some(trail) = run.origin.trail() else { return };
    for node in trail.names.keys().filter(|node| definition.find(node).is_some()) {
        problems.of("name_taken", node, "a node of the run was called so in a version before");
    }
    if trail.names.len() + map.len() > NAMES_MAX {
        problems.say(
            "too_many_names",
            None,
            format!("a run keeps {NAMES_MAX} names that nodes had before, and no more"),
        );
    }
}

fn check_run(run: &Run, definition: &Definition, map: &Renamed, work: &Work, problems: &mut Problems) {
    if !run.branches.ids().is_empty() {
        let message = "branches are open (of a `forEach`, a loop or a `group`), and a run goes over only between them";
        problems.say("branches_open", None, message);
    }
    if let Some(schema) = &definition.input_schema
        && let Err(breach) = schema.check_within(run.input(), work)
    {
        problems.say("input_invalid", None, format!("the run's input does not fit the version: {breach}"));
    }
    for target in run.targets().iter().filter(|target| counterpart(map, definition, target).is_none()) {
        problems.of("node_needed", target, "the run was started for it, and it is not there");
    }
    for kept in run.branches.kept().iter() {
        let node = &run.definition().node(kept.place.node).id;
        let undo = counterpart(map, definition, node).and_then(|now| definition.undo_of(now));
        if undo.is_none() {
            problems.of("undo_missing", node, "it has succeeded and says what undoes it, and the version does not");
        }
    }
}

fn check_nodes(run: &Run, definition: &Definition, map: &Renamed, problems: &mut Problems) {
    for (place, state) in run.places().filter(|(place, _)| place.branch == BranchId::ROOT) {
        if state.phase == Phase::Pending {
            continue;
        }
        let node = &run.definition().node(place.node).id;
        match counterpart(map, definition, node) {
            Some(now) => check_counterpart(run, (place, state), (definition, now), map, problems),
            None if map.get(node) == Some(&None) => check_gone(run, (place, state), problems),
            // That its counterpart is not there is said already.
            None if map.contains_key(node) => {}
            None => {
                let status = state.phase.status().as_str();
                let message =
                    format!("it is {status}, and the version has no such node: map it to its counterpart, or to null");
                problems.of("node_missing", node, message);
            }
        }
    }
}

/// Checks that nothing is left of a node that is gone.
fn check_gone(run: &Run, (place, state): (Place, &NodeState), problems: &mut Problems) {
    let node = &run.definition().node(place.node).id;
    if state.phase.is_active() {
        problems.of("node_needed", node, "it is under way: let it end, or end it by hand, before it is gone");
    }
    if run.assets.unrecorded().any(|(of, _)| of == place) || run.assets.landing(place).is_some() {
        problems.of("node_needed", node, "what it has produced is not recorded yet");
    }
    let stands_behind =
        |(_, other): &(Place, &NodeState)| other.phase.is_active() && other.caught.as_ref() == Some(node);
    if run.places().any(|at| stands_behind(&at)) {
        problems.of("node_needed", node, "a node is under way that stands behind its failure");
    }
}

/// Checks that what has happened at a node can have happened at its counterpart.
fn check_counterpart(
    run: &Run,
    (place, state): (Place, &NodeState),
    (definition, now): (&Definition, NodeIx),
    map: &Renamed,
    problems: &mut Problems,
) {
    let before = run.definition();
    let (was, is) = (before.node(place.node), definition.node(now));
    if was.action.kind() != is.action.kind() {
        let message =
            format!("it is a {}, and `{}` of the version is a {}", was.action.kind(), is.id, is.action.kind());
        problems.of("kind_differs", &was.id, message);
        return;
    }
    let named = |loops: Vec<NodeIx>| -> Option<Vec<NodeIx>> {
        loops.into_iter().map(|header| counterpart(map, definition, &before.node(header).id)).collect()
    };
    let around = loops_around(before, place.node).and_then(named);
    if around.is_none() || around != loops_around(definition, now) {
        problems.of("region_differs", &was.id, format!("`{}` of the version lies in another body or loop", is.id));
    }
    let handler = |execution: &Execution| match execution {
        Execution::Fleet { job } => Some(job.to_string()),
        Execution::Engine(_)
        | Execution::Inside { .. }
        | Execution::Fails { .. }
        | Execution::Each(_)
        | Execution::Group(_)
        | Execution::Calls(_)
        | Execution::Waits(_)
        | Execution::Listens(_)
        | Execution::Undoes
        | Execution::Callback(_)
        | Execution::Continues(_)
        | Execution::Asks(_) => None,
    };
    if let Some(current) = state.phase.current() {
        let same_handler = handler(&was.action.execution) == handler(&is.action.execution);
        let is_held = current.holder().is_some();
        if !same_handler || (is_held && was.queue != is.queue) {
            let message = "an attempt of it is under way, and the version has another handler or queue for it";
            problems.of("handler_differs", &was.id, message);
        }
    }
    let is_known_outside = matches!(state.phase, Phase::AwaitingAssets { .. } | Phase::AwaitingMemo(_))
        || state.asked.is_some()
        || run.assets.landing(place).is_some();
    if is_known_outside && was.id != is.id {
        let message = "assets or a memo answer it by its name: it keeps that until they have";
        problems.of("name_needed", &was.id, message);
    }
}
