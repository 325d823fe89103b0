//! `human_input`: people are asked something.

use serde_json::{Map, Value, json};

use super::{Input, Kind, Read, Said, missing};
use crate::definition::contract::schema;
use crate::definition::document::{Field, Fields};
use crate::definition::template::{Use, template};
use crate::definition::{Execution, ProblemCode, Schema, parse_span};
use crate::expr::{self, Template};
use crate::{ActorName, Json};

pub(super) static KIND: Kind = Kind {
    word: "human_input",
    read,
    input: Input::Nothing("people get no other input than what the action's `title` and `description` say"),
};

/// How many characters a title has.
pub const TITLE_CHARS_MAX: usize = 300;
/// How many bytes a description has.
pub const DESCRIPTION_BYTES_MAX: usize = 8 << 10;
/// How many bytes a form has.
pub const FORM_BYTES_MAX: usize = 64 << 10;
/// How many people one task is assigned to, and how many of them answer it.
pub const ASSIGNEES_MAX: usize = 100;

/// What people are asked.
#[derive(Debug)]
pub struct HumanInput {
    /// Renders to a text of at most [`TITLE_CHARS_MAX`] characters.
    pub title: Template,
    /// Renders to a text of at most [`DESCRIPTION_BYTES_MAX`] bytes.
    pub description: Option<Template>,
    /// What an answer has to be.
    pub form: Schema,
    /// Renders to a list of names. Absent: anybody may answer.
    pub assignees: Option<Template>,
    /// Renders to a span of time or an RFC 3339 time. Absent: it is waited for as long as the run lasts.
    pub due: Option<Template>,
    /// So many answer, each a name of its own: 1 to [`ASSIGNEES_MAX`].
    pub quorum: u32,
    pub on_invalid: OnInvalid,
}

/// What becomes of an answer that the form does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// It is refused, and the task stays open.
    Refuse,
    /// The attempt fails.
    Fail,
}

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    let mut own = match said {
        Said::Word(field) => {
            missing(&field, "title", "write `action: {kind: human_input, title: Approve?, form: {type: boolean}}`");
            return None;
        }
        Said::Object(own) => own,
    };
    let mut source = Map::from_iter([("kind".to_owned(), json!(KIND.word))]);
    let title = own.need(&["title"]).and_then(|field| rendered(&field, "title", check_title, &mut source, uses));
    let description = own.take(&["description"]);
    let description = description.map(|field| rendered(&field, "description", check_description, &mut source, uses));
    let form = form(&mut own, &mut source);
    let assignees = own.take(&["assignees"]);
    let assignees = assignees.map(|field| rendered(&field, "assignees", check_assignees, &mut source, uses));
    let due = own.take(&["due"]).map(|field| rendered(&field, "due", check_due, &mut source, uses));
    let quorum = quorum(&mut own, &mut source, assignees.as_ref().and_then(Option::as_ref));
    let on_invalid = on_invalid(&mut own, &mut source);
    own.finish();
    let ask = HumanInput {
        title: title?,
        description: all(description)?,
        form: form?,
        assignees: all(assignees)?,
        due: all(due)?,
        quorum: quorum?,
        on_invalid: on_invalid?,
    };
    node.keep("action", Value::Object(source));
    Some(Execution::Asks(Box::new(ask)).into())
}

/// What is absent is as good as what was read.
fn all<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

/// Reads a field that is rendered, and checks it where no expression has to make it first.
fn rendered(
    field: &Field<'_>,
    name: &str,
    check: fn(&Value) -> Result<(), String>,
    source: &mut Map<String, Value>,
    uses: &mut Vec<Use>,
) -> Option<Template> {
    let parsed = template(&field.at, field.value, field.findings(), uses)?;
    if let Some(Err(reason)) = parsed.constant().map(|constant| check(&constant.to_value())) {
        field.error(ProblemCode::InvalidValue, reason);
        return None;
    }
    source.insert(name.to_owned(), field.value.clone());
    Some(parsed)
}

