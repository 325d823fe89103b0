//! Whether a node's result was made before: what it asks a memo, and what comes of the answer.

use super::Step;
use super::begin_as_it_is;
use super::signature::{check_output, render_with};
use crate::definition::{Node, Reuse, ReuseKey, ReuseScope};
use crate::dialogue::{InputVersion, MemoAnswer, Trigger};
use crate::run::budget::Later;
use crate::run::recall::{Parts, canonical};
use crate::run::state::{AwaitedMemo, Phase};
use crate::run::{RunEvent, RunFailure};
use crate::{AssetId, Json};

/// Asks for the result, or begins at once where the key says that there is none to be had.
pub(super) fn ask(step: &mut Step<'_, '_>, reuse: &Reuse, input: Option<Json>) -> Result<(), Later> {
    let digest = match digest_of(step, reuse, input.as_ref()) {
        Ok(Some(digest)) => digest,
        Ok(None) => return begin_as_it_is(step, input),
        Err(failure) => return step.fail(failure, None),
    };
    let event = RunEvent::MemoAsked { node: step.address(), digest, max_age_ms: reuse.max_age_ms, input };
    if step.find_room(event.weight(), None)? {
        step.decision.emit(event);
    }
    Ok(())
}

/// Takes a memo's answer, if the node still waits for it. A result that does not fit here is none.
pub(in crate::run) fn answer(step: &mut Step<'_, '_>, digest: &str, said: MemoAnswer) -> Result<(), Later> {
    if awaited(step).is_none_or(|awaited| awaited.digest != digest || awaited.cleared) {
        return Ok(());
    }
    if let MemoAnswer::Hit { output, made_by, assets } = said
        && check_output(step, &output).is_ok()
        && step.decision.run().check_state_after(step.place, &output, step.work()).is_ok()
        && is_what_it_produces(step.node(), &assets)
        && !is_to_be_new(step.decision.run().origin.trigger(), &assets)
    {
        step.reused = Some(Box::new(made_by));
        return step.succeed_with(step.attempt(), output, assets);
    }
    step.decision.turn.check_work()?;
    let node = step.address();
    step.decision.emit(RunEvent::MemoCleared { node });
    Ok(())
}

/// Returns whether these are what the node produces: each is declared, and none is missing that is not optional.
fn is_what_it_produces(node: &Node, assets: &[InputVersion]) -> bool {
    let is_declared = |version: &InputVersion| node.produces.iter().any(|declared| declared.asset == version.asset);
    let is_there = |asset: &AssetId| assets.iter().any(|version| version.asset == *asset);
    let mut needed = node.produces.iter().filter(|declared| !declared.optional);
    assets.iter().all(is_declared) && needed.all(|declared| is_there(&declared.asset))
}

/// Returns whether the run was started for a new version of one of these.
fn is_to_be_new(trigger: &Trigger, assets: &[InputVersion]) -> bool {
    match trigger {
        Trigger::Materialize { asset, .. } => assets.iter().any(|version| version.asset == *asset),
        Trigger::Manual {} | Trigger::Call(_) => false,
    }
}

/// Returns whether the node is to tell the memo how it ends: it waits for its answer, or does it itself.
pub(in crate::run) fn is_minded(step: &Step<'_, '_>, digest: &str) -> bool {
    step.state().phase.is_active() && step.state().asked.as_deref() == Some(digest)
}

/// Has the memo know that the node ends without a result for it.
pub(super) fn leave(step: &mut Step<'_, '_>) {
    if let Some(digest) = step.state().asked.as_deref().map(str::to_owned) {
        let node = step.address();
        step.decision.emit(RunEvent::MemoLeft { node, digest });
    }
}

/// Returns whether the node has asked.
pub(super) fn is_asked(step: &Step<'_, '_>) -> bool {
    awaited(step).is_some()
}

fn awaited<'s>(step: &'s Step<'_, '_>) -> Option<&'s AwaitedMemo> {
    if let Phase::AwaitingMemo(awaited) = &step.state().phase { Some(awaited) } else { None }
}

/// What the node asks for: of its workspace, in its scope, by its key. `None`: the key is `null`.
fn digest_of(step: &Step<'_, '_>, reuse: &Reuse, input: Option<&Json>) -> Result<Option<String>, RunFailure> {
    let run = step.decision.run();
    let mut hash = Parts::new();
    hash.part(run.workspace().as_str());
    match reuse.scope {
        ReuseScope::Workspace => hash.part("workspace"),
        ReuseScope::Node => {
            hash.part("node");
            hash.part(run.workflow().as_str());
            hash.part(step.node().id.as_str());
        }
    }
    match &reuse.key {
        ReuseKey::Key(key) => {
            let key = render_with(step, key, None).map_err(|error| error.into_failure())?;
            step.work().take(key.len_bytes() as u64)?;
            if key.is_null() {
                return Ok(None);
            }
            hash.part("key");
            // However its author ordered the keys of objects.
            hash.part(&canonical(&key));
        }
        ReuseKey::Unchanged { definition } => {
            hash.part("unchanged");
            hash.part(definition);
            let input = input.unwrap_or_else(|| run.input());
            step.work().take(input.len_bytes() as u64)?;
            hash.made_of(input, &step.state().consumed);
        }
    }
    Ok(Some(hash.digest()))
}
