//! One step or node of a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::compensate::{self, Undoing};
use super::contract::{self, Wanted};
use super::document::{Field, Fields};
use super::drawn::FINALLY;
use super::for_each::{self, Body};
use super::group::{self, Group};
use super::template::Use;
use super::{
    Action, CallEnd, Join, Node, OnNoRoute, ProblemCode, Produces, RegionIx, RetryPolicy, Signature, Tolerance, action,
    naming, policy, reusable, reuse,
};
use crate::NodeId;
use crate::expr::{PARAMS, Template};

/// The longest key of `state`.
const KEY_CHARS_MAX: usize = 100;

/// A node as read: its edges, and what its expressions name, are settled once all nodes are known.
pub(super) struct Draft {
    pub(super) node: Node,
    pub(super) wanted: Vec<Wanted>,
    /// What its own expressions name; those of `consumes` apart: no version is chosen yet when they are evaluated.
    pub(super) uses: Vec<Use>,
    pub(super) early_uses: Vec<Use>,
    /// Of what is evaluated when it has succeeded.
    pub(super) after_uses: Vec<Use>,
    /// What the output of its body names.
    pub(super) output_uses: Vec<Use>,
    /// What undoes it.
    pub(super) undoing: Option<Box<Undoing>>,
    /// Where `join` stands.
    pub(super) join_at: Option<String>,
    /// Where `cancelLosers` stands, where it says so.
    pub(super) losers_at: Option<String>,
    /// Whether the document itself says what follows when no transition is true.
    pub(super) routed: bool,
}

impl Draft {
    /// Returns what all its expressions name.
    pub(super) fn uses(&self) -> impl Iterator<Item = &Use> {
        self.uses.iter().chain(&self.early_uses).chain(&self.after_uses).chain(&self.output_uses)
    }

    /// Returns whether it says something, outside of its expressions, that releases before 0.2 do not know.
    pub(super) fn has_later_words(&self) -> bool {
        let Node { join, action, signature, reuse, retry, allow_failure, set_attributes, .. } = &self.node;
        let is_later = join.is_later_word() || action.is_later_word() || self.losers_at.is_some();
        let is_later = is_later || signature.is_some() || reuse.is_some() || !set_attributes.is_empty();
        is_later || retry.has_later_words() || allow_failure.has_later_words()
    }
}

/// Reads what steps and nodes have in common; `None` when there is no telling which node it is.
///
/// What it returns may stand in for something broken: then a problem was found.
pub(super) fn read<'d>(fields: &mut Fields<'d>) -> (Option<Draft>, Option<Body<'d>>) {
    let id = named(fields);
    let name = fields.label("name");
    fields.label("description");
    object(fields, "metadata");
    let (mut uses, mut early_uses) = (Vec::new(), Vec::new());
    let of_success = OF_SUCCESS.into_iter().filter(|name| fields.has(name)).collect::<Vec<_>>();
    let (acts, signature) = acts_of(fields, &mut uses);
    let (action, body) = acts.unzip();
    let body = body.flatten();
    let queue = fields.take(&["queue"]).and_then(|field| {
        let queue = field.name()?;
        fields.keep("queue", field.value.clone());
        Some(queue)
    });
    let is_group = action.as_ref().is_some_and(|(action, _)| action.is_group());
    // A run that is called tries its own nodes again, as a group does; what did not come in time is not waited for again.
    let is_made_once = |action: &Action| {
        let is_elsewhere = action.call().is_some() || action.continues().is_some() || action.callback().is_some();
        is_elsewhere || action.listens().is_some() || action.asks().is_some()
    };
    let is_made_once = action.as_ref().is_some_and(|(action, _)| is_made_once(action));
    let retry = policy::retry(fields, &mut uses).unwrap_or_else(|| RetryPolicy::by_default(is_group || is_made_once));
    let allow_failure = policy::tolerance(fields);
    let (timeout, heartbeat_timeout) = policy::timeouts(fields, action.as_ref().map(|(action, _)| action));
    let join = policy::join(fields);
    let losers_at = policy::cancel_losers(fields, join.as_ref().map(|(join, _)| *join));
    let on_no_route = policy::on_no_route(fields);
    let produces = contract::produces(fields);
    let wanted = contract::consumes(fields, &mut early_uses);
    let store_as = store_as(fields);
    let mut after_uses = Vec::new();
    let set_attributes = naming::of_node(fields, &mut after_uses);
    let acts = (action.as_ref().map(|(action, _)| action), fields.has("reuse"));
    let undoing = compensate::read(fields, id.as_ref(), acts, &mut after_uses).map(Box::new);
    // With a broken action the rest is still checked; nothing is made of it.
    let (action, input) = action.unwrap_or_else(|| (Action::stand_in(), None));
    if !action.can_succeed() {
        check_end(fields, &action, &of_success, &allow_failure);
    } else if !action.has_output() && produces.iter().any(|declared| !declared.optional) {
        let kind = action.kind();
        let message = format!("a {kind} has no payload to produce: let a `transform` after it produce the asset");
        fields.findings().error(&fields.below("produces"), ProblemCode::InvalidValue, message);
    }
    let reuse = reuse::read(fields, &action, &mut uses);
    let queue = queue.unwrap_or_else(|| action.default_queue());
    check_promise(fields, &action, &produces);
    let Some(id) = id else { return (None, body) };
    let node = Node {
        id,
        name,
        action,
        input,
        signature,
        reuse,
        queue,
        retry,
        allow_failure,
        timeout,
        heartbeat_timeout,
        join: join.as_ref().map_or(Join::All, |(join, _)| *join),
        losers: None,
        on_no_route: on_no_route.unwrap_or(OnNoRoute::Fail),
        produces,
        consumes: Vec::new(),
        set_attributes,
        store_as,
        incoming: Vec::new(),
        on_success: Vec::new(),
        on_failure: Vec::new(),
        region: RegionIx::ROOT,
        body: None,
    };
    let join_at = join.map(|(_, at)| at);
    let routed = on_no_route.is_some();
    let uses = Draft { wanted, uses, early_uses, after_uses, ..bare(node) };
    (Some(Draft { undoing, join_at, losers_at, routed, ..uses }), body)
}

