//! `compensate`: what undoes a node that has succeeded, when its run fails or is cancelled.
//!
//! Each becomes a node of its own, `book~undo`, in the body of the node `compensation`, which nothing leads to: it happens in a
//! branch of its own, once for each time that `book` has succeeded.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::{Field, Fields, Findings};
use super::node::{self, Draft};
use super::template::Use;
use super::{Action, CallEnd, Execution, NodeIx, ProblemCode, action, policy};
use crate::NodeId;
use crate::expr::Template;

/// The id of the node whose branches undo.
pub(super) const COMPENSATION: &str = "compensation";
/// How many nodes of a definition may say what undoes them: each branch that undoes has room for all of them.
const COMPENSATED_MAX: usize = 1_000;
/// What its templates see of the node that it undoes, beside what the node sees: what that was given, and what it has made.
pub(crate) const UNDONE: [&str; 2] = ["nodeInput", "output"];

/// What a definition says of compensation.
#[derive(Debug)]
pub struct Compensation {
    /// The node whose branches undo, one after the other.
    pub node: NodeIx,
    /// By the node that is undone.
    pub undone_by: BTreeMap<NodeIx, Undo>,
}

/// What undoes a node.
#[derive(Debug)]
pub struct Undo {
    pub node: NodeIx,
    /// What it gets; rendered when the node that it undoes has succeeded. Absent: what that was given and has made.
    pub input: Option<Template>,
}

/// What undoes a node, as read.
pub(super) struct Undoing {
    pub(super) at: String,
    /// Without a node where it has problems.
    pub(super) draft: Option<Draft>,
    pub(super) input: Option<Template>,
}

/// Reads `compensate` of a node. What its input names is there once the node has succeeded, as are `nodeInput` and `output`.
pub(super) fn read(
    fields: &mut Fields<'_>,
    id: Option<&NodeId>,
    (action, is_reused): (Option<&Action>, bool),
    after_uses: &mut Vec<Use>,
) -> Option<Undoing> {
    let field = fields.take(&["compensate"])?;
    if action.is_some_and(|action| !action.can_succeed()) {
        field.error(ProblemCode::InvalidValue, "has no effect: the node never succeeds");
    }
    if is_reused {
        let message = "stands beside `reuse`: what others take as their own result cannot be undone with this run";
        field.error(ProblemCode::InvalidValue, message);
    }
    let mut own = field.fields()?;
    let (draft, input) = undoing(&field, &mut own, id, after_uses).unzip();
    fields.keep("compensate", Value::Object(own.finish()));
    Some(Undoing { at: field.at, draft, input: input.flatten() })
}

fn undoing(
    field: &Field<'_>,
    own: &mut Fields<'_>,
    id: Option<&NodeId>,
    after_uses: &mut Vec<Use>,
) -> Option<(Draft, Option<Template>)> {
    if field.value.pointer("/action/ref").is_some() {
        let message = "names an action that workflows share: what undoes a node is said at the node";
        field.findings().error(&format!("{}/action", field.at), ProblemCode::UnknownAction, message);
        own.take(&["action"]);
        return None;
    }
    let mut uses = Vec::new();
    let acts = field.findings().binding(&UNDONE, || action::read(own, after_uses));
    let queue = own.take(&["queue"]).and_then(|field| {
        let queue = field.name()?;
        own.keep("queue", field.value.clone());
        Some(queue)
    });
    let is_call = acts.as_ref().is_some_and(|(action, _)| action.call().is_some());
    let retry = policy::retry(own, &mut uses).unwrap_or_else(|| policy::RetryPolicy::by_default(is_call));
    let (timeout, heartbeat_timeout) = policy::timeouts(own, acts.as_ref().map(|(action, _)| action));
    let (mut action, mut input) = acts?;
    match &mut action.execution {
        // What it makes is known when the node has succeeded.
        Execution::Inside { output } => {
            input = output.take().or(input.take()).or_else(|| Template::parse_among(&Value::Null, &[]).ok());
        }
        Execution::Fleet { .. } | Execution::Engine(_) => {}
        Execution::Calls(call) if call.until != CallEnd::Recorded => {}
        Execution::Calls(_) => {
            field.error(ProblemCode::InvalidValue, "`wait: assets` waits for assets, and what undoes a node has none");
            return None;
        }
        Execution::Fails { .. }
        | Execution::Each(_)
        | Execution::Group(_)
        | Execution::Callback(_)
        | Execution::Continues(_)
        | Execution::Waits(_)
        | Execution::Listens(_)
        | Execution::Asks(_)
        | Execution::Undoes => {
            let message = format!(
                "a {} undoes nothing: there are job, http_request, process, workflow_call, transform, noop",
                action.kind()
            );
            field.error(ProblemCode::InvalidValue, message);
            return None;
        }
    }
    let undo_id: NodeId = id?.undone().ok()?;
    let given = given(input.is_some());
    let mut draft = node::plain(undo_id, action);
    draft.uses = uses;
    draft.node.input = Some(given);
    draft.node.queue = queue.unwrap_or_else(|| draft.node.action.default_queue());
    draft.node.retry = retry;
    (draft.node.timeout, draft.node.heartbeat_timeout) = (timeout, heartbeat_timeout);
    Some((draft, input))
}

/// What it gets: what was kept for it; where the document does not say what that is, how the run ends beside it.
fn given(is_said: bool) -> Template {
    let value = if is_said {
        json!("${{ item }}")
    } else {
        let of_item = |name: &str| json!(format!("${{{{ item.{name} }}}}"));
        let mut given =
            Map::from_iter([("input".to_owned(), of_item("input")), ("output".to_owned(), of_item("output"))]);
        given.insert("status".to_owned(), json!("${{ run.status }}"));
        given.insert("error".to_owned(), json!("${{ error }}"));
        Value::Object(given)
    };
    Template::parse_among(&value, &["item".to_owned()]).expect("a template of our own is well formed")
}

/// Makes the node whose branches undo.
pub(super) fn compensation() -> Draft {
    node::plain(COMPENSATION.parse().expect("letters make an id"), Action::undoes())
}

/// Refuses what is too many.
pub(super) fn are_few(undoings: &[(usize, Undoing)], found: &Findings) -> bool {
    let Some((_, over)) = undoings.get(COMPENSATED_MAX) else { return true };
    let count = undoings.len();
    let how = "let a group or a called workflow be undone as a whole";
    let message = format!("{count} nodes say what undoes them, and at most {COMPENSATED_MAX} may: {how}");
    found.error(&over.at, ProblemCode::TooLarge, message);
    false
}
