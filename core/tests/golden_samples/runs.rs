//! What runs learn: one event of each kind.

use headwater_core::asset::*;
use headwater_core::definition::{OnMiss, Require};
use headwater_core::dialogue::{Asker, InputVersion};
use headwater_core::expr::ConsumedAsset;
use headwater_core::run::*;
use headwater_core::{
    Attempt, BranchId, CommandId, DefinitionVersion, Json, LeaseToken, Revision, RunFailure, RunId, SessionId,
    Timestamp, Version,
};
use serde_json::json;

pub fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

pub fn run() -> RunId {
    name("0197a3f0-7c00-7abc-8def-0123456789ab")
}

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000 + seconds * 1_000_000)
}

fn digest() -> String {
    "1f".repeat(32)
}

pub fn failure() -> RunFailure {
    RunFailure::new("disk_full", "no space left on device").at(&name("build"), Some(Attempt::new(2)))
}

pub fn ended(outcome: BranchOutcome) -> RunEvent {
    RunEvent::BranchEnded { branch: BranchId::new(7), outcome }
}

pub fn explained() -> RunFailure {
    failure().with_details(Json::of(&json!({"status": 507, "headers": {"retry-after": "120"}})))
}

pub fn chosen() -> ConsumedAsset {
    ConsumedAsset {
        asset: name("site.report"),
        partition: None,
        version: Version::new(3),
        payload: Json::of(&json!({"path": "/srv"})),
    }
}

fn recalled() -> Recalled {
    Recalled {
        within: vec![(name("each"), 3)],
        from: Asker { run: run(), node: name("build@17") },
        result: Some(RecalledResult {
            output: Json::of(&json!({"ok": true})),
            given: Some(Json::of(&json!({"dir": "/"}))),
            consumed: vec![chosen()],
            assets: vec![InputVersion { asset: name("site.pages"), partition: None, version: Version::new(4) }],
            made_of: Some("7a".repeat(32)),
        }),
    }
}

pub fn waiter() -> Waiter {
    Waiter { run: run(), node: name("pack") }
}

pub fn called(detached: bool) -> RunEvent {
    let node = name("build@17");
    RunEvent::RunStarted {
        workspace: name("default"),
        workflow: name("site"),
        version: DefinitionVersion::new(2),
        input: Json::empty_object(),
        trigger: Trigger::Call(Box::new(CalledBy {
            parent: run(),
            node,
            attempt: Attempt::new(2),
            depth: 3,
            detached,
            assets: Vec::new(),
        })),
        keyed: false,
        targets: Vec::new(),
        continued: None,
    }
}

