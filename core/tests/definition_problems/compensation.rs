//! What is wrong about what undoes a node.

use headwater_core::definition::compile;
use serde_json::{Value, json};

use crate::{bad, messages, with_step, with_steps};

fn undone_by(compensate: Value) -> Value {
    with_step(json!({"id": "a", "jobSlug": "x", "compensate": compensate}))
}

#[test]
fn what_cannot_undo_is_refused_where_it_stands() {
    let cases = [
        (json!({}), "/jobSlug missing_field"),
        (json!("undo"), " invalid_value"),
        (json!({"jobSlug": "x", "compensate": {}}), "/compensate unknown_field"),
        (json!({"jobSlug": "x", "dependsOn": []}), "/dependsOn unknown_field"),
        (json!({"jobSlug": "x", "produces": []}), "/produces unknown_field"),
        (json!({"jobSlug": "x", "reuse": "ifUnchanged"}), "/reuse unknown_field"),
        (json!({"jobSlug": "x", "allowFailure": true}), "/allowFailure unknown_field"),
        (json!({"jobSlug": "x", "ref": "undo@1"}), "/ref unknown_field"),
        (json!({"jobSlug": "x", "retry": {"maxAttempts": 0}}), "/retry/maxAttempts invalid_value"),
        (json!({"jobSlug": "x", "timeout": "0s"}), "/timeout invalid_value"),
        (json!({"jobSlug": "x", "queue": "a b"}), "/queue invalid_name"),
        (json!({"jobSlug": "x", "input": "${{ thing }}"}), "/input bad_expression"),
        (json!({"jobSlug": "x", "input": "${{ nodes.b.output }}"}), "/input dangling_reference"),
        (json!({"action": {"ref": "undo@1"}}), "/action unknown_action"),
        (json!({"action": "undo"}), "/action unknown_action"),
        (json!({"action": {"kind": "sleep", "duration": "1s"}}), " invalid_value"),
        (json!({"action": {"kind": "wait_signal", "name": "go"}}), " invalid_value"),
        (json!({"action": {"kind": "fail", "code": "x", "message": "y"}}), " invalid_value"),
        (json!({"action": {"kind": "http_request", "method": "DELETE"}}), "/action/url missing_field"),
        (json!({"action": {"kind": "workflow_call", "workflow": "w", "wait": "assets"}}), " invalid_value"),
        (json!({"forEach": {"items": 1, "body": {"id": "b", "action": "noop"}}}), "/jobSlug missing_field"),
    ];
    for (compensate, expected) in cases {
        let found = bad(&undone_by(compensate.clone()));
        let is_expected = |one: &String| one.starts_with(&format!("/steps/0/compensate{expected}"));
        assert!(found.iter().any(is_expected), "{compensate}: {found:?}");
    }
    let steps = (0..1_001).map(|n| json!({"id": format!("n{n}"), "jobSlug": "x", "compensate": {"jobSlug": "y"}}));
    assert_eq!(bad(&with_steps(steps.collect())), ["/steps/1000/compensate too_large"]);
}

#[test]
fn a_node_that_cannot_be_undone_says_so() {
    let undo = json!({"jobSlug": "y"});
    let fail = json!({"id": "a", "action": {"kind": "fail", "code": "x", "message": "y"}, "compensate": undo});
    assert_eq!(bad(&with_step(fail)), ["/steps/0/compensate invalid_value"]);
    let reused = json!({"id": "a", "jobSlug": "x", "reuse": "ifUnchanged", "compensate": undo});
    assert_eq!(bad(&with_step(reused)), ["/steps/0/compensate invalid_value"]);
    let mut document = with_step(json!({"id": "a", "jobSlug": "x"}));
    document["finally"] =
        json!({"steps": [{"id": "f", "group": {"steps": [{"id": "g", "jobSlug": "x", "compensate": undo}]}}]});
    assert_eq!(bad(&document), ["/finally/steps/0/group/steps/0/compensate invalid_value"]);
}

#[test]
fn nobody_else_has_the_ids_of_what_undoes() {
    let undo = json!({"jobSlug": "y"});
    let named = json!([{"id": "compensation", "jobSlug": "x"}, {"id": "b", "jobSlug": "x", "compensate": undo}]);
    assert_eq!(bad(&with_steps(named)), ["/steps/1/compensate duplicate"]);
    assert_eq!(bad(&with_step(json!({"id": "a~undo", "jobSlug": "x"}))), ["/steps/0/id invalid_name"]);
    assert_eq!(bad(&with_step(json!({"id": "a~b", "jobSlug": "x"}))), ["/steps/0/id invalid_name"]);
    let after =
        json!([{"id": "a", "jobSlug": "x", "compensate": undo}, {"id": "b", "jobSlug": "x", "dependsOn": ["a~undo"]}]);
    assert_eq!(bad(&with_steps(after)).len(), 1);
    let sees = json!([{"id": "a", "jobSlug": "x", "compensate": undo},
        {"id": "b", "jobSlug": "x", "dependsOn": ["a"], "input": "${{ nodes.compensation.output }}"}]);
    assert_eq!(bad(&with_steps(sees)), ["/steps/1/input dangling_reference"]);
    let mut document = undone_by(undo);
    document["output"] = json!("${{ nodes.compensation.output }}");
    assert_eq!(bad(&document), ["/output dangling_reference"]);
    assert!(messages(&document).contains("compensation"));
}

#[test]
fn what_undoes_is_kept_in_the_canonical_form() {
    let document = with_steps(json!([
        {"id": "each", "forEach": {"items": 2, "as": "doc", "body": {"id": "a", "jobSlug": "x",
            "compensate": {"type": "job", "jobSlug": "y", "with": ["${{ doc }}", "${{ output }}", "${{ nodeInput }}"],
                "retryPolicy": {"maxAttempts": 5}, "timeout": "5s"}}}},
        {"id": "group", "group": {"id": "b", "jobSlug": "x"}, "compensate": {"action": "noop"}}]));
    let (definition, _) = compile(&document).unwrap();
    let (again, _) = compile(&definition.source.to_value()).unwrap();
    assert_eq!(again.content_hash, definition.content_hash);
    assert!(definition.has_later_words);
    let ids: Vec<&str> = definition.nodes.iter().map(|node| node.id.as_str()).collect();
    assert!(ids.contains(&"compensation") && ids.contains(&"a~undo") && ids.contains(&"group~undo"), "{ids:?}");
    // What says nothing of it is what it was.
    let (plain, _) = compile(&with_step(json!({"id": "a", "jobSlug": "x"}))).unwrap();
    assert!(plain.compensation.is_none() && !plain.has_later_words && plain.nodes.len() == 1);
}
