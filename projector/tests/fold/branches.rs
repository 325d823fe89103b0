//! What happens in branches, and what of it is one row.

use headwater_projector::fold::Changes;
use serde_json::{Value, json};

use super::{fold_run, run, scheduled, succeeded, traces};

fn opened(node: &str, first: u32, from: u32, count: u32) -> Value {
    let kind = if node.starts_with("each") { "item" } else { "turn" };
    run(json!({"branchesOpened": {"node": node, "kind": kind, "first": first, "from": from, "count": count}}))
}

fn ended(branch: u32, outcome: Value) -> Value {
    run(json!({"branchEnded": {"branch": branch, "outcome": outcome}}))
}

/// The branches, one to a line: number, opener and position where the batch saw it open, and its end.
fn branches(changes: &Changes) -> Vec<String> {
    let rows = changes.branches.rows().iter().map(|row| {
        let opening =
            row.opening.as_ref().map(|o| format!(" of {} {} at {}", o.opener, o.position, o.opened_at.as_micros()));
        let end = row.end.as_ref().map(|end| {
            let says = [
                end.again.map(|again| format!(" again={again}")),
                end.output.as_ref().map(|output| format!(" {}", output.here().unwrap())),
                end.failure.as_ref().map(|failure| format!(" {}", failure.code)),
            ];
            let says: String = says.into_iter().flatten().collect();
            format!(" {}{says} at {}", end.status.as_str(), end.ended_at.as_micros())
        });
        format!("{}{}{}", row.branch.get(), opening.unwrap_or_default(), end.unwrap_or_default())
    });
    rows.collect()
}

#[test]
fn a_branch_that_opens_and_ends_in_one_batch_is_one_row() {
    let items = run(json!({"itemsListed": {"node": "each", "items": ["a", "b", "c", "d"]}}));
    let failure = json!({"code": "boom", "message": "it broke"});
    let changes = fold_run(&[
        (1, json!([items, opened("each", 1, 0, 4)])),
        (2, json!([scheduled("one@1", 1), scheduled("one@2", 1), succeeded("one@2", 1)])),
        (
            3,
            json!([ended(2, json!({"succeeded": {"output": "B"}})), ended(1, json!({"failed": {"failure": failure}}))]),
        ),
        (4, json!([ended(4, json!({"cancelled": {}}))])),
    ]);
    let rows = branches(&changes);
    assert_eq!(
        rows,
        [
            "1 of each 0 at 1 failed boom at 3",
            "2 of each 1 at 1 succeeded \"B\" at 3",
            "3 of each 2 at 1",
            "4 of each 3 at 1 cancelled at 4"
        ]
    );
    let attempts = traces(&changes);
    assert_eq!(
        attempts,
        ["each 1 running [1 - - -] change", "one@1 1 queued [2 - - -] new", "one@2 1 succeeded [2 5 2 -] new"]
    );
}

#[test]
fn a_branch_that_ends_as_its_node_has_that_nodes_output() {
    let as_its_node = |node: &str| json!({"succeededAs": {"node": node}});
    let changes = fold_run(&[
        (1, json!([opened("each", 1, 0, 2), succeeded("one@1", 1), ended(1, as_its_node("one"))])),
        (2, json!([succeeded("one@2", 1), ended(2, json!({"succeeded": {"output": "B"}}))])),
    ]);
    let rows = branches(&changes);
    let made = traces(&changes);
    assert_eq!(rows, ["1 of each 0 at 1 succeeded \"out\" at 1", "2 of each 1 at 1 succeeded \"B\" at 2"], "{made:?}");
    // What no release writes is buried with its commit.
    for events in [
        json!([ended(1, as_its_node("one"))]),
        json!([succeeded("one@2", 1), ended(1, as_its_node("one"))]),
        json!([succeeded("two@1", 1), ended(1, as_its_node("one"))]),
        json!([succeeded("one@1", 1), scheduled("two@1", 1), ended(1, as_its_node("one"))]),
    ] {
        let changes = fold_run(&[(1, events.clone())]);
        assert_eq!((changes.dead.len(), changes.commits.len()), (1, 0), "{events}");
    }
}

#[test]
fn turns_are_told_with_whether_another_follows() {
    let over = |again: bool| json!({"turned": {"again": again}});
    let changes = fold_run(&[
        (1, json!([opened("draft@3", 7, 0, 1), ended(7, over(true)), opened("draft@3", 8, 1, 1)])),
        (2, json!([ended(8, over(false))])),
    ]);
    let rows = branches(&changes);
    assert_eq!(
        rows,
        ["7 of draft@3 0 at 1 succeeded again=true at 1", "8 of draft@3 1 at 1 succeeded again=false at 2"]
    );
}

#[test]
fn a_branch_of_an_earlier_batch_is_changed_and_its_withdrawal_is_told_by_its_end() {
    let closing = run(json!({"branchClosing": {"branch": 5, "failure": {"code": "boom", "message": "it broke"}}}));
    let enough = run(json!({"joinClosing": {"node": "each", "join": {"enough": {}}}}));
    let changes = fold_run(&[(2, json!([closing, enough]))]);
    assert!(branches(&changes).is_empty());
    let changes = fold_run(&[(2, json!([ended(5, json!({"cancelled": {}}))]))]);
    assert_eq!(branches(&changes), ["5 cancelled at 2"]);
}

#[test]
fn more_branches_than_any_fact_opens_are_buried_with_their_commit() {
    for (first, from, count) in
        [(1, 0, 1_001), (1, 0, u32::MAX), (u32::MAX, 0, 5), (1, u32::MAX, 2), (i32::MAX as u32, 0, 1)]
    {
        let changes =
            fold_run(&[(1, json!([opened("each", first, from, count)])), (2, json!([opened("each", 1, 0, 1_000)]))]);
        assert_eq!(changes.branches.rows().len(), 1_000, "{first} {from} {count}");
        assert_eq!((changes.dead.len(), changes.commits.len()), (1, 1));
    }
}
