//! From the document to the graph, or to everything that is wrong with it.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;
use sha2::Digest as _;

use super::document::{Field, Fields, Findings, sorted};
use super::edges::{self, Edge, Ids};
use super::header::{self, Header};
use super::node::{self, Draft};
use super::references::Known;
use super::{
    Definition, NodeIndex, NodeIx, OnNoRoute, Outcome, Problem, ProblemCode, Problems, Transition, TransitionIx,
};
use super::{contract, order, typed};
use crate::{AssetId, Json};

/// The most nodes a definition may have.
const NODES_MAX: usize = 2_000;
/// The largest document, in bytes of JSON without white space.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    /// For tests of what is not done.
    static COMPILED: Cell<u64> = const { Cell::new(0) };
}

/// Returns how many documents this thread has compiled so far.
pub fn compilations() -> u64 {
    COMPILED.get()
}

/// Compiles a document (already strict JSON) into its graph; warnings come beside it.
///
/// Compiling the `source` of the result gives the same definition with the same hash.
///
/// # Errors
/// All problems at once, in document order, also those of [`super::refused_at_the_door`]; at least one is an error.
pub fn compile(document: &Value) -> Result<(Definition, Vec<Problem>), Problems> {
    COMPILED.set(COMPILED.get() + 1);
    let found = Findings::default();
    let fits = fits(document, &found);
    let definition = if fits { read(document, &found) } else { None };
    if definition.is_none() {
        contract::check_document(document, &found);
    }
    if definition.is_none() && fits {
        typed::check(document, &found);
    }
    let problems = found.into_document_order(document);
    match definition {
        Some(definition) => Ok((definition, problems)),
        None => Err(Problems(problems)),
    }
}

/// Refuses what is too large to look at.
fn fits(document: &Value, found: &Findings) -> bool {
    if depth(document) > Json::DEPTH_MAX {
        found.error("", ProblemCode::TooLarge, format!("is nested deeper than {} levels", Json::DEPTH_MAX));
        return false;
    }
    if Json::of(document).len_bytes() > DOCUMENT_BYTES_MAX {
        let bytes = Json::of(document).len_bytes();
        let message = format!(
            "has {bytes} bytes without white space, and at most {DOCUMENT_BYTES_MAX} are taken: keep large values elsewhere \
             and pass their address, or split the workflow"
        );
        found.error("", ProblemCode::TooLarge, message);
        return false;
    }
    true
}

