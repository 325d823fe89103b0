//! What the tables say of what was released from quarantine: what its record says, wherever batches are cut.

mod workload;

use std::sync::Arc;
use std::time::Duration;

use headwater_core::shard::{AggregateId, Event, Position};
use headwater_core::{Revision, ShardId};
use headwater_projector::rebuild::{Switch, rebuild};
use headwater_projector::server::PostgresServer;
use headwater_projector::{BatchLimits, Database, Projector};
use headwater_streams::journals::{Journals, MemoryJournals};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workload::{Dice, Shard};

const DEADLINE: Duration = Duration::from_secs(60);
const RUN: &str = "0197a3f0-7c00-7abc-8def-012345678800";
const MAKER: &str = "0197a3f0-7c00-7abc-8def-0123456789ab";
const ENDED: [&str; 2] = ["0197a3f0-7c00-7abc-8def-012345678810", "0197a3f0-7c00-7abc-8def-012345678820"];
const TWICE: &str = "0197a3f0-7c00-7abc-8def-012345678830";
const WIDE: &str = "0197a3f0-7c00-7abc-8def-012345678840";
const LEASE: &str = "00000000000000aa";

fn materialized(version: u64) -> Value {
    json!({"asset": {"assetMaterialized": {"version": version, "record": {
        "attempt": 1, "definition": 1, "freshness": null, "inputs": [{"asset": "site.source", "version": 9}], "node": "build",
        "partition": null, "payload": version, "producedAt": 1, "run": MAKER, "runInput": {}, "runStartedAt": 1,
        "schema": null, "workflow": "site"}}}})
}

fn applied(version: u32) -> Value {
    json!({"workflow": {"workflowApplied": {"version": version, "contentHash": version.to_string(),
        "document": {"slug": "site", "steps": [{"id": "build", "jobSlug": "build"}]}}}})
}

fn released(record: Value) -> Value {
    json!({"released": {"by": {"skip": {"revisions": [1]}}, "record": record}})
}

fn asset_of(versions: &[u64]) -> Value {
    let kept: Vec<_> = versions
        .iter()
        .map(|version| json!({"version": version, "run": MAKER, "node": "build", "producedAt": 1, "payload": version}))
        .collect();
    let partition = json!({"kept": kept, "waiting": [], "producer": null, "last": null});
    let record = json!({"key": {"workspace": "default", "asset": "site.pages"}, "revision": 1, "declarations": {},
        "partitions": [[null, partition]]});
    released(json!({"asset": {"format": 1, "record": record}}))
}

fn workflow_of(versions: &[&str], current: u32) -> Value {
    let versions: Vec<_> = versions.iter().map(|hash| json!([hash, {}])).collect();
    let record = json!({"key": {"workspace": "default", "workflow": "site"}, "revision": 1, "versions": versions,
        "current": current, "before": null});
    released(json!({"workflow": {"format": 1, "record": record}}))
}

fn run(event: Value) -> Value {
    json!({"run": event})
}

/// A run whose nodes stand so.
fn run_of(nodes: Value) -> Value {
    let record = json!({"id": RUN, "workspace": "default", "workflow": "site", "version": 1, "status": "running", "input": {},
        "trigger": {"manual": {}}, "keyed": false, "state": {}, "startedAt": 1, "revision": 1, "nodes": nodes,
        "unrecorded": [], "consumed": []});
    released(json!({"run": {"format": 3, "record": record}}))
}

fn node(phase: Value, attempts: u32) -> Value {
    json!({"phase": phase, "attempts": attempts, "taken": 0, "decided": 0})
}

fn scheduled(node: &str, attempt: u32) -> Value {
    run(json!({"attemptScheduled": {"node": node, "attempt": attempt, "lease": LEASE, "input": {}}}))
}

fn opened(node: &str, first: u32, from: u32, count: u32) -> Value {
    let kind = if node.starts_with("each") { "item" } else { "turn" };
    run(json!({"branchesOpened": {"node": node, "kind": kind, "first": first, "from": from, "count": count}}))
}

fn done(node: &str) -> Value {
    run(json!({"nodeSucceeded": {"node": node, "attempt": 1, "output": node}}))
}

