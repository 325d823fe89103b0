//! What follows from an event outside the run.

use super::event::AssetNeed;
use super::landing;
use super::migration::addresses_before;
use super::recall;
use super::state::{Phase, Run};
use super::step::depth_of;
use super::succession::{self, first_of};
use super::{ProducedAsset, RunEvent};
use crate::definition::CallEnd;
use crate::dialogue::{Answer, AssetCommand, CalledBy, Caller, ChildEnd, ProducerEnd, RecordAsset, ResolveConsumption};
use crate::dialogue::{MemoCommand, StartRun, ToRun, Trigger, Waiter};
use crate::failure::RunFailure;
use crate::{AssetId, Attempt, DefinitionVersion, NodeAddress, RunId, Slug, Timestamp};

/// What follows from an event outside the run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEffect {
    /// An asset of the run's workspace hears of it; `index` tells apart what one event says.
    ToAsset { index: u64, asset: AssetId, said: AssetCommand },
    /// The memo of a digest hears of it.
    ToMemo { index: u64, digest: String, said: MemoCommand },
    /// Another run hears of it.
    ToRun { run: RunId, said: ToRun },
    /// The run that goes on from it hears of it; `index` tells apart what one event says.
    ToSuccessor { index: u64, run: RunId, said: ToRun },
    /// A workflow of the run's workspace is asked which version of it is current.
    AskVersion { index: u64, workflow: Slug, caller: Caller },
    /// Whoever holds an attempt of the node should stop.
    CancelTasks { node: NodeAddress },
}

/// Tells whoever holds an attempt of a node, which he may have been given under a name that it had before.
fn cancel_tasks(run: &Run, node: &NodeAddress, follows: &mut impl FnMut(RunEffect)) {
    let before = addresses_before(run, node);
    before.chain([node.clone()]).for_each(|node| follows(RunEffect::CancelTasks { node }));
}

/// Says what follows from one event. `run` is the state after the whole decision.
pub fn react(run: &Run, event: &RunEvent, now: Timestamp, follows: &mut impl FnMut(RunEffect)) {
    let mut index = 0;
    let mut to_asset = |asset: &AssetId, said: AssetCommand| {
        follows(RunEffect::ToAsset { index, asset: asset.clone(), said });
        index += 1;
    };
    match event {
        RunEvent::NodeAwaitedAssets { node, needs } => {
            needs.iter().for_each(|need| to_asset(&need.asset, resolve(run, node, need)));
        }
        RunEvent::NodeSucceeded { node, attempt, assets, .. } if publishes(run, assets) => {
            record_assets(run, node, *attempt, assets, now, &mut to_asset);
        }
        RunEvent::NodeSucceeded { landed: Some(_), .. } | RunEvent::MemoAsked { .. } | RunEvent::MemoLeft { .. } => {
            landing::follows(run, event, follows);
        }
        RunEvent::NodeCancelled { node } | RunEvent::NodeOverruled { node, .. } => {
            let (waits, works) = was_at(run, node);
            if waits {
                forget_waiters(run, node, &mut to_asset);
            }
            if works {
                cancel_tasks(run, node, follows);
            }
        }
        // One asset was refused; the node waits for its others no longer.
        RunEvent::NodeFailed { node, .. } if has_not_begun(run, node) => forget_waiters(run, node, &mut to_asset),
        // Whoever works on something of it is asked to come to an end.
        RunEvent::RunStopping { .. } => run.held().for_each(|held| cancel_tasks(run, &held.node, follows)),
        RunEvent::AttemptScheduled { node, attempt, child: Some(_), .. } => ask_which(run, node, *attempt, 0, follows),
        RunEvent::ChildCalled { node, child, version, .. } => call(run, node, (*child, *version), follows),
        RunEvent::ChildWithdrawn { child, keeps, .. } => withdraw(run, *child, *keeps, follows),
        RunEvent::RunStarted { .. } => tell_of_start(run, follows),
        RunEvent::SuccessorCalled { .. } | RunEvent::SuccessorWithdrawn { .. } => {
            succession::follows(run, event, follows)
        }
        RunEvent::RunSucceeded { .. } | RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } => {
            tell_of_end(run, event, follows);
        }
        RunEvent::AssetRecorded { node, asset, .. } => tell_of_record(run, node, asset, follows),
        RunEvent::AssetResolved { .. }
        | RunEvent::MemoCleared { .. }
        | RunEvent::SignalReceived { .. }
        | RunEvent::SignalInherited { .. }
        | RunEvent::CallbackAwaited { .. }
        | RunEvent::CallbackHeard { .. }
        | RunEvent::CallbackAnswered { .. }
        | RunEvent::SuccessorChosen { .. }
        | RunEvent::CompensationKept { .. }
        | RunEvent::SignalTaken { .. }
        | RunEvent::RunPaused { .. }
        | RunEvent::RunResumed { .. }
        | RunEvent::RunTerminated { .. }
        | RunEvent::RunMigrated { .. }
        | RunEvent::TimerChanged { .. }
        | RunEvent::SignalAnswered { .. }
        | RunEvent::PersonAsked { .. }
        | RunEvent::PersonAnswered { .. }
        | RunEvent::PersonReassigned { .. }
        | RunEvent::PersonReminded { .. }
        | RunEvent::AttemptScheduled { .. }
        | RunEvent::AttemptGranted { .. }
        | RunEvent::AttemptReturned { .. }
        | RunEvent::AttemptStarted { .. }
        | RunEvent::AttemptFailed { .. }
        | RunEvent::RetryArmed { .. }
        | RunEvent::NodeSucceeded { .. }
        | RunEvent::NodeFailed { .. }
        | RunEvent::NodeSkipped { .. }
        | RunEvent::RunEnding { .. }
        | RunEvent::ItemsListed { .. }
        | RunEvent::BranchesOpened { .. }
        | RunEvent::BranchClosing { .. }
        | RunEvent::JoinClosing { .. }
        | RunEvent::BranchEnded { .. }
        | RunEvent::RunDescribed { .. }
        | RunEvent::ResultsRecalled { .. } => {}
    }
}

