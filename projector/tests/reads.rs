//! What users see: the shapes of the HTTP API, read back from a small history.

mod workload;

use std::sync::Arc;
use std::time::Duration;

use headwater_core::asset::{AssetEvent, InputVersion, RecordAsset};
use headwater_core::run::{RunEvent, RunFailure, RunStatus, Trigger};
use headwater_core::shard::{AggregateId, AssetKey, Event, Position, WorkflowKey};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{
    AssetId, Attempt, DefinitionVersion, Json, LeaseToken, Revision, RunId, Sequence, Slug, Timestamp, Version,
    WorkspaceId,
};
use headwater_projector::queries::{Reads, RunFilter, RunsAfter, View};
use headwater_projector::server::PostgresServer;
use headwater_projector::{Database, Observer, Projector, WaitError};
use headwater_streams::journals::{Journals as _, MemoryJournals};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workload::{DAWN_MICROS, Dice, Shard};

const DEADLINE: Duration = Duration::from_secs(30);

fn workspace() -> WorkspaceId {
    "default".parse().unwrap()
}

fn here() -> View {
    View::now(workspace())
}

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn asset(text: &str) -> AssetId {
    text.parse().unwrap()
}

/// A run of `insights` for each number, each of which fails, succeeds or is left running; and its asset.
struct Told {
    journal: MemoryJournals,
    runs: Vec<RunId>,
}

fn tell() -> Told {
    let (journal, mut dice, mut shard) = (MemoryJournals::new(), Dice::new(1), Shard::new(0));
    let mut workflow = Revision::FIRST;
    for version in 1..=2 {
        let document = json!({"slug": "insights", "name": "Directory insights", "steps": [
            {"id": "scan", "jobSlug": "scan-directory", "name": "Scan",
             "produces": [{"assetId": "directory.insights.scan", "schema": {"type": "object"}, "freshness": {"ttlMs": 1000}}]},
            {"id": "report", "jobSlug": "generate-visualizations", "dependsOn": ["scan"],
             "consumes": [{"assetId": "directory.insights.scan"}, {"assetId": "elsewhere.made"}],
             "produces": [{"assetId": "directory.insights.report"}]}]});
        let applied = WorkflowEvent::WorkflowApplied {
            version: DefinitionVersion::new(version),
            content_hash: format!("hash-{version}"),
            document: Json::of(&document),
        };
        let key = WorkflowKey { workspace: workspace(), workflow: slug("insights") };
        shard.commit(&mut dice, AggregateId::Workflow(key), &mut workflow, vec![Event::Workflow(applied)]);
    }
    let (mut runs, mut scan) = (Vec::new(), Revision::FIRST);
    for number in 0..5_u64 {
        let run = RunId::new(shard.id, shard.clock, dice.wide());
        let mut revision = Revision::FIRST;
        let started = RunEvent::RunStarted {
            workspace: workspace(),
            workflow: slug(if number == 4 { "other" } else { "insights" }),
            version: DefinitionVersion::new(2),
            input: Json::of(&json!({"path": "/srv", "n": number})),
            trigger: Trigger::Manual {},
            keyed: false,
            targets: Vec::new(),
            continued: None,
        };
        let scheduled = |node: &str| RunEvent::AttemptScheduled {
            node: node.parse().unwrap(),
            attempt: Attempt::FIRST,
            lease: LeaseToken::from_bits(number),
            input: (node == "report").then(|| Json::of(&json!({"n": number}))),
            wakes_at: None,
            handed_to: None,
            session: None,
            child: None,
            signals: Vec::new(),
        };
        let mut commit = |shard: &mut Shard, dice: &mut Dice, events: Vec<RunEvent>| {
            let events = events.into_iter().map(Event::Run).collect();
            shard.commit(dice, AggregateId::Run(run), &mut revision, events);
        };
        commit(&mut shard, &mut dice, vec![started, scheduled("scan")]);
        let run_started_at = shard.clock;
        let succeeded = RunEvent::NodeSucceeded {
            node: "scan".parse().unwrap(),
            attempt: Attempt::FIRST,
            output: Json::of(&json!({"files": 3})),
            assets: Vec::new(),
            worker: Some("w-1".parse().unwrap()),
            started_at: Some(shard.clock),
            taken: None,
            reused: None,
            landed: None,
        };
        commit(&mut shard, &mut dice, vec![succeeded, scheduled("report")]);
        let record = RecordAsset {
            run,
            workflow: slug("insights"),
            definition: DefinitionVersion::new(2),
            node: "scan".parse().unwrap(),
            attempt: Attempt::FIRST,
            partition: (number % 2 == 1).then(|| "north".parse().unwrap()),
            payload: Json::of(&json!({"files": number})),
            schema: Some(Json::of(&json!({"type": "object"}))),
            freshness: None,
            produced_at: shard.clock,
            run_started_at,
            run_input: Json::empty_object(),
            inputs: vec![InputVersion { asset: asset("up.stream"), partition: None, version: Version::new(7) }],
        };
        let key = AssetKey { workspace: workspace(), asset: asset("Directory.Insights.Scan") };
        let made = AssetEvent::AssetMaterialized { version: Version::new(1 + number / 2), record: Box::new(record) };
        shard.commit(&mut dice, AggregateId::Asset(key), &mut scan, vec![Event::Asset(made)]);
        let details = Json::of(&json!({"status": 503}));
        let failure = RunFailure::new("boom", "it broke").at(&"report".parse().unwrap(), Some(Attempt::FIRST));
        let failure = failure.with_details(details);
        match number {
            0 => commit(&mut shard, &mut dice, vec![RunEvent::RunFailed { failure }]),
            1 => {
                let (node, taken, tolerated) = ("report".parse().unwrap(), Vec::new(), true);
                let node_failed = RunEvent::NodeFailed { node, failure, taken, tolerated };
                commit(
                    &mut shard,
                    &mut dice,
                    vec![node_failed, RunEvent::RunSucceeded { output: Json::null(), successor: None }],
                );
            }
            2..=3 => commit(
                &mut shard,
                &mut dice,
                vec![RunEvent::RunSucceeded { output: Json::of(&json!("done")), successor: None }],
            ),
            _ => {}
        }
        runs.push(run);
    }
    let message = shard.close(&mut dice);
    journal.append(shard.id, message);
    Told { journal, runs }
}

