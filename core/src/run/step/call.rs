//! A node that calls another workflow, and waits for its run.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::kind::Kind;
use super::retry::{Again, Exhausted};
use super::{Begins, Step};
use crate::definition::{Call, CallEnd, OnChildFailure};
use crate::dialogue::{Answer, CALL_DEPTH_MAX, ChildEnd, InputVersion, Trigger};
use crate::run::budget::Later;
use crate::run::recall;
use crate::run::state::Due;
use crate::run::{Ending, Run, RunEvent, RunFailure};
use crate::{AssetId, Attempt, DefinitionVersion, Json, RunId};

pub(super) struct Calls<'n> {
    pub call: &'n Call,
}

impl Kind for Calls<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        if depth_of(step.decision.run()) >= CALL_DEPTH_MAX {
            let message =
                format!("the run stands in {CALL_DEPTH_MAX} calls within each other, and no call goes deeper");
            return step.fail(RunFailure::new("call_depth", message), None);
        }
        if recall::is_sandbox(step.decision.run()) {
            let message = "the run is a sandbox, and what it would call is none";
            return step.fail(RunFailure::new("sandbox", message), None);
        }
        step.schedule(input, Begins::Child(self.call.version))
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Timeout => {
                step.fail_attempt(RunFailure::new("timeout", "the called run took too long"), Again::AsTold, None)
            }
            Due::Retry => {
                let input = step.input();
                self.begin(step, input)
            }
            // No call is told when to end. One that some history told so has had its time.
            Due::Time => step.succeed(step.attempt(), Json::null(), Vec::new(), None),
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        withdraw_child(step);
        step.cancel();
    }
}

/// In how many calls a run stands.
pub(in crate::run) fn depth_of(run: &Run) -> u32 {
    match run.origin.trigger() {
        Trigger::Call(by) => by.depth,
        Trigger::Manual {} | Trigger::Materialize { .. } => 0,
    }
}

/// Learns how its call goes on. What is said of an attempt that is over, or of another child than its own, changes nothing.
pub(in crate::run) fn answer_call(step: &mut Step<'_, '_>, attempt: Attempt, answer: Answer) -> Result<(), Later> {
    let Some(current) = step.current().filter(|current| current.attempt == attempt) else { return Ok(()) };
    if let Some((successor, None)) = current.successor() {
        return answer_successor(step, attempt, successor, answer);
    }
    let (Some((child, called)), Some(call)) = (current.child(), step.node().action.call()) else { return Ok(()) };
    match answer {
        Answer::Current { version } => {
            if called.is_none() {
                call_child(step, attempt, child, version);
            }
            Ok(())
        }
        Answer::Refused { failure, permanent } => {
            let again = if permanent { Again::Never } else { Again::AsTold };
            step.fail_attempt(failure, again, None)
        }
        Answer::Ended { child: ended, .. } if ended != child => Ok(()),
        Answer::Ended { child, end } => end_call(step, call, attempt, child, end),
    }
}

/// Learns of which version the run is that this one goes on as, or that there is none.
fn answer_successor(step: &mut Step<'_, '_>, attempt: Attempt, successor: RunId, answer: Answer) -> Result<(), Later> {
    match answer {
        Answer::Current { version } => {
            call_child(step, attempt, successor, version);
            Ok(())
        }
        Answer::Refused { failure, permanent } => {
            let again = if permanent { Again::Never } else { Again::AsTold };
            step.fail_attempt(failure, again, None)
        }
        Answer::Ended { .. } => Ok(()),
    }
}

/// Has the run cancelled that the current attempt waits for, if it waits for one.
pub(super) fn withdraw_child(step: &mut Step<'_, '_>) {
    let waits = step.current_in_any_case().and_then(|current| Some((current.attempt, current.child()?.0)));
    if let Some((attempt, child)) = waits {
        let node = step.address();
        let keeps = matches!(step.decision.run().ending(), Some(Ending::Cancelled { keeps: true, .. }));
        step.decision.emit(RunEvent::ChildWithdrawn { node, attempt, child, keeps });
    }
}

/// Takes down which version is called: now its run is told to start.
pub(super) fn call_child(step: &mut Step<'_, '_>, attempt: Attempt, child: RunId, version: DefinitionVersion) {
    let node = step.address();
    step.decision.emit(RunEvent::ChildCalled { node, attempt, child, version });
}

/// Ends the attempt as its child has ended.
fn end_call(step: &mut Step<'_, '_>, call: &Call, attempt: Attempt, child: RunId, end: ChildEnd) -> Result<(), Later> {
    let (recorded, is_waited_for) = match &end {
        ChildEnd::Recorded { recorded } => (recorded.clone(), call.until == CallEnd::Recorded),
        ChildEnd::Succeeded { recorded, .. } => (recorded.clone(), true),
        ChildEnd::Started {} | ChildEnd::Failed { .. } | ChildEnd::Cancelled { .. } => (Vec::new(), true),
    };
    if !is_waited_for {
        return Ok(());
    }
    let (status, failure) = match end {
        ChildEnd::Started {} => {
            let output = Json::of(&json!({ "runId": child }));
            return step.succeed(attempt, output, Vec::new(), None);
        }
        ChildEnd::Recorded { .. } => {
            let versions = recorded.iter().map(|version| (version.asset.as_str(), version));
            let output = Json::of(&json!({ "runId": child, "assets": versions.collect::<BTreeMap<_, _>>() }));
            return step.succeed_with(attempt, output, recorded);
        }
        ChildEnd::Succeeded { .. } if broken_promise(step, &recorded).is_some() => {
            let asset = broken_promise(step, &recorded).map(ToString::to_string).unwrap_or_default();
            let message =
                format!("the called run succeeded without the asset {asset}, which the node declares to produce");
            ("failed", RunFailure::new("asset_missing_output", message))
        }
        ChildEnd::Succeeded { output, .. } => {
            let output = match call.on_failure {
                OnChildFailure::Propagate => output,
                OnChildFailure::Catch => caught("succeeded", &output, None),
            };
            return step.succeed_with(attempt, output, recorded);
        }
        ChildEnd::Failed { failure } => ("failed", failure),
        ChildEnd::Cancelled { reason } => {
            ("cancelled", RunFailure::new("call_cancelled", format!("the called run was cancelled: {reason}")))
        }
    };
    let exhausted = match call.on_failure {
        OnChildFailure::Propagate => Exhausted::Fails { withdraws: false },
        OnChildFailure::Catch => Exhausted::Succeeds { output: caught(status, &Json::null(), Some(&failure)) },
    };
    step.end_attempt_badly(failure, Again::AsTold, None, exhausted)
}

/// Returns an asset that the node promises and its child has not recorded.
fn broken_promise<'a>(step: &Step<'_, 'a>, recorded: &[InputVersion]) -> Option<&'a AssetId> {
    let promised = step.node().produces.iter().filter(|promised| !promised.optional);
    promised.map(|promised| &promised.asset).find(|asset| recorded.iter().all(|version| version.asset != **asset))
}

/// What a call returns that catches failures.
fn caught(status: &'static str, output: &Json, error: Option<&RunFailure>) -> Json {
    #[derive(Serialize)]
    struct Caught<'c> {
        status: &'static str,
        output: &'c Json,
        error: Option<&'c RunFailure>,
    }
    Json::of(&Caught { status, output, error })
}
