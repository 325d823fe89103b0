//! Golden events: one file for each event as it was first written. Files are only ever added: what a release has
//! written, every later release reads and means the same by it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p headwater-core --test golden` writes the files that are missing, and only those.

use std::collections::BTreeMap;
use std::path::PathBuf;

use headwater_core::action::ActionEvent;
use headwater_core::asset::*;
use headwater_core::definition::{OnMiss, Require};
use headwater_core::dialogue::Asker;
use headwater_core::memo::MemoEvent;
use headwater_core::run::*;
use headwater_core::shard::{Effect, Event, Record, Release, ReleaseBy};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{Attempt, DefinitionVersion, Json, Revision, Version};
use serde_json::json;

#[path = "golden_samples/callbacks.rs"]
mod callbacks;
#[path = "golden_samples/chains.rs"]
mod chains;
#[path = "golden_samples/hands.rs"]
mod hands;
#[path = "golden_samples/people.rs"]
mod people;
#[path = "golden_samples/runs.rs"]
mod runs;

use runs::{at, failure, name, run, runs, waiter};

fn assets() -> Vec<(&'static str, AssetEvent)> {
    let declaration = Declaration {
        paused: false,
        workflow: name("site"),
        version: DefinitionVersion::new(2),
        producers: vec![ProducerDeclaration {
            node: name("build"),
            name: Some("Build".into()),
            kind: "job".into(),
            schema: Some(Json::of(&json!({"type": "object"}))),
            freshness: None,
            partitioning: None,
            auto_materialize: None,
            primary: true,
            defaults: Json::empty_object(),
            required: vec!["dir".into()],
        }],
        consumers: vec![ConsumerDeclaration {
            node: name("pack"),
            name: None,
            kind: "job".into(),
            schema: None,
            freshness: None,
            partitioning: None,
            auto_materialize: None,
        }],
    };
    let record = RecordAsset {
        run: run(),
        workflow: name("site"),
        definition: DefinitionVersion::new(2),
        node: name("build"),
        attempt: Attempt::FIRST,
        partition: None,
        payload: Json::of(&json!({"path": "/srv"})),
        schema: None,
        freshness: None,
        produced_at: at(2),
        run_started_at: at(0),
        run_input: Json::of(&json!({"dir": "/"})),
        inputs: vec![InputVersion { asset: name("site.source"), partition: None, version: Version::new(9) }],
    };
    vec![
        ("asset-declared", AssetEvent::AssetDeclared(declaration)),
        ("asset-materialized", AssetEvent::AssetMaterialized { version: Version::new(4), record: Box::new(record) }),
        (
            "consumption-granted",
            AssetEvent::ConsumptionGranted { waiter: waiter(), partition: None, version: Some(Version::new(4)) },
        ),
        (
            "waiter-added",
            AssetEvent::WaiterAdded {
                waiter: waiter(),
                partition: None,
                require: Require::Version(Version::new(5)),
                on_miss: OnMiss::Materialize,
            },
        ),
        (
            "materialization-requested",
            AssetEvent::MaterializationRequested {
                partition: None,
                run: run(),
                workflow: name("site"),
                definition: DefinitionVersion::new(2),
                input: Json::of(&json!({"dir": "/"})),
                requested_by: waiter(),
            },
        ),
        ("materialization-ended", AssetEvent::MaterializationEnded { partition: None, run: run() }),
        (
            "materialization-failed",
            AssetEvent::MaterializationFailed { partition: None, run: run(), failure: failure() },
        ),
        ("consumption-refused", AssetEvent::ConsumptionRefused { waiter: waiter(), failure: failure() }),
        ("waiter-forgotten", AssetEvent::WaiterForgotten { waiter: waiter() }),
    ]
}

