//! What happened, in words that a person reads.

use headwater_core::action::ActionEvent;
use headwater_core::asset::AssetEvent;
use headwater_core::memo::MemoEvent;
use headwater_core::run::{BranchOutcome, RunEvent};
use headwater_core::shard::Event;
use headwater_core::workflow::WorkflowEvent;

/// One event in a word.
pub fn word(event: &Event) -> String {
    match event {
        Event::Run(event) => of_run(event),
        Event::Asset(event) => of_asset(event),
        Event::Workflow(WorkflowEvent::WorkflowApplied { version, .. }) => format!("applied({version})"),
        Event::Workflow(WorkflowEvent::VersionSelected { version }) => format!("selected({version})"),
        Event::Workflow(WorkflowEvent::VersionPinned { version }) => format!("pinned({version:?})"),
        Event::Workflow(WorkflowEvent::StartsPaused { .. }) => "paused".to_owned(),
        Event::Workflow(WorkflowEvent::StartsResumed { .. }) => "resumed".to_owned(),
        Event::Action(ActionEvent::ActionApplied { version, .. }) => format!("action({version})"),
        Event::Action(ActionEvent::ActionSelected { version }) => format!("action-again({version})"),
        Event::Memo(event) => of_memo(event),
        Event::DefinitionAdopted { .. } => "adopted".into(),
        Event::Released(_) => "released".into(),
    }
}

fn of_memo(event: &MemoEvent) -> String {
    match event {
        MemoEvent::ResultReused { asker, .. } => format!("hit({}/{})", asker.run, asker.node),
        MemoEvent::FlightBegan { asker, .. } => format!("flies({}/{})", asker.run, asker.node),
        MemoEvent::AskerWaited { asker, .. } => format!("waits({}/{})", asker.run, asker.node),
        MemoEvent::AskerSentOff { asker, .. } => format!("sent-off({}/{})", asker.run, asker.node),
        MemoEvent::ResultKept { asker, .. } => format!("kept({}/{})", asker.run, asker.node),
        MemoEvent::FlightEnded { asker, .. } => format!("nothing({}/{})", asker.run, asker.node),
        MemoEvent::AskerLeft { asker, .. } => format!("left({}/{})", asker.run, asker.node),
    }
}