fn depth(document: &Value) -> usize {
    let (mut deepest, mut todo) = (0, vec![(document, 0)]);
    while let Some((value, depth)) = todo.pop() {
        deepest = deepest.max(depth);
        if depth > Json::DEPTH_MAX {
            break;
        }
        match value {
            Value::Array(items) => todo.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(entries) => todo.extend(entries.values().map(|entry| (entry, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    deepest
}

fn read(document: &Value, found: &Findings) -> Option<Definition> {
    let mut fields = Field::new("", document, found).fields()?;
    let header = header::read(&mut fields);
    let (mut drafts, ids, edges) = if fields.has("nodes") || fields.has("transitions") {
        if fields.has("steps") {
            let message = "`steps` and `nodes` are two forms of the same thing: keep one";
            found.error(&fields.below("steps"), ProblemCode::InvalidValue, message);
            fields.take(&["steps"]);
        }
        nodes_form(&mut fields)
    } else {
        steps_form(&mut fields)
    };
    let source = Json::of(&sorted(Value::Object(fields.finish())));
    settle_contracts(&mut drafts, found);
    let mut names = vec![""; ids.len()];
    ids.iter().for_each(|(id, position)| names[*position] = id);
    let ranked = order::order(&names, &edges, found);
    let upstream = if ranked.len() == names.len() { order::upstream(&ranked, &edges) } else { Vec::new() };
    let input_keys = header.schemas.input.as_ref().and_then(header::closed_keys);
    let known = Known { drafts: &drafts, ids: &ids, upstream: &upstream, input_keys: input_keys.as_ref(), found };
    for draft in &drafts {
        if let Some(position) = ids.get(draft.node.id.as_str()) {
            known.check_node(*position, draft);
        }
    }
    edges.iter().for_each(|edge| known.check_edge(edge));
    header.output.uses.iter().for_each(|used| known.check_output(used));
    super::joins::check(&drafts, &ids, &edges, found);
    if found.has_errors() || drafts.len() != ids.len() || ranked.len() != ids.len() {
        return None;
    }
    assemble(header, drafts, edges, &ranked, source)
}

/// Lists the entries of `steps` or `nodes` and where each id stands; only the first of a double id counts.
fn entries<'d>(fields: &mut Fields<'d>, name: &'static str) -> (Vec<Field<'d>>, Ids) {
    let Some(field) = fields.need(&[name]) else { return (Vec::new(), Ids::new()) };
    let items = field.items();
    if field.value.as_array().is_some_and(Vec::is_empty) {
        field.error(ProblemCode::InvalidValue, "a workflow needs at least one");
    }
    let how = "let one node do more, or split the workflow and join the parts by an asset";
    if !field.at_most(NODES_MAX, items.len(), name, how) {
        return (Vec::new(), Ids::new());
    }
    let mut ids = Ids::new();
    for item in &items {
        let Some(id) = node::id_of(item) else { continue };
        if ids.contains_key(&id) {
            let at = format!("{}/id", item.at);
            item.findings().error(&at, ProblemCode::Duplicate, format!("there is a node `{id}` already"));
        } else {
            let position = ids.len();
            ids.insert(id, position);
        }
    }
    (items, ids)
}

fn steps_form(fields: &mut Fields<'_>) -> (Vec<Draft>, Ids, Vec<Edge>) {
    let (items, ids) = entries(fields, "steps");
    let (mut drafts, mut edges, mut source): (Vec<Draft>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for item in &items {
        let Some(mut step) = item.fields() else { continue };
        let draft = node::read(&mut step);
        let depends = edges::depends(&mut step);
        if let Some(to) = node::id_of(item).and_then(|id| ids.get(&id).copied()) {
            edges::of_step(to, &depends, &ids, item.findings(), &mut edges);
        }
        source.push(Value::Object(step.finish()));
        drafts.extend(draft);
    }
    if edges.len() > edges::TRANSITIONS_MAX {
        let (count, max) = (edges.len(), edges::TRANSITIONS_MAX);
        let how = "put a `noop` between many that depend on many";
        let message = format!("has {count} dependencies, and at most {max} are taken: {how}");
        fields.error(ProblemCode::TooLarge, message);
        edges.clear();
    }
    fields.keep("steps", Value::Array(source));
    // A step whose condition is false is skipped; it does not fail the run of the step before it.
    for draft in drafts.iter_mut().filter(|draft| !draft.routed) {
        let from = ids.get(draft.node.id.as_str());
        if edges.iter().any(|edge| edge.when.is_some() && Some(&edge.from) == from) {
            draft.node.on_no_route = OnNoRoute::End;
        }
    }
    (drafts, ids, edges)
}

fn nodes_form(fields: &mut Fields<'_>) -> (Vec<Draft>, Ids, Vec<Edge>) {
    let (items, ids) = entries(fields, "nodes");
    let (mut drafts, mut source) = (Vec::new(), Vec::new());
    for item in &items {
        let Some(mut node) = item.fields() else { continue };
        drafts.extend(node::read(&mut node));
        if let Some(field) = node.take(&["dependsOn"]) {
            let message = "`dependsOn` belongs to `steps`; nodes are joined by `transitions`";
            field.error(ProblemCode::UnknownField, message);
        }
        source.push(Value::Object(node.finish()));
    }
    fields.keep("nodes", Value::Array(source));
    let Some(field) = fields.take(&["transitions"]) else { return (drafts, ids, Vec::new()) };
    let (edges, source) = edges::of_transitions(&field, &ids);
    if !source.is_empty() {
        fields.keep("transitions", Value::Array(source));
    }
    (drafts, ids, edges)
}

fn has_later_words(header: &Header, drafts: &[Draft], edges: &[Edge]) -> bool {
    let of_nodes = drafts.iter().flat_map(|draft| draft.uses.iter().chain(&draft.early_uses));
    let mut uses = of_nodes.chain(edges.iter().filter_map(|edge| edge.uses.as_ref())).chain(&header.output.uses);
    let is_later = |draft: &Draft| draft.node.join.is_later_word() || !draft.node.action.can_succeed();
    drafts.iter().any(is_later) || uses.any(|used| used.has_later_words)
}

fn assemble(header: Header, drafts: Vec<Draft>, edges: Vec<Edge>, order: &[usize], source: Json) -> Option<Definition> {
    let has_later_words = has_later_words(&header, &drafts, &edges);
    let mut rank = vec![NodeIx(0); order.len()];
    for (position, node) in order.iter().enumerate() {
        rank[*node] = NodeIx(position as u32);
    }
    let mut nodes: Vec<(NodeIx, super::Node)> = drafts
        .into_iter()
        .zip(&rank)
        .map(|(mut draft, rank)| {
            draft.node.consumes = draft.wanted.into_iter().map(|wanted| wanted.consumes).collect();
            (*rank, draft.node)
        })
        .collect();
    nodes.sort_by_key(|(rank, _)| *rank);
    let mut nodes: Vec<super::Node> = nodes.into_iter().map(|(_, node)| node).collect();
    let mut transitions = Vec::with_capacity(edges.len());
    let mut tiers: BTreeMap<(NodeIx, bool, u32), Vec<TransitionIx>> = BTreeMap::new();
    for (position, edge) in edges.into_iter().enumerate() {
        let ix = TransitionIx(position as u32);
        let (from, to) = (rank[edge.from], rank[edge.to]);
        nodes[to.0 as usize].incoming.push(ix);
        tiers.entry((from, edge.on == Outcome::Failure, edge.priority)).or_default().push(ix);
        transitions.push(Transition { from, to, priority: edge.priority, on: edge.on, when: edge.when });
    }
    for ((from, failure, _), tier) in tiers {
        let node = &mut nodes[from.0 as usize];
        if failure { node.on_failure.push(tier) } else { node.on_success.push(tier) }
    }
    let starts = (0..nodes.len()).filter(|n| nodes[*n].incoming.is_empty()).map(|n| NodeIx(n as u32)).collect();
    Some(Definition {
        slug: header.slug?,
        name: header.name,
        description: header.description,
        input_schema: header.schemas.input,
        state_schema: header.schemas.state,
        output_schema: header.schemas.output,
        output: header.output.template,
        defaults: header.defaults,
        timeout: header.timeout,
        labels: header.labels,
        index: NodeIndex::of(&nodes),
        nodes,
        transitions,
        starts,
        has_later_words,
        content_hash: hash(&source),
        source,
    })
}

/// Settles what `consumes` leaves open until all `produces` are read.
fn settle_contracts(drafts: &mut [Draft], found: &Findings) {
    let produced = drafts.iter().flat_map(|draft| &draft.node.produces);
    let ages: Vec<(AssetId, u64)> = produced
        .filter_map(|p| p.freshness.as_ref().and_then(contract::age_of).map(|age_ms| (p.asset.clone(), age_ms)))
        .collect();
    for Draft { node, wanted, .. } in drafts {
        wanted.iter_mut().for_each(|wanted| contract::settle(wanted, &node.produces, &ages, found));
    }
}

fn hash(source: &Json) -> String {
    sha2::Sha256::digest(source.as_str()).iter().map(|byte| format!("{byte:02x}")).collect()
}
