//! Where no run can go on as another.

use headwater_core::definition::compile;
use serde_json::{Value, json};

use crate::{bad, messages};

fn with(action: Value) -> Value {
    json!({"slug": "w", "steps": [{"id": "a", "action": action}]})
}

#[test]
fn what_is_no_continuation_is_refused_with_its_place() {
    for (action, expected) in [
        (json!({"kind": "continue_as", "version": 3}), "/steps/0/action/version invalid_value"),
        (json!({"kind": "continue_as", "version": "next"}), "/steps/0/action/version invalid_value"),
        (json!({"kind": "continue_as", "workflow": "No"}), "/steps/0/action/workflow invalid_name"),
        (json!({"kind": "continue_as", "workflow": "x", "version": "same"}), "/steps/0/action/version invalid_value"),
        (json!({"kind": "continue_as", "input": 7}), "/steps/0/action/input invalid_value"),
        (json!({"kind": "continue_as", "inptu": {}}), "/steps/0/action/inptu unknown_field"),
    ] {
        assert_eq!(bad(&with(action.clone())), [expected], "{action}");
    }
    for fine in
        [json!("continue_as"), json!({"kind": "continue_as", "version": "current", "input": "${{ input.next }}"})]
    {
        assert!(compile(&with(fine)).is_ok());
    }
}

#[test]
fn nothing_comes_after_it_and_nothing_that_ends_the_run_holds_it() {
    let mut document = with(json!("continue_as"));
    document["steps"].as_array_mut().unwrap().push(json!({"id": "b", "action": "noop", "dependsOn": ["a"]}));
    assert_eq!(bad(&document), ["/steps/1/dependsOn/0 invalid_value"]);
    assert!(messages(&document).contains("nothing comes after `a`"));
    let back = json!({"slug": "w", "nodes": [{"id": "a", "action": "noop"}, {"id": "b", "action": "continue_as"}],
        "transitions": [{"from": "a", "to": "b"}, {"from": "b", "to": "a", "maxIterations": 2}]});
    assert_eq!(bad(&back), ["/transitions/1 invalid_value"]);
    let failing = json!({"slug": "w", "nodes": [{"id": "a", "action": "noop"}, {"id": "b", "action": "continue_as"}],
        "transitions": [{"from": "b", "to": "a", "on": "failure"}]});
    assert!(compile(&failing).is_ok());
    let mut finally = with(json!("noop"));
    finally["finally"] = json!({"steps": [{"id": "f", "action": "continue_as"}]});
    assert_eq!(bad(&finally), ["/finally/steps/0 invalid_value"]);
    let mut deep = with(json!("noop"));
    deep["finally"] = json!({"steps": [{"id": "g", "group": {"steps": [{"id": "f", "action": "continue_as"}]}}]});
    assert_eq!(bad(&deep), ["/finally/steps/0/group/steps/0 invalid_value"]);
    let mut undo = with(json!("noop"));
    undo["steps"][0]["compensate"] = json!({"action": "continue_as"});
    assert_eq!(bad(&undo).len(), 1, "{:?}", bad(&undo));
}