fn seen(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_have_the_shapes_users_know() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let database = Database::open(&server.url()).await.unwrap();
    let told = tell();
    let shards = vec![headwater_core::ShardId::new(0).unwrap()];
    let (head, shutdown) = (told.journal.head(shards[0]).await.unwrap(), CancellationToken::new());
    let projector = Projector::new(database.clone(), Arc::new(told.journal.clone()), shards.clone());
    let task = tokio::spawn(projector.run(shutdown.clone()));
    let reads = Reads::of(database.clone());
    let observer = Observer::new(database, &shards);
    let observed = observer.progress();
    let observing = tokio::spawn(observer.run(shutdown.clone()));
    let written = Position { shard: shards[0], sequence: head };
    observed.wait_for(written, DEADLINE).await.unwrap();
    let never = Position { shard: shards[0], sequence: head.next() };
    assert_eq!(observed.wait_for(never, Duration::from_millis(20)).await, Err(WaitError::DeadlinePassed));
    shutdown.cancel();
    observing.await.unwrap();
    task.await.unwrap();

    runs(&reads, &told).await;
    workflows(&reads).await;
    inventory(&reads, &told).await;
    catalogue(&reads).await;

    let cursors = reads.cursors().await.unwrap();
    assert_eq!((cursors.len(), cursors[0].sequence), (1, head));
    assert_eq!(reads.dead_event_count().await.unwrap(), 0);
    assert!(reads.dead_events(None, 10).await.unwrap().is_empty());
    assert_eq!(head, Sequence::FIRST);
    server.stop().await.unwrap();
}

