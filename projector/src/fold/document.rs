//! What the read models keep of a workflow's document: its nodes, its edges, and the assets it names.
//!
//! The document was compiled and written in its canonical form before it entered the journal, so this only looks:
//! `steps[]` with `dependsOn`, or `nodes[]` with `transitions[]`; in a `group` or the body of a `forEach` one of these, or a node. It
//! does not compile: what an old release accepted is projected for ever, whatever the compiler has learned since.

use std::collections::BTreeSet;

use headwater_core::definition::ActionRef;
use serde_json::{Value, json};

use crate::tables::{EdgeRole, Graph, GraphEdge, GraphNode, GraphTransition};

/// Reads a canonical document ([`headwater_core::definition::Definition::source`]) in either of its two spellings.
pub fn graph_of(document: &Value) -> Graph {
    let mut graph =
        Graph { name: text(document, "name"), description: text(document, "description"), ..Graph::default() };
    let mut seen = BTreeSet::new();
    read_graph(&mut graph, &mut seen, document, None);
    // It is a node that nothing leads to.
    if let Some(finally) = document.get("finally") {
        read_node(&mut graph, &mut seen, &json!({"id": "finally", "group": finally}), None);
    }
    read_compensation(&mut graph);
    graph
}

/// Reads what undoes nodes: each is a node in the body of one that nothing leads to.
fn read_compensation(graph: &mut Graph) {
    let says_so = graph.nodes.iter().filter(|node| node.document.contains("\"compensate\""));
    let undoing = says_so.filter_map(|node| {
        let document: Value = serde_json::from_str(&node.document).ok()?;
        Some((format!("{}~undo", node.id), document.get("compensate")?.clone()))
    });
    let undoing: Vec<(String, Value)> = undoing.collect();
    if undoing.is_empty() {
        return;
    }
    let node = |id: String, kind: String, document: &Value, body_of: Option<&str>| GraphNode {
        id,
        name: None,
        kind,
        job: text(document, "jobSlug"),
        document: document.to_string(),
        body_of: body_of.map(str::to_owned),
        origin: None,
    };
    graph.nodes.push(node("compensation".to_owned(), "compensation".to_owned(), &json!({}), None));
    for (id, document) in undoing {
        graph.nodes.push(node(id, kind_of(&document), &document, Some("compensation")));
    }
}

/// Reads the nodes of a document, of a `group`, or of the body of a `forEach`, each of which is followed by those of its own body.
fn read_graph(graph: &mut Graph, seen: &mut BTreeSet<String>, within: &Value, body_of: Option<&str>) {
    for list in ["steps", "nodes"] {
        for node in items(within, list) {
            read_node(graph, seen, node, body_of);
        }
    }
    for edge in items(within, "transitions") {
        let (Some(from), Some(to)) = (text(edge, "from"), text(edge, "to")) else { continue };
        graph.transitions.push(transition(from, to, edge));
    }
}

fn read_node(graph: &mut Graph, seen: &mut BTreeSet<String>, node: &Value, body_of: Option<&str>) {
    let Some(id) = text(node, "id").filter(|id| seen.insert(id.clone())) else { return };
    let name = text(node, "name");
    let kind = kind_of(node);
    for dependency in items(node, "dependsOn") {
        if let Some(from) = dependency.as_str() {
            // A step's condition stands on every way into it.
            let condition = text(node, "when");
            graph
                .transitions
                .push(GraphTransition { condition, ..transition(from.to_owned(), id.clone(), dependency) });
        }
    }
    let mut named = BTreeSet::new();
    for (list, role) in [("produces", EdgeRole::Produces), ("consumes", EdgeRole::Consumes)] {
        for entry in items(node, list) {
            let Some(asset) = text(entry, "assetId") else { continue };
            // A node that names an asset twice in one role is one edge.
            if !named.insert((role.as_str(), asset.to_ascii_lowercase())) {
                continue;
            }
            graph.edges.push(GraphEdge {
                role,
                node: id.clone(),
                node_name: name.clone(),
                kind: kind.clone(),
                asset,
                is_primary: entry.get("primary").and_then(Value::as_bool).unwrap_or(false),
                schema: json(entry, "schema"),
                freshness: json(entry, "freshness"),
                partitioning: json(entry, "partitioning"),
                auto_materialize: json(entry, "autoMaterialize"),
            });
        }
    }
    let body = node.get("group").or_else(|| node.get("forEach").and_then(|each| each.get("body")));
    graph.nodes.push(GraphNode {
        id: id.clone(),
        name,
        kind,
        job: text(node, "jobSlug"),
        document: node.to_string(),
        body_of: body_of.map(str::to_owned),
        origin: origin_of(node),
    });
    match body {
        Some(body) if body.get("id").is_some() => read_node(graph, seen, body, Some(&id)),
        Some(body) => read_graph(graph, seen, body, Some(&id)),
        None => {}
    }
}

/// The reusable action that a node says it comes from.
fn origin_of(node: &Value) -> Option<(String, i32)> {
    let ActionRef { slug, version } = node.get("ref")?.as_str()?.parse().ok()?;
    Some((slug.to_string(), i32::try_from(version?.get()).ok()?))
}

/// The action's kind: a node with a `jobSlug` is a job; of any other `action` says it, or it is a `forEach` or a `group`.
fn kind_of(node: &Value) -> String {
    for kind in ["forEach", "group"] {
        if node.get(kind).is_some() {
            return kind.to_owned();
        }
    }
    node.get("action").and_then(|action| text(action, "kind")).unwrap_or_else(|| "job".to_owned())
}

fn transition(from: String, to: String, edge: &Value) -> GraphTransition {
    GraphTransition {
        from,
        to,
        outcome: text(edge, "on").unwrap_or_else(|| "success".to_owned()),
        priority: edge.get("priority").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok()).unwrap_or(0),
        condition: text(edge, "when"),
    }
}

fn items<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn text(of: &Value, key: &str) -> Option<String> {
    of.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn json(of: &Value, key: &str) -> Option<String> {
    of.get(key).filter(|value| !value.is_null()).map(Value::to_string)
}
