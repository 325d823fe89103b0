//! What memos hear of nodes that asked them: what came of it, and, where the node produces assets, when they are recorded.

use super::RunEvent;
use super::agenda::Next;
use super::budget::Later;
use super::decision::Decision;
use super::evolve::Fold;
use super::react::RunEffect;
use super::state::{Landing, Place, Run};
use crate::dialogue::{Asker, InputVersion, MemoCommand, is_kept};
use crate::{Json, NodeAddress};

/// Has those memos know that are to hear of a result once all its assets are recorded, which the run does not wait for. What
/// this decision has no room for is left, where the end is certain already.
pub(super) fn leave(decision: &mut Decision<'_>) -> Result<(), Later> {
    let run = decision.run();
    let left: Vec<_> = run.assets.landings().map(|(place, it)| (run.address(place), it.digest.clone())).collect();
    let is_patient = run.next() == Some(Next::Withdraw);
    for (node, digest) in left {
        if is_patient && !decision.turn.may_begin() {
            return Err(Later);
        }
        decision.emit(RunEvent::MemoLeft { node, digest });
    }
    Ok(())
}

/// Returns whether a memo is to hear of a node that has succeeded once everything of it is recorded.
pub(super) fn is_under_way(run: &Run, node: &NodeAddress, digest: &str) -> bool {
    run.place_of(node).and_then(|place| run.assets.landing(place)).is_some_and(|landing| landing.digest == digest)
}

/// Learns that a memo is to hear of what a node has made, where that has assets.
pub(super) fn begin(run: &mut Fold<'_>, place: Place, output: &Json, digest: &str) {
    if !run.definition().node(place.node).produces.is_empty() {
        let landing = Landing { digest: digest.to_owned(), output: output.clone(), assets: Vec::new() };
        run.assets.land(place, landing);
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
            // Once all of it is recorded; what a call was promised is.
            land(run, node, true, follows);
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

/// Tells a memo of a result with assets, if they are all recorded: with the node's end, or with the last of them.
pub(super) fn land(run: &Run, node: &NodeAddress, at_once: bool, follows: &mut impl FnMut(RunEffect)) {
    // Whoever called the run hears first of what is recorded.
    let index = u64::from(!at_once);
    if let Some(landed) = run.place_of(node).and_then(|place| run.assets.landed(place, at_once)) {
        follows(landing(run, node, (index, &landed.digest), Some(&landed.output), &landed.assets));
    }
}

/// Memos have been told.
pub(crate) fn told(run: &mut Run) {
    run.assets.forget_landed();
}

fn landing(
    run: &Run,
    node: &NodeAddress,
    (index, digest): (u64, &str),
    output: Option<&Json>,
    assets: &[InputVersion],
) -> RunEffect {
    let output = output.filter(|output| is_kept(output, assets)).cloned();
    let (asker, digest) = (Asker { run: run.id(), node: node.clone() }, digest.to_owned());
    let said = MemoCommand::Land { digest: digest.clone(), asker, output, assets: assets.to_vec() };
    RunEffect::ToMemo { index, digest, said }
}

pub(super) fn ask(run: &Run, node: &NodeAddress, digest: &str, max_age_ms: Option<u64>) -> MemoCommand {
    let asker = Asker { run: run.id(), node: node.clone() };
    MemoCommand::Ask { digest: digest.to_owned(), asker, max_age_ms }
}
