//! What no release has decided of branches is not folded: the run is quarantined, whatever its history says.

use headwater_core::RunId;
use headwater_core::run::RunEvent;
use headwater_core::shard::Event;
use serde_json::{Value, json};

use crate::world::{World, empty};

/// A run with a `forEach` of five items of which two are open, a loop in its first turn, and a group at its first try.
fn open_run() -> (World, RunId) {
    let job = |id: &str| json!({"id": id, "jobSlug": "work"});
    let mut world = World::with(&json!({"slug": "open", "nodes": [
        {"id": "each", "forEach": {"items": 5, "maxConcurrency": 2, "body": job("one")}},
        job("turn"), {"id": "tries", "group": job("try")}, {"id": "late", "action": {"kind": "sleep", "duration": "1h"}}],
        "transitions": [{"from": "turn", "to": "turn", "maxIterations": 3}],
        "finally": job("sweep")}));
    let run = world.start("open", json!({}));
    world.settle();
    let opened = "each:opens(";
    assert!(world.timeline(run).contains(opened), "{}", world.timeline(run));
    (world, run)
}

/// Folds the history so far and one event more; returns why that is not folded.
fn refused(world: &World, run: RunId, event: &Value) -> Option<String> {
    let event: RunEvent = serde_json::from_value(event.clone()).unwrap();
    let mut told = world.commits.last().unwrap().clone();
    told.revision = world.shard.run(run).unwrap().revision().next();
    told.events = vec![Event::Run(event)];
    let mut shard = empty();
    for bundle in world.bundles(1) {
        assert_eq!(shard.fold(&bundle, None), []);
    }
    let mut bundle = world.bundles(usize::MAX).remove(0);
    bundle.commits = vec![told];
    shard.fold(&bundle, None).first().map(|corrupt| corrupt.reason.clone())
}

#[test]
fn what_no_release_decides_of_branches_is_not_folded() {
    let (world, run) = open_run();
    let record = world.shard.run(run).unwrap();
    let branch_of =
        |node: &str| (1..9).find(|n| record.node_status(&format!("{node}@{n}").parse().unwrap()).is_some()).unwrap();
    let (item, turn, attempt) = (branch_of("one"), branch_of("turn"), branch_of("try"));
    let next = (1..20)
        .rfind(|n| {
            ["one", "turn", "try"]
                .iter()
                .any(|node| record.node_status(&format!("{node}@{n}").parse().unwrap()).is_some())
        })
        .unwrap()
        + 1;
    let opens = |node: &str, kind: &str, first: u32, from: u32, count: u32| json!({"branchesOpened": {"node": node, "kind": kind, "first": first, "from": from, "count": count}});
    let ends = |branch: u32, outcome: Value| json!({"branchEnded": {"branch": branch, "outcome": outcome}});
    let failure = json!({"code": "c", "message": "m"});
    let well = json!({"succeeded": {"output": 1}});
    let cases = [
        ("it is the next that opens", opens("each", "item", next, 3, 1)),
        ("it has its number already", opens("each", "item", item, 2, 1)),
        ("more than there are items", opens("each", "item", next, 2, 9)),
        ("none", opens("each", "item", next, 2, 0)),
        ("no item has that kind", opens("each", "turn", next, 2, 1)),
        ("the turn before is open", opens("turn", "turn", next, 1, 1)),
        ("the try before is open", opens("tries", "try", next, 1, 1)),
        ("a sleep opens none", opens("late", "item", next, 0, 1)),
        ("it is not open", ends(next, well.clone())),
        ("it is the run itself", ends(0, well.clone())),
        ("something is active in it", ends(item, well.clone())),
        ("something is active in it", ends(turn, json!({"turned": {"again": false}}))),
        ("an item does not turn", ends(item, json!({"turned": {"again": false}}))),
        ("a turn has no output", ends(turn, well)),
        ("something is active in it", ends(item, json!({"succeededAs": {"node": "one"}}))),
        ("there is no such node in it", ends(item, json!({"succeededAs": {"node": "late"}}))),
        ("there is no such node", ends(item, json!({"succeededAs": {"node": "nobody"}}))),
        ("a turn has no output", ends(turn, json!({"succeededAs": {"node": "turn"}}))),
        ("it is not open", json!({"branchClosing": {"branch": next, "failure": failure}})),
        ("the run itself is no branch of it", json!({"branchClosing": {"branch": 0, "failure": failure}})),
        ("a group has no join", json!({"joinClosing": {"node": "tries", "join": {"enough": {}}}})),
        ("a sleep has no join", json!({"joinClosing": {"node": "late", "join": {"enough": {}}}})),
        ("a group has no items", json!({"itemsListed": {"node": "tries", "items": [1]}})),
        ("its items are known", json!({"itemsListed": {"node": "each", "items": [1]}})),
        ("its branches are open", json!({"nodeSucceeded": {"node": "each", "attempt": 1, "output": 1}})),
        ("its branches are open", json!({"nodeCancelled": {"node": "each"}})),
        ("its try is open", json!({"attemptFailed": {"node": "tries", "attempt": 1, "failure": failure}})),
        ("it happens in its turns", json!({"nodeSucceeded": {"node": "turn", "attempt": 1, "output": 1}})),
        ("a body's node happens in items", json!({"nodeSkipped": {"node": "one"}})),
        ("the run does not end", json!({"nodeSkipped": {"node": "finally"}})),
        ("something is active", json!({"runSucceeded": {"output": 1}})),
    ];
    for (why, event) in cases {
        assert!(refused(&world, run, &event).is_some(), "{why}: {event}, of {}", world.timeline(run));
    }
    // What may come next is folded.
    let may = [
        json!({"branchClosing": {"branch": attempt, "failure": failure}}),
        json!({"joinClosing": {"node": "each", "join": {"enough": {}}}}),
        json!({"nodeCancelled": {"node": format!("one@{item}")}}),
    ];
    for event in may {
        assert_eq!(refused(&world, run, &event), None, "{event}");
    }
}
