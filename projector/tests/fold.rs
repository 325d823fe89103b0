//! What commits mean for the tables: golden rows.

use bytes::Bytes;
use headwater_core::definition::{Definition, compile};
use headwater_core::shard::Bundle;
use headwater_core::{Json, Sequence, ShardId};
use headwater_projector::fold::{Changes, graph_of};
use headwater_projector::parse::parse;
use headwater_projector::tables::Graph;
use headwater_projector::{Batch, Cursor, Discontinuity};
use headwater_streams::journals::Entry;
use serde_json::{Value, json};

const RUN: &str = "0190a6e4-5c00-7abc-8def-000000000000";
const COMMAND: &str = "11111111-2222-4333-8444-555555555555";

/// One bundle of shard 0: each commit is of an aggregate at a time, with its events.
fn bundle(commits: &[(&str, u64, Value)]) -> Entry {
    let commits: Vec<Value> = commits
        .iter()
        .map(|(aggregate, time, events)| {
            json!({"aggregate": aggregate, "revision": 1, "command": COMMAND, "time": time, "events": events})
        })
        .collect();
    let bundle = json!({"shard": 0, "epoch": 1, "id": COMMAND, "previous": "", "effectsDone": 0, "commits": commits});
    Entry { sequence: Sequence::new(9), bytes: serde_json::to_vec(&bundle).unwrap().into() }
}

fn fold(entries: &[Entry]) -> Changes {
    let (mut changes, shard) = (Changes::default(), ShardId::new(0).unwrap());
    for entry in entries {
        changes.fold(shard, entry.sequence, parse(shard, entry));
    }
    changes
}

fn fold_run(commits: &[(u64, Value)]) -> Changes {
    let name = format!("run/{RUN}");
    let commits: Vec<_> = commits.iter().map(|(time, events)| (name.as_str(), *time, events.clone())).collect();
    fold(&[bundle(&commits)])
}

fn run(event: Value) -> Value {
    json!({"run": event})
}

fn started() -> Value {
    run(
        json!({"runStarted": {"workspace": "default", "workflow": "flow", "version": 1, "input": {"a": 1}, "trigger": {"manual": {}}}}),
    )
}

fn scheduled(node: &str, attempt: u32) -> Value {
    run(
        json!({"attemptScheduled": {"node": node, "attempt": attempt, "lease": "00000000000000aa", "input": {"in": attempt}}}),
    )
}

fn succeeded(node: &str, attempt: u32) -> Value {
    run(json!({"nodeSucceeded": {"node": node, "attempt": attempt, "output": "out", "worker": "w", "startedAt": 5}}))
}

fn failed(node: &str, attempt: u32) -> Value {
    run(
        json!({"attemptFailed": {"node": node, "attempt": attempt, "failure": {"code": "boom", "message": "it broke"}}}),
    )
}

/// The traces, one to a line: node, attempt, status, times in microseconds, and whether the row is new.
fn traces(changes: &Changes) -> Vec<String> {
    let time =
        |time: Option<headwater_core::Timestamp>| time.map_or("-".to_owned(), |time| time.as_micros().to_string());
    changes
        .traces
        .rows()
        .map(|row| {
            let times = [row.scheduled_at, row.started_at, row.finished_at, row.wakes_at].map(time).join(" ");
            let error = row.failure.as_ref().map_or("", |failure| &failure.code);
            let new = if row.is_new { "new" } else { "change" };
            format!("{} {} {} [{times}] {error}{new}", row.node, row.attempt, row.status.as_str())
        })
        .collect()
}

