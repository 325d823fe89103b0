//! What a node does: its kind, and the configuration of that kind.

use serde_json::{Map, Value, json};

use super::document::{Field, Fields, escaped, nearest};
use super::template::{Use, template};
use super::{Action, BuiltIn, ProblemCode, parse_span, span};
use crate::expr::Template;
use crate::{JobSlug, QueueName};

/// The kinds of action this release executes.
const KINDS: [&str; 6] = ["job", "http_request", "process", "transform", "noop", "sleep"];
/// The kinds that are described and come later.
const LATER: [&str; 8] = [
    "llm_call",
    "update_context",
    "write_artifact",
    "human_input",
    "wait_signal",
    "workflow_call",
    "emit_event",
    "mcp_tool",
];

const HTTP_FIELDS: [&str; 10] = [
    "method",
    "url",
    "headers",
    "query",
    "body",
    "json",
    "expectStatus",
    "followRedirects",
    "maxResponseBytes",
    "timeoutMs",
];
const PROCESS_FIELDS: [&str; 8] = ["command", "env", "cwd", "stdin", "shell", "maxOutputBytes", "parse", "timeoutMs"];

/// Reads `jobSlug`, `type` or `action`, and `input`.
pub(super) fn read(node: &mut Fields<'_>, uses: &mut Vec<Use>) -> Option<(Action, Option<Template>)> {
    let job = node.take(&["jobSlug"]);
    let action = node.take(&["action", "type"]);
    let input = node.take(&["input", "parameters", "with"]);
    let mut config = Map::new();
    let action = match (job, action) {
        (Some(job), None) => run_job(node, &job),
        (Some(job), Some(action)) => {
            if action.value.as_str() != Some("job") {
                action.error(ProblemCode::InvalidValue, "with `jobSlug` the type can only be `job`");
            }
            run_job(node, &job)
        }
        (None, Some(action)) => configured(node, &action, &mut config, uses),
        (None, None) => {
            let message = "`jobSlug` is missing (or an `action`, for what is not a job)";
            node.findings().error(&node.below("jobSlug"), ProblemCode::MissingField, message);
            None
        }
    };
    let given = match (&input, config.is_empty()) {
        (Some(input), true) => Some((input.at.clone(), input.value.clone())),
        (Some(input), false) => {
            let message = "the action has its configuration already: give it there or in `input`, not in both";
            input.error(ProblemCode::InvalidValue, message);
            None
        }
        (None, false) => Some((node.below("action"), Value::Object(config))),
        (None, true) => None,
    };
    let action = action?;
    check_input(node, &action, given.as_ref());
    let Some((at, value)) = given else { return Some((action, None)) };
    let parsed = template(&at, &value, node.findings(), uses);
    node.keep("input", value);
    Some((action, Some(parsed?)))
}