fn form(own: &mut Fields<'_>, source: &mut Map<String, Value>) -> Option<Schema> {
    let field = own.need(&["form"])?;
    let read = schema(own, &["form"])?;
    if read.source().len_bytes() > FORM_BYTES_MAX {
        field.error(ProblemCode::InvalidValue, format!("a form has at most {FORM_BYTES_MAX} bytes"));
        return None;
    }
    source.insert("form".to_owned(), field.value.clone());
    Some(read)
}

fn quorum(own: &mut Fields<'_>, source: &mut Map<String, Value>, assignees: Option<&Template>) -> Option<u32> {
    let Some(field) = own.take(&["quorum"]) else { return Some(1) };
    let quorum = field.number(1, ASSIGNEES_MAX as u64)?;
    let named = assignees.and_then(Template::constant).and_then(|named| assignees_of(&named.to_value()).ok());
    if let Some(named) = named.filter(|named| (named.len() as u64) < quorum) {
        let message = format!("so many never answer: it is assigned to {}", named.len());
        field.error(ProblemCode::InvalidValue, message);
        return None;
    }
    source.insert("quorum".to_owned(), json!(quorum));
    u32::try_from(quorum).ok()
}

fn on_invalid(own: &mut Fields<'_>, source: &mut Map<String, Value>) -> Option<OnInvalid> {
    let Some(field) = own.take(&["onInvalid"]) else { return Some(OnInvalid::Refuse) };
    let read = field.word(&[("refuse", OnInvalid::Refuse), ("fail", OnInvalid::Fail)])?;
    source.insert("onInvalid".to_owned(), field.value.clone());
    Some(read)
}

fn check_title(value: &Value) -> Result<(), String> {
    title_of(value).map(drop)
}

fn check_description(value: &Value) -> Result<(), String> {
    description_of(value).map(drop)
}

fn check_assignees(value: &Value) -> Result<(), String> {
    assignees_of(value).map(drop)
}

fn check_due(value: &Value) -> Result<(), String> {
    match value {
        Value::Number(number) if number.is_u64() => Ok(()),
        Value::String(text) if parse_span(text).is_ok() => Ok(()),
        Value::String(text) => expr::check_time(text).map_err(|_| not_due()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(not_due()),
    }
}

/// Says what `due` is.
pub(crate) fn not_due() -> String {
    "`due` is a span of time like `2d`, a number of milliseconds, or an RFC 3339 time".to_owned()
}

/// Reads a rendered title: one line.
///
/// # Errors
/// Why it is none.
pub(crate) fn title_of(value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some(text) if (1..=TITLE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control) => {
            Ok(text.to_owned())
        }
        Some(_) => Err(format!("a title is one line of 1 to {TITLE_CHARS_MAX} characters")),
        None => Err("a title is a text".to_owned()),
    }
}

/// Reads a rendered description; `null` is none.
///
/// # Errors
/// Why it is none.
pub(crate) fn description_of(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.len() > DESCRIPTION_BYTES_MAX => {
            Err(format!("a description has at most {DESCRIPTION_BYTES_MAX} bytes"))
        }
        Value::String(text) if text.contains('\0') => Err("a description has no NUL character".to_owned()),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("a description is a text".to_owned())
        }
    }
}

/// Reads rendered assignees: a list of names, each once; `null` and an empty list are anybody.
///
/// # Errors
/// Why they are none.
pub(crate) fn assignees_of(value: &Value) -> Result<Vec<ActorName>, String> {
    let listed = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(listed) => listed,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return Err("assignees are a list of names".to_owned());
        }
    };
    if listed.len() > ASSIGNEES_MAX {
        return Err(format!("a task is assigned to at most {ASSIGNEES_MAX} people"));
    }
    let mut names = Vec::with_capacity(listed.len());
    for name in listed {
        let text = name.as_str().ok_or_else(|| "assignees are a list of names".to_owned())?;
        let name: ActorName = text.parse().map_err(|invalid: crate::InvalidName| invalid.to_string())?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Returns the form of a node of a canonical document, for whoever shows what people are asked.
pub fn form_of(source: &Json, node: &str) -> Option<Json> {
    let source = source.to_value();
    let found = crate::definition::listed::nodes(&source).into_iter().find(|found| found.value["id"] == node)?;
    found.value["action"].get("form").map(Json::of)
}
