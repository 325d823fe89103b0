//! How nodes are joined: `dependsOn` in the steps form, `transitions` in the full one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::document::{Field, Fields, Findings};
use super::template::{Use, condition};
use super::{Outcome, ProblemCode};
use crate::expr::Expression;

/// The most transitions a definition may have, those of bodies with them.
pub(super) const TRANSITIONS_MAX: usize = 200_000;
/// The most often that a way may lead back.
const ITERATIONS_MAX: u64 = 10_000;
/// The lowest priority, which comes last.
const PRIORITY_MAX: u64 = 1_000_000;

/// A transition as read, between positions in the document.
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) priority: u32,
    pub(super) on: Outcome,
    /// Shared by all that a step depends on, as is what it names.
    pub(super) when: Option<Arc<Expression>>,
    pub(super) uses: Option<Arc<Use>>,
    pub(super) at: String,
    /// Of a way back.
    pub(super) back: Option<Box<Back>>,
}

impl Edge {
    /// Returns what its conditions name.
    pub(super) fn uses(&self) -> impl Iterator<Item = &Use> {
        let until = self.back.as_ref().and_then(|back| back.until.as_ref()).map(|(_, used)| used);
        self.uses.as_deref().into_iter().chain(until)
    }
}

/// How often a way leads back.
pub(super) struct Back {
    pub(super) max: u32,
    pub(super) until: Option<(Expression, Use)>,
}

/// Where each id stands, among everything that has one.
pub(super) type Ids = HashMap<String, usize>;

/// What a step says of the steps before it.
pub(super) struct Depends<'d> {
    pub(super) on: Vec<(String, String)>,
    pub(super) when: Option<Field<'d>>,
}

/// Reads `dependsOn` and `when` of a step.
pub(super) fn depends<'d>(step: &mut Fields<'d>) -> Depends<'d> {
    let (mut on, mut seen): (Vec<(String, String)>, _) = (Vec::new(), HashSet::new());
    if let Some(field) = step.take(&["dependsOn"]) {
        for item in field.items() {
            let Some(id) = item.text() else { continue };
            if !seen.insert(id) {
                item.error(ProblemCode::Duplicate, format!("`{id}` stands here twice"));
            } else {
                on.push((id.to_owned(), item.at.clone()));
            }
        }
        if !on.is_empty() {
            step.keep("dependsOn", on.iter().map(|(id, _)| json!(id)).collect());
        }
    }
    let when = step.take(&["when"]);
    if let Some(field) = &when {
        if on.is_empty() {
            let message = "a step that depends on nothing always runs: `when` needs `dependsOn`";
            field.error(ProblemCode::InvalidValue, message);
        }
        if let Some((expression, _)) = condition(field) {
            step.keep("when", json!(expression.source()));
        }
    }
    Depends { on, when }
}

/// Makes the transitions into a step.
pub(super) fn of_step(to: usize, depends: &Depends<'_>, ids: &Ids, found: &Findings, edges: &mut Vec<Edge>) {
    let silent = found.silent();
    let when = depends.when.as_ref().and_then(|field| condition(&Field::new(field.at.clone(), field.value, &silent)));
    let (when, uses) = shared(when);
    for (id, at) in &depends.on {
        let Some(from) = known(id, at, ids, found) else { continue };
        let (when, uses) = (when.clone(), uses.clone());
        edges.push(Edge { from, to, priority: 0, on: Outcome::Success, when, uses, at: at.clone(), back: None });
    }
}

fn shared(condition: Option<(Expression, Use)>) -> (Option<Arc<Expression>>, Option<Arc<Use>>) {
    condition.map(|(expression, used)| (Arc::new(expression), Arc::new(used))).unzip()
}

/// Reads `transitions`, of which there may be `room` many.
pub(super) fn of_transitions(field: &Field<'_>, ids: &Ids, room: usize) -> (Vec<Edge>, Vec<Value>) {
    let (mut edges, mut source) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let items = field.items();
    if !field.at_most(room, items.len(), "transitions", "put a `noop` between many that lead to many") {
        return (edges, source);
    }
    for item in items {
        let Some(mut fields) = item.fields() else { continue };
        let from = end(&mut fields, "from", ids);
        let to = end(&mut fields, "to", ids);
        let on = outcome(&mut fields);
        let priority = fields.take(&["priority"]).and_then(|field| field.number(0, PRIORITY_MAX)).unwrap_or(0);
        if priority > 0 {
            fields.keep("priority", json!(priority));
        }
        let when = fields.take(&["when"]).and_then(|field| condition(&field));
        if let Some((expression, _)) = &when {
            fields.keep("when", json!(expression.source()));
        }
        let back = back(&mut fields).map(Box::new);
        let canonical = Value::Object(fields.finish());
        if !seen.insert(canonical.to_string()) {
            item.error(ProblemCode::Duplicate, "the same transition stands here twice");
        }
        source.push(canonical);
        let (when, uses) = shared(when);
        if let (Some(from), Some(to)) = (from, to) {
            edges.push(Edge { from, to, priority: priority as u32, on, when, uses, at: item.at, back });
        }
    }
    (edges, source)
}

fn end(fields: &mut Fields<'_>, name: &'static str, ids: &Ids) -> Option<usize> {
    let field = fields.need(&[name])?;
    let id = field.text()?;
    fields.keep(name, json!(id));
    known(id, &field.at, ids, field.findings())
}

fn outcome(fields: &mut Fields<'_>) -> Outcome {
    let words = [("success", Outcome::Success), ("failure", Outcome::Failure)];
    let on = fields.take(&["on"]).and_then(|field| field.word(&words)).unwrap_or(Outcome::Success);
    if on == Outcome::Failure {
        fields.keep("on", json!("failure"));
    }
    on
}

/// Reads `maxIterations` and `until` of a way back.
fn back(fields: &mut Fields<'_>) -> Option<Back> {
    let max = fields.take(&["maxIterations"]).and_then(|field| {
        let max = field.number(1, ITERATIONS_MAX)?;
        fields.keep("maxIterations", json!(max));
        Some(max as u32)
    });
    let until = fields.take(&["until"]).and_then(|field| {
        if max.is_none() {
            let message = "`until` ends a loop that `maxIterations` bounds: say that too";
            field.error(ProblemCode::MissingField, message);
        }
        let until = condition(&field)?;
        fields.keep("until", json!(until.0.source()));
        Some(until)
    });
    max.map(|max| Back { max, until })
}

fn known(id: &str, at: &str, ids: &Ids, found: &Findings) -> Option<usize> {
    let known = ids.get(id).copied();
    if known.is_none() {
        let hint = found.nearest(id, ids.keys().map(String::as_str));
        found.error(at, ProblemCode::DanglingReference, format!("there is no node `{id}`{hint}"));
    }
    known
}