async fn runs(reads: &Reads, told: &Told) {
    let (mut after, mut ids, any) = (None, Vec::new(), RunFilter::default());
    loop {
        let page = reads.runs(&workspace(), &any, after, 2).await.unwrap();
        ids.extend(page.runs.iter().map(|run| run.run_id));
        let Some(next) = page.next else { break };
        after = Some(next.parse::<RunsAfter>().unwrap());
    }
    let newest_first: Vec<_> = told.runs.iter().rev().copied().collect();
    assert_eq!(ids, newest_first);
    assert!("nonsense".parse::<RunsAfter>().is_err());
    let filter =
        RunFilter { workflow: Some(slug("insights")), status: Some(RunStatus::Succeeded), ..RunFilter::default() };
    assert_eq!(reads.runs(&workspace(), &filter, None, 10).await.unwrap().runs.len(), 3);
    assert!(reads.runs(&"stranger".parse().unwrap(), &any, None, 10).await.unwrap().runs.is_empty());

    let failed = reads.run(&workspace(), told.runs[0]).await.unwrap().unwrap();
    let shown = seen(&failed);
    assert_eq!(shown["status"], "failed");
    let error =
        json!({"code": "boom", "message": "it broke", "nodeId": "report", "attempt": 1, "details": {"status": 503}});
    assert_eq!(shown["error"], error);
    assert_eq!(shown["input"], json!({"path": "/srv", "n": 0}));
    assert_eq!(shown["revision"], 5);
    assert_eq!(shown["trigger"], json!({"manual": {}}));
    let nodes: Vec<_> =
        failed.nodes.iter().map(|node| (node.node_id.as_str(), node.status.as_str(), node.attempts)).collect();
    assert_eq!(nodes, [("scan", "succeeded", 1), ("report", "queued", 1)]);
    assert_eq!(shown["traces"][0]["output"], json!({"files": 3}));
    // The first step was given the run's input as it is, the second one of its own.
    assert_eq!(shown["traces"][0]["input"], shown["input"]);
    assert_eq!(shown["traces"][1]["input"], json!({"n": 0}));
    assert!(shown["startedAt"].as_str().unwrap().parse::<Timestamp>().unwrap().as_micros() > DAWN_MICROS);
    assert!(reads.run(&"stranger".parse().unwrap(), told.runs[0]).await.unwrap().is_none());

    let tolerant = seen(&reads.run(&workspace(), told.runs[1]).await.unwrap().unwrap());
    assert_eq!((&tolerant["status"], &tolerant["nodes"][1]["status"]), (&json!("succeeded"), &json!("failed")));
    let marks = [&tolerant["nodes"][0], &tolerant["nodes"][1], &tolerant["traces"][0], &tolerant["traces"][1]];
    assert_eq!(marks.map(|of| &of["tolerated"]), [false, true, false, true].map(|mark| json!(mark)).each_ref());
    assert_eq!(tolerant["traces"][1]["errorDetails"], json!({"status": 503}));
    assert_eq!(tolerant["traces"][0]["errorDetails"], Value::Null);

    let all = reads.run_events(&workspace(), told.runs[0], None, 100).await.unwrap();
    assert_eq!(all.iter().map(|event| event.revision).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(all[0].event.as_str().contains("runStarted"));
    assert_eq!(all[0].position, "0:1");
    // From the middle of a commit on.
    let tail = reads.run_events(&workspace(), told.runs[0], Some(Revision::new(3)), 100).await.unwrap();
    assert_eq!(tail, all[3..]);
    assert!(reads.run_events(&workspace(), told.runs[0], Some(Revision::new(5)), 100).await.unwrap().is_empty());
}

async fn workflows(reads: &Reads) {
    let list = reads.workflows(&here(), None, 10).await.unwrap();
    let shown = seen(&list);
    assert_eq!((shown[0]["slug"].as_str(), shown[0]["version"].as_u64()), (Some("insights"), Some(2)));
    assert_eq!(shown[0]["name"], "Directory insights");
    assert!(reads.workflows(&here(), Some(&slug("insights")), 10).await.unwrap().is_empty());
    let versions = reads.definitions(&here(), &slug("insights"), None, 10).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|version| (version.version, version.current)).collect();
    assert_eq!(versions, [(2, true), (1, false)]);
    let current = reads.definition(&here(), &slug("insights"), None).await.unwrap().unwrap();
    assert_eq!((current.summary.version, current.summary.current), (2, true));
    assert_eq!(seen(&current)["document"]["steps"][1]["dependsOn"], json!(["scan"]));
    let first = DefinitionVersion::FIRST;
    assert!(reads.definition(&here(), &slug("insights"), Some(first)).await.unwrap().is_some());
    assert!(reads.definition(&here(), &slug("nowhere"), None).await.unwrap().is_none());
}

