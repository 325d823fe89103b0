//! What is wrong about results that were made before.

use headwater_core::definition::{ReuseKey, compile};
use serde_json::{Value, json};

use crate::{bad, with_step};

fn job(reuse: &Value) -> Value {
    with_step(json!({"id": "a", "jobSlug": "x", "reuse": reuse}))
}

#[test]
fn a_reuse_has_a_key_and_stands_where_there_is_something_to_do() {
    let action = |action: Value, more: Value| {
        let mut step = json!({"id": "a", "action": action, "reuse": "ifUnchanged"});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with_step(step)
    };
    let call = json!({"kind": "workflow_call", "workflow": "w"});
    let cases: Vec<(Value, &[&str])> = vec![
        (job(&json!("always")), &["/steps/0/reuse invalid_value"]),
        (job(&json!(true)), &["/steps/0/reuse invalid_value"]),
        (job(&json!({})), &["/steps/0/reuse missing_field"]),
        (job(&json!({"ifUnchanged": false})), &["/steps/0/reuse missing_field"]),
        (job(&json!({"key": 1, "ifUnchanged": true})), &["/steps/0/reuse/key invalid_value"]),
        (job(&json!({"key": "${{ input. }}"})), &["/steps/0/reuse/key bad_expression"]),
        (job(&json!({"key": "${{ nodes.b.output }}"})), &["/steps/0/reuse/key dangling_reference"]),
        (job(&json!({"key": 1, "maxAge": "soon"})), &["/steps/0/reuse/maxAge invalid_value"]),
        (job(&json!({"key": 1, "scope": "world"})), &["/steps/0/reuse/scope invalid_value"]),
        (job(&json!({"key": 1, "ttl": "1d"})), &["/steps/0/reuse/ttl unknown_field"]),
        (action(json!("noop"), json!({})), &["/steps/0/reuse invalid_value"]),
        (action(json!({"kind": "sleep", "duration": "1s"}), json!({})), &["/steps/0/reuse invalid_value"]),
        (action(call.clone(), json!({})), &["/steps/0/reuse invalid_value"]),
        (action(json!({"kind": "job", "jobSlug": "x"}), json!({"produces": [{"assetId": "a"}]})), &[]),
        (
            with_step(json!({"id": "a", "reuse": "ifUnchanged", "group": {"steps": [{"id": "b", "jobSlug": "x"}]}})),
            &["/steps/0/reuse invalid_value"],
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(bad(&document), expected, "{document}");
    }
    let mut pinned = call;
    pinned["version"] = json!(2);
    compile(&action(pinned, json!({}))).unwrap();
}

#[test]
fn what_a_node_does_makes_it_another_and_what_is_said_beside_does_not() {
    let digest = |more: Value| {
        let mut step =
            json!({"id": "a", "jobSlug": "x", "input": {"n": "${{ input.n }}"}, "reuse": {"ifUnchanged": true}});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (definition, _) = compile(&with_step(step)).unwrap();
        let again = compile(&definition.source.to_value()).unwrap().0;
        assert_eq!(again.content_hash, definition.content_hash);
        match &definition.nodes[0].reuse.as_ref().unwrap().key {
            ReuseKey::Unchanged { definition } => definition.clone(),
            ReuseKey::Key(_) => panic!("it has no key"),
        }
    };
    let plain = digest(json!({}));
    for same in [
        json!({"name": "A"}),
        json!({"retry": {"maxAttempts": 9}}),
        json!({"timeout": "1h"}),
        json!({"queue": "q"}),
        json!({"storeResultAs": "k"}),
        json!({"reuse": "ifUnchanged"}),
    ] {
        assert_eq!(digest(same.clone()), plain, "{same}");
    }
    for other in [json!({"jobSlug": "y"}), json!({"input": {"n": "${{ input.m }}"}}), json!({"outputSchema": {}})] {
        assert_ne!(digest(other.clone()), plain, "{other}");
    }
}
