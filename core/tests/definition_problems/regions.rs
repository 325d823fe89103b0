//! What is wrong about bodies, groups, loops and what runs whatever the end.

use serde_json::{Value, json};

use crate::{bad, messages, with_step};

fn each(more: Value) -> Value {
    let mut each = json!({"items": [1], "body": {"id": "b", "action": "noop"}});
    each.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with_step(json!({"id": "a", "forEach": each}))
}

fn joined(ids: &[&str], transitions: Value) -> Value {
    let nodes: Vec<Value> = ids.iter().map(|id| json!({"id": id, "action": "noop"})).collect();
    json!({"slug": "w", "nodes": nodes, "transitions": transitions})
}

#[test]
fn what_a_for_each_says_is_checked() {
    let cases = [
        (json!({"items": "plain text"}), "items invalid_value"),
        (json!({"items": true}), "items invalid_value"),
        (json!({"items": -1}), "items invalid_value"),
        (json!({"as": "input"}), "as duplicate"),
        (json!({"as": "1st"}), "as invalid_name"),
        (json!({"maxItems": 0}), "maxItems invalid_value"),
        (json!({"maxItems": 100_001}), "maxItems invalid_value"),
        (json!({"maxConcurrency": 0}), "maxConcurrency invalid_value"),
        (json!({"batch": 0}), "batch invalid_value"),
        (json!({"join": "most"}), "join invalid_value"),
        (json!({"join": {"quorum": 0}}), "join/quorum invalid_value"),
        (json!({"onItemFailure": "ignore"}), "onItemFailure invalid_value"),
        (json!({"onItemFailure": "fail", "tolerate": 1}), "tolerate invalid_value"),
        (json!({"tolerate": "101%"}), "tolerate invalid_value"),
        (json!({"tolerate": "some"}), "tolerate invalid_value"),
        (json!({"onTimeout": "proceed"}), "onTimeout invalid_value"),
        (json!({"timeout": "1s", "onTimeout": "wait"}), "onTimeout invalid_value"),
        (json!({"merge": "zip"}), "merge invalid_value"),
        (json!({"merge": {"keyed": "out"}}), "merge/keyed bad_expression"),
        (json!({"merge": {"reduce": {"initial": 0, "step": "acc + item"}}}), "merge/reduce/step bad_expression"),
        (json!({"merge": {"reduce": {"initial": 0}}}), "merge/reduce/step missing_field"),
        (json!({"merge": {"reduce": {"step": "acc"}}}), "merge/reduce/initial missing_field"),
        (json!({"merge": {"reduce": {"initial": 0, "step": "acc"}, "keyed": "output"}}), "merge/keyed unknown_field"),
        (json!({"as": "acc"}), "as duplicate"),
        (json!({"cancelLosers": true}), "cancelLosers unknown_field"),
        (json!({"body": {"id": "a", "action": "noop"}}), "body/id duplicate"),
        (json!({"body": {"steps": []}}), "body/steps invalid_value"),
        (json!({"body": {"id": "b", "jobSlug": "x", "input": "${{ thing }}"}}), "body/input bad_expression"),
    ];
    for (more, expected) in cases {
        assert_eq!(bad(&each(more.clone())), [format!("/steps/0/forEach/{expected}")], "{more}");
    }
    for beside in ["jobSlug", "queue", "timeout", "heartbeatTimeout"] {
        let mut document = each(json!({}));
        document["steps"][0][beside] = json!("5s");
        assert_eq!(bad(&document), [format!("/steps/0/{beside} invalid_value")]);
    }
    // An item is bound in its body and nowhere else.
    assert_eq!(
        bad(&with_step(json!({"id": "a", "jobSlug": "x", "input": "${{ item }}"}))),
        ["/steps/0/input bad_expression"]
    );
}

#[test]
fn a_body_is_left_and_entered_as_a_whole() {
    let body = json!({"steps": [{"id": "b", "action": "noop", "dependsOn": ["first"]}]});
    let document = json!({"slug": "w", "steps": [{"id": "first", "action": "noop"},
        {"id": "a", "dependsOn": ["first"], "forEach": {"items": 1, "body": body}},
        {"id": "after", "action": {"kind": "transform", "output": "${{ nodes.b.output }}"}, "dependsOn": ["b"]}]});
    let found = bad(&document);
    assert_eq!(
        found,
        [
            "/steps/1/forEach/body/steps/0/dependsOn/0 dangling_reference",
            "/steps/2/action/output dangling_reference",
            "/steps/2/dependsOn/0 dangling_reference"
        ]
    );
    // The output of the run sees no node of a body either.
    let mut document = each(json!({}));
    document["output"] = json!("${{ nodes.b.output }}");
    assert_eq!(bad(&document), ["/output dangling_reference"]);
}