fn named(fields: &mut Fields<'_>) -> Option<NodeId> {
    let id: NodeId = fields.need(&["id"])?.name()?;
    if id.undoes().is_some() {
        let message = format!("`{id}` is the id of what undoes a node: say `compensate` at that");
        fields.findings().error(&fields.below("id"), ProblemCode::InvalidName, message);
    }
    fields.keep("id", json!(id.as_str()));
    Some(id)
}

/// Checks what is said of success where there is none.
fn check_end(fields: &Fields<'_>, action: &Action, of_success: &[&'static str], allow_failure: &Tolerance) {
    for name in of_success {
        let message = format!("has no effect: a {} is done at once, and never succeeds", action.kind());
        fields.findings().error(&fields.below(name), ProblemCode::InvalidValue, message);
    }
    if *allow_failure != Tolerance::None {
        let message =
            "a `fail` that the run goes on after does nothing: leave one of both out, or catch it by `on: failure`";
        fields.findings().error(&fields.below("allowFailure"), ProblemCode::InvalidValue, message);
    }
}

/// Checks what a call says that its run produces.
fn check_promise(fields: &Fields<'_>, action: &Action, produces: &[Produces]) {
    let Some(call) = action.call() else { return };
    let said = |about: &Produces| about.schema.is_some() || about.freshness.is_some() || about.partitioning.is_some();
    let found = fields.findings();
    if produces.iter().any(said) {
        let message =
            "what a called run produces it describes itself: say `assetId` here, and perhaps `optional` and `primary`";
        found.error(&fields.below("produces"), ProblemCode::InvalidValue, message);
    }
    let is_promised = produces.iter().any(|declared| !declared.optional);
    match call.until {
        CallEnd::Begun if is_promised => {
            let message = "whoever does not wait for the called run does not know what that produces";
            found.error(&fields.below("produces"), ProblemCode::InvalidValue, message);
        }
        CallEnd::Recorded if !is_promised => {
            let message = "`wait: assets` waits for what the node `produces`, and it says nothing of that";
            found.error(&fields.below("produces"), ProblemCode::MissingField, message);
        }
        CallEnd::Begun | CallEnd::Recorded | CallEnd::Ended => {}
    }
}

type Acts<'d> = ((Action, Option<Template>), Option<Body<'d>>);