/// Checks whether the kind of action takes an input, and the names in it where they are written out.
fn check_input(node: &Fields<'_>, action: &Action, given: Option<&(String, Value)>) {
    let found = node.findings();
    let (known, needed): (&[&str], &str) = match action {
        Action::Job { .. } | Action::Noop | Action::Sleep { .. } => return,
        Action::Transform { .. } => {
            if let Some((at, _)) = given {
                let message = "a transform has no input: its `output` can name everything";
                found.error(at, ProblemCode::InvalidValue, message);
            }
            return;
        }
        Action::BuiltIn(BuiltIn::HttpRequest) => (&HTTP_FIELDS, "url"),
        Action::BuiltIn(BuiltIn::Process) => (&PROCESS_FIELDS, "command"),
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

/// The queue of a node that names none.
pub(super) fn default_queue(action: &Action) -> QueueName {
    match action {
        Action::Job { job } => queue_of_job(job),
        Action::BuiltIn(_) | Action::Transform { .. } | Action::Noop | Action::Sleep { .. } => {
            "builtin".parse().expect("letters make a queue name")
        }
    }
}

/// The queue that `job` waits in when the definition names none: the slug, other characters as `-`.
pub fn queue_of_job(job: &JobSlug) -> QueueName {
    let name: String = job.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    name.parse().expect("a job slug starts with a letter or digit and is no longer than a queue name")
}

fn run_job(node: &mut Fields<'_>, field: &Field<'_>) -> Option<Action> {
    let job: JobSlug = field.name()?;
    node.keep("jobSlug", json!(job.as_str()));
    Some(Action::Job { job })
}

/// Reads an action that is a word, or an object with a `kind` and more.
fn configured(
    node: &mut Fields<'_>,
    field: &Field<'_>,
    config: &mut Map<String, Value>,
    uses: &mut Vec<Use>,
) -> Option<Action> {
    if let Value::String(kind) = field.value {
        return match kind.as_str() {
            "noop" => Some(plain(node, Action::Noop, "noop")),
            "http_request" => Some(plain(node, Action::BuiltIn(BuiltIn::HttpRequest), kind)),
            "process" => Some(plain(node, Action::BuiltIn(BuiltIn::Process), kind)),
            "job" => {
                let message = "`jobSlug` is missing: which handler does the work";
                node.findings().error(&node.below("jobSlug"), ProblemCode::MissingField, message);
                None
            }
            "transform" => {
                missing(field, "output", "write `action: {kind: transform, output: …}`");
                None
            }
            "sleep" => {
                missing(field, "duration", "write `action: {kind: sleep, duration: 90s}`");
                None
            }
            _ => {
                unknown_kind(field, kind);
                None
            }
        };
    }
    let mut fields = field.fields()?;
    let kind_field = fields.need(&["kind", "type"])?;
    let kind = kind_field.text()?;
    match kind {
        "job" => {
            let job = fields.need(&["jobSlug", "job", "slug"]);
            fields.finish();
            run_job(node, &job?)
        }
        "noop" => {
            fields.finish();
            Some(plain(node, Action::Noop, kind))
        }
        "transform" => {
            let output = fields.need(&["output", "value"])?;
            fields.finish();
            let parsed = template(&output.at, output.value, output.findings(), uses);
            node.keep("action", json!({"kind": kind, "output": output.value}));
            Some(Action::Transform { output: parsed? })
        }
        "sleep" => {
            let duration = fields.need(&["duration", "durationMs"])?;
            fields.finish();
            let parsed = template(&duration.at, duration.value, duration.findings(), uses)?;
            check_sleep(&duration, &parsed);
            node.keep("action", json!({"kind": kind, "duration": duration.value}));
            Some(Action::Sleep { duration: parsed })
        }
        "http_request" | "process" => {
            *config = fields.remaining();
            let kind_of = if kind == "process" { BuiltIn::Process } else { BuiltIn::HttpRequest };
            Some(plain(node, Action::BuiltIn(kind_of), kind))
        }
        _ => {
            unknown_kind(&kind_field, kind);
            None
        }
    }
}

fn plain(node: &mut Fields<'_>, action: Action, kind: &str) -> Action {
    node.keep("action", json!({ "kind": kind }));
    action
}

fn missing(field: &Field<'_>, name: &str, how: &str) {
    let message = format!("`{name}` is missing: {how}");
    field.findings().error(&format!("{}/{name}", field.at), ProblemCode::MissingField, message);
}

fn unknown_kind(field: &Field<'_>, kind: &str) {
    let kinds = KINDS.join(", ");
    let message = if LATER.contains(&kind) {
        format!("`{kind}` is not in this release; there are {kinds}")
    } else {
        format!("there is no action `{kind}`{}; there are {kinds}", nearest(kind, KINDS.into_iter()))
    };
    field.error(ProblemCode::UnknownAction, message);
}

fn check_sleep(field: &Field<'_>, duration: &Template) {
    let Some(constant) = duration.constant() else { return };
    let fits = match constant.to_value() {
        Value::String(text) => parse_span(&text).is_ok(),
        Value::Number(ms) => ms.as_u64().is_some(),
        _ => false,
    };
    if !fits {
        field.error(ProblemCode::InvalidValue, "must be a duration like `90s` or a number of milliseconds");
    }
    span::warn_of_millis(field, &constant.to_value());
}