fn of_run(event: &RunEvent) -> String {
    match event {
        RunEvent::RunStarted { workflow, version, .. } => format!("started({workflow}@{version})"),
        RunEvent::ResultsRecalled { piece, .. } => format!("recalls{piece}"),
        RunEvent::NodeAwaitedAssets { node, .. } => format!("{node}:awaits"),
        RunEvent::MemoAsked { node, .. } => format!("{node}:asks"),
        RunEvent::MemoCleared { node } => format!("{node}:flies"),
        RunEvent::MemoLeft { node, .. } => format!("{node}:leaves"),
        RunEvent::NodeSucceeded { node, reused: Some(by), .. } => format!("{node}:reuses({})", by.node),
        RunEvent::AssetResolved { node, asset, chosen } => {
            format!("{node}:gets({asset}@{})", chosen.as_ref().map_or("none".into(), |c| c.version.to_string()))
        }
        RunEvent::AttemptScheduled { node, attempt, handed_to, .. } => match handed_to {
            Some(worker) => format!("{node}:handed{attempt}({worker})"),
            None => format!("{node}:try{attempt}"),
        },
        RunEvent::SignalReceived { name, .. } => format!("hears({name})"),
        RunEvent::SignalTaken { node, .. } => format!("{node}:takes"),
        RunEvent::RunPaused { node, .. } => node.as_ref().map_or("PAUSED".into(), |node| format!("{node}:paused")),
        RunEvent::RunResumed { node, .. } => node.as_ref().map_or("RESUMED".into(), |node| format!("{node}:resumed")),
        RunEvent::RunTerminated { .. } => "TERMINATED".into(),
        RunEvent::RunStopping { .. } => "STOPPING".into(),
        RunEvent::RunMigrated { version, .. } => format!("MIGRATED:{version}"),
        RunEvent::NodeOverruled { node, .. } => format!("{node}:overruled"),
        RunEvent::TimerChanged { node, .. } => format!("{node}:due"),
        RunEvent::SignalAnswered { node, .. } => format!("{node}:replies"),
        RunEvent::PersonAsked { node, .. } => format!("{node}:asked"),
        RunEvent::PersonAnswered { node, .. } => format!("{node}:answered"),
        RunEvent::PersonReassigned { node, .. } => format!("{node}:reassigned"),
        RunEvent::PersonReminded { node, .. } => format!("{node}:reminded"),
        RunEvent::ChildCalled { node, child, version, .. } => format!("{node}:calls({child}@{version})"),
        RunEvent::ChildWithdrawn { node, child, .. } => format!("{node}:withdraws({child})"),
        RunEvent::AttemptGranted { node, attempt, worker, .. } => format!("{node}:granted{attempt}({worker})"),
        RunEvent::AttemptReturned { node, .. } => format!("{node}:returned"),
        RunEvent::AttemptStarted { node, worker, .. } => format!("{node}:runs({worker})"),
        RunEvent::AttemptFailed { node, failure, .. } => format!("{node}:failed({})", failure.code),
        RunEvent::RetryArmed { node, attempt, .. } => format!("{node}:retry{attempt}"),
        RunEvent::NodeSucceeded { node, .. } => format!("{node}:ok"),
        RunEvent::NodeFailed { node, failure, tolerated, .. } => {
            format!("{node}:{}({})", if *tolerated { "tolerated" } else { "dead" }, failure.code)
        }
        RunEvent::CompensationKept { node, .. } => format!("{node}:keeps"),
        RunEvent::NodeSkipped { node } => format!("{node}:skipped"),
        RunEvent::NodeCancelled { node } => format!("{node}:cancelled"),
        RunEvent::RunDescribed { .. } => "described".into(),
        RunEvent::AssetRecorded { asset, version, .. } => format!("{asset}@{version}"),
        RunEvent::ItemsListed { node, .. } => format!("{node}:items"),
        RunEvent::BranchesOpened { node, first, count, .. } => format!("{node}:opens({}+{count})", first.get()),
        RunEvent::BranchClosing { branch, failure } => format!("@{}:closing({})", branch.get(), failure.code),
        RunEvent::JoinClosing { node, .. } => format!("{node}:enough"),
        RunEvent::BranchEnded { branch, outcome } => format!("@{}:{}", branch.get(), of_branch(outcome)),
        RunEvent::RunEnding { ending } => format!("ENDING({})", ending.status()),
        RunEvent::CallbackAwaited { node, .. } => format!("{node}:waits"),
        RunEvent::CallbackHeard { node, .. } => format!("{node}:alive"),
        RunEvent::CallbackAnswered { .. } => "called(back)".into(),
        RunEvent::SuccessorChosen { node, successor, version, .. } => format!("{node}:succeeds({successor}@{version})"),
        RunEvent::SuccessorCalled { successor } => format!("calls({successor})"),
        RunEvent::SuccessorWithdrawn { successor, .. } => format!("withdraws({successor})"),
        RunEvent::SignalInherited { name, .. } => format!("inherits({name})"),
        RunEvent::RunSucceeded { .. } => "SUCCEEDED".into(),
        RunEvent::RunFailed { failure } => format!("FAILED({}: {})", failure.code, failure.message),
        RunEvent::RunCancelled { .. } => "CANCELLED".into(),
    }
}

fn of_asset(event: &AssetEvent) -> String {
    match event {
        AssetEvent::AssetDeclared(declaration) => format!("declared({}@{})", declaration.workflow, declaration.version),
        AssetEvent::AssetMaterialized { version, record } => format!("made({version} by {})", record.run),
        AssetEvent::ConsumptionGranted { waiter, version, .. } => {
            format!("granted({} to {})", version.map_or("none".into(), |v| v.to_string()), waiter.run)
        }
        AssetEvent::WaiterAdded { waiter, .. } => format!("waits({})", waiter.run),
        AssetEvent::MaterializationRequested { run, .. } => format!("requested({run})"),
        AssetEvent::MaterializationEnded { run, .. } => format!("ended({run})"),
        AssetEvent::MaterializationFailed { run, failure, .. } => format!("unmade({} by {run})", failure.code),
        AssetEvent::ConsumptionRefused { waiter, failure } => format!("refused({} to {})", failure.code, waiter.run),
        AssetEvent::WaiterForgotten { waiter } => format!("forgotten({})", waiter.run),
    }
}

fn of_branch(outcome: &BranchOutcome) -> &'static str {
    match outcome {
        BranchOutcome::Succeeded { .. } | BranchOutcome::SucceededAs { .. } => "ok",
        BranchOutcome::Failed { .. } => "failed",
        BranchOutcome::Cancelled {} => "cancelled",
        BranchOutcome::Turned { again: true } => "again",
        BranchOutcome::Turned { again: false } => "over",
    }
}
