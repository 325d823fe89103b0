//! `forEach`: a body that happens once for each item.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::document::{Field, Fields};
use super::template::{self, Use};
use super::{ProblemCode, policy};
use crate::expr::{Expression, Template};

/// The most items a document may ask for.
const ITEMS_MAX: u64 = 100_000;
/// How many there may be where the document does not say.
const ITEMS_DEFAULT: u64 = 10_000;
/// The longest name of an item.
const NAME_CHARS_MAX: usize = 50;
/// Names that expressions have already.
const TAKEN: [&str; 19] = [
    "params", "input", "state", "nodes", "assets", "error", "run", "trigger", "now", "item", "index", "output", "acc",
    "vars", "schedule", "true", "false", "null", "in",
];

/// What `forEach` says.
#[derive(Debug)]
pub struct ForEach {
    /// A list, a map, or a number: so many, from 0.
    pub items: Template,
    /// What else an item is called, beside `item`.
    pub name: Option<Arc<str>>,
    pub items_max: u32,
    /// How many branches are open at a time. Absent: all.
    pub concurrency: Option<u32>,
    /// How many items make one, a list of them.
    pub batch: Option<u32>,
    pub join: EachJoin,
    pub tolerated: ItemTolerance,
    /// How long it may take in all.
    pub timeout: Option<Duration>,
    pub on_timeout: OnTimeout,
    pub merge: Merge,
    /// What the output of an item is made of. Absent: the output of the body's only last node, else of all of them, by id.
    pub output: Option<Template>,
}

/// How many items have to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EachJoin {
    All,
    Any,
    Quorum(u32),
}

/// How many items may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemTolerance {
    Count(u32),
    /// Of a hundred items.
    Percent(u32),
    /// As many as leave the join possible.
    Any,
}

/// What follows when a `forEach` takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    Fail,
    /// It ends with what has succeeded by then.
    Proceed,
}

/// How the outputs of items become one, in the order of the items.
#[derive(Debug)]
pub enum Merge {
    /// A list of them.
    Collect,
    /// One list of all that theirs hold.
    Append,
    /// One object of all that theirs hold; the later item wins.
    MergeObject,
    /// An object of them, by a key.
    Keyed(Option<Expression>),
    /// The last item's.
    Last,
    /// What is left when each has been added to what was there before.
    Reduce(Box<Reduce>),
}

/// How outputs are added up.
#[derive(Debug)]
pub struct Reduce {
    /// What there is before the first: `acc`. The output, where no item succeeded.
    pub initial: Template,
    /// Makes the next `acc` of `acc`, `output` and `index`.
    pub step: Expression,
}

/// What is bound where outputs are added up.
pub(super) const ADDED_UP: [&str; 3] = ["acc", "output", "index"];

/// What of a `forEach` or a `group` is still to be read: its nodes.
pub(super) struct Body<'d> {
    pub(super) field: Field<'d>,
    /// Whether an item is bound in it, and how it is called beside `item`.
    pub(super) binds: bool,
    pub(super) name: Option<String>,
    /// What stands around it, in canonical form.
    pub(super) rest: Map<String, Value>,
}

/// What is bound in a body.
pub(super) const BOUND: [&str; 2] = ["item", "index"];

