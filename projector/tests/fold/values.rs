//! Values that stand in the store of values: rows say what they go by.

use headwater_projector::tables::Value as Shown;
use serde_json::{Value, json};

use super::*;

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A commit of the run, of whose events those named have their values elsewhere.
fn commit(events: Value, stored: &[u32]) -> Entry {
    let values: Vec<Value> =
        stored.iter().map(|event| json!({"event": event, "value": {"digest": DIGEST, "sizeBytes": 70_000}})).collect();
    let commit = json!({"aggregate": format!("run/{RUN}"), "revision": 1, "command": COMMAND, "time": 1, "events": events,
        "stored": {"workspace": "default", "values": values}});
    let bundle = json!({"shard": 0, "epoch": 1, "id": COMMAND, "previous": "", "effectsDone": 0, "needs": 5,
        "commits": [commit]});
    Entry { sequence: Sequence::new(9), bytes: serde_json::to_vec(&bundle).unwrap().into() }
}

fn is_stored(value: Option<&Shown>) -> bool {
    match value.unwrap() {
        Shown::Stored(value) => value.digest.to_string() == DIGEST && value.size_bytes == 70_000,
        Shown::Here(_) => false,
    }
}

#[test]
fn a_value_that_stands_elsewhere_is_named_where_it_belongs_and_nowhere_else() {
    let over = run(json!({"runSucceeded": {"output": null}}));
    let made = run(json!({"nodeSucceeded": {"node": "b", "attempt": 1, "output": null}}));
    let listed = run(json!({"itemsListed": {"node": "c", "items": null}}));
    let opened = run(json!({"branchesOpened": {"node": "c", "kind": "item", "first": 1, "from": 0, "count": 2}}));
    let ended =
        |branch: u32| run(json!({"branchEnded": {"branch": branch, "outcome": {"succeeded": {"output": null}}}}));
    let events =
        json!([started(), scheduled("a", 1), succeeded("a", 1), made, listed, opened, ended(1), ended(2), over]);
    let changes = fold(&[commit(events, &[0, 1, 3, 4, 7, 8])]);
    assert!(changes.dead.is_empty());
    let [row] = changes.runs.rows() else { panic!("one run, one row") };
    assert!(is_stored(Some(&row.start.as_ref().unwrap().input)));
    assert!(is_stored(row.end.as_ref().unwrap().output.as_ref()));
    let rows: Vec<_> = changes.traces.rows().collect();
    let trace = |node: &str| *rows.iter().find(|row| row.node.to_string() == node).unwrap();
    assert!(is_stored(trace("a").input.as_ref()) && !is_stored(trace("a").output.as_ref()));
    assert!(is_stored(trace("b").output.as_ref()) && is_stored(trace("c").input.as_ref()));
    let branches: Vec<_> =
        changes.branches.rows().iter().map(|row| row.end.as_ref().unwrap().output.as_ref()).collect();
    assert_eq!(branches.iter().map(|output| is_stored(*output)).collect::<Vec<_>>(), [false, true], "null is a value");
    assert!(changes.commits[0].stored.as_ref().unwrap().as_str().contains(DIGEST));
}

#[test]
fn a_commit_whose_values_are_not_named_as_they_should_be_is_buried_alone() {
    let mut entry = commit(json!([started()]), &[0]);
    entry.bytes = String::from_utf8(entry.bytes.to_vec()).unwrap().replace(DIGEST, "abc").into_bytes().into();
    let changes = fold(&[entry]);
    assert_eq!((changes.dead.len(), changes.runs.rows().len()), (1, 0));
    // A place that no event has says nothing.
    let changes = fold(&[commit(json!([started()]), &[7])]);
    assert!(changes.runs.rows()[0].start.as_ref().unwrap().input.here().is_some());
}
