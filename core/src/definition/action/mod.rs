//! What a node does: its kind, the configuration of that kind, and how it is carried out.
//!
//! Each kind is a file with one [`Kind`]; what runs ask is only how an action is carried out ([`Execution`]). A kind of
//! which engine and workers know the execution needs its file and a line in [`KINDS`]; another action of the engine's
//! own workers one in [`BuiltIn`] too, and what carries it out in `workers/src/actions`.

mod asked;
mod call;
mod callback;
mod continue_as;
mod execution;
mod fail;
mod http_request;
mod human_input;
mod job;
mod noop;
mod process;
mod sleep;
mod transform;
mod wait_signal;
mod wait_until;

use std::fmt;

use serde_json::{Map, Value, json};

use super::ProblemCode;
use super::document::{Field, Fields, escaped, nearest};
use super::template::{Use, template};
use crate::expr::Template;
use crate::{JobSlug, QueueName};

pub use call::{Call, CallEnd, OnChildFailure};
pub use callback::{CALLBACK_SILENCE_MIN, Callback};
pub use continue_as::{ContinueAs, SuccessorVersion};
pub use execution::{BuiltIn, Execution, Pause};
pub use human_input::{
    ASSIGNEES_MAX, DESCRIPTION_BYTES_MAX, FORM_BYTES_MAX, HumanInput, OnInvalid, TITLE_CHARS_MAX, form_of,
};
pub(crate) use human_input::{assignees_of, description_of, not_due, title_of};
pub(crate) use wait_signal::{SIGNAL, key_of as signal_key_of};
pub use wait_signal::{SIGNALS_AWAITED_MAX, SignalWanted, WaitSignal};

/// The kinds of action this release executes, in the order in which they are listed to people.
static KINDS: [&Kind; 13] = [
    &job::KIND,
    &http_request::KIND,
    &process::KIND,
    &transform::KIND,
    &noop::KIND,
    &sleep::KIND,
    &wait_until::KIND,
    &wait_signal::KIND,
    &human_input::KIND,
    &callback::KIND,
    &fail::KIND,
    &call::KIND,
    &continue_as::KIND,
];

/// What a node with `forEach` is called; it is no word of documents.
static EACH: Kind = Kind { word: "forEach", read: |_, _, _| None, input: Input::Anything };

/// The same of one with `group`.
static GROUP: Kind = Kind { word: "group", read: |_, _, _| None, input: Input::Anything };

/// The same of the one whose branches undo.
static COMPENSATION: Kind = Kind { word: "compensation", read: |_, _, _| None, input: Input::Anything };

/// The kinds that are described and come later.
const LATER: [&str; 5] = ["llm_call", "update_context", "write_artifact", "emit_event", "mcp_tool"];

/// What a node does.
pub struct Action {
    kind: &'static Kind,
    pub execution: Execution,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.kind.word).field(&self.execution).finish()
    }
}

/// The queue that `job` waits in when the definition names none: the slug, other characters as `-`.
pub fn queue_of_job(job: &JobSlug) -> QueueName {
    let name: String = job.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    name.parse().expect("a job slug starts with a letter or digit and is no longer than a queue name")
}

/// The queue that the engine's own actions wait in when the definition names none.
pub fn queue_of_engine() -> QueueName {
    "builtin".parse().expect("letters make a queue name")
}

/// What a kind of action is to the compiler.
struct Kind {
    /// As documents spell it.
    word: &'static str,
    /// Reads what is said of it; `None` where a problem was found.
    read: fn(&mut Fields<'_>, Said<'_>, &mut Vec<Use>) -> Option<Read>,
    input: Input,
}

