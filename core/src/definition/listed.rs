//! All nodes of a document and how they are joined, wherever they are listed, before anything is known to be right about them.

use serde_json::Value;

use super::for_each;

/// A node or a transition of a document.
#[derive(Clone)]
pub(super) struct Listed<'v> {
    /// Its path.
    pub(super) at: String,
    pub(super) value: &'v Value,
    /// What the bodies around it bind.
    pub(super) bound: Vec<String>,
}

/// Lists the nodes, in document order, each before those of its body.
pub(super) fn nodes(document: &Value) -> Vec<Listed<'_>> {
    let mut all = Vec::new();
    graphs(document, &mut |graph| {
        let listed = ["steps", "nodes"].iter().flat_map(|list| graph.entries(list));
        all.extend(graph.is_node().then(|| graph.clone()).into_iter().chain(listed));
    });
    all
}

/// Lists the transitions.
pub(super) fn transitions(document: &Value) -> Vec<Listed<'_>> {
    let mut all = Vec::new();
    graphs(document, &mut |graph| all.extend(graph.entries("transitions")));
    all
}

/// Lists the entries of a field with their paths.
pub(super) fn entries_of<'v>(of: &'v Value, at: &str, name: &str) -> impl Iterator<Item = (String, &'v Value)> {
    let at = format!("{at}/{name}");
    let items = of.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
    items.map(move |(index, item)| (format!("{at}/{index}"), item))
}

/// Visits the document, and the body of each node in it.
fn graphs<'v>(document: &'v Value, visit: &mut dyn FnMut(&Listed<'v>)) {
    let mut todo = vec![Listed { at: String::new(), value: document, bound: Vec::new() }];
    if let Some(value) = document.get("finally") {
        todo.insert(0, Listed { at: "/finally".to_owned(), value, bound: Vec::new() });
    }
    while let Some(graph) = todo.pop() {
        visit(&graph);
        let mut nodes: Vec<Listed<'v>> = ["steps", "nodes"].iter().flat_map(|list| graph.entries(list)).collect();
        nodes.extend(graph.is_node().then(|| graph.clone()));
        for node in nodes.into_iter().rev() {
            if let Some(value) = node.value.get("group") {
                todo.push(Listed { at: format!("{}/group", node.at), value, bound: node.bound });
                continue;
            }
            let Some(each) = node.value.get("forEach") else { continue };
            let Some(value) = each.get("body") else { continue };
            let name = each.get("as").and_then(Value::as_str).map(str::to_owned);
            let bound = node.bound.into_iter().chain(for_each::BOUND.map(str::to_owned)).chain(name);
            todo.push(Listed { at: format!("{}/forEach/body", node.at), value, bound: bound.collect() });
        }
    }
}

impl<'v> Listed<'v> {
    fn entries(&self, name: &str) -> Vec<Self> {
        let entries = entries_of(self.value, &self.at, name);
        entries.map(|(at, value)| Self { at, value, bound: self.bound.clone() }).collect()
    }

    /// Returns whether it is a body that is one node.
    fn is_node(&self) -> bool {
        !self.at.is_empty() && self.value.get("steps").is_none() && self.value.get("nodes").is_none()
    }
}