fn over(branch: u32, outcome: Value) -> Value {
    run(json!({"branchEnded": {"branch": branch, "outcome": outcome}}))
}

/// A run with three items and a loop. What is skipped ended an item, and opened one more.
fn wide() -> Vec<Value> {
    let started = json!({"runStarted": {"workspace": "default", "workflow": "site", "version": 1, "input": {}, "trigger": {"manual": {}}}});
    let current = json!({"current": {"attempt": 1, "lease": LEASE, "scheduledAt": 1, "revision": 1, "wakesAt": null, "heldBy": null, "started": false}});
    let around = json!({"around": {"each": {"items": [null, null, null, 4], "beganAt": 1, "opened": 3, "open": [2, 3], "outputs": {"0": 1}, "succeeded": 1, "bytes": 1,
        "failed": 0}}});
    let nodes = json!([
        ["each", node(around, 0)],
        // Where the last turn left them.
        ["draft", node(json!("succeeded"), 1)],
        ["rate", node(json!("succeeded"), 1)],
        ["one@2", node(current.clone(), 1)],
        ["one@3", node(current, 1)]
    ]);
    let mut release = run_of(nodes);
    let record = &mut release["released"]["record"]["run"];
    record["format"] = json!(3);
    record["record"]["id"] = json!(WIDE);
    record["record"]["nextBranch"] = json!(5);
    record["record"]["branches"] = json!([
        {"branch": 2, "kind": "item", "parent": "each", "index": 1, "item": 2},
        {"branch": 3, "kind": "item", "parent": "each", "index": 2, "item": null}]);
    vec![
        json!([
            run(started),
            run(json!({"itemsListed": {"node": "each", "items": [1, 2, 3, 4]}})),
            opened("each", 1, 0, 3),
            scheduled("one@1", 1),
            scheduled("one@2", 1),
            scheduled("one@3", 1),
            opened("draft", 4, 0, 1),
            done("draft@4"),
        ]),
        json!([
            done("one@1"),
            over(1, json!({"succeeded": {"output": 1}})),
            done("rate@4"),
            over(4, json!({"turned": {"again": false}}))
        ]),
        json!([
            done("one@2"),
            over(2, json!({"succeeded": {"output": 2}})),
            opened("each", 5, 3, 1),
            scheduled("one@5", 1)
        ]),
        json!([release]),
        json!([done("one@3"), over(3, json!({"succeeded": {"output": 3}})), opened("each", 5, 3, 1)]),
    ]
}