pub fn runs() -> Vec<(&'static str, RunEvent)> {
    let node = || name("build");
    let lease = LeaseToken::from_bits(0x0123_4567_89ab_cdef);
    let need = AssetNeed {
        asset: name("site.report"),
        partition: Some(name("2026-11-21")),
        require: Require::Fresh { max_age_ms: 60_000 },
        on_miss: Some(OnMiss::Wait),
        producer_input: Some(Json::of(&json!({"dir": "/"}))),
    };
    let produced = ProducedAsset {
        asset_id: name("site.report"),
        payload: Json::of(&json!({"path": "/srv"})),
        produced_at: Some(at(1)),
        partition_key: Some(name("2026-11-21")),
        schema: Some(Json::of(&json!({"type": "object"}))),
        freshness: Some(Json::of(&json!({"ttlMs": 60_000}))),
    };
    vec![
        (
            "run-started",
            RunEvent::RunStarted {
                workspace: name("default"),
                workflow: name("site"),
                version: DefinitionVersion::new(2),
                input: Json::of(&json!({"dir": "/"})),
                trigger: Trigger::Manual {},
                keyed: true,
                targets: Vec::new(),
                continued: None,
            },
        ),
        (
            "run-started-to-materialize",
            RunEvent::RunStarted {
                workspace: name("default"),
                workflow: name("site"),
                version: DefinitionVersion::new(2),
                input: Json::empty_object(),
                trigger: Trigger::Materialize { asset: name("site.report"), partition: None, requested_by: run() },
                keyed: false,
                targets: Vec::new(),
                continued: None,
            },
        ),
        (
            "run-started-from-another",
            RunEvent::RunStarted {
                workspace: name("default"),
                workflow: name("site"),
                version: DefinitionVersion::new(2),
                input: Json::empty_object(),
                trigger: Trigger::Manual {},
                keyed: false,
                targets: Vec::new(),
                continued: Some(Box::new(ContinuedFrom {
                    run: run(),
                    revision: Revision::new(41),
                    how: Continuation::Restart { node: name("pack") },
                    reason: Some("the disk was full".to_owned()),
                    pieces: 1,
                })),
            },
        ),
        ("results-recalled", RunEvent::ResultsRecalled { piece: 1, results: Json::of(&vec![recalled()]) }),
        (
            "run-started-for-a-part",
            RunEvent::RunStarted {
                workspace: name("default"),
                workflow: name("site"),
                version: DefinitionVersion::new(2),
                input: Json::empty_object(),
                trigger: Trigger::Manual {},
                keyed: false,
                targets: vec![name("build"), name("pack")],
                continued: None,
            },
        ),
        (
            "run-described",
            RunEvent::RunDescribed {
                description: Description {
                    name: Some("nightly".to_owned()),
                    labels: [("env".to_owned(), "prod".to_owned())].into(),
                    attributes: [("rows".to_owned(), Json::of(&7))].into(),
                },
            },
        ),
        ("run-started-by-a-call", called(false)),
        ("run-started-by-a-call-that-goes-on", called(true)),
        ("node-awaited-assets", RunEvent::NodeAwaitedAssets { node: node(), needs: vec![need] }),
        (
            "asset-resolved",
            RunEvent::AssetResolved { node: node(), asset: name("site.report"), chosen: Some(chosen()) },
        ),
        (
            "attempt-scheduled",
            RunEvent::AttemptScheduled {
                node: node(),
                attempt: Attempt::FIRST,
                lease,
                input: Some(Json::of(&json!([1, 2.5, null]))),
                wakes_at: Some(at(90)),
                handed_to: Some(name("worker.1")),
                session: None,
                child: None,
                signals: Vec::new(),
            },
        ),
        (
            "attempt-scheduled-to-call",
            RunEvent::AttemptScheduled {
                node: node(),
                attempt: Attempt::FIRST,
                lease,
                input: None,
                wakes_at: None,
                handed_to: None,
                session: None,
                child: Some(run()),
                signals: Vec::new(),
            },
        ),
        (
            "attempt-scheduled-to-wait-for-signals",
            RunEvent::AttemptScheduled {
                node: node(),
                attempt: Attempt::FIRST,
                lease,
                input: None,
                wakes_at: None,
                handed_to: None,
                session: None,
                child: None,
                signals: vec![
                    AwaitedSignal { name: name("approved"), key: Some(name("order 7")) },
                    AwaitedSignal { name: name("withdrawn"), key: None },
                ],
            },
        ),
        (
            "signal-received",
            RunEvent::SignalReceived {
                signal: CommandId::from_uuid(uuid::Uuid::from_u128(9)),
                name: name("approved"),
                key: Some(name("order 7")),
                payload: Json::of(&json!({"by": "ada"})),
                broadcast: false,
                update: false,
            },
        ),
        (
            "signal-received-by-all",
            RunEvent::SignalReceived {
                signal: CommandId::from_uuid(uuid::Uuid::from_u128(9)),
                name: name("approved"),
                key: None,
                payload: Json::null(),
                broadcast: true,
                update: false,
            },
        ),
        (
            "signal-taken",
            RunEvent::SignalTaken {
                node: node(),
                attempt: Attempt::FIRST,
                signal: CommandId::from_uuid(uuid::Uuid::from_u128(9)),
            },
        ),
        (
            "child-called",
            RunEvent::ChildCalled {
                node: node(),
                attempt: Attempt::FIRST,
                child: run(),
                version: DefinitionVersion::new(3),
            },
        ),
        (
            "child-withdrawn",
            RunEvent::ChildWithdrawn { node: node(), attempt: Attempt::FIRST, child: run(), keeps: false },
        ),
        (
            "attempt-granted",
            RunEvent::AttemptGranted {
                node: node(),
                attempt: Attempt::FIRST,
                lease,
                worker: name("worker.1"),
                session: SessionId::from_bits(0x5e55),
            },
        ),
        (
            "attempt-returned",
            RunEvent::AttemptReturned { node: node(), attempt: Attempt::FIRST, worker: name("worker.1") },
        ),
        (
            "attempt-started",
            RunEvent::AttemptStarted {
                node: node(),
                attempt: Attempt::FIRST,
                worker: name("worker.1"),
                started_at: at(1),
            },
        ),
        (
            "attempt-failed",
            RunEvent::AttemptFailed {
                node: node(),
                attempt: Attempt::new(2),
                failure: failure(),
                worker: Some(name("worker.1")),
                started_at: Some(at(1)),
            },
        ),
        ("retry-armed", RunEvent::RetryArmed { node: node(), attempt: Attempt::new(3), due_at: at(4) }),
        (
            "node-succeeded",
            RunEvent::NodeSucceeded {
                node: node(),
                attempt: Attempt::FIRST,
                output: Json::of(&json!({"files": 3})),
                assets: vec![produced],
                worker: Some(name("worker.1")),
                started_at: Some(at(1)),
                taken: Some(vec![0, 2]),
                reused: None,
                landed: None,
            },
        ),
        (
            "node-succeeded-with-a-result-of-another",
            RunEvent::NodeSucceeded {
                node: node(),
                attempt: Attempt::FIRST,
                output: Json::of(&json!({"files": 3})),
                assets: Vec::new(),
                worker: None,
                started_at: None,
                taken: None,
                reused: Some(Box::new(Asker { run: run(), node: node() })),
                landed: Some(digest().into()),
            },
        ),
        (
            "node-succeeded-for-others",
            RunEvent::NodeSucceeded {
                node: node(),
                attempt: Attempt::FIRST,
                output: Json::of(&json!({"files": 3})),
                assets: Vec::new(),
                worker: Some(name("worker.1")),
                started_at: Some(at(1)),
                taken: None,
                reused: None,
                landed: Some(digest().into()),
            },
        ),
        (
            "memo-asked",
            RunEvent::MemoAsked {
                node: node(),
                digest: digest(),
                max_age_ms: Some(60_000),
                input: Some(Json::of(&json!({"dir": "/"}))),
            },
        ),
        ("memo-cleared", RunEvent::MemoCleared { node: node() }),
        ("memo-left", RunEvent::MemoLeft { node: node(), digest: digest() }),
        (
            "attempt-failed-with-details",
            RunEvent::AttemptFailed {
                node: node(),
                attempt: Attempt::new(2),
                failure: explained(),
                worker: None,
                started_at: None,
            },
        ),
        ("node-failed", RunEvent::NodeFailed { node: node(), failure: failure(), taken: vec![1], tolerated: false }),
        (
            "node-failed-and-tolerated",
            RunEvent::NodeFailed { node: node(), failure: failure(), taken: vec![0, 2], tolerated: true },
        ),
        ("node-skipped", RunEvent::NodeSkipped { node: node() }),
        ("node-cancelled", RunEvent::NodeCancelled { node: node() }),
        (
            "asset-recorded",
            RunEvent::AssetRecorded {
                node: node(),
                asset: name("site.report"),
                partition: Some(name("2026-11-21")),
                version: Version::new(4),
            },
        ),
        ("items-listed", RunEvent::ItemsListed { node: node(), items: Json::of(&json!(["a", {"b": 1}])) }),
        (
            "branches-opened",
            RunEvent::BranchesOpened {
                node: node(),
                kind: BranchKind::Item,
                first: BranchId::new(7),
                from: 3,
                count: 2,
            },
        ),
        ("compensation-kept", RunEvent::CompensationKept { node: node(), input: Json::of(&json!({"booking": 7})) }),
        (
            "branch-opened-that-undoes",
            RunEvent::BranchesOpened {
                node: name("compensation"),
                kind: BranchKind::Undo,
                first: BranchId::new(7),
                from: 3,
                count: 1,
            },
        ),
        (
            "child-withdrawn-that-keeps",
            RunEvent::ChildWithdrawn { node: name("book~undo@7"), attempt: Attempt::FIRST, child: run(), keeps: true },
        ),
        (
            "run-ending-cancelled-that-keeps",
            RunEvent::RunEnding { ending: Ending::Cancelled { reason: "enough".into(), keeps: true } },
        ),
        ("branch-closing", RunEvent::BranchClosing { branch: BranchId::new(7), failure: failure() }),
        ("join-closing-enough", RunEvent::JoinClosing { node: node(), join: JoinClosing::Enough {} }),
        (
            "join-closing-failed",
            RunEvent::JoinClosing { node: node(), join: JoinClosing::Failed { failure: failure() } },
        ),
        ("branch-succeeded-as", ended(BranchOutcome::SucceededAs { node: name("score"), key: Some("a".into()) })),
        ("branch-succeeded", ended(BranchOutcome::Succeeded { output: Json::of(&json!([1])), key: Some("a".into()) })),
        ("branch-failed", ended(BranchOutcome::Failed { failure: failure() })),
        ("branch-cancelled", ended(BranchOutcome::Cancelled {})),
        ("branch-turned", ended(BranchOutcome::Turned { again: true })),
        ("run-succeeded", RunEvent::RunSucceeded { output: Json::of(&json!({"pack": {"ok": true}})), successor: None }),
        ("run-failed", RunEvent::RunFailed { failure: failure() }),
        ("run-ending-failed", RunEvent::RunEnding { ending: Ending::Failed { failure: failure() } }),
        (
            "run-ending-cancelled",
            RunEvent::RunEnding { ending: Ending::Cancelled { reason: "enough".into(), keeps: false } },
        ),
        ("run-cancelled", RunEvent::RunCancelled { reason: "enough".into() }),
    ]
}
