//! What is wrong about tries, and about failures that are tolerated.

use headwater_core::definition::compile;
use serde_json::{Value, json};

use crate::{bad, with_step};

#[test]
fn a_retry_rule_is_about_something_and_says_what_can_be() {
    let rules = |rules: Value| with_step(json!({"id": "a", "jobSlug": "x", "retry": {"delay": "2s", "rules": rules}}));
    let many = |count| (0..count).map(|n| json!({"codes": [format!("c{n}")]})).collect::<Vec<_>>();
    let cases: Vec<(Value, &[&str])> = vec![
        (rules(json!({})), &["/steps/0/retry/rules invalid_value"]),
        (rules(json!([7])), &["/steps/0/retry/rules/0 invalid_value"]),
        (rules(json!([{"maxAttempts": 1}])), &["/steps/0/retry/rules/0 invalid_value"]),
        (rules(json!([{"codes": ["x"], "when": "true"}])), &["/steps/0/retry/rules/0 invalid_value"]),
        (rules(json!([{"codes": []}])), &["/steps/0/retry/rules/0/codes invalid_value"]),
        (rules(json!([{"codes": "x"}])), &["/steps/0/retry/rules/0/codes invalid_value"]),
        (rules(json!([{"codes": [7]}])), &["/steps/0/retry/rules/0/codes/0 invalid_value"]),
        (rules(json!([{"when": "error.code =="}])), &["/steps/0/retry/rules/0/when bad_expression"]),
        (rules(json!([{"when": "fault.code == 'x'"}])), &["/steps/0/retry/rules/0/when bad_expression"]),
        (rules(json!([{"when": "nodes.a.output.x"}])), &["/steps/0/retry/rules/0/when dangling_reference"]),
        (rules(json!([{"codes": ["x"], "maxAttempts": 0}])), &["/steps/0/retry/rules/0/maxAttempts invalid_value"]),
        (rules(json!([{"codes": ["x"], "maxDelay": "1s"}])), &["/steps/0/retry/rules/0 invalid_value"]),
        (rules(json!([{"codes": ["x"], "nonRetryable": []}])), &["/steps/0/retry/rules/0/nonRetryable unknown_field"]),
        (
            rules(json!([{"code": ["x"]}])),
            &["/steps/0/retry/rules/0 invalid_value", "/steps/0/retry/rules/0/code unknown_field"],
        ),
        (rules(json!(many(33))), &["/steps/0/retry/rules too_large"]),
        (
            with_step(json!({"id": "a", "jobSlug": "x", "retry": {"maxDuration": 0}})),
            &["/steps/0/retry/maxDuration invalid_value"],
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(bad(&document), expected, "{document}");
    }
    let settled = json!([{"codes": ["x", "y"]}, {"codes": ["y", "fatal", "z"]}]);
    let step = json!({"id": "a", "jobSlug": "x", "retry": {"nonRetryable": ["fatal"], "rules": settled}});
    let (_, warnings) = compile(&with_step(step)).unwrap();
    let paths: Vec<_> = warnings.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["/steps/0/retry/rules/1/codes/0", "/steps/0/retry/rules/1/codes/1"]);
    assert!(compile(&rules(json!(many(32)))).unwrap().0.has_later_words);
}

#[test]
fn what_is_tolerated_is_said_in_one_of_three_ways() {
    let step = |given: Value| with_step(json!({"id": "a", "jobSlug": "x", "allowFailure": given}));
    let cases: Vec<(Value, &[&str])> = vec![
        (step(json!("yes")), &["/steps/0/allowFailure invalid_value"]),
        (step(json!(["boom"])), &["/steps/0/allowFailure invalid_value"]),
        (step(json!({})), &["/steps/0/allowFailure/codes missing_field"]),
        (step(json!({"codes": []})), &["/steps/0/allowFailure/codes invalid_value"]),
        (step(json!({"codes": [1]})), &["/steps/0/allowFailure/codes/0 invalid_value"]),
        (step(json!({"codes": ["x"], "code": "y"})), &["/steps/0/allowFailure/code unknown_field"]),
        (
            with_step(
                json!({"id": "a", "action": {"kind": "fail", "code": "x", "message": "y"}, "allowFailure": true}),
            ),
            &["/steps/0/allowFailure invalid_value"],
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(bad(&document), expected, "{document}");
    }
    for (given, is_later) in [(json!(false), false), (json!(true), true), (json!({"codes": ["x"]}), true)] {
        let (definition, warnings) = compile(&step(given.clone())).unwrap();
        assert_eq!((definition.has_later_words, warnings.len()), (is_later, 0), "{given}");
        let kept = definition.source.to_value()["steps"][0].get("allowFailure").cloned();
        assert_eq!(kept, is_later.then_some(given));
    }
}

#[test]
fn a_snapshot_policy_says_when_within_bounds() {
    let with = |policy: Value| json!({"slug": "w", "snapshotPolicy": policy, "steps": [{"id": "a", "action": "noop"}]});
    for (wrong, found) in [
        (json!({}), "/snapshotPolicy invalid_value"),
        (json!({"onJoin": false}), "/snapshotPolicy invalid_value"),
        (json!(5), "/snapshotPolicy invalid_value"),
        (json!({"everyEvents": 0}), "/snapshotPolicy/everyEvents invalid_value"),
        (json!({"everyEvents": 1_000_001}), "/snapshotPolicy/everyEvents invalid_value"),
        (json!({"everySeconds": 1.5}), "/snapshotPolicy/everySeconds invalid_value"),
        (json!({"everySeconds": 31_536_001}), "/snapshotPolicy/everySeconds invalid_value"),
        (json!({"onJoin": "yes"}), "/snapshotPolicy/onJoin invalid_value"),
        (json!({"onJoin": true, "everyHours": 1}), "/snapshotPolicy/everyHours unknown_field"),
    ] {
        assert_eq!(bad(&with(wrong)), [found]);
    }
    let (definition, warnings) = compile(&with(json!({"onJoin": true, "everySeconds": 60}))).unwrap();
    assert!(definition.has_later_words && warnings.is_empty());
    assert_eq!(definition.source.to_value()["snapshotPolicy"], json!({"onJoin": true, "everySeconds": 60}));
    assert!(!compile(&with(Value::Null)).unwrap().0.has_later_words);
}