fn samples() -> Vec<(&'static str, Event)> {
    let document = Json::of(&json!({"slug": "site", "steps": [{"id": "build", "jobSlug": "build"}]}));
    let content_hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned();
    let applied =
        WorkflowEvent::WorkflowApplied { version: DefinitionVersion::FIRST, content_hash, document: document.clone() };
    let selected = WorkflowEvent::VersionSelected { version: DefinitionVersion::FIRST };
    let mut samples: Vec<_> = runs().into_iter().map(|(file, event)| (file, Event::Run(event))).collect();
    samples.extend(hands::hands().into_iter().map(|(file, event)| (file, Event::Run(event))));
    samples.extend(callbacks::callbacks().into_iter().map(|(file, event)| (file, Event::Run(event))));
    samples.extend(chains::chains().into_iter().map(|(file, event)| (file, Event::Run(event))));
    samples.extend(people::people().into_iter().map(|(file, event)| (file, Event::Run(event))));
    samples.extend(assets().into_iter().map(|(file, event)| (file, Event::Asset(event))));
    samples.push(("workflow-applied", Event::Workflow(applied)));
    samples.push(("version-selected", Event::Workflow(selected)));
    let pinned = |version| Event::Workflow(WorkflowEvent::VersionPinned { version });
    samples.push(("version-pinned", pinned(Some(DefinitionVersion::FIRST))));
    samples.push(("version-unpinned", pinned(None)));
    let reason = Some("the vault is shut".to_owned());
    samples.push(("starts-paused", Event::Workflow(WorkflowEvent::StartsPaused { reason })));
    samples.push(("starts-resumed", Event::Workflow(WorkflowEvent::StartsResumed { reason: None })));
    let version = DefinitionVersion::new(3);
    let content_hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned();
    let action = Json::of(&json!({"kind": "action", "slug": "fetch", "jobSlug": "fetch", "input": "${{ params }}"}));
    samples.push((
        "action-applied",
        Event::Action(ActionEvent::ActionApplied { version, content_hash, document: action }),
    ));
    samples.push(("action-selected", Event::Action(ActionEvent::ActionSelected { version })));
    let asker = Asker { run: run(), node: name("build") };
    let (digest, output) = ("1f".repeat(32), Json::of(&json!({"files": 3})));
    let recorded = InputVersion { asset: name("site.report"), partition: None, version: Version::new(9) };
    let kept = |assets| {
        let (digest, asker, output) = (digest.clone(), asker.clone(), output.clone());
        MemoEvent::ResultKept { digest, asker, output, assets }
    };
    let of_memo = [
        ("result-reused", MemoEvent::ResultReused { digest: digest.clone(), asker: asker.clone() }),
        ("flight-began", MemoEvent::FlightBegan { digest: digest.clone(), asker: asker.clone() }),
        ("asker-waited", MemoEvent::AskerWaited { digest: digest.clone(), asker: asker.clone() }),
        ("asker-sent-off", MemoEvent::AskerSentOff { digest: digest.clone(), asker: asker.clone() }),
        ("result-kept-with-assets", kept(vec![recorded])),
        ("result-kept", kept(Vec::new())),
        ("flight-ended", MemoEvent::FlightEnded { digest: digest.clone(), asker: asker.clone() }),
        ("asker-left", MemoEvent::AskerLeft { digest: digest.clone(), asker: asker.clone() }),
    ];
    samples.extend(of_memo.map(|(file, event)| (file, Event::Memo(event))));
    samples.push(("definition-adopted", Event::DefinitionAdopted { document }));
    samples.extend(releases().into_iter().map(|(file, release)| (file, Event::Released(Box::new(release)))));
    samples
}

fn releases() -> Vec<(&'static str, Release)> {
    let record = Json::of(&json!({"its": "record"}));
    let node = name("build");
    let told = Effect::CancelTasks { workspace: name("default"), run: run(), node };
    let end = Record::Ended {
        status: RunStatus::Failed,
        version: DefinitionVersion::new(2),
        start_hash: 0x0123_4567_89ab_cdef,
        keyed: true,
    };
    let skip = ReleaseBy::Skip { revisions: vec![Revision::new(7)] };
    let refold = |record| Release { by: ReleaseBy::Refold {}, record, owed: Vec::new() };
    vec![
        (
            "released-run",
            Release { owed: vec![told.clone()], ..refold(Record::Run { format: 1, record: record.clone() }) },
        ),
        ("released-asset", Release { by: skip, ..refold(Record::Asset { format: 1, record: record.clone() }) }),
        ("released-workflow", refold(Record::Workflow { format: 1, record: record.clone() })),
        ("released-action", refold(Record::Action { format: 1, record: record.clone() })),
        ("released-memo", refold(Record::Memo { format: 1, record: record.clone() })),
        ("released-definition", refold(Record::Definition { document: record })),
        ("released-ended", Release { by: ReleaseBy::End {}, record: end, owed: vec![told] }),
        ("released-unknown", Release { by: ReleaseBy::End {}, record: Record::Unknown {}, owed: Vec::new() }),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn every_event_is_written_as_it_always_was() {
    for (file, event) in samples() {
        let path = folder().join(format!("{file}.v1.json"));
        let written = serde_json::to_string_pretty(&serde_json::to_value(&event).unwrap()).unwrap() + "\n";
        if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(written, golden, "{file}");
    }
}

#[test]
fn every_file_still_means_what_it_meant() {
    let samples: BTreeMap<_, _> = samples().into_iter().collect();
    let mut read = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let event: Event = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let stem = path.file_stem().unwrap().to_str().unwrap().trim_end_matches(".v1").to_owned();
        let again = serde_json::to_value(&event).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap(), "{stem}");
        assert!(samples.contains_key(stem.as_str()), "{stem} has no sample any more");
        read += 1;
    }
    assert_eq!(read, samples.len());
}