#[test]
fn what_begins_and_ends_in_one_batch_is_one_new_row() {
    let changes = fold_run(&[
        (1, json!([started(), scheduled("a", 1)])),
        (2, json!([succeeded("a", 1), scheduled("b", 1)])),
        (3, json!([succeeded("b", 1), run(json!({"runSucceeded": {"output": {"done": true}}}))])),
    ]);
    assert_eq!(traces(&changes), ["a 1 succeeded [1 5 2 -] new", "b 1 succeeded [2 5 3 -] new"]);
    let [row] = changes.runs.rows() else { panic!("one run, one row") };
    let (start, end) = (row.start.as_ref().unwrap(), row.end.as_ref().unwrap());
    assert_eq!((start.started_at.as_micros(), start.input.as_str()), (1, r#"{"a":1}"#));
    assert_eq!(start.trigger.as_str(), r#"{"manual":{}}"#);
    assert_eq!((end.status.as_str(), end.completed_at.as_micros()), ("succeeded", 3));
    assert_eq!(end.output.as_ref().unwrap().as_str(), r#"{"done":true}"#);
    assert_eq!(changes.events, 6);
}

#[test]
fn what_a_batch_only_sees_the_end_of_is_a_change() {
    let changes = fold_run(&[(
        7,
        json!([succeeded("a", 2), run(json!({"runFailed": {"failure": {"code": "x", "message": "y"}}}))]),
    )]);
    assert_eq!(traces(&changes), ["a 2 succeeded [- 5 7 -] change"]);
    let [row] = changes.runs.rows() else { panic!("one run, one row") };
    assert!(row.start.is_none());
    assert_eq!(row.end.as_ref().unwrap().error.as_ref().unwrap().as_str(), r#"{"code":"x","message":"y"}"#);
}

#[test]
fn who_asked_stands_beside_what_they_asked_for_and_old_commits_name_nobody() {
    let commit = |time: u64, by: Option<&str>, events: Value| {
        let mut commit = json!({"aggregate": format!("run/{RUN}"), "revision": time, "command": COMMAND, "time": time, "events": events});
        match by {
            Some(name) => commit["by"] = json!({"claimed": name}),
            None => commit["cause"] = json!({"shard": 3, "sequence": 41, "index": 2}),
        }
        commit
    };
    let entry = |commits: Vec<Value>| {
        let bundle =
            json!({"shard": 0, "epoch": 1, "id": COMMAND, "previous": "", "effectsDone": 0, "commits": commits});
        Entry { sequence: Sequence::new(9), bytes: serde_json::to_vec(&bundle).unwrap().into() }
    };
    let ending = run(json!({"runEnding": {"ending": {"cancelled": {"reason": "enough"}}}}));
    let ended = run(json!({"runCancelled": {"reason": "enough"}}));
    let begun = entry(vec![commit(1, Some("Anna"), json!([started()])), commit(2, Some("Ben"), json!([ending]))]);
    let over = entry(vec![commit(3, None, json!([ended]))]);
    let by = |json: &Option<Json>| json.as_ref().map(|json| json.as_str().to_owned());
    let (anna, ben) = (Some(r#"{"claimed":"Anna"}"#.to_owned()), Some(r#"{"claimed":"Ben"}"#.to_owned()));

    let changes = fold(&[begun.clone(), over.clone()]);
    let [row] = changes.runs.rows() else { panic!("one run, one row") };
    assert_eq!((by(&row.start.as_ref().unwrap().started_by), by(&row.cancelled_by)), (anna, ben.clone()));
    let commits: Vec<_> = changes
        .commits
        .iter()
        .map(|commit| (by(&commit.by).is_some(), commit.cause.map(|cause| cause.index)))
        .collect();
    assert_eq!(commits, [(true, None), (true, None), (false, Some(2))]);
    // In pieces: whoever cancelled it is known before it has ended, and nothing is said of them later.
    let changes = [fold(&[begun]), fold(&[over])];
    let rows = changes.each_ref().map(|changes| &changes.runs.rows()[0]);
    assert_eq!(rows.map(|row| (by(&row.cancelled_by), row.end.is_some())), [(ben, false), (None, true)]);

    let old = fold_run(&[(1, json!([started()]))]);
    assert_eq!((&old.commits[0].by, old.commits[0].cause), (&None, None));
    assert_eq!(old.runs.rows()[0].start.as_ref().unwrap().started_by, None);
}

#[test]
fn an_armed_retry_waits_as_the_attempt_to_come() {
    let retry = run(json!({"retryArmed": {"node": "a", "attempt": 2, "dueAt": 50}}));
    let changes = fold_run(&[(1, json!([scheduled("a", 1)])), (2, json!([failed("a", 1), retry]))]);
    assert_eq!(traces(&changes), ["a 1 failed [1 - 2 -] boomnew", "a 2 waiting [- - - 50] new"]);
    // Whichever attempt the event names, it is the one after the failure before it.
    let retry = run(json!({"retryArmed": {"node": "a", "attempt": 1, "dueAt": 50}}));
    let changes = fold_run(&[(2, json!([failed("a", 1), retry])), (3, json!([scheduled("a", 2)]))]);
    assert_eq!(traces(&changes), ["a 1 failed [- - 2 -] boomchange", "a 2 queued [3 - - 50] new"]);
}

#[test]
fn an_attempt_waits_in_its_queue_until_a_worker_is_granted_it() {
    let lease = "00000000000000aa";
    let granted =
        run(json!({"attemptGranted": {"node": "a", "attempt": 1, "lease": lease, "worker": "w", "session": lease}}));
    let changes = fold_run(&[(1, json!([scheduled("a", 1)])), (2, json!([granted]))]);
    assert_eq!(traces(&changes), ["a 1 running [1 - - -] new"]);
    // One that comes back was never tried; the next waits in its place.
    let returned = run(json!({"attemptReturned": {"node": "a", "attempt": 1, "worker": "w"}}));
    let changes = fold_run(&[(3, json!([returned, scheduled("a", 2)]))]);
    assert_eq!(traces(&changes), ["a 1 cancelled [- - 3 -] returnedchange", "a 2 queued [3 - - -] new"]);
}

#[test]
fn a_node_that_waited_for_assets_is_scheduled_into_its_waiting_row() {
    let awaited = run(json!({"nodeAwaitedAssets": {"node": "a", "needs": []}}));
    let resolved = run(json!({"assetResolved": {"node": "a", "asset": "x.y"}}));
    let changes = fold_run(&[(1, json!([awaited])), (2, json!([resolved.clone(), scheduled("a", 1)]))]);
    assert_eq!(traces(&changes), ["a 1 queued [2 - - -] new"]);
    // The row is there already, from an earlier batch.
    let changes = fold_run(&[(2, json!([resolved, scheduled("a", 1)]))]);
    assert_eq!(traces(&changes), ["a 1 queued [2 - - -] change"]);
}

#[test]
fn a_cancelled_node_closes_the_attempt_it_is_at() {
    let cancelled = |node: &str| run(json!({"nodeCancelled": {"node": node}}));
    let changes = fold_run(&[
        (1, json!([scheduled("a", 1), scheduled("b", 1), succeeded("b", 1)])),
        (2, json!([run(json!({"runCancelled": {"reason": "enough"}})), cancelled("a"), cancelled("elsewhere")])),
    ]);
    assert_eq!(traces(&changes), ["a 1 cancelled [1 - 2 -] new", "b 1 succeeded [1 5 1 -] new"]);
    // This batch has not seen the other node: the database knows where it is.
    let [settled] = &changes.settled[..] else { panic!("one node to settle") };
    assert_eq!((&*settled.node.text(), settled.status.as_str()), ("elsewhere", "cancelled"));
}

#[test]
fn a_node_that_fails_with_its_attempt_is_said_once() {
    let node_failed = run(json!({"nodeFailed": {"node": "a", "failure": {"code": "boom", "message": "it broke"}}}));
    let changes = fold_run(&[(2, json!([failed("a", 1), node_failed.clone()]))]);
    assert_eq!(traces(&changes), ["a 1 failed [- - 2 -] boomchange"]);
    assert!(changes.settled.is_empty());
    let changes = fold_run(&[(2, json!([node_failed]))]);
    assert_eq!(changes.settled.len(), 1);
}

#[test]
fn a_sleep_waits_and_a_skipped_node_was_never_tried() {
    let sleep = run(
        json!({"attemptScheduled": {"node": "z", "attempt": 1, "lease": "00000000000000aa", "input": null, "wakesAt": 99}}),
    );
    let skipped = run(json!({"nodeSkipped": {"node": "s"}}));
    let changes = fold_run(&[(1, json!([sleep, skipped]))]);
    assert_eq!(traces(&changes), ["z 1 waiting [1 - - 99] new", "s 0 skipped [- - 1 -] new"]);
}

#[test]
fn an_asset_counts_its_versions_by_lower_case_id_and_partition() {
    let record = |partition: Value, version: u64| {
        json!({"asset": {"assetMaterialized": {"version": version, "record": {
            "run": RUN, "workflow": "flow", "definition": 1, "node": "a", "attempt": 1, "partition": partition,
            "payload": {"v": version}, "schema": null, "freshness": null, "producedAt": 3, "runStartedAt": 1,
            "runInput": {}, "inputs": [{"asset": "Up.Stream", "version": 4}]}}}})
    };
    let changes = fold(&[bundle(&[(
        "asset/default/Daily.Report",
        8,
        json!([record(json!("2026-01"), 1), record(Value::Null, 1)]),
    )])]);
    let [asset] = changes.assets.rows() else { panic!("one asset, one row") };
    assert_eq!((asset.key.as_str(), asset.asset.as_str()), ("daily.report", "Daily.Report"));
    let latest = asset.latest.as_ref().unwrap();
    assert_eq!((latest.revision.get(), latest.partition.as_str(), latest.version.get()), (2, "", 1));
    let versions: Vec<_> = changes.versions.iter().map(|row| (row.partition.as_str(), row.revision.get())).collect();
    assert_eq!(versions, [("2026-01", 1), ("", 2)]);
    assert_eq!(changes.inputs[0].input_key, "up.stream");
    assert_eq!(changes.versions[0].sequence.get(), 9);
}

/// Compiles a document and compares what is read of its canonical form with what the run will walk.
fn compiled(document: Value) -> (Definition, Graph) {
    let (definition, _) = compile(&document).unwrap();
    let graph = graph_of(&definition.source.to_value());
    let mut nodes: Vec<_> = graph.nodes.iter().map(|node| (node.id.clone(), node.name.clone())).collect();
    let mut walked: Vec<_> = definition.nodes.iter().map(|node| (node.id.to_string(), node.name.clone())).collect();
    nodes.sort();
    walked.sort();
    assert_eq!(nodes, walked);
    let id = |ix| definition.node(ix).id.to_string();
    let mut ways: Vec<_> = definition
        .transitions
        .iter()
        .map(|way| (id(way.from), id(way.to), way.when.as_ref().map(|when| when.source().to_owned())))
        .collect();
    let mut edges: Vec<_> =
        graph.transitions.iter().map(|edge| (edge.from.clone(), edge.to.clone(), edge.condition.clone())).collect();
    ways.sort();
    edges.sort();
    assert_eq!(edges, ways);
    let declared = definition.nodes.iter().map(|node| node.produces.len() + node.consumes.len()).sum::<usize>();
    assert_eq!(graph.edges.len(), declared);
    (definition, graph)
}

#[test]
fn steps_are_read_as_they_are_compiled() {
    let (definition, graph) = compiled(json!({"slug": "flow", "name": "Flow", "description": "About it", "steps": [
        {"id": "scan", "jobSlug": "scan-directory", "name": "Scan",
         "produces": [{"assetId": "Dir.Scan", "schema": {"type": "object"}, "freshness": {"ttl": "2h"}}]},
        {"id": "report", "type": "noop", "dependsOn": ["scan"], "when": "nodes.scan.output.files > 0",
         "consumes": [{"assetId": "dir.scan"}]}]}));
    assert_eq!((graph.name.as_deref(), graph.description.as_deref()), (definition.name.as_deref(), Some("About it")));
    let nodes: Vec<_> =
        graph.nodes.iter().map(|node| (node.id.as_str(), node.kind.as_str(), node.job.as_deref())).collect();
    assert_eq!(nodes, [("scan", "job", Some("scan-directory")), ("report", "noop", None)]);
    let edges: Vec<_> =
        graph.edges.iter().map(|edge| (edge.role.as_str(), edge.node.as_str(), edge.asset.as_str())).collect();
    assert_eq!(edges, [("produces", "scan", "Dir.Scan"), ("consumes", "report", "dir.scan")]);
    assert_eq!(graph.edges[0].schema.as_deref(), Some(r#"{"type":"object"}"#));
    // As the definition has it, in canonical spelling.
    let freshness =
        definition.nodes.iter().flat_map(|node| &node.produces).find_map(|produces| produces.freshness.as_ref());
    assert_eq!(graph.edges[0].freshness.as_deref(), freshness.map(|declared| declared.source().as_str()));
}

#[test]
fn nodes_and_transitions_are_read_as_they_are_compiled() {
    let (_, graph) = compiled(json!({"slug": "flow", "nodes": [
        {"id": "a", "action": {"kind": "job", "jobSlug": "x"}},
        {"id": "b", "action": {"kind": "sleep", "duration": "90s"}},
        {"id": "c", "action": {"kind": "transform", "output": {"n": 1}}}],
        "transitions": [{"from": "a", "to": "b", "on": "failure", "priority": 2}, {"from": "a", "to": "c", "when": "input.ok"}]}));
    let kinds: Vec<_> = graph.nodes.iter().map(|node| (node.kind.as_str(), node.job.as_deref())).collect();
    assert_eq!(kinds, [("job", Some("x")), ("sleep", None), ("transform", None)]);
    let failure = graph.transitions.iter().find(|edge| edge.to == "b").unwrap();
    assert_eq!((failure.outcome.as_str(), failure.priority), ("failure", 2));
    assert_eq!(graph.transitions.iter().find(|edge| edge.to == "c").unwrap().outcome, "success");
}

#[test]
fn a_commit_that_cannot_be_read_is_buried_and_its_neighbours_are_not() {
    let good = json!([started()]);
    let unknown = json!([run(json!({"runAscended": {}}))]);
    let misplaced = json!([{"workflow": {"versionSelected": {"version": 1}}}]);
    let name = format!("run/{RUN}");
    let entry = bundle(&[
        ("run/not-a-uuid", 1, good.clone()),
        (&name, 1, unknown),
        (&name, 1, misplaced),
        (&name, 1, json!([])),
        (&name, 1, good),
    ]);
    let changes = fold(&[entry]);
    let mut dead: Vec<_> = changes.dead.iter().map(|row| row.ordinal).collect();
    dead.sort();
    assert_eq!(dead, [0, 1, 2, 3]);
    assert_eq!(changes.commits.len(), 1);
    assert_eq!(changes.runs.rows().len(), 1);

    for bytes in
        [&b"\xff"[..], b"", b"{}", br#"{"shard":1,"epoch":1,"id":"x","previous":"","effectsDone":0,"commits":[]}"#]
    {
        let entry = Entry { sequence: Sequence::new(1), bytes: Bytes::copy_from_slice(bytes) };
        let changes = fold(&[entry]);
        assert_eq!((changes.dead.len(), changes.commits.len()), (1, 0));
        assert_eq!(changes.dead[0].ordinal, -1);
    }
}

/// An older process during an upgrade: what it cannot read is not its to bury.
#[test]
fn a_bundle_that_needs_a_later_release_stops_the_shard_and_is_not_buried() {
    let shard = ShardId::new(0).unwrap();
    let known = bundle(&[(&format!("run/{RUN}"), 1, json!([started()]))]);
    let head = format!(r#""shard":0,"epoch":1,"id":"{COMMAND}","previous":"","effectsDone":0,"needs":99"#);
    let later = [
        // Today's words with another meaning, words nobody knows, and another form of the whole.
        String::from_utf8(known.bytes.to_vec()).unwrap().replacen('{', r#"{"needs":99,"#, 1),
        format!(r#"{{{head},"commits":[{{"aggregate":"robot/1","events":[]}}]}}"#),
        format!(r#"{{{head},"groups":{{}}}}"#),
    ];
    for text in later {
        let (mut batch, cursor) = (Batch::default(), Cursor::start(shard));
        let at = |sequence, bytes: Bytes| Entry { sequence: Sequence::new(sequence), bytes };
        batch.push(&cursor, at(1, known.bytes.clone())).unwrap();
        let stopped = batch.push(&cursor, at(2, text.clone().into())).unwrap_err();
        assert_eq!(stopped, Discontinuity::Newer { shard, found: Sequence::new(2), needs: 99 }, "{text}");
        assert!(stopped.to_string().contains("needs a release that knows format 99"), "{stopped}");
        assert_eq!((batch.changes().commits.len(), batch.changes().dead.len()), (1, 0), "{text}");
    }
}

#[test]
fn a_release_is_kept_with_the_events_and_the_end_behind_it_is_projected() {
    let release = json!({"released": {"by": {"end": {}}, "record": {"unknown": {}}}});
    let failed = run(json!({"runFailed": {"failure": {"code": "quarantined", "message": "ended"}}}));
    let changes = fold_run(&[(1, json!([started(), scheduled("a", 1)])), (7, json!([release, failed]))]);
    assert_eq!((changes.commits.len(), changes.dead.len()), (2, 0), "{:?}", changes.dead);
    let row = changes.runs.rows().first().unwrap();
    assert!(format!("{row:?}").contains("quarantined"), "{row:?}");
}

#[test]
fn a_commit_keeps_the_very_text_of_its_events() {
    let text = r#"[ {"run" : {"nodeSkipped": {"node":"s"}} } ]"#;
    let bundle = format!(
        r#"{{"shard":0,"epoch":1,"id":"{COMMAND}","previous":"","effectsDone":0,"commits":[
            {{"aggregate":"run/{RUN}","revision":4,"command":"{COMMAND}","time":1,"events":{text}}}]}}"#
    );
    // It is a bundle to the core as well: nothing is read here that is not one there.
    let core: Bundle = serde_json::from_str(&bundle).unwrap();
    assert_eq!(core.commits[0].events.len(), 1);
    let changes = fold(&[Entry { sequence: Sequence::new(1), bytes: bundle.into() }]);
    assert_eq!(changes.commits[0].events, text);
    assert_eq!((changes.commits[0].revision.get(), changes.commits[0].event_count), (4, 1));
}

#[test]
fn every_event_that_was_ever_written_is_projected() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/golden");
    let mut count = 0;
    for file in std::fs::read_dir(golden).unwrap() {
        let event: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let run = format!("run/{RUN}");
        let aggregate = match event.as_object().unwrap().keys().next().unwrap().as_str() {
            "run" => run.as_str(),
            "asset" => "asset/default/site.report",
            "workflow" => "workflow/default/flow",
            "definitionAdopted" | "released" => "definition/default/flow/1",
            other => panic!("{other}"),
        };
        let changes = fold(&[bundle(&[(aggregate, 1, json!([event]))])]);
        assert_eq!((changes.commits.len(), changes.dead.len()), (1, 0), "{:?}", changes.dead);
        count += 1;
    }
    assert!(count >= 27);
}

#[test]
fn what_was_taken_from_workers_before_the_reader_was_strict_is_projected_and_can_be_shown() {
    for written in
        [r#""\ud83d""#, "1e400", r#"{"s":1,"s":2}"#, "123456789012345678901234567890", r#"{"\ude00":[-1e999]}"#]
    {
        let produced = r#"{"assetId":"x.y","payload":"what follows","producedAt":1764100000000000000}"#;
        let record = json!({"run": RUN, "workflow": "flow", "definition": 1, "node": "a", "attempt": 1, "partition": null,
            "payload": "what follows", "schema": null, "freshness": null, "producedAt": 1_764_100_000_000_000_000_u64,
            "runStartedAt": 1, "runInput": {}, "inputs": []});
        let mut succeeded = succeeded("a", 1);
        succeeded["run"]["nodeSucceeded"]["output"] = json!("what follows");
        succeeded["run"]["nodeSucceeded"]["startedAt"] = json!(u64::MAX);
        succeeded["run"]["nodeSucceeded"]["assets"] = json!([serde_json::from_str::<Value>(produced).unwrap()]);
        let materialized = json!({"asset": {"assetMaterialized": {"version": 1, "record": record}}});
        let name = format!("run/{RUN}");
        let entry = bundle(&[
            (name.as_str(), 1, json!([started(), scheduled("a", 1), succeeded])),
            ("asset/default/x.y", 2, json!([materialized])),
        ]);
        let text = String::from_utf8(entry.bytes.to_vec()).unwrap().replace(r#""what follows""#, written);
        let changes = fold(&[Entry { bytes: text.into(), ..entry }]);
        assert!(changes.dead.is_empty(), "{written}: {:?}", changes.dead);
        let trace = changes.traces.rows().next().unwrap();
        assert_eq!(trace.started_at.unwrap().to_string(), "9999-12-30T21:59:59.999999Z");
        let [version] = &changes.versions[..] else { panic!("one version") };
        serde_json::to_value(&version.payload).unwrap();
        for commit in &changes.commits {
            let events: Vec<Json> = serde_json::from_str(std::str::from_utf8(commit.events.as_ref()).unwrap()).unwrap();
            events.iter().for_each(|event| drop(serde_json::to_value(event).unwrap()));
        }
    }
}
