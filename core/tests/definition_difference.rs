//! What is told of two versions of a definition.

use headwater_core::Json;
use headwater_core::definition::{Difference, compile, difference};
use proptest::prelude::*;
use serde_json::{Value, json};

fn source(document: &Value) -> Json {
    compile(document).unwrap_or_else(|problems| panic!("{problems:?}: {document}")).0.source
}

fn between(old: &Value, new: &Value) -> Difference {
    difference(&source(old), &source(new))
}

/// Each change on a line.
fn told(old: &Value, new: &Value) -> Vec<String> {
    let line = |change| {
        let change: Value = serde_json::to_value(change).unwrap();
        let text = |name: &str| change[name].as_str().map(|text| format!("{text} ")).unwrap_or_default();
        let subject = ["what", "node", "within", "from", "to", "on"].map(text).concat();
        format!(
            "{subject}{}{}: {} -> {}",
            text("change"),
            change["path"].as_str().unwrap(),
            change["old"],
            change["new"]
        )
    };
    between(old, new).changes.iter().map(line).collect()
}

fn broken(old: &Value, new: &Value) -> Vec<String> {
    between(old, new).breaking.into_iter().map(|one| format!("{} {}", one.path, one.message)).collect()
}

#[test]
fn changes_are_told_by_node_and_field() {
    let old = json!({"slug": "w", "name": "one", "timeout": "1h", "inputSchema": {"type": "object"}, "steps": [
        {"id": "a", "jobSlug": "x", "retry": {"maxAttempts": 3}, "input": {"list": [1, 2], "deep": {"x": 1}}},
        {"id": "b", "jobSlug": "y", "dependsOn": ["a"]},
        {"id": "gone", "action": "noop", "dependsOn": ["a"]}]});
    let new = json!({"slug": "w", "name": "two", "timeoutMs": 3_600_000, "inputSchema": {"type": "object", "required": ["d"]},
        "defaults": {"d": 1}, "steps": [
        {"id": "fresh", "action": "noop"},
        {"id": "a", "jobSlug": "x", "retry": {"maxAttempts": 5}, "input": {"list": [1, 3], "deep": {"x": 1}}, "queue": "q"},
        {"id": "b", "jobSlug": "y", "dependsOn": ["fresh", "a"], "when": "input.d > 1"}]});
    let expected = [
        "header added /defaults: null -> {\"d\":1}",
        "header changed /name: \"one\" -> \"two\"",
        "schema added /inputSchema/required: null -> [\"d\"]",
        "node a changed /input/list: [1,2] -> [1,3]",
        "node a added /queue: null -> \"q\"",
        "node a changed /retry/maxAttempts: 3 -> 5",
        "node b added /when: null -> \"input.d > 1\"",
        "node fresh added : null -> {\"action\":{\"kind\":\"noop\"}}",
        "node gone removed : {\"action\":{\"kind\":\"noop\"}} -> null",
        "transition a gone success removed : {} -> null",
        "transition fresh b success added : null -> {}",
    ];
    assert_eq!(told(&old, &new), expected);
    assert!(told(&old, &old).is_empty());
    // The order in which nodes stand says nothing.
    let mut turned = old.clone();
    turned["steps"].as_array_mut().unwrap().reverse();
    assert!(told(&old, &turned).is_empty());
}

#[test]
fn nodes_in_bodies_and_transitions_are_compared_like_any_others() {
    let graph = |body: Value, when: &str| {
        json!({"slug": "w", "nodes": [{"id": "a", "action": "noop"}, {"id": "c", "action": "noop"},
            {"id": "all", "forEach": {"items": [1, 2], "body": body}}],
            "transitions": [{"from": "a", "to": "all"}, {"from": "a", "to": "c", "when": when}, {"from": "a", "to": "c", "priority": 1}]})
    };
    let one = graph(json!({"id": "inner", "jobSlug": "x"}), "input.a");
    let two = graph(
        json!({"steps": [{"id": "inner", "jobSlug": "y"}, {"id": "last", "action": "noop", "dependsOn": ["inner"]}],
        "output": "${{ item }}"}),
        "input.b",
    );
    let expected = [
        "node all added /forEach/body: null -> {\"output\":\"${{ item }}\"}",
        "node inner all changed /jobSlug: \"x\" -> \"y\"",
        "node last all added : null -> {\"action\":{\"kind\":\"noop\"}}",
        "transition a c success changed /when: \"input.a\" -> \"input.b\"",
        "transition inner last success added : null -> {}",
    ];
    assert_eq!(told(&one, &two), expected);
    let steps = json!({"slug": "w", "steps": [{"id": "a", "action": "noop"}, {"id": "b", "action": "noop", "dependsOn": ["a"]}]});
    let nodes = json!({"slug": "w", "nodes": [{"id": "a", "action": "noop"}, {"id": "b", "action": "noop"}],
        "transitions": [{"from": "a", "to": "b"}]});
    assert!(told(&steps, &nodes).is_empty(), "{:?}", told(&steps, &nodes));
}