/// Whether assets that a node has made are recorded: a sandbox publishes nothing.
fn publishes(run: &Run, assets: &[ProducedAsset]) -> bool {
    !assets.is_empty() && !recall::is_sandbox(run)
}

/// Tells of the end of a run whoever waits for it.
fn tell_of_end(run: &Run, event: &RunEvent, follows: &mut impl FnMut(RunEffect)) {
    if let Some((producer, child)) = ends_of(run, event) {
        end_producer(run, producer, &mut |asset: &AssetId, said: AssetCommand| {
            follows(RunEffect::ToAsset { index: 0, asset: asset.clone(), said });
        });
        tell_caller(run, child, follows);
    }
}

/// Tells of the start of a run: the one that goes on in it, or who called it.
fn tell_of_start(run: &Run, follows: &mut impl FnMut(RunEffect)) {
    if !succession::tell_of_start(run, follows) {
        tell_caller(run, ChildEnd::Started {}, follows);
    }
}

fn has_not_begun(run: &Run, node: &NodeAddress) -> bool {
    run.find(node).is_none_or(|place| run.node(place).attempts == 0)
}

/// How a run that ends has ended, for whoever waits for an asset of it, and whoever called it. Where another goes on from it they wait
/// for the end of that.
fn ends_of(run: &Run, event: &RunEvent) -> Option<(ProducerEnd, ChildEnd)> {
    if let RunEvent::RunSucceeded { output, successor: None } = event {
        let recorded = run.assets.promised().to_vec();
        return Some((ProducerEnd::Succeeded, ChildEnd::Succeeded { output: output.clone(), recorded }));
    }
    if let RunEvent::RunFailed { failure } = event {
        let producer = ProducerEnd::Failed { failure: failure.clone() };
        return Some((producer, ChildEnd::Failed { failure: failure.clone() }));
    }
    let RunEvent::RunCancelled { reason } = event else { return None };
    let failure = RunFailure::new("cancelled", format!("the producing run was cancelled: {reason}"));
    Some((ProducerEnd::Failed { failure }, ChildEnd::Cancelled { reason: reason.clone() }))
}