/// How a document says a kind.
enum Said<'d> {
    /// By its word alone.
    Word(Field<'d>),
    /// By an object, of which the kind has been read.
    Object(Fields<'d>),
}

/// An action as read, before the node's input is.
struct Read {
    execution: Execution,
    /// What of the action's own object is its input.
    config: Map<String, Value>,
    /// The input, where the action has a field for it; with the place where it stands.
    input: Option<(String, Value)>,
}

impl From<Execution> for Read {
    fn from(execution: Execution) -> Self {
        Self { execution, config: Map::new(), input: None }
    }
}

/// What the input of a kind may hold.
enum Input {
    Anything,
    /// An object, or what becomes one.
    Object,
    /// There is none, because.
    Nothing(&'static str),
    /// Fields of these names, as far as they are written out.
    Fields {
        known: &'static [&'static str],
        needed: &'static str,
    },
}

/// Reads `jobSlug`, `type` or `action`, and `input`.
pub(super) fn read(node: &mut Fields<'_>, uses: &mut Vec<Use>) -> Option<(Action, Option<Template>)> {
    let job = node.take(&["jobSlug"]);
    let action = node.take(&["action", "type"]);
    let input = node.take(&["input", "parameters", "with"]);
    let mut own = None;
    let action = match (job, action) {
        (Some(job), None) => job::named(node, &job),
        (Some(job), Some(action)) => {
            if action.value.as_str() != Some(job::KIND.word) {
                action.error(ProblemCode::InvalidValue, "with `jobSlug` the type can only be `job`");
            }
            job::named(node, &job)
        }
        (None, Some(action)) => configured(node, action, &mut own, uses),
        (None, None) => {
            let message = "`jobSlug` is missing (or an `action`, for what is not a job)";
            node.findings().error(&node.below("jobSlug"), ProblemCode::MissingField, message);
            None
        }
    };
    let given = match (&input, own) {
        (Some(input), None) => Some((input.at.clone(), input.value.clone())),
        (Some(input), Some(_)) => {
            let message = "the action has its configuration already: give it there or in `input`, not in both";
            input.error(ProblemCode::InvalidValue, message);
            None
        }
        (None, own) => own,
    };
    let action = action?;
    check_input(node, &action.kind.input, given.as_ref());
    let Some((at, value)) = given else { return Some((action, None)) };
    let parsed = template(&at, &value, node.findings(), uses);
    node.keep("input", value);
    Some((action, Some(parsed?)))
}

/// Reads an action that is a word, or an object with a `kind` and more.
fn configured(
    node: &mut Fields<'_>,
    field: Field<'_>,
    own: &mut Option<(String, Value)>,
    uses: &mut Vec<Use>,
) -> Option<Action> {
    let (kind, said) = match field.value {
        Value::String(word) => (find(&field, word)?, Said::Word(field)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let mut fields = field.fields()?;
            if let Some(reference) = fields.take(&["ref"]) {
                let message = "names an action that is filled in where workflows are applied, and was not: apply the document anew";
                reference.error(ProblemCode::UnknownAction, message);
                return None;
            }
            let kind = fields.need(&["kind", "type"])?;
            (find(&kind, kind.text()?)?, Said::Object(fields))
        }
    };
    let read = (kind.read)(node, said, uses)?;
    let config = Some(read.config).filter(|config| !config.is_empty());
    *own = read.input.or_else(|| Some((node.below("action"), Value::Object(config?))));
    Some(Action { kind, execution: read.execution })
}

/// Finds a kind by its word, or says why there is none.
fn find(field: &Field<'_>, word: &str) -> Option<&'static Kind> {
    let kind = KINDS.into_iter().find(|kind| kind.word == word);
    if kind.is_none() {
        let words = KINDS.map(|kind| kind.word);
        let message = if LATER.contains(&word) {
            format!("`{word}` is not in this release; there are {}", words.join(", "))
        } else {
            let hint = nearest(word, words.into_iter());
            format!("there is no action `{word}`{hint}; there are {}", words.join(", "))
        };
        field.error(ProblemCode::UnknownAction, message);
    }
    kind
}

/// Checks whether the kind of action takes an input, and the names in it where they are written out.
fn check_input(node: &Fields<'_>, input: &Input, given: Option<&(String, Value)>) {
    let found = node.findings();
    let (known, needed) = match input {
        Input::Anything => return,
        Input::Object => {
            let is_object =
                |value: &Value| value.is_object() || value.as_str().is_some_and(|text| text.contains("${{"));
            if let Some((at, _)) = given.filter(|(_, value)| !is_object(value)) {
                found.error(at, ProblemCode::InvalidValue, "must be an object, or an expression that makes one");
            }
            return;
        }
        Input::Nothing(reason) => {
            if let Some((at, _)) = given {
                found.error(at, ProblemCode::InvalidValue, *reason);
            }
            return;
        }
        Input::Fields { known, needed } => (*known, *needed),
    };
    let Some((at, config)) = given else {
        let message = format!("`{needed}` is missing, in `input` or in the action itself");
        found.error(&node.below("input"), ProblemCode::MissingField, message);
        return;
    };
    let Value::Object(config) = config else { return };
    if !config.contains_key(needed) {
        found.error(&format!("{at}/{needed}"), ProblemCode::MissingField, format!("`{needed}` is missing"));
    }
    for name in config.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = format!("there is no field `{name}` here{}", nearest(name, known.iter().copied()));
        found.error(&format!("{at}/{}", escaped(name)), ProblemCode::UnknownField, message);
    }
}

/// Reads an action of the engine's own workers: all that is said of it is its input.
fn engine(node: &mut Fields<'_>, kind: &Kind, said: &Said<'_>, action: BuiltIn) -> Read {
    keep(node, kind);
    let config = match said {
        Said::Word(_) => Map::new(),
        Said::Object(own) => own.remaining(),
    };
    Read { execution: Execution::Engine(action), config, input: None }
}

/// Keeps an action of which there is nothing to say but its kind.
fn keep(node: &mut Fields<'_>, kind: &Kind) {
    node.keep("action", json!({ "kind": kind.word }));
}

/// Says of a kind that was named by its word alone what is missing, and how it is written.
fn missing(field: &Field<'_>, name: &str, how: &str) {
    let message = format!("`{name}` is missing: {how}");
    field.findings().error(&format!("{}/{name}", field.at), ProblemCode::MissingField, message);
}

#[cfg(test)]
mod tests {
    use super::super::document::Findings;
    use super::*;

    #[test]
    fn an_action_of_the_engine_has_one_name_in_documents_and_in_tasks() {
        let found = Findings::default();
        let document = json!({});
        for kind in KINDS.into_iter().filter(|kind| matches!(kind.input, Input::Fields { .. })) {
            let field = Field::new("", &document, &found);
            let mut node = field.fields().unwrap();
            let read = (kind.read)(&mut node, Said::Word(field), &mut Vec::new()).unwrap();
            let Execution::Engine(action) = read.execution else { panic!("{} has the fields of a worker", kind.word) };
            assert_eq!(serde_json::to_value(action).unwrap(), kind.word);
        }
    }
}
