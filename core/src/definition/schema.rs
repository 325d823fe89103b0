//! JSON Schemas: compiled once, checked against text.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::{charge, unfold};
use crate::expr::{DecisionLimit, Work};
use crate::{Json, RunFailure};

/// A compiled JSON Schema (draft 2020-12 unless `$schema` says otherwise). Never follows `$ref` outside itself.
#[derive(Clone)]
pub struct Schema {
    source: Json,
    validator: Arc<jsonschema::Validator>,
}

/// The most breaches that are named.
const BREACHES_MAX: usize = 20;
/// The most that one message names.
const MESSAGE_BREACHES_MAX: usize = 3;

/// Says where and why a value breaks a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at {path})")]
pub struct SchemaBreach {
    /// JSON Pointer into the value; `/` for the whole.
    pub path: String,
    /// For people.
    pub message: String,
}

/// The breaches of one value, at least one, each with its place, up to 20.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaBreaches(Vec<SchemaBreach>);

impl SchemaBreaches {
    pub fn iter(&self) -> std::slice::Iter<'_, SchemaBreach> {
        self.0.iter()
    }
}

/// Names three, and says how many more there are.
impl fmt::Display for SchemaBreaches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, breach) in self.0.iter().take(MESSAGE_BREACHES_MAX).enumerate() {
            write!(f, "{}{breach}", if n == 0 { "" } else { "; " })?;
        }
        match self.0.len() {
            0..=MESSAGE_BREACHES_MAX => Ok(()),
            BREACHES_MAX => f.write_str("; and more"),
            count => write!(f, "; and {} more", count - MESSAGE_BREACHES_MAX),
        }
    }
}

impl std::error::Error for SchemaBreaches {}

/// Says why a value was not found to keep a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaRefusal {
    #[error(transparent)]
    Breach(#[from] SchemaBreaches),
    /// The decision has no work left to find out.
    #[error(transparent)]
    Limit(#[from] DecisionLimit),
}

impl SchemaRefusal {
    /// Returns the failure of the node or the run: under `code` for a breach, whose words follow `prefix`.
    pub(crate) fn into_failure(self, code: &str, prefix: &str) -> RunFailure {
        match self {
            Self::Breach(breaches) => RunFailure::new(code, format!("{prefix}{breaches}")),
            Self::Limit(limit) => limit.into(),
        }
    }
}

impl From<DecisionLimit> for RunFailure {
    fn from(limit: DecisionLimit) -> Self {
        Self::new("decision_limit", limit.to_string())
    }
}

/// How many characters of one breach are told; it may quote the whole value.
const BREACH_CHARS_MAX: usize = 500;
/// What it costs to describe what does not fit, where it costs one unit to see that it does not.
const BREACH_PRICE: u64 = 60;

impl Schema {
    /// What it costs to compile a byte of a schema, in units of work.
    pub(crate) const COMPILE_WORK: u64 = 20;

    /// Compiles a schema.
    ///
    /// # Errors
    /// A text that says why it is not a JSON Schema.
    pub fn compile(source: &Value) -> Result<Self, String> {
        unfold::check(source)?;
        let validator = charge::build(source).map_err(|e| format!("{e} (at {})", e.instance_path()))?;
        Ok(Self { source: Json::of(source), validator: Arc::new(validator) })
    }

    /// Returns the schema as it was written.
    pub fn source(&self) -> &Json {
        &self.source
    }

    /// Checks a value, as the only thing a decision does. Costs a parse of the value.
    ///
    /// # Errors
    /// Every breach with its place, up to 20; that it would take too much work.
    pub fn check(&self, value: &Json) -> Result<(), SchemaRefusal> {
        self.check_within(value, &Work::of_a_decision())
    }

    /// Checks a value, charged for every subschema that is tried on a part of it.
    ///
    /// # Errors
    /// As [`Self::check`], and that the decision has no work left.
    pub fn check_within(&self, value: &Json, work: &Work) -> Result<(), SchemaRefusal> {
        // Parsing it takes some twenty nanoseconds a byte where it is made of small parts.
        work.take(value.len_bytes() as u64)?;
        let value = value.to_value();
        if metered(work, 1, || self.validator.is_valid(&value))? {
            return Ok(());
        }
        // To name every breach takes more than to find one: without work left, the place stays unnamed.
        let unnamed = || vec![SchemaBreach { path: "/".to_owned(), message: "the value breaks the schema".to_owned() }];
        let breaches = metered(work, BREACH_PRICE, || self.breaches(&value)).unwrap_or_else(|_| unnamed());
        Err(SchemaBreaches(breaches).into())
    }

    fn breaches(&self, value: &Value) -> Vec<SchemaBreach> {
        let told = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            let mut message = error.to_string();
            if let Some((end, _)) = message.char_indices().nth(BREACH_CHARS_MAX) {
                message.truncate(end);
                message.push('…');
            }
            SchemaBreach { path: if at.is_empty() { "/".to_owned() } else { at }, message }
        };
        self.validator.iter_errors(value).take(BREACHES_MAX).map(told).collect()
    }
}

/// Runs the library within what is left. It has no way to stop but to unwind, which no panic hook sees.
fn metered<T>(work: &Work, price: u64, check: impl FnOnce() -> T) -> Result<T, DecisionLimit> {
    let (result, spent) = charge::spending(work.left(), price, || catch_unwind(AssertUnwindSafe(check)));
    match result {
        Ok(result) => work.take(spent).map(|()| result),
        Err(payload) if payload.is::<charge::Spent>() => work.take(spent).and(Err(work.run_out())),
        Err(payload) => resume_unwind(payload),
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