/// One commit for each: its aggregate and its events.
fn story() -> Vec<(String, Value)> {
    let name = format!("run/{RUN}");
    let started = json!({"runStarted": {"workspace": "default", "workflow": "site", "version": 1, "input": {}, "trigger": {"manual": {}}}});
    let failure = json!({"code": "boom", "message": "it broke"});
    let current = json!({"current": {"attempt": 1, "lease": LEASE, "scheduledAt": 1, "revision": 1, "wakesAt": null, "heldBy": null, "started": false}});
    let of_run = [
        json!([
            run(started.clone()),
            scheduled("a", 1),
            scheduled("b", 1),
            scheduled("c", 1),
            run(json!({"nodeSucceeded": {"node": "e", "attempt": 1, "output": "kept"}})),
            run(json!({"attemptFailed": {"node": "f", "attempt": 1, "failure": failure}})),
            run(json!({"nodeFailed": {"node": "f", "failure": failure}})),
        ]),
        // A second start finds its row taken.
        json!([run(started)]),
        // What is skipped: a retry, an end of a node, a node that was never begun, and the end of all.
        json!([
            run(json!({"attemptFailed": {"node": "a", "attempt": 1, "failure": failure}})),
            run(json!({"nodeSucceeded": {"node": "e", "attempt": 1, "output": "skipped"}})),
            run(json!({"retryArmed": {"node": "a", "attempt": 2, "dueAt": 5}})),
            scheduled("a", 2),
            run(json!({"nodeSucceeded": {"node": "b", "attempt": 1, "output": 1}})),
            run(json!({"nodeSkipped": {"node": "d"}})),
            run(json!({"nodeSucceeded": {"node": "f", "attempt": 1, "output": "skipped"}})),
            run(json!({"runFailed": {"failure": failure}})),
        ]),
        json!([run_of(json!([
            ["a", node(current.clone(), 1)],
            ["b", node(current, 1)],
            ["c", node(json!("succeeded"), 1)],
            ["e", {"phase": "succeeded", "attempts": 1, "taken": 0, "decided": 0, "output": "kept"}],
            ["f", node(json!("failed"), 1)],
            ["g", {"phase": "failed", "attempts": 0, "taken": 0, "decided": 0, "output": null}]
        ]))]),
        json!([run(json!({"nodeSucceeded": {"node": "b", "attempt": 1, "output": 2}}))]),
    ];
    let mut all: Vec<_> = of_run.into_iter().map(|events| (name.clone(), events)).collect();
    // One whose end the tables were never told, and one that ends with its release.
    let other = json!({"runStarted": {"workspace": "default", "workflow": "site", "version": 1, "input": {},
        "trigger": {"manual": {}}}});
    let ended = |status| released(json!({"ended": {"status": status, "version": 1, "startHash": 7, "keyed": false}}));
    let failed = run(json!({"runFailed": {"failure": {"code": "late", "message": "it was ended"}}}));
    let cancelled = run(json!({"nodeCancelled": {"node": "a"}}));
    for (id, end) in [(ENDED[0], json!([ended("succeeded")])), (ENDED[1], json!([ended("failed"), cancelled, failed]))]
    {
        all.push((format!("run/{id}"), json!([run(other.clone()), scheduled("a", 1), opened("loop", 1, 0, 1)])));
        all.push((format!("run/{id}"), end));
    }
    // Ends before there is anything to end, and after the one that counts.
    let early = run(json!({"runFailed": {"failure": {"code": "early", "message": "it has not started"}}}));
    let of_twice = [
        json!([early]),
        json!([run(other.clone())]),
        json!([run(json!({"runSucceeded": {"output": "kept"}}))]),
        json!([run(json!({"runCancelled": {"reason": "it has ended"}}))]),
        json!([ended("succeeded")]),
    ];
    all.extend(of_twice.into_iter().map(|events| (format!("run/{TWICE}"), events)));
    all.extend(wide().into_iter().map(|events| (format!("run/{WIDE}"), events)));
    let asset = "asset/default/site.pages".to_owned();
    let workflow = "workflow/default/site".to_owned();
    all.extend([
        (asset.clone(), json!([materialized(1)])),
        (asset.clone(), json!([materialized(2)])),
        (asset.clone(), json!([materialized(3)])),
        (asset.clone(), json!([asset_of(&[1])])),
        // What follows has the number that was free again.
        (asset, json!([materialized(2)])),
        (workflow.clone(), json!([applied(1)])),
        (workflow.clone(), json!([applied(2)])),
        (workflow.clone(), json!([workflow_of(&["1"], 1)])),
        (workflow, json!([applied(2)])),
    ]);
    all
}

/// Cuts the commits into bundles of so many.
fn journal(commits_max: usize) -> MemoryJournals {
    let (journal, mut dice, mut shard) = (MemoryJournals::new(), Dice::new(7), Shard::new(0));
    let mut revisions = std::collections::BTreeMap::new();
    for (name, events) in story() {
        let aggregate: AggregateId = name.parse().unwrap();
        let events: Vec<Event> = serde_json::from_value(events).unwrap();
        let revision = revisions.entry(name).or_insert(Revision::FIRST);
        if shard.commit(&mut dice, aggregate, revision, events) == commits_max {
            journal.append(shard.id, shard.close(&mut dice));
        }
    }
    if shard.open_commits() > 0 {
        journal.append(shard.id, shard.close(&mut dice));
    }
    journal
}

