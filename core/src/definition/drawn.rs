//! The graph as it is drawn: lists of nodes in either spelling, and in bodies further lists.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::compensate::{self, COMPENSATION, Undoing};
use super::document::{Field, Fields, Findings};
use super::edges::{self, Edge, Ids};
use super::for_each::{self, Body};
use super::group;
use super::node::{self, Draft};
use super::template;
use super::{OnNoRoute, ProblemCode, policy};
use crate::expr::Template;

/// The most nodes a definition may have, those of bodies with them.
const NODES_MAX: usize = 20_000;

/// All nodes of a document, wherever they stand.
#[derive(Default)]
pub(super) struct Drawn {
    pub(super) drafts: Vec<Draft>,
    /// Positions; those of a list side by side.
    pub(super) ids: Ids,
    pub(super) edges: Vec<Edge>,
    /// By position: in whose body it stands.
    pub(super) bodies: Vec<Option<usize>>,
    /// How many nodes are listed, also twice or without an id.
    pub(super) listed: usize,
    /// The position of what runs whatever the end.
    pub(super) finally: Option<usize>,
    /// The position of the node whose branches undo; and by node what undoes it, its position and what that is given.
    pub(super) compensation: Option<usize>,
    pub(super) undone_by: Vec<(usize, usize, Option<Template>)>,
}

/// The id of what runs whatever the end.
pub(super) const FINALLY: &str = "finally";
/// How long that may take where the document does not say: nobody can cancel it.
const FINALLY_TIMEOUT: Duration = Duration::from_secs(3600);

impl Drawn {
    /// Reads `steps`, or `nodes` and `transitions`, of a document or of a body.
    pub(super) fn graph(&mut self, fields: &mut Fields<'_>, body_of: Option<usize>) {
        if fields.has("nodes") || fields.has("transitions") {
            if fields.has("steps") {
                let message = "`steps` and `nodes` are two forms of the same thing: keep one";
                fields.findings().error(&fields.below("steps"), ProblemCode::InvalidValue, message);
                fields.take(&["steps"]);
            }
            self.nodes(fields, body_of);
        } else {
            self.steps(fields, body_of);
        }
    }

    /// Reads `finally`: a group that nothing leads to.
    pub(super) fn finally(&mut self, fields: &mut Fields<'_>) {
        let Some(field) = fields.take(&["finally"]) else { return };
        if let Some(output) = field.value.get("output") {
            let output = Field::new(format!("{}/output", field.at), output, field.findings());
            output.error(ProblemCode::InvalidValue, "has no effect: what runs whatever the end has no output");
        }
        if self.ids.contains_key(FINALLY) {
            field.error(ProblemCode::Duplicate, format!("is the node `{FINALLY}`, and there is another of that id"));
            return;
        }
        let position = self.bodies.len();
        self.ids.insert(FINALLY.to_owned(), position);
        self.bodies.push(None);
        let mut draft = node::finally();
        let (_, body) = group::read(&field);
        self.finally = Some(position);
        let source = self.body(body, position, &mut draft);
        fields.keep("finally", Value::Object(source));
        self.drafts.push(draft);
    }

    /// Adds what undoes nodes, once all of them are read; `finally` is read last.
    pub(super) fn compensation(&mut self, found: &Findings) {
        let undoings: Vec<(usize, Undoing)> = self
            .drafts
            .iter_mut()
            .filter_map(|draft| {
                let position = *self.ids.get(draft.node.id.as_str())?;
                Some((position, *draft.undoing.take()?))
            })
            .collect();
        if undoings.is_empty() || !compensate::are_few(&undoings, found) {
            return;
        }
        if self.ids.contains_key(COMPENSATION) {
            let message =
                format!("is undone in the branches of the node `{COMPENSATION}`, and there is another of that id");
            found.error(&undoings[0].1.at, ProblemCode::Duplicate, message);
            return;
        }
        let carrier = self.add(None, compensate::compensation());
        self.compensation = Some(carrier);
        for (undone, Undoing { at, draft, input }) in undoings {
            if self.finally.is_some_and(|finally| self.is_within(undone, finally)) {
                found.error(&at, ProblemCode::InvalidValue, "has no effect: what runs whatever the end is not undone");
            }
            if let Some(draft) = draft {
                let by = self.add(Some(carrier), draft);
                self.undone_by.push((undone, by, input));
            }
        }
    }

