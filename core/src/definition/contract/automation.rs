//! `autoMaterialize`: when a version is made without anybody asking.

use std::time::Duration;

use serde_json::{Map, Value};

use super::declared::{Meaning, lenient};
use crate::Json;
use crate::definition::document::{Field, Fields};
use crate::definition::{ProblemCode, policy};
use crate::expr::Expression;

const IN_FLIGHT_MAX: u64 = 1_000;
const PRIORITY_MAX: u64 = 1_000_000;

/// When a version is made without anybody asking, and of what. Only `parameter_defaults` is read yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Automation {
    /// When there is a new version of something it is made from.
    pub on_upstream_update: bool,
    /// When the newest version is too old.
    pub on_expiry: bool,
    /// An expression that has to be true then.
    pub when: Option<String>,
    /// How long it has to have been quiet.
    pub debounce: Option<Duration>,
    /// How many runs may be at it at once, at least 1.
    pub in_flight_max: Option<u32>,
    pub wait: Wait,
    pub mode: Mode,
    /// The higher goes first.
    pub priority: u32,
    /// Keys of a producer's input that nothing else gives.
    pub parameter_defaults: Map<String, Value>,
}

/// For which of the assets it is made from an update waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Until each is current.
    #[default]
    Settled,
    /// For none: any will do.
    Any,
}

/// Which updates get a run of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The latest of those that came meanwhile.
    #[default]
    Latest,
    /// Each.
    Each,
}

impl Automation {
    /// Reads it and says what is wrong; what is wrong counts as not said.
    pub(super) fn read(field: &Field<'_>) -> Option<Self> {
        let mut fields = field.fields()?;
        let mut flag = |name: &'static str| fields.take(&[name]).and_then(|field| field.flag()).unwrap_or(false);
        let (on_upstream_update, on_expiry) = (flag("onUpstreamUpdate"), flag("onExpiry"));
        let when = fields.take(&["when"]).and_then(|field| condition(&field));
        let debounce = policy::time(&mut fields, &["debounceMs", "debounce"], Duration::ZERO);
        let in_flight_max = number(&mut fields, "maxInFlight", 1, IN_FLIGHT_MAX);
        let wait =
            fields.take(&["wait"]).and_then(|field| field.word(&[("settled", Wait::Settled), ("any", Wait::Any)]));
        let mode =
            fields.take(&["mode"]).and_then(|field| field.word(&[("latest", Mode::Latest), ("each", Mode::Each)]));
        let priority = number(&mut fields, "priority", 0, PRIORITY_MAX);
        let parameter_defaults = fields.take(&["parameterDefaults"]).and_then(|field| {
            if !field.value.is_object() {
                field.wrong_kind("an object", field.value);
            }
            field.value.as_object().cloned()
        });
        fields.finish();
        Some(Self {
            on_upstream_update,
            on_expiry,
            when,
            debounce,
            in_flight_max,
            wait: wait.unwrap_or_default(),
            mode: mode.unwrap_or_default(),
            priority: priority.unwrap_or_default(),
            parameter_defaults: parameter_defaults.unwrap_or_default(),
        })
    }
}

impl Meaning for Automation {
    fn of(source: &Json) -> Option<Self> {
        lenient(source, Self::read)
    }
}

/// Reads CEL, bare or in `${{ … }}`. What it may name is settled with what will evaluate it.
fn condition(field: &Field<'_>) -> Option<String> {
    let text = match field.value {
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            field.text()?.to_owned()
        }
    };
    let bare = text.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(&text).trim();
    match Expression::check_grammar(bare) {
        Ok(()) => Some(bare.to_owned()),
        Err(problem) => {
            field.error(ProblemCode::BadExpression, problem.reason);
            None
        }
    }
}

fn number(fields: &mut Fields<'_>, name: &'static str, min: u64, max: u64) -> Option<u32> {
    fields.take(&[name])?.number(min, max).and_then(|number| u32::try_from(number).ok())
}
