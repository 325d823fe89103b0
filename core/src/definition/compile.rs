//! From the document to the graph, or to everything that is wrong with it.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sha2::Digest as _;

use super::document::{Field, Findings, sorted};
use super::drawn::Drawn;
use super::edges::Edge;
use super::header::{self, Header};
use super::node::Draft;
use super::order::Upstream;
use super::references::{self, Known, Written};
use super::regions::{self, Plan};
use super::{
    Back, Compensation, Definition, NodeIndex, NodeIx, Outcome, Problem, ProblemCode, Problems, Transition,
    TransitionIx, Undo,
};
use super::{contract, losers, typed};
use crate::Json;
use crate::expr::Template;

/// The largest document, in bytes of JSON without white space.
pub(super) const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    let fits = fits_in(document, DOCUMENT_BYTES_MAX, &found);
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
pub(super) fn fits_in(document: &Value, bytes_max: usize, found: &Findings) -> bool {
    if depth(document) > Json::DEPTH_MAX {
        found.error("", ProblemCode::TooLarge, format!("is nested deeper than {} levels", Json::DEPTH_MAX));
        return false;
    }
    let bytes = Json::of(document).len_bytes();
    if bytes > bytes_max {
        let message = format!(
            "has {bytes} bytes without white space, and at most {bytes_max} are taken: keep large values elsewhere \
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
    let mut drawn = Drawn::default();
    drawn.graph(&mut fields, None);
    drawn.finally(&mut fields);
    drawn.compensation(found);
    let source = Json::of(&sorted(Value::Object(fields.finish())));
    let Drawn { mut drafts, ids, edges, bodies, finally, compensation, undone_by, .. } = drawn;
    drafts.sort_by_key(|draft| ids.get(draft.node.id.as_str()).copied());
    settle_contracts(&mut drafts, found);
    let mut names = vec![""; ids.len()];
    ids.iter().for_each(|(id, position)| names[*position] = id);
    let plan = regions::plan(&names, &edges, &bodies, found);
    let written = Written::of(&drafts, &ids, finally, &bodies);
    let of_edges = edges.iter().flat_map(Edge::uses);
    let named = references::named(drafts.iter().flat_map(Draft::uses).chain(of_edges), &ids, &written);
    let upstream = plan.as_ref().map(|plan| Upstream::of(plan, &edges, &bodies, finally, &named));
    let input_keys = header.schemas.input.as_ref().and_then(header::closed_keys);
    let known = Known {
        drafts: &drafts,
        ids: &ids,
        upstream: upstream.as_ref(),
        written: &written,
        plan: plan.as_ref(),
        bodies: &bodies,
        at_the_end: [finally, compensation],
        input_keys: input_keys.as_ref(),
        found,
    };
    for draft in &drafts {
        if let Some(position) = ids.get(draft.node.id.as_str()) {
            known.check_node(*position, draft);
        }
    }
    edges.iter().for_each(|edge| known.check_edge(edge));
    header.output.uses.iter().for_each(|used| known.check_output(used));
    header.named.uses.iter().for_each(|used| known.check_start(used));
    let plan = plan?;
    super::continuing::check(&drafts, &ids, &edges, (finally, &bodies), (document, found));
    super::joins::check(&drafts, &ids, &edges, &plan, found);
    if found.has_errors() || drafts.len() != ids.len() {
        return None;
    }
    let ends = Ends { finally, compensation, undone_by };
    assemble(header, drafts, edges, (plan, ends), (source, found))
}

fn has_later_words(header: &Header, drafts: &[Draft], edges: &[Edge]) -> bool {
    let of_nodes = drafts.iter().flat_map(Draft::uses);
    let mut uses = of_nodes.chain(edges.iter().filter_map(|edge| edge.uses.as_deref())).chain(&header.output.uses);
    is_larger_than_before(drafts, edges)
        || header.named.naming.is_some()
        || header.course.parallelism.is_some()
        || header.course.snapshots.is_some()
        || edges.iter().any(|edge| edge.back.is_some())
        || drafts.iter().any(Draft::has_later_words)
        || uses.any(|used| used.has_later_words)
}

/// Releases before 0.2 take no such graph; of the document's size, `assemble` knows.
fn is_larger_than_before(drafts: &[Draft], edges: &[Edge]) -> bool {
    drafts.len() > 2_000 || edges.len() > 10_000
}

/// What waits for the end of a run, by positions in the document.
struct Ends {
    finally: Option<usize>,
    compensation: Option<usize>,
    undone_by: Vec<(usize, usize, Option<Template>)>,
}

fn assemble(
    header: Header,
    drafts: Vec<Draft>,
    edges: Vec<Edge>,
    (plan, ends): (Plan, Ends),
    (source, found): (Json, &Findings),
) -> Option<Definition> {
    let has_later_words = has_later_words(&header, &drafts, &edges)
        || ends.compensation.is_some()
        || source.len_bytes() > super::INLINE_BYTES_MAX;
    let mut rank = vec![NodeIx(0); plan.order.len()];
    for (position, node) in plan.order.iter().enumerate() {
        rank[*node] = NodeIx(position as u32);
    }
    let at = |(draft, rank): (&Draft, &NodeIx)| Some((*rank, draft.losers_at.clone()?));
    let racing: Vec<_> = drafts.iter().zip(&rank).filter_map(at).collect();
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
    for (position, (edge, leads_back)) in edges.into_iter().zip(&plan.leads_back).enumerate() {
        let ix = TransitionIx(position as u32);
        let (from, to) = (rank[edge.from], rank[edge.to]);
        if !leads_back {
            nodes[to.0 as usize].incoming.push(ix);
        }
        tiers.entry((from, edge.on == Outcome::Failure, edge.priority)).or_default().push(ix);
        let back = edge.back.map(|back| {
            let (max, until) = (back.max, back.until.map(|(until, _)| until));
            Box::new(Back { max, until })
        });
        transitions.push(Transition { from, to, priority: edge.priority, on: edge.on, when: edge.when, back });
    }
    for ((from, failure, _), tier) in tiers {
        let node = &mut nodes[from.0 as usize];
        if failure { node.on_failure.push(tier) } else { node.on_success.push(tier) }
    }
    let [finally, compensation] = [ends.finally, ends.compensation].map(|end| end.map(|end| rank[end]));
    let at_the_end: Vec<NodeIx> = finally.into_iter().chain(compensation).collect();
    let regions = regions::settle(&plan, &rank, &mut nodes, &transitions, &at_the_end);
    let undone_by = ends.undone_by.into_iter().map(|(of, by, input)| (rank[of], Undo { node: rank[by], input }));
    let undone_by = undone_by.collect();
    let compensation = compensation.map(|node| Box::new(Compensation { node, undone_by }));
    losers::settle(&racing, &mut nodes, &transitions, &regions, found)?;
    Some(Definition {
        slug: header.slug?,
        name: header.name,
        description: header.description,
        input_schema: header.schemas.input,
        state_schema: header.schemas.state,
        output_schema: header.schemas.output,
        output: header.output.template,
        defaults: header.defaults,
        timeout: header.course.timeout,
        labels: header.labels,
        naming: header.named.naming,
        parallelism: header.course.parallelism,
        snapshots: header.course.snapshots,
        index: NodeIndex::of(&nodes),
        nodes,
        transitions,
        regions,
        finally,
        compensation,
        has_later_words,
        content_hash: hash(&source),
        source,
    })
}

/// Settles what `consumes` leaves open until all `produces` are read.
fn settle_contracts(drafts: &mut [Draft], found: &Findings) {
    let produced = drafts.iter().flat_map(|draft| &draft.node.produces);
    let aged = produced.filter_map(|produced| Some((produced, contract::age_of(produced.freshness.as_ref()?)?)));
    let mut ages = HashMap::new();
    for (produced, age_ms) in aged {
        ages.entry(produced.asset.as_str().to_ascii_lowercase()).or_insert(age_ms);
    }
    for Draft { node, wanted, .. } in drafts {
        wanted.iter_mut().for_each(|wanted| contract::settle(wanted, &node.produces, &ages, found));
    }
}

pub(super) fn hash(source: &Json) -> String {
    sha2::Sha256::digest(source.as_str()).iter().map(|byte| format!("{byte:02x}")).collect()
}
