//! What is read of a definition's canonical form is what a run will walk.

use headwater_core::definition::{Definition, compile};
use headwater_projector::fold::graph_of;
use headwater_projector::tables::Graph;
use serde_json::{Value, json};

/// Compiles a document and compares what is read of its canonical form with what the run will walk.
fn compiled(document: Value) -> (Definition, Graph) {
    let (definition, _) = compile(&document).unwrap();
    let graph = graph_of(&definition.source.to_value());
    let mut nodes: Vec<_> = graph.nodes.iter().map(|node| (node.id.clone(), node.name.clone())).collect();
    let mut walked: Vec<_> = definition.nodes.iter().map(|node| (node.id.to_string(), node.name.clone())).collect();
    nodes.sort();
    walked.sort();
    assert_eq!(nodes, walked);
    let id = |ix| definition.node(ix).id.to_string();
    let mut ways: Vec<_> = definition
        .transitions
        .iter()
        .map(|way| (id(way.from), id(way.to), way.when.as_ref().map(|when| when.source().to_owned())))
        .collect();
    let mut edges: Vec<_> =
        graph.transitions.iter().map(|edge| (edge.from.clone(), edge.to.clone(), edge.condition.clone())).collect();
    ways.sort();
    edges.sort();
    assert_eq!(edges, ways);
    let declared = definition.nodes.iter().map(|node| node.produces.len() + node.consumes.len()).sum::<usize>();
    assert_eq!(graph.edges.len(), declared);
    (definition, graph)
}

#[test]
fn steps_are_read_as_they_are_compiled() {
    let (definition, graph) = compiled(json!({"slug": "flow", "name": "Flow", "description": "About it", "steps": [
        {"id": "scan", "jobSlug": "scan-directory", "name": "Scan",
         "produces": [{"assetId": "Dir.Scan", "schema": {"type": "object"}, "freshness": {"ttl": "2h"}}]},
        {"id": "report", "type": "noop", "dependsOn": ["scan"], "when": "nodes.scan.output.files > 0",
         "consumes": [{"assetId": "dir.scan"}]}]}));
    assert_eq!((graph.name.as_deref(), graph.description.as_deref()), (definition.name.as_deref(), Some("About it")));
    let nodes: Vec<_> =
        graph.nodes.iter().map(|node| (node.id.as_str(), node.kind.as_str(), node.job.as_deref())).collect();
    assert_eq!(nodes, [("scan", "job", Some("scan-directory")), ("report", "noop", None)]);
    let edges: Vec<_> =
        graph.edges.iter().map(|edge| (edge.role.as_str(), edge.node.as_str(), edge.asset.as_str())).collect();
    assert_eq!(edges, [("produces", "scan", "Dir.Scan"), ("consumes", "report", "dir.scan")]);
    assert_eq!(graph.edges[0].schema.as_deref(), Some(r#"{"type":"object"}"#));
    // As the definition has it, in canonical spelling.
    let freshness =
        definition.nodes.iter().flat_map(|node| &node.produces).find_map(|produces| produces.freshness.as_ref());
    assert_eq!(graph.edges[0].freshness.as_deref(), freshness.map(|declared| declared.source().as_str()));
}

#[test]
fn nodes_and_transitions_are_read_as_they_are_compiled() {
    let (_, graph) = compiled(json!({"slug": "flow", "nodes": [
        {"id": "a", "action": {"kind": "job", "jobSlug": "x"}},
        {"id": "b", "action": {"kind": "sleep", "duration": "90s"}},
        {"id": "c", "action": {"kind": "transform", "output": {"n": 1}}}],
        "transitions": [{"from": "a", "to": "b", "on": "failure", "priority": 2}, {"from": "a", "to": "c", "when": "input.ok"}]}));
    let kinds: Vec<_> = graph.nodes.iter().map(|node| (node.kind.as_str(), node.job.as_deref())).collect();
    assert_eq!(kinds, [("job", Some("x")), ("sleep", None), ("transform", None)]);
    let failure = graph.transitions.iter().find(|edge| edge.to == "b").unwrap();
    assert_eq!((failure.outcome.as_str(), failure.priority), ("failure", 2));
    assert_eq!(graph.transitions.iter().find(|edge| edge.to == "c").unwrap().outcome, "success");
}

#[test]
fn bodies_are_read_with_what_they_are_of() {
    let (_, graph) = compiled(json!({"slug": "flow", "nodes": [
        {"id": "judges", "forEach": {"items": 3, "body": {"id": "judge", "jobSlug": "judge", "name": "Judge"}}},
        {"id": "rooms", "forEach": {"items": 2, "body": {"nodes": [
            {"id": "enter", "action": "noop"},
            {"id": "walls", "forEach": {"items": 4, "body": {"steps": [
                {"id": "paint", "jobSlug": "paint", "produces": [{"assetId": "wall.colour"}]},
                {"id": "dry", "action": "noop", "dependsOn": ["paint"]}]}}}],
            "transitions": [{"from": "enter", "to": "walls"}]}}}],
        "transitions": [{"from": "judges", "to": "rooms"}]}));
    let nodes: Vec<_> = graph
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node.kind.as_str(), node.body_of.as_deref().unwrap_or("-")))
        .collect();
    let each = "forEach";
    let expected = [
        ("judges", each, "-"),
        ("judge", "job", "judges"),
        ("rooms", each, "-"),
        ("enter", "noop", "rooms"),
        ("walls", each, "rooms"),
        ("paint", "job", "walls"),
        ("dry", "noop", "walls"),
    ];
    assert_eq!(nodes, expected);
}