/// Reads `forEach` of a node, but for what its body holds.
pub(super) fn read<'d>(field: &Field<'d>, uses: &mut Vec<Use>) -> Option<(ForEach, Body<'d>)> {
    let mut fields = field.fields()?;
    let found = field.findings();
    let items = fields.need(&["items"]).and_then(|items| {
        fields.keep("items", items.value.clone());
        check_items(&items);
        template::template(&items.at, items.value, found, uses)
    });
    let name = name(&mut fields);
    let number = |fields: &mut Fields<'d>, name: &'static str, max: u64| {
        let number = fields.take(&[name])?.number(1, max)?;
        fields.keep(name, json!(number));
        Some(number as u32)
    };
    let items_max = number(&mut fields, "maxItems", ITEMS_MAX).unwrap_or(ITEMS_DEFAULT as u32);
    let concurrency = number(&mut fields, "maxConcurrency", ITEMS_MAX);
    let batch = number(&mut fields, "batch", ITEMS_MAX);
    let join = join(&mut fields).unwrap_or(EachJoin::All);
    let tolerated = tolerance(&mut fields, join);
    let timeout = policy::time(&mut fields, &["timeoutMs", "timeout"], policy::TIMEOUT_MIN);
    let on_timeout = on_timeout(&mut fields, timeout.is_some()).unwrap_or(OnTimeout::Fail);
    let merge = merge(&mut fields, name.as_deref(), uses).unwrap_or(Merge::Collect);
    let body = fields.need(&["body"]);
    let rest = fields.finish();
    let each = ForEach {
        items: items?,
        name: name.as_deref().map(Arc::from),
        items_max,
        concurrency,
        batch,
        join,
        tolerated,
        timeout,
        on_timeout,
        merge,
        output: None,
    };
    Some((each, Body { field: body?, binds: true, name, rest }))
}

/// Refuses items that are written out and are none.
fn check_items(items: &Field<'_>) {
    let is_none = match items.value {
        Value::Array(_) | Value::Object(_) => false,
        Value::Number(number) => number.as_u64().is_none(),
        Value::String(text) => !text.trim_start().starts_with("${{") || !text.trim_end().ends_with("}}"),
        Value::Null | Value::Bool(_) => true,
    };
    if is_none {
        let message = "must be a list, a map, a number of items, or one expression `${{ … }}` that is one of these";
        items.error(ProblemCode::InvalidValue, message);
    }
}

fn name(fields: &mut Fields<'_>) -> Option<String> {
    let field = fields.take(&["as"])?;
    let name = field.text()?;
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_word || name.is_empty() || name.len() > NAME_CHARS_MAX || name.as_bytes()[0].is_ascii_digit() {
        let message = format!("must be 1–{NAME_CHARS_MAX} of A-Z a-z 0-9 _, starting with a letter or `_`");
        field.error(ProblemCode::InvalidName, message);
        return None;
    }
    if TAKEN.contains(&name) || field.findings().bound().iter().any(|bound| bound == name) {
        field.error(ProblemCode::Duplicate, format!("`{name}` is the name of something else here"));
        return None;
    }
    fields.keep("as", json!(name));
    Some(name.to_owned())
}

fn join(fields: &mut Fields<'_>) -> Option<EachJoin> {
    let field = fields.take(&["join"])?;
    let join = match field.value {
        Value::Object(_) => {
            let mut own = field.fields()?;
            let quorum = own.need(&["quorum"]).and_then(|quorum| quorum.number(1, ITEMS_MAX));
            own.finish();
            EachJoin::Quorum(quorum? as u32)
        }
        _ => field.word(&[("all", EachJoin::All), ("any", EachJoin::Any)])?,
    };
    fields.keep("join", field.value.clone());
    Some(join)
}

/// Reads `onItemFailure` and `tolerate`. Who waits for some of the items goes on without the others.
fn tolerance(fields: &mut Fields<'_>, join: EachJoin) -> ItemTolerance {
    let on_failure = fields.take(&["onItemFailure"]).and_then(|field| {
        let read = field.word(&[("fail", ItemTolerance::Count(0)), ("continue", ItemTolerance::Any)])?;
        fields.keep("onItemFailure", field.value.clone());
        Some(read)
    });
    let tolerance = fields.take(&["tolerate"]).and_then(|field| {
        if on_failure == Some(ItemTolerance::Count(0)) {
            field.error(
                ProblemCode::InvalidValue,
                "tolerates nothing where `onItemFailure` says `fail`: say `continue`",
            );
        }
        let read = match field.value {
            Value::String(text) => {
                let percent = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
                let percent = percent.filter(|percent| *percent <= 100);
                if percent.is_none() {
                    let message = "must be a number of items, or a share of them like `10%`";
                    field.error(ProblemCode::InvalidValue, message);
                }
                ItemTolerance::Percent(percent?)
            }
            _ => ItemTolerance::Count(field.number(0, ITEMS_MAX)? as u32),
        };
        fields.keep("tolerate", field.value.clone());
        Some(read)
    });
    tolerance.or(on_failure).unwrap_or(match join {
        EachJoin::All => ItemTolerance::Count(0),
        EachJoin::Any | EachJoin::Quorum(_) => ItemTolerance::Any,
    })
}