    /// Adds a node that the document does not list.
    fn add(&mut self, body_of: Option<usize>, draft: Draft) -> usize {
        let position = self.bodies.len();
        self.ids.insert(draft.node.id.to_string(), position);
        self.bodies.push(body_of);
        self.drafts.push(draft);
        position
    }

    fn is_within(&self, node: usize, body_of: usize) -> bool {
        std::iter::successors(self.bodies[node], |around| self.bodies[*around]).any(|around| around == body_of)
    }

    /// Lists the entries of `steps` or `nodes` and takes their ids down; only the first of a double id counts.
    fn entries<'d>(&mut self, fields: &mut Fields<'d>, name: &'static str, body_of: Option<usize>) -> Vec<Field<'d>> {
        let Some(field) = fields.need(&[name]) else { return Vec::new() };
        let items = field.items();
        if field.value.as_array().is_some_and(Vec::is_empty) {
            field.error(ProblemCode::InvalidValue, "a workflow needs at least one");
        }
        let how = "let one node do more, or split the workflow and join the parts by an asset";
        if !field.at_most(NODES_MAX - self.listed, items.len(), name, how) {
            return Vec::new();
        }
        self.listed += items.len();
        items.iter().for_each(|item| self.name(item, body_of));
        items
    }

    fn name(&mut self, item: &Field<'_>, body_of: Option<usize>) {
        let Some(id) = node::id_of(item) else { return };
        if self.ids.contains_key(&id) {
            let at = format!("{}/id", item.at);
            item.findings().error(&at, ProblemCode::Duplicate, format!("there is a node `{id}` already"));
        } else {
            self.ids.insert(id, self.bodies.len());
            self.bodies.push(body_of);
        }
    }

    fn steps(&mut self, fields: &mut Fields<'_>, body_of: Option<usize>) {
        let items = self.entries(fields, "steps", body_of);
        let (first_edge, mut source, mut unrouted) = (self.edges.len(), Vec::new(), Vec::new());
        for item in &items {
            let Some(mut step) = item.fields() else { continue };
            let draft = self.node(item, &mut step);
            let depends = edges::depends(&mut step);
            if let Some(to) = node::id_of(item).and_then(|id| self.ids.get(&id).copied()) {
                edges::of_step(to, &depends, &self.ids, item.findings(), &mut self.edges);
            }
            source.push(Value::Object(step.finish()));
            if let Some(draft) = draft {
                unrouted.extend((!draft.routed).then_some(self.drafts.len()));
                self.drafts.push(draft);
            }
        }
        if self.edges.len() > edges::TRANSITIONS_MAX {
            let (count, max) = (self.edges.len() - first_edge, edges::TRANSITIONS_MAX.saturating_sub(first_edge));
            let how = "put a `noop` between many that depend on many";
            let message = format!("has {count} dependencies, and at most {max} are taken: {how}");
            fields.error(ProblemCode::TooLarge, message);
            self.edges.truncate(first_edge);
        }
        self.keep_within(first_edge, None, fields.findings());
        fields.keep("steps", Value::Array(source));
        // A step whose condition is false is skipped; it does not fail the run of the step before it.
        let conditional = self.edges[first_edge..].iter().filter(|edge| edge.when.is_some());
        let conditional: HashSet<usize> = conditional.map(|edge| edge.from).collect();
        for draft in unrouted {
            let node = &mut self.drafts[draft].node;
            if self.ids.get(node.id.as_str()).is_some_and(|from| conditional.contains(from)) {
                node.on_no_route = OnNoRoute::End;
            }
        }
    }

