//! Which transitions of the other version count as taken: what was taken stays taken, and what is new is taken where it would be
//! if its node ended now.

use std::collections::{BTreeMap, BTreeSet};

use super::passage::{has_ended, is_at_home};
use super::plan::Problems;
use super::{Renamed, counterpart, passage};
use crate::Timestamp;
use crate::definition::{Definition, NodeIx, TransitionIx};
use crate::expr::Work;
use crate::failure::RunFailure;
use crate::run::state::{Phase, Place, Run, WayOut};
use crate::run::step::{Exit, Failed};

/// Finds them. `next` is the run as it would be in the other version, with no way taken.
pub(super) fn taken(
    run: &Run,
    next: &Run,
    map: &Renamed,
    now: Timestamp,
    work: &Work,
    problems: &mut Problems,
) -> Vec<u32> {
    let (before, definition) = (run.definition(), next.definition());
    let counterparts = counterparts(before, definition, map);
    let mut wanted = BTreeSet::new();
    let mut unhandled = Vec::new();
    for (ix, node) in definition.nodes.iter().enumerate() {
        let ix = NodeIx(ix as u32);
        let leads_somewhere = node.leaving().any(|way| is_at_home(definition, way));
        if !has_ended(next, ix) || !(leads_somewhere || next.node(Place::root(ix)).phase == Phase::Failed) {
            continue;
        }
        let left = left(next, ix, now, work);
        wanted.extend(left.taken.iter().copied());
        unhandled.extend(left.failure.map(|failure| (ix, failure)));
    }
    let (known, matched) = as_before(run, definition, &counterparts, &wanted);
    let is_there = |way: &u32| is_at_home(definition, TransitionIx(*way));
    let taken: BTreeSet<u32> = wanted.into_iter().filter(|way| is_there(way) && !matched.contains(way)).collect();
    let taken: Vec<u32> = taken.union(&known).copied().collect();
    for (ix, failure) in unhandled {
        // What went on after it goes on.
        let goes_on = definition.node(ix).leaving().any(|way| taken.binary_search(&way.0).is_ok());
        if !goes_on {
            problems.of(failure.code, &definition.node(ix).id, failure.message);
        }
    }
    taken
}

/// How a node would be left that has ended.
struct Left {
    taken: Vec<u32>,
    /// Why the run would end with it.
    failure: Option<RunFailure>,
}

fn left(next: &Run, ix: NodeIx, now: Timestamp, work: &Work) -> Left {
    let (place, node) = (Place::root(ix), next.definition().node(ix));
    let state = next.node(place);
    let after = |end: WayOut<'_>| {
        let all = || node.on_success.iter().flatten().map(|way| way.0).collect();
        let exit = Exit::of(next, place, end, now, work);
        Left { taken: exit.taken.unwrap_or_else(all), failure: exit.failure }
    };
    match (&state.phase, &state.output) {
        (Phase::Succeeded, Some(output)) => after(WayOut::Succeeded(output)),
        (Phase::Failed, Some(_)) => after(WayOut::Tolerated),
        (Phase::Failed, None) => {
            let failure = state.failure.as_deref().cloned();
            let failure = failure.unwrap_or_else(|| RunFailure::new("unknown", "an older release did not keep why"));
            let failed = Failed::of(next, place, failure, now, work);
            let is_handled = failed.fatal.is_none() && !failed.tolerated;
            let message =
                format!("the node has failed, and the version has no way on for that: {}", failed.failure.message);
            let unhandled = (!is_handled).then(|| RunFailure::new("failure_unhandled", message));
            Left { taken: if is_handled { failed.taken } else { Vec::new() }, failure: unhandled }
        }
        (
            Phase::Succeeded
            | Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::AwaitingMemo(_)
            | Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Around(_)
            | Phase::Skipped
            | Phase::Cancelled,
            _,
        ) => Left { taken: Vec::new(), failure: None },
    }
}

/// Pairs transitions that lead from the counterpart of a node to the counterpart of another, on the same outcome, in order.
fn counterparts(before: &Definition, definition: &Definition, map: &Renamed) -> BTreeMap<u32, u32> {
    let mut by_ends: BTreeMap<(NodeIx, NodeIx, bool), Vec<u32>> = BTreeMap::new();
    let is_on_success = |way: &crate::definition::Transition| way.on == crate::definition::Outcome::Success;
    for (at, way) in definition.transitions.iter().enumerate().rev() {
        if way.back.is_none() {
            by_ends.entry((way.from, way.to, is_on_success(way))).or_default().push(at as u32);
        }
    }
    let name = |ix: NodeIx| counterpart(map, definition, &before.node(ix).id);
    let pair = |(at, way): (usize, &crate::definition::Transition)| {
        let ends = (name(way.from)?, name(way.to)?, is_on_success(way));
        Some((at as u32, by_ends.get_mut(&ends)?.pop()?))
    };
    before.transitions.iter().enumerate().filter(|(_, way)| way.back.is_none()).filter_map(pair).collect()
}

/// Returns which of the transitions that were there before count as taken, and all that were. How many ways into a node were
/// taken is known, and mostly which; where it is not, those count that would be taken now, before the others.
fn as_before(
    run: &Run,
    definition: &Definition,
    counterparts: &BTreeMap<u32, u32>,
    wanted: &BTreeSet<u32>,
) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let before = run.definition();
    let (mut known, mut matched) = (BTreeSet::new(), BTreeSet::new());
    for to in passage::at_home(before) {
        let is_decided = |way: &&TransitionIx| has_ended(run, before.transition(**way).from);
        let decided = before.node(to).incoming.iter().filter(is_decided).map(|way| counterparts.get(&way.0));
        let mut decided: Vec<Option<&u32>> = decided.collect();
        decided.sort_by_key(|way| !way.is_some_and(|way| wanted.contains(way)));
        let taken = run.node(Place::root(to)).taken as usize;
        for (at, way) in decided.into_iter().enumerate() {
            let Some(way) = way.filter(|way| is_at_home(definition, TransitionIx(**way))) else { continue };
            matched.insert(*way);
            if at < taken {
                known.insert(*way);
            }
        }
    }
    (known, matched)
}
