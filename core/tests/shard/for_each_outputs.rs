//! What becomes of the outputs of items: merged, added up, and written once.

use serde_json::{Value, json};

use crate::for_each::{output, started, work_off};
use crate::world::{empty, ok};

#[test]
fn outputs_are_collected_in_the_order_of_the_items() {
    let (mut world, run) = started(json!({}), json!(["a", "b", "c"]));
    work_off(&mut world, |input| Ok(json!([input["index"], input["item"]])));
    assert_eq!(output(&world, "all"), Some(json!([[0, "a"], [1, "b"], [2, "c"]])), "{}", world.timeline(run));
    assert_eq!(
        world.timeline(run),
        "started all:items all:opens(1+3) one@1:try1 one@2:try1 one@3:try1 one@3:ok @3:ok one@2:ok @2:ok one@1:ok @1:ok \
         all:ok SUCCEEDED"
    );
}

#[test]
fn outputs_are_merged_as_the_document_says() {
    let cases = [
        (json!("collect"), json!([[1], [2]])),
        (json!("append"), json!([1, 2])),
        (json!("last"), json!([2])),
        (json!("keyed"), json!({"a": [1], "b": [2]})),
        (json!({"keyed": "string(index) + item + string(output[0])"}), json!({"0a1": [1], "1b2": [2]})),
    ];
    for (merge, expected) in cases {
        let (mut world, run) = started(json!({"merge": merge}), json!(["a", "b"]));
        work_off(&mut world, |input| Ok(json!([input["index"].as_u64().unwrap() + 1])));
        assert_eq!(output(&world, "all"), Some(expected), "{}", world.timeline(run));
    }
    let (mut world, _) = started(json!({"merge": "mergeObject"}), json!(["a", "b"]));
    work_off(&mut world, |input| Ok(json!({"same": input["index"], (input["item"].as_str().unwrap()): 1})));
    assert_eq!(output(&world, "all"), Some(json!({"a": 1, "b": 1, "same": 1})));
    for (merge, items) in [("append", json!([1])), ("mergeObject", json!([1])), ("keyed", json!(["a", "a"]))] {
        let (mut world, run) = started(json!({"merge": merge}), items);
        work_off(&mut world, |_| Ok(json!("text")));
        assert!(world.timeline(run).ends_with("all:dead(for_each_merge) FAILED(for_each_merge)"), "{merge}");
    }
}

#[test]
fn outputs_are_added_up_in_the_order_of_the_items_whichever_came_first() {
    let reduce = |initial: Value, step: &str| json!({"merge": {"reduce": {"initial": initial, "step": step}}});
    let joined = reduce(json!("${{ input.items[0] }}"), "acc + string(index) + output");
    let (mut world, run) = started(joined, json!(["a", "b", "c"]));
    let mut tasks = world.tasks();
    while let Some(task) = tasks.pop() {
        world.report(&task, ok(task.input.to_value()["item"].clone())).unwrap();
        tasks.extend(world.tasks());
    }
    assert_eq!(output(&world, "all"), Some(json!("a0a1b2c")), "{}", world.timeline(run));
    let (world, _) = started(reduce(json!({"none": true}), "{'none': false}"), json!([]));
    assert_eq!(output(&world, "all"), Some(json!({"none": true})), "where there is none it is what it was before");
    for (step, code) in [("acc + output", "expression_error"), ("[acc, acc]", "decision_limit")] {
        let (mut world, run) = started(reduce(json!(1), step), json!((0..40).collect::<Vec<_>>()));
        work_off(&mut world, |_| Ok(json!("text")));
        world.settle();
        let timeline = world.timeline(run);
        assert!(timeline.ends_with(&format!("all:dead({code}) FAILED({code})")), "{step}: {timeline}");
    }
}

/// What an item has made stands in the journal once, where its node has made it just before and it is not small. Merges, keys
/// and groups see it all the same, and so does who folds the history.
#[test]
fn an_output_is_written_once_where_its_node_has_just_made_it() {
    let long = "x".repeat(200);
    for (more, expected) in [
        (json!({}), json!([{"n": 0, "text": long}, {"n": 1, "text": long}])),
        (
            json!({"merge": {"keyed": "string(output.n)"}}),
            json!({"0": {"n": 0, "text": long}, "1": {"n": 1, "text": long}}),
        ),
        (json!({"merge": "last"}), json!({"n": 1, "text": long})),
    ] {
        let (mut world, run) = started(more.clone(), json!([0, 1]));
        work_off(&mut world, |input| Ok(json!({"n": input["index"], "text": long})));
        assert_eq!(output(&world, "all"), Some(expected), "{more}: {}", world.timeline(run));
        let text = serde_json::to_string(&world.commits).unwrap();
        assert_eq!(text.matches(r#""succeededAs":{"node":"one""#).count(), 2, "{text}");
        let mut shard = empty();
        for bundle in world.bundles(1) {
            assert_eq!(shard.fold(&bundle, None), []);
        }
    }
    let (mut world, _) = started(json!({}), json!([0]));
    work_off(&mut world, |_| Ok(json!("short")));
    assert!(!serde_json::to_string(&world.commits).unwrap().contains("succeededAs"), "which is no shorter");
    let body = json!({"steps": [{"id": "one", "jobSlug": "work"}], "output": "${{ nodes.one.output + '!' }}"});
    let (mut world, _) = started(json!({"body": body}), json!([0]));
    work_off(&mut world, |_| Ok(json!(long)));
    assert_eq!(output(&world, "all"), Some(json!([format!("{long}!")])), "what is made of it is another");
}