#[test]
fn a_loop_has_one_way_in_and_bounds() {
    let bounded = json!({"from": "b", "to": "a", "maxIterations": 3});
    assert_eq!(bad(&joined(&["a", "b"], json!([{"from": "a", "to": "b"}, bounded]))), [""; 0]);
    let cases = [
        // (what joins s, a, b and c, where the problem is)
        (json!([{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]), "/transitions/0 cycle"),
        (json!([{"from": "s", "to": "a"}, {"from": "a", "to": "b"}, {"from": "b", "to": "a"}]), "/transitions/2 cycle"),
        (
            json!([{"from": "s", "to": "a"}, {"from": "s", "to": "b"}, {"from": "a", "to": "b"}, bounded]),
            "/transitions/2 cycle",
        ),
        (json!([{"from": "a", "to": "b", "maxIterations": 2}]), "/transitions/0 invalid_value"),
        (
            json!([{"from": "a", "to": "b"}, bounded, {"from": "b", "to": "c", "maxIterations": 1}]),
            "/transitions/2 invalid_value",
        ),
        (json!([{"from": "a", "to": "a", "maxIterations": 0}]), "/transitions/0/maxIterations invalid_value"),
        (json!([{"from": "a", "to": "b", "until": "true"}]), "/transitions/0/until missing_field"),
    ];
    for (transitions, expected) in cases {
        let found = bad(&joined(&["s", "a", "b", "c"], transitions.clone()));
        assert!(found.iter().any(|found| found == expected), "{transitions}: {found:?}");
    }
    let two = joined(
        &["s", "a", "b"],
        json!([{"from": "s", "to": "a"}, {"from": "s", "to": "b"}, {"from": "a", "to": "b"}, bounded]),
    );
    assert!(messages(&two).contains("entered at `a` and at `b`"), "{}", messages(&two));
}

#[test]
fn regions_lie_only_so_deep_in_one_another() {
    let nested = |depth: usize| {
        let mut node = json!({"id": "n", "action": "noop"});
        for level in 0..depth {
            node = json!({"id": format!("n{level}"), "group": node});
        }
        with_step(node)
    };
    assert_eq!(bad(&nested(16)), [""; 0]);
    assert_eq!(bad(&nested(17)), [" too_large"]);
}

#[test]
fn what_stands_beside_a_group_or_in_finally_is_checked() {
    let inner = json!({"id": "b", "action": "noop"});
    let group = |more: Value| {
        let mut node = json!({"id": "a", "group": inner});
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bad(&with_step(node))
    };
    assert_eq!(group(json!({"retry": {"maxAttempts": 2}, "timeout": "5s", "allowFailure": true})), [""; 0]);
    for beside in ["jobSlug", "action", "input", "queue", "heartbeatTimeout", "forEach"] {
        assert_eq!(group(json!({ beside: "5s" })), [format!("/steps/0/{beside} invalid_value")]);
    }
    let finally = |finally: Value, id: &str| {
        bad(&json!({"slug": "w", "steps": [{"id": id, "action": "noop"}], "finally": finally}))
    };
    assert_eq!(finally(inner.clone(), "a"), [""; 0]);
    assert_eq!(finally(inner.clone(), "finally"), ["/finally duplicate"]);
    assert_eq!(finally(json!({"steps": [inner], "output": 1}), "a"), ["/finally/output invalid_value"]);
    assert_eq!(
        finally(json!({"id": "b", "action": "noop", "retry": {"maxAttempts": 0}}), "a"),
        ["/finally/retry/maxAttempts invalid_value"]
    );
}

#[test]
fn a_race_that_nobody_can_lose_is_refused() {
    let race = |join: Value, ways: Value| {
        json!({"slug": "w", "nodes": [{"id": "a", "jobSlug": "x"}, {"id": "b", "jobSlug": "x"}, {"id": "c", "jobSlug": "x"},
            {"id": "won", "jobSlug": "x", "join": join, "cancelLosers": true}], "transitions": ways})
    };
    let both = json!([{"from": "a", "to": "won"}, {"from": "b", "to": "won"}]);
    assert_eq!(bad(&race(json!("any"), both.clone())), [""; 0]);
    for join in ["all", "allSucceeded", "allDone", "noneFailed"] {
        assert_eq!(bad(&race(json!(join), both.clone())), ["/nodes/3/cancelLosers invalid_value"], "{join}");
    }
    let elsewhere = json!([{"from": "a", "to": "won"}, {"from": "a", "to": "c"}, {"from": "b", "to": "won"},
        {"from": "b", "to": "c", "on": "failure"}]);
    assert_eq!(bad(&race(json!("any"), elsewhere)), ["/nodes/3/cancelLosers invalid_value"]);
    let header = json!([{"from": "a", "to": "won"}, {"from": "b", "to": "won"}, {"from": "won", "to": "c"},
        {"from": "c", "to": "won", "maxIterations": 2}]);
    assert_eq!(bad(&race(json!("any"), header)), ["/nodes/3/cancelLosers invalid_value"]);
    let mut word = race(json!("any"), both);
    word["nodes"][3]["cancelLosers"] = json!("yes");
    assert_eq!(bad(&word), ["/nodes/3/cancelLosers invalid_value"]);
    let joins = |n: usize| {
        let nodes = (0..2 + n).map(|at| match at {
            0 | 1 => json!({"id": format!("n{at}"), "action": "noop"}),
            _ => json!({"id": format!("n{at}"), "action": "noop", "join": "any", "cancelLosers": true}),
        });
        let ways = (2..2 + n)
            .flat_map(|at| [1, 2].map(|back| json!({"from": format!("n{}", at - back), "to": format!("n{at}")})));
        json!({"slug": "w", "nodes": nodes.collect::<Vec<_>>(), "transitions": ways.collect::<Vec<_>>()})
    };
    assert!(!bad(&joins(100)).contains(&"/nodes/101/cancelLosers too_large".to_owned()));
    assert!(bad(&joins(101)).contains(&"/nodes/102/cancelLosers too_large".to_owned()));
}
