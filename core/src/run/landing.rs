//! What memos hear of nodes that asked them: what came of it, and, where the node produces assets, when they are recorded.

use super::RunEvent;
use super::decision::Decision;
use super::evolve::Fold;
use super::react::RunEffect;
use super::state::{Landing, Run};
use crate::dialogue::{Asker, InputVersion, MemoCommand, RESULT_BYTES_MAX};
use crate::{Json, NodeAddress};

/// Has those memos know that are to hear of a result once all its assets are recorded, which the run does not wait for.
pub(super) fn leave(decision: &mut Decision<'_>) {
    let run = decision.run();
    let left = run.assets.landings_under_way();
    let left: Vec<_> = left.map(|landing| (run.address(landing.place), landing.digest.clone())).collect();
    for (node, digest) in left {
        decision.emit(RunEvent::MemoLeft { node, digest });
    }
}

/// Returns whether a memo is to hear of a node that has succeeded once everything of it is recorded.
pub(super) fn is_under_way(run: &Run, node: &NodeAddress, digest: &str) -> bool {
    let of = run.place_of(node);
    run.assets.landings_under_way().any(|landing| Some(landing.place) == of && landing.digest == digest)
}

/// Learns that a memo is to hear of what a node has made, where that has assets.
pub(super) fn begin(run: &mut Fold<'_>, node: &NodeAddress, output: &Json, digest: &str) {
    let place = run.place(node);
    if !run.definition().node(place.node).produces.is_empty() {
        let (digest, output) = (digest.to_owned(), output.clone());
        run.assets.land(Landing { place, digest, output, assets: Vec::new() });
    }
}

/// Learns that a memo is not to hear of a node any more; its branch may have ended.
pub(super) fn forget(run: &mut Fold<'_>, node: &NodeAddress) {
    if let Some(place) = run.place_of(node) {
        run.assets.leave(place);
    }
    if let Some(place) = run.find(node) {
        run.node_mut(place).asked = None;
    }
}

/// Says what a memo hears of a node.
pub(super) fn follows(run: &Run, event: &RunEvent, follows: &mut impl FnMut(RunEffect)) {
    if let RunEvent::MemoAsked { node, digest, max_age_ms, .. } = event {
        let said = ask(run, node, digest, *max_age_ms);
        follows(RunEffect::ToMemo { index: 0, digest: digest.clone(), said });
    } else if let RunEvent::NodeSucceeded { node, output, landed: Some(digest), reused, .. } = event {
        if reused.is_none() && produces(run, node) {
            // Once all of it is recorded.
            land(run, node, 0, follows);
        } else {
            // Who has taken a result may have asked a second time meanwhile, and been told to make it.
            let output = Some(output).filter(|_| reused.is_none());
            follows(landing(run, node, (0, digest), output, &[]));
        }
    } else if let RunEvent::MemoLeft { node, digest } = event {
        follows(landing(run, node, (0, digest), None, &[]));
    }
}

fn produces(run: &Run, node: &NodeAddress) -> bool {
    run.place_of(node).is_some_and(|place| !run.definition().node(place.node).produces.is_empty())
}

/// Tells a memo of a result with assets, if they are all recorded. `index` tells it apart from what else the event says.
pub(super) fn land(run: &Run, node: &NodeAddress, index: u64, follows: &mut impl FnMut(RunEffect)) {
    if let Some(landed) = run.place_of(node).and_then(|place| run.assets.landed(place)) {
        follows(landing(run, node, (index, &landed.digest), Some(&landed.output), &landed.assets));
    }
}

fn landing(
    run: &Run,
    node: &NodeAddress,
    (index, digest): (u64, &str),
    output: Option<&Json>,
    assets: &[InputVersion],
) -> RunEffect {
    let output = output.filter(|output| output.len_bytes() <= RESULT_BYTES_MAX).cloned();
    let (asker, digest) = (Asker { run: run.id(), node: node.clone() }, digest.to_owned());
    let said = MemoCommand::Land { digest: digest.clone(), asker, output, assets: assets.to_vec() };
    RunEffect::ToMemo { index, digest, said }
}

pub(super) fn ask(run: &Run, node: &NodeAddress, digest: &str, max_age_ms: Option<u64>) -> MemoCommand {
    let asker = Asker { run: run.id(), node: node.clone() };
    MemoCommand::Ask { digest: digest.to_owned(), asker, max_age_ms }
}