/// Has every asset record what a node produced.
fn record_assets(
    run: &Run,
    node: &NodeAddress,
    attempt: Attempt,
    assets: &[ProducedAsset],
    now: Timestamp,
    to_asset: &mut impl FnMut(&AssetId, AssetCommand),
) {
    let place = run.place_of(node).expect("an event names a node of its definition");
    for asset in assets {
        // What the result does not say of its own, the declaration says.
        let declared = run.definition().node(place.node).produces.iter().find(|p| p.asset == asset.asset_id);
        let schema = declared.and_then(|p| p.schema.as_ref()).map(|schema| schema.source().clone());
        let freshness = declared.and_then(|p| p.freshness.as_ref()).map(|freshness| freshness.source().clone());
        let record = Box::new(RecordAsset {
            run: run.id(),
            workflow: run.workflow().clone(),
            definition: run.version(),
            node: node.clone(),
            attempt,
            partition: asset.partition_key.clone(),
            payload: asset.payload.clone(),
            schema: asset.schema.clone().or(schema),
            freshness: asset.freshness.clone().or(freshness),
            produced_at: asset.produced_at.unwrap_or(now),
            run_started_at: run.origin.started_at(),
            run_input: run.input().clone(),
            inputs: run.assets.consumed().to_vec(),
        });
        to_asset(&asset.asset_id, AssetCommand::RecordAsset(record));
    }
}

/// Says whether a node that was cancelled may have waited for assets, and for a worker. Of one whose branch has ended too nobody
/// knows.
fn was_at(run: &Run, node: &NodeAddress) -> (bool, bool) {
    let place = run.place_of(node).expect("an event names a node of its definition");
    let attempts = run.find(node).map(|place| run.node(place).attempts);
    let consumes = !run.definition().node(place.node).consumes.is_empty();
    let waits = consumes && attempts.is_none_or(|attempts| attempts == 0);
    (waits, !consumes || attempts.is_none_or(|attempts| attempts > 0))
}

/// Tells every asset that the node might wait for that it does not. An asset it does not wait for takes no notice.
fn forget_waiters(run: &Run, node: &NodeAddress, to_asset: &mut impl FnMut(&AssetId, AssetCommand)) {
    let place = run.place_of(node).expect("an event names a node of its definition");
    for consumes in &run.definition().node(place.node).consumes {
        let waiter = Waiter { run: run.id(), node: node.clone() };
        to_asset(&consumes.asset, AssetCommand::ForgetWaiter { waiter });
    }
}

/// Asks which version an attempt calls, where that is not said and not settled.
fn ask_which(run: &Run, node: &NodeAddress, attempt: Attempt, index: u64, follows: &mut impl FnMut(RunEffect)) {
    let Some(place) = run.find(node) else { return };
    let is_open = run.current(place).is_some_and(|current| {
        let awaited = current.child().or(current.successor());
        current.attempt == attempt && awaited.is_some_and(|(_, version)| version.is_none())
    });
    let action = &run.definition().node(place.node).action;
    let successor = action.continues().map(|continues| continues.workflow.as_ref().unwrap_or(run.workflow()));
    if let Some(workflow) = action.call().map(|call| &call.workflow).or(successor).filter(|_| is_open) {
        let caller = Caller { run: run.id(), node: node.clone(), attempt };
        follows(RunEffect::AskVersion { index, workflow: workflow.clone(), caller });
    }
}

/// Has a run cancelled that a node does not wait for any more.
pub(super) fn withdraw(run: &Run, child: RunId, keeps: bool, follows: &mut impl FnMut(RunEffect)) {
    let reason = format!("the run {} does not wait for it any more", run.id());
    follows(RunEffect::ToRun { run: child, said: ToRun::Withdraw { reason, keeps } });
}

/// Tells the run that a node calls to start, where it still waits for that.
fn call(
    run: &Run,
    node: &NodeAddress,
    (child, version): (RunId, DefinitionVersion),
    follows: &mut impl FnMut(RunEffect),
) {
    if let Some(start) = start_of_child(run, node, child, version) {
        follows(RunEffect::ToRun { run: child, said: ToRun::Start(start) });
    }
}

/// How a run starts that a node calls, and still waits for.
fn start_of_child(run: &Run, address: &NodeAddress, child: RunId, version: DefinitionVersion) -> Option<StartRun> {
    let place = run.find(address)?;
    let current = run.current(place).filter(|current| current.child().is_some_and(|(awaited, _)| awaited == child))?;
    let node = run.definition().node(place.node);
    let call = node.action.call()?;
    Some(StartRun {
        workspace: run.workspace().clone(),
        workflow: call.workflow.clone(),
        version,
        input: current.input.clone().unwrap_or_else(|| run.input().clone()),
        trigger: Trigger::Call(Box::new(CalledBy {
            parent: run.id(),
            node: address.clone(),
            attempt: current.attempt,
            depth: depth_of(run) + 1,
            detached: call.until == CallEnd::Begun,
            assets: node.produces.iter().filter(|promised| !promised.optional).map(|p| p.asset.clone()).collect(),
        })),
        keyed: false,
        wishes: None,
    })
}

