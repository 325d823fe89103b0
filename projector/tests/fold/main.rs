//! What commits mean for the tables: golden rows.

mod branches;
mod definitions;
mod readable;
mod values;

use headwater_core::shard::Bundle;
use headwater_core::{Json, Sequence, ShardId};
use headwater_projector::fold::Changes;
use headwater_projector::parse::parse;
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
    assert_eq!((start.started_at.as_micros(), start.input.here().unwrap()), (1, r#"{"a":1}"#));
    assert_eq!(Json::of(&start.trigger).as_str(), r#"{"manual":{}}"#);
    assert_eq!((end.status.as_str(), end.completed_at.as_micros()), ("succeeded", 3));
    assert_eq!(end.output.as_ref().unwrap().here(), Some(r#"{"done":true}"#));
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
    let [settled] = changes.settled.rows() else { panic!("one node to settle") };
    assert_eq!((&*settled.node.text(), settled.status.as_str()), ("elsewhere", "cancelled"));
}

#[test]
fn a_node_that_fails_with_its_attempt_is_said_once() {
    let node_failed = run(json!({"nodeFailed": {"node": "a", "failure": {"code": "boom", "message": "it broke"}}}));
    let changes = fold_run(&[(2, json!([failed("a", 1), node_failed.clone()]))]);
    assert_eq!(traces(&changes), ["a 1 failed [- - 2 -] boomchange"]);
    assert!(changes.settled.rows().is_empty());
    let changes = fold_run(&[(2, json!([node_failed]))]);
    assert_eq!(changes.settled.rows().len(), 1);
}

#[test]
fn a_failure_that_is_tolerated_is_marked_at_the_last_attempt() {
    let failure = json!({"code": "boom", "message": "it broke", "details": {"status": 503}});
    let node_failed = run(json!({"nodeFailed": {"node": "a", "failure": failure, "taken": [0], "tolerated": true}}));
    let changes = fold_run(&[(1, json!([failed("a", 1)])), (2, json!([failed("a", 2), node_failed.clone()]))]);
    let marks: Vec<_> = changes.traces.rows().map(|row| (row.attempt, row.tolerated)).collect();
    assert_eq!(marks, [(1, None), (2, Some(true))]);
    let changes = fold_run(&[(1, json!([scheduled("a", 1)])), (2, json!([node_failed.clone()]))]);
    let row = changes.traces.rows().next().unwrap();
    assert_eq!((row.attempt, row.tolerated), (1, Some(true)));
    let details = row.failure.as_ref().unwrap().details.as_ref().unwrap();
    assert_eq!(details.as_str(), r#"{"status":503}"#);
    let changes = fold_run(&[(2, json!([node_failed]))]);
    assert_eq!(changes.settled.rows()[0].tolerated, Some(true));
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

#[test]
fn a_release_is_kept_with_the_events_and_the_end_behind_it_is_projected() {
    let release = json!({"released": {"by": {"end": {}}, "record": {"unknown": {}}}});
    let failed = run(json!({"runFailed": {"failure": {"code": "quarantined", "message": "ended"}}}));
    let changes = fold_run(&[(1, json!([started(), scheduled("a", 1)])), (7, json!([release, failed]))]);
    assert_eq!((changes.commits.len(), changes.dead.len()), (1, 0), "{:?}", changes.dead);
    let [(_, then)] = &changes.parts[..] else { panic!("one release") };
    assert_eq!(then.commits.len(), 1);
    let row = then.runs.rows().first().unwrap();
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