    fn nodes(&mut self, fields: &mut Fields<'_>, body_of: Option<usize>) {
        let items = self.entries(fields, "nodes", body_of);
        let mut source = Vec::new();
        for item in &items {
            let Some(mut node) = item.fields() else { continue };
            let draft = self.node(item, &mut node);
            self.drafts.extend(draft);
            if let Some(field) = node.take(&["dependsOn"]) {
                let message = "`dependsOn` belongs to `steps`; nodes are joined by `transitions`";
                field.error(ProblemCode::UnknownField, message);
            }
            source.push(Value::Object(node.finish()));
        }
        fields.keep("nodes", Value::Array(source));
        let Some(field) = fields.take(&["transitions"]) else { return };
        let first_edge = self.edges.len();
        let (edges, source) =
            edges::of_transitions(&field, &self.ids, edges::TRANSITIONS_MAX.saturating_sub(first_edge));
        self.edges.extend(edges);
        self.keep_within(first_edge, Some(body_of), fields.findings());
        if !source.is_empty() {
            fields.keep("transitions", Value::Array(source));
        }
    }

    /// Reads a node, and the body it may have.
    fn node(&mut self, item: &Field<'_>, fields: &mut Fields<'_>) -> Option<Draft> {
        let (mut draft, body) = node::read(fields);
        let each = node::id_of(item).and_then(|id| self.ids.get(&id).copied());
        if let (Some(body), Some(draft), Some(each)) = (body, &mut draft, each) {
            if body.binds {
                let mut source = body.rest.clone();
                source.insert("body".to_owned(), Value::Object(self.body(body, each, draft)));
                fields.keep("forEach", Value::Object(source));
            } else {
                let source = self.body(body, each, draft);
                fields.keep("group", Value::Object(source));
            }
        }
        draft
    }

    /// Reads the nodes of a `forEach` or a `group`, one or a graph; returns them in canonical form.
    fn body(&mut self, body: Body<'_>, each: usize, draft: &mut Draft) -> Map<String, Value> {
        let Body { field, binds, name, rest: _ } = body;
        let names: Vec<&str> = for_each::BOUND.into_iter().filter(|_| binds).chain(name.as_deref()).collect();
        let read = field.findings().binding(&names, || {
            let mut fields = field.fields()?;
            if self.finally == Some(each) {
                let timeout = policy::time(&mut fields, &["timeoutMs", "timeout"], policy::TIMEOUT_MIN);
                draft.node.timeout = Some(timeout.unwrap_or(FINALLY_TIMEOUT));
            }
            if ["steps", "nodes", "transitions"].iter().any(|list| fields.has(list)) {
                self.graph(&mut fields, Some(each));
                if let Some(output) = fields.take(&["output"]) {
                    let uses = &mut draft.output_uses;
                    let parsed = template::template(&output.at, output.value, output.findings(), uses);
                    draft.node.action.take_output(parsed);
                    fields.keep("output", output.value.clone());
                }
            } else {
                if !field.at_most(NODES_MAX, self.listed + 1, "nodes before it and with it", "split the workflow") {
                    return None;
                }
                self.listed += 1;
                self.name(&field, Some(each));
                let inner = self.node(&field, &mut fields);
                self.drafts.extend(inner);
            }
            Some(fields.finish())
        });
        read.unwrap_or_default()
    }

    /// Refuses what joins nodes that do not stand in the same body, or not in the one where it is said.
    fn keep_within(&mut self, first_edge: usize, said_in: Option<Option<usize>>, found: &Findings) {
        let bodies = &self.bodies;
        let mut joined = self.edges.split_off(first_edge);
        joined.retain(|edge| {
            let of = bodies[edge.from];
            let is_kept = of == bodies[edge.to] && said_in.is_none_or(|said_in| said_in == of);
            if !is_kept {
                let message = "joins nodes that do not stand side by side: what is outside of a body has ended before it begins, and \
                               a body is left as a whole";
                found.error(&edge.at, ProblemCode::DanglingReference, message);
            }
            is_kept
        });
        self.edges.append(&mut joined);
    }
}