async fn inventory(reads: &Reads, told: &Told) {
    let shown = seen(&reads.workflow_assets(&here(), &slug("insights")).await.unwrap().unwrap());
    let ids: Vec<_> =
        shown["assets"].as_array().unwrap().iter().map(|asset| asset["assetId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["directory.insights.report", "directory.insights.scan", "elsewhere.made"]);
    let report = &shown["assets"][0];
    assert_eq!((&report["latest"], &report["available"]), (&Value::Null, &json!(false)));
    let scan = &shown["assets"][1];
    assert_eq!(
        scan["producers"],
        json!([{"stepId": "scan", "stepName": "Scan", "stepType": "job", "schema": {"type": "object"},
                "freshness": {"ttlMs": 1000}, "partitioning": null, "autoMaterialize": null}])
    );
    assert_eq!(scan["consumers"][0]["stepName"], "report");
    assert_eq!(scan["available"], true);
    // The last run's, of the unpartitioned asset, though the run itself is still going on.
    let mut latest = scan["latest"].clone();
    for time in ["producedAt", "runStartedAt"] {
        assert!(latest[time].take().as_str().unwrap().parse::<Timestamp>().is_ok());
    }
    assert_eq!(
        latest,
        json!({"version": 3, "runId": told.runs[4], "runStatus": "running", "stepId": "scan", "stepName": "Scan",
               "stepStatus": "succeeded", "producedAt": null, "partitionKey": null, "payload": {"files": 4},
               "schema": {"type": "object"}, "freshness": null, "runStartedAt": null, "runCompletedAt": null, "runStartedBy": null,
               "inputs": [{"assetId": "up.stream", "partitionKey": null, "version": 7}]})
    );
    assert!(reads.workflow_assets(&here(), &slug("nowhere")).await.unwrap().is_none());

    let (insights, id) = (slug("insights"), asset("DIRECTORY.insights.scan"));
    let history = reads.asset_history(&here(), &insights, &id, None, 500).await.unwrap().unwrap();
    let files: Vec<_> = history.iter().map(|version| seen(version)["payload"]["files"].clone()).collect();
    assert_eq!(files, [4, 3, 2, 1, 0]);
    assert!(history[1].run_completed_at.is_some());
    let north = reads.asset_history(&here(), &insights, &id, Some(&"north".parse().unwrap()), 1).await.unwrap();
    let north = north.unwrap();
    assert_eq!((north.len(), north[0].version, north[0].partition_key.as_deref()), (1, 2, Some("north")));
    let declared = asset("elsewhere.made");
    assert_eq!(reads.asset_history(&here(), &insights, &declared, None, 10).await.unwrap(), Some(Vec::new()));
    let foreign = asset("not.declared");
    assert_eq!(reads.asset_history(&here(), &insights, &foreign, None, 10).await.unwrap(), None);
}

async fn catalogue(reads: &Reads) {
    let page = reads.assets(&here(), "Directory.", None, 10).await.unwrap();
    assert_eq!((page.assets.len(), page.next), (1, None));
    assert_eq!(page.assets[0].asset_id, "Directory.Insights.Scan");
    assert_eq!((page.assets[0].latest_version, page.assets[0].latest_partition_key.as_deref()), (Some(3), None));
    let detail = reads.asset(&here(), &asset("directory.insights.SCAN")).await.unwrap().unwrap();
    assert_eq!((detail.producers.len(), detail.consumers.len()), (1, 1));
    let partitions: Vec<_> =
        detail.partitions.iter().map(|at| (at.version.partition_key.as_deref(), at.version.version)).collect();
    assert_eq!(partitions, [(None, 3), (Some("north"), 2)]);
    assert_eq!(detail.latest.unwrap().version.version, 3);
    // Declared only, and never heard of.
    assert!(!reads.asset(&here(), &asset("elsewhere.made")).await.unwrap().unwrap().available);
    assert!(reads.asset(&here(), &asset("never.heard")).await.unwrap().is_none());
    let history = reads.versions_of(&here(), &asset("directory.insights.scan"), None, Some(4), 2).await.unwrap();
    assert_eq!(history.iter().map(|version| version.revision).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(history[0].position, "0:1");
}