const SHOWN: [&str; 7] = [
    "SELECT concat_ws(' ', status, coalesce(error::json ->> 'code', '-'), completed_at IS NOT NULL, output)
     FROM headwater.workflow_runs ORDER BY run_id",
    "SELECT concat_ws(' ', branch, node_id, kind, position, status, again, output, ended_at IS NOT NULL)
     FROM headwater.branches ORDER BY run_id, branch",
    "SELECT concat_ws(' ', node_id || CASE WHEN branch > 0 THEN '@' || branch ELSE '' END, attempt, status, coalesce(output, '-'),
                      finished_at IS NOT NULL, error_code, CASE WHEN tolerated THEN 'tolerated' END)
     FROM headwater.traces ORDER BY run_id, node_id, branch, attempt",
    "SELECT v.version || ' of ' || a.latest_version || ' ' || (v.revision = a.latest_revision)::text
     FROM headwater.asset_versions v JOIN headwater.assets a USING (workspace, asset_key)
     JOIN headwater.asset_inputs i USING (workspace, asset_key, partition, version) ORDER BY v.version",
    "SELECT d.version || ' of ' || w.current_version FROM headwater.workflow_defs d JOIN headwater.workflows w USING (workspace, slug)
     JOIN headwater.nodes n ON (n.workspace, n.workflow, n.version) = (d.workspace, d.slug, d.version) ORDER BY d.version",
    "SELECT revision || ' selects ' || version FROM headwater.workflow_selections ORDER BY revision",
    "SELECT reason FROM headwater.dead_events",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_say_of_what_was_released_what_its_record_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let shard = ShardId::new(0).unwrap();
    for (commits_max, events_max) in [(1, 1), (1, 20_000), (3, 4), (100, 20_000)] {
        let (journal, database) = (journal(commits_max), Database::open(&server.url()).await.unwrap());
        let projector = Projector::new(database.clone(), Arc::new(journal.clone()), vec![shard]);
        let projector = projector.with_limits(BatchLimits { events_max, ..BatchLimits::default() });
        let (progress, stop) = (projector.progress(), CancellationToken::new());
        let task = tokio::spawn(projector.run(stop.clone()));
        let sequence = journal.head(shard).await.unwrap();
        progress.wait_for(Position { shard, sequence }, DEADLINE).await.unwrap();
        stop.cancel();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();

        let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut shown = Vec::new();
        for sql in SHOWN {
            let rows = client.query(sql, &[]).await.unwrap();
            shown.push(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>());
        }
        let nodes = vec![
            "a 1 queued - f",
            "b 1 succeeded 2 t",
            "c 1 succeeded - t",
            "e 1 succeeded \"kept\" t",
            "f 1 failed - t boom",
            "g 0 failed - t tolerated",
            "a 1 cancelled - t",
            "a 1 cancelled - t",
            "draft@4 1 succeeded \"draft@4\" t",
            "each 1 running - f",
            "one@1 1 succeeded \"one@1\" t",
            "one@2 1 queued - f",
            "one@3 1 succeeded \"one@3\" t",
            "rate@4 1 succeeded \"rate@4\" t",
        ];
        let branches = vec![
            "1 loop turn 0 cancelled t",
            "1 loop turn 0 cancelled t",
            "1 each item 0 succeeded 1 t",
            "2 each item 1 running f",
            "3 each item 2 succeeded 3 t",
            "4 draft turn 0 succeeded f t",
            "5 each item 3 running f",
        ];
        let runs = vec!["running - f", "succeeded - t", "failed late t", "succeeded - t \"kept\"", "running - f"];
        let versions = vec!["1 of 2 false", "2 of 2 true"];
        let dead = vec!["refused by the database (23505, workflow_runs_pkey)"];
        // What was skipped never was; from its release on the workflow has what the record says.
        let selections = vec!["1 selects 1", "3 selects 1", "4 selects 2"];
        let definitions = vec!["1 of 2", "2 of 2"];
        assert_eq!(
            shown,
            [runs, branches, nodes, versions, definitions, selections, dead],
            "{commits_max} {events_max}"
        );
        let report = rebuild(&database, Arc::new(journal), &[shard], Switch::Never).await.unwrap();
        assert!(report.equal, "{report:#?}");
        client.batch_execute("DROP SCHEMA headwater CASCADE").await.unwrap();
    }
}