#[test]
fn assets_are_told_apart_by_their_ids() {
    let with = |produces: Value| json!({"slug": "w", "steps": [{"id": "a", "jobSlug": "x", "produces": produces}]});
    let old = with(json!([{"assetId": "a.b"}, {"assetId": "c.d", "optional": true}]));
    let new = with(json!([{"assetId": "e.f"}, {"assetId": "C.d"}, {"assetId": "a.b"}]));
    assert!(
        told(&old, &new).iter().all(|line| line.starts_with("node a added /produces/") || line.contains("c.d")),
        "{:?}",
        told(&old, &new)
    );
    assert!(broken(&old, &new).is_empty());
    let gone = with(json!([{"assetId": "e.f"}]));
    assert_eq!(
        broken(&new, &gone),
        ["/steps/0/produces/2 `a.b` is not produced any more", "/steps/0/produces/1 `c.d` is not produced any more"]
    );
}

#[test]
fn an_input_schema_that_takes_less_is_breaking() {
    let with = |schema: Value, defaults: Value| {
        let defaults = Some(defaults).filter(|defaults| *defaults != json!({}));
        json!({"slug": "w", "inputSchema": schema, "defaults": defaults, "steps": [{"id": "a", "action": "noop"}]})
    };
    let none = json!({"slug": "w", "steps": [{"id": "a", "action": "noop"}]});
    let cases: Vec<(Value, Value, &[&str])> = vec![
        (json!({}), json!({"required": ["d"]}), &["/inputSchema/required `d` is required"]),
        (json!({"required": ["d"]}), json!({}), &[]),
        (json!({"type": "integer"}), json!({"type": "number"}), &[]),
        (json!({"type": ["object", "null"]}), json!({"type": "object"}), &["/inputSchema/type only object is taken"]),
        (json!({}), json!({"type": "object"}), &["/inputSchema/type only object is taken"]),
        (json!({}), json!({"properties": {"new": {"type": "string"}}}), &[]),
        (
            json!({"properties": {"a": {"enum": [1, 2]}, "b": {}}}),
            json!({"properties": {"a": {"enum": [1]}}, "additionalProperties": false}),
            &[
                "/inputSchema/additionalProperties other keys are not taken any more",
                "/inputSchema/properties/a/enum 2 is not taken any more",
                "/inputSchema/properties/b `b` is not taken any more",
            ],
        ),
        (
            json!({"properties": {"a/b": {"items": {"maximum": 5}}}}),
            json!({"properties": {"a/b": {"items": {"maximum": 4, "minimum": 1, "pattern": "x"}}}}),
            &[
                "/inputSchema/properties/a~1b/items/maximum `maximum` is 4",
                "/inputSchema/properties/a~1b/items/minimum `minimum` is 1",
                "/inputSchema/properties/a~1b/items/pattern `pattern` is asked for",
            ],
        ),
        (json!({"$ref": "#/$defs/x", "$defs": {"x": {}}}), json!({"required": ["d"]}), &[]),
        (json!(true), json!(false), &["/inputSchema nothing is taken here any more"]),
    ];
    for (old, new, expected) in cases {
        assert_eq!(broken(&with(old.clone(), json!({})), &with(new.clone(), json!({}))), expected, "{old} -> {new}");
    }
    let required = json!({"required": ["d"]});
    assert_eq!(broken(&none, &with(required.clone(), json!({}))), ["/inputSchema/required `d` is required"]);
    assert!(broken(&none, &with(required.clone(), json!({"d": 1}))).is_empty());
    assert_eq!(
        broken(&with(required.clone(), json!({"d": 1})), &with(required, json!({}))),
        ["/inputSchema/required `d` is required"],
        "what was filled is not filled any more"
    );
}

#[test]
fn what_is_told_is_bounded() {
    let many = |n: usize| {
        let steps: Vec<_> =
            (0..n).map(|n| json!({"id": format!("s{n}"), "action": "noop", "name": "x".repeat(300)})).collect();
        json!({"slug": "w", "steps": steps, "metadata": {"long": "y".repeat(5000)}})
    };
    let found = between(&many(1), &many(1500));
    assert_eq!((found.changes.len(), found.left_out), (500, 999));
    let mut other = many(1);
    other["metadata"]["long"] = json!(7);
    assert_eq!(told(&many(1), &other), ["header changed /metadata/long: null -> 7"]);
}

proptest! {
    /// Documents that nobody has compiled are compared without a fault: journals may hold anything.
    #[test]
    fn any_two_values_can_be_compared(a in anything(), b in anything()) {
        let (a, b) = (Json::of(&a), Json::of(&b));
        prop_assert!(difference(&a, &a).changes.is_empty());
        let _ = difference(&a, &b);
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "steps",
        "nodes",
        "transitions",
        "id",
        "a",
        "forEach",
        "body",
        "dependsOn",
        "from",
        "to",
        "on",
        "inputSchema",
        "required",
        "properties",
        "type",
        "enum",
        "produces",
        "assetId",
        "defaults",
        "items",
        "maximum",
    ];
    let word = proptest::sample::select(words.to_vec());
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}