/// Tells the node that called the run of what it waits for: the run's start, or its end.
fn tell_caller(run: &Run, end: ChildEnd, follows: &mut impl FnMut(RunEffect)) {
    let answered = answer_to_caller(first_of(run), run.origin.trigger(), end);
    if let Some((parent, said)) = answered {
        follows(RunEffect::ToRun { run: parent, said });
    }
}

/// Tells the node that called the run that all it waits for is recorded, as this asset is, and a memo that a result is.
fn tell_of_record(run: &Run, node: &NodeAddress, asset: &AssetId, follows: &mut impl FnMut(RunEffect)) {
    landing::land(run, node, false, follows);
    let (promised, recorded) = (run.origin.trigger().promised(), run.assets.promised());
    if promised.contains(asset) && recorded.len() == promised.len() {
        tell_caller(run, ChildEnd::Recorded { recorded: recorded.to_vec() }, follows);
    }
}

/// Returns what whoever called a run is told, if that is what he waits for.
pub(crate) fn answer_to_caller(child: RunId, trigger: &Trigger, end: ChildEnd) -> Option<(RunId, ToRun)> {
    match trigger {
        Trigger::Call(by) => {
            let is_start = end == ChildEnd::Started {};
            let (node, attempt, answer) = (by.node.clone(), by.attempt, Answer::Ended { child, end });
            (is_start == by.detached).then_some((by.parent, ToRun::Answer { node, attempt, answer }))
        }
        Trigger::Manual {} | Trigger::Materialize { .. } => None,
    }
}

fn end_producer(run: &Run, end: ProducerEnd, to_asset: &mut impl FnMut(&AssetId, AssetCommand)) {
    match run.origin.trigger() {
        Trigger::Materialize { asset, .. } => {
            to_asset(asset, AssetCommand::EndProducer { run: first_of(run), end });
        }
        Trigger::Manual {} | Trigger::Call(_) => {}
    }
}

fn resolve(run: &Run, node: &NodeAddress, need: &AssetNeed) -> AssetCommand {
    AssetCommand::ResolveConsumption(ResolveConsumption {
        waiter: Waiter { run: run.id(), node: node.clone() },
        partition: need.partition.clone(),
        require: need.require,
        on_miss: need.on_miss,
        producer_input: need.producer_input.clone(),
    })
}

/// Says everything an active run still waits for from outside, for an owner that has just taken over.
/// Sending it again is harmless: commands keep the id they had. Attempts that wait are handed out as they were before.
pub fn outstanding(run: &Run, follows: &mut impl FnMut(RunEffect)) {
    if run.status.is_terminal() {
        return;
    }
    // Asked anew, each under an id of its own: the asset answers a waiter it has served before again.
    let mut index = u64::MAX;
    for (place, state) in run.places() {
        match &state.phase {
            Phase::AwaitingAssets { missing } if run.goes_on(place) => {
                let node = &run.address(place);
                for need in missing {
                    let asset = need.asset.clone();
                    follows(RunEffect::ToAsset { index, asset, said: resolve(run, node, need) });
                    index -= 1;
                }
            }
            // That a child starts is not said again: one that has ended long ago would start once more.
            Phase::Current(current) if current.child().or(current.successor()).is_some() && run.goes_on(place) => {
                ask_which(run, &run.address(place), current.attempt, index, follows);
                index -= 1;
            }
            Phase::AwaitingMemo(awaited) if !awaited.cleared && run.goes_on(place) => {
                let (digest, said) =
                    (&awaited.digest, landing::ask(run, &run.address(place), &awaited.digest, awaited.max_age_ms));
                follows(RunEffect::ToMemo { index, digest: digest.clone(), said });
                index -= 1;
            }
            Phase::AwaitingAssets { .. }
            | Phase::AwaitingMemo(_)
            | Phase::Pending
            | Phase::Current(_)
            | Phase::Retrying { .. }
            | Phase::Around(_)
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => {}
        }
    }
}