/// Reads what the node does, and, of an action, what parameters that has.
fn acts_of<'d>(fields: &mut Fields<'d>, uses: &mut Vec<Use>) -> (Option<Acts<'d>>, Option<Signature>) {
    if fields.has("forEach") || fields.has("group") {
        return (action_of(fields, uses), None);
    }
    let signature = reusable::signature(fields, uses);
    let has_params = fields.has(PARAMS).then_some(PARAMS);
    let found = fields.findings();
    (found.binding(has_params.as_slice(), || action_of(fields, uses)), signature)
}

/// Reads what the node does: an action, or a body for each item.
fn action_of<'d>(fields: &mut Fields<'d>, uses: &mut Vec<Use>) -> Option<Acts<'d>> {
    if let Some(field) = fields.take(&["group"]) {
        return group_of(fields, &field);
    }
    let Some(field) = fields.take(&["forEach"]) else { return action::read(fields, uses).map(|action| (action, None)) };
    for (name, why) in for_each::NOT_BESIDE {
        if let Some(beside) = fields.take(&[name]) {
            beside.error(ProblemCode::InvalidValue, format!("stands beside a `forEach`: it {why}"));
        }
    }
    let (each, body) = for_each::read(&field, uses)?;
    Some(((Action::each(each), None), Some(body)))
}

/// Reads a group: what attempts are about, its tries are.
fn group_of<'d>(fields: &mut Fields<'d>, field: &Field<'d>) -> Option<Acts<'d>> {
    for name in group::NOT_BESIDE.into_iter().chain(["forEach"]) {
        if let Some(beside) = fields.take(&[name]) {
            beside.error(ProblemCode::InvalidValue, "stands beside a `group`: it belongs to the nodes in it");
        }
    }
    let (group, body) = group::read(field);
    Some(((Action::group(group), None), Some(body)))
}

/// Makes the node whose nodes run whatever the end, before they are read.
pub(super) fn finally() -> Draft {
    plain(FINALLY.parse().expect("letters make an id"), Action::group(Group { output: None }))
}

/// Makes a node that no document lists: it is tried once, and nothing is said of it.
pub(super) fn plain(id: NodeId, action: Action) -> Draft {
    let node = Node {
        id,
        name: None,
        queue: action.default_queue(),
        action,
        input: None,
        signature: None,
        reuse: None,
        retry: RetryPolicy::by_default(true),
        allow_failure: Tolerance::default(),
        timeout: None,
        heartbeat_timeout: None,
        join: Join::All,
        losers: None,
        on_no_route: OnNoRoute::Fail,
        produces: Vec::new(),
        consumes: Vec::new(),
        set_attributes: BTreeMap::new(),
        store_as: None,
        incoming: Vec::new(),
        on_success: Vec::new(),
        on_failure: Vec::new(),
        region: RegionIx::ROOT,
        body: None,
    };
    bare(node)
}

/// A node of which nothing else was read.
fn bare(node: Node) -> Draft {
    Draft {
        node,
        wanted: Vec::new(),
        uses: Vec::new(),
        early_uses: Vec::new(),
        after_uses: Vec::new(),
        output_uses: Vec::new(),
        undoing: None,
        join_at: None,
        losers_at: None,
        routed: true,
    }
}

/// What is about attempts and success: an action that has neither says none of it.
const OF_SUCCESS: [&str; 7] =
    ["queue", "retry", "retryPolicy", "onNoRoute", "produces", "storeResultAs", "setAttributes"];

/// Reads `id` alone, for nodes that have other problems: they still count as targets of references.
pub(super) fn id_of(field: &Field<'_>) -> Option<String> {
    field.value.get("id").and_then(Value::as_str).map(str::to_owned)
}

fn store_as(fields: &mut Fields<'_>) -> Option<Arc<str>> {
    let field = fields.take(&["storeResultAs"])?;
    let key = field.text()?;
    let valid = (1..=KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && !key.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if !valid {
        let message = "must be 1-100 of A-Z a-z 0-9 _ -, starting with a letter or `_`";
        field.error(ProblemCode::InvalidName, message);
        return None;
    }
    fields.keep("storeResultAs", json!(key));
    Some(key.into())
}

/// Keeps an object that means nothing to the engine.
pub(super) fn object(fields: &mut Fields<'_>, name: &'static str) {
    let Some(field) = fields.take(&[name]) else { return };
    if field.value.is_object() {
        fields.keep(name, field.value.clone());
    } else {
        field.wrong_kind("an object", field.value);
    }
}