fn on_timeout(fields: &mut Fields<'_>, has_timeout: bool) -> Option<OnTimeout> {
    let field = fields.take(&["onTimeout"])?;
    if !has_timeout {
        field.error(ProblemCode::InvalidValue, "has no effect without a `timeout`");
    }
    let read = field.word(&[("fail", OnTimeout::Fail), ("proceed", OnTimeout::Proceed)])?;
    fields.keep("onTimeout", field.value.clone());
    Some(read)
}

fn merge(fields: &mut Fields<'_>, name: Option<&str>, uses: &mut Vec<Use>) -> Option<Merge> {
    let field = fields.take(&["merge"])?;
    fields.keep("merge", field.value.clone());
    let Value::Object(_) = field.value else {
        let word = field.text()?;
        return match word {
            "collect" => Some(Merge::Collect),
            "append" => Some(Merge::Append),
            "mergeObject" => Some(Merge::MergeObject),
            "keyed" => Some(Merge::Keyed(None)),
            "last" => Some(Merge::Last),
            _ => {
                let known = "collect, append, mergeObject, keyed, last, or `{keyed: …}` or `{reduce: {initial, step}}`";
                field.error(ProblemCode::InvalidValue, format!("must be one of {known}"));
                None
            }
        };
    };
    let mut own = field.fields()?;
    if let Some(reduce) = own.take(&["reduce"]) {
        own.finish();
        return self::reduce(&reduce, uses).map(|reduce| Merge::Reduce(Box::new(reduce)));
    }
    let key = own.need(&["keyed"]);
    own.finish();
    let key = key?;
    let names: Vec<&str> = BOUND.into_iter().chain(["output"]).chain(name).collect();
    let (expression, used) = field.findings().binding(&names, || template::condition(&key))?;
    uses.push(used);
    Some(Merge::Keyed(Some(expression)))
}

fn reduce(field: &Field<'_>, uses: &mut Vec<Use>) -> Option<Reduce> {
    let mut own = field.fields()?;
    let initial = own.need(&["initial"]).and_then(|field| {
        let found = field.findings();
        template::template(&field.at, field.value, found, uses)
    });
    let step = own.need(&["step"]);
    own.finish();
    let step = step?;
    let (step, used) = step.findings().binding(&ADDED_UP, || template::condition(&step))?;
    uses.push(used);
    Some(Reduce { initial: initial?, step })
}

/// Says what of a node has no effect where it has a `forEach`, and where it belongs.
pub(super) const NOT_BESIDE: [(&str, &str); 17] = [
    ("params", "belongs to the nodes of the `body`"),
    ("paramsSchema", "belongs to the nodes of the `body`"),
    ("outputSchema", "belongs to the nodes of the `body`"),
    ("ref", "belongs to the nodes of the `body`"),
    ("jobSlug", "belongs to the `body`"),
    ("action", "belongs to the `body`"),
    ("type", "belongs to the `body`"),
    ("input", "belongs to the `body`"),
    ("parameters", "belongs to the `body`"),
    ("with", "belongs to the `body`"),
    ("queue", "belongs to the nodes of the `body`"),
    ("retry", "belongs to the nodes of the `body`"),
    ("retryPolicy", "belongs to the nodes of the `body`"),
    ("heartbeatTimeout", "belongs to the nodes of the `body`"),
    ("heartbeatTimeoutMs", "belongs to the nodes of the `body`"),
    ("timeoutMs", "belongs into the `forEach`, or to the nodes of its `body`"),
    ("timeout", "belongs into the `forEach`, or to the nodes of its `body`"),
];
