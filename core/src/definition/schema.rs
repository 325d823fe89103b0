//! JSON Schemas: compiled once, checked against text.

use std::fmt;
use std::sync::Arc;

use crate::Json;

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

/// The breaches of one value, at least one, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaBreaches(Vec<SchemaBreach>);

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

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// A text that says why it is not a JSON Schema.
    pub fn compile(source: &serde_json::Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(source)
            .map_err(|e| format!("{e} (at {})", e.instance_path()))?;
        Ok(Self { source: Json::of(source), validator: Arc::new(validator) })
    }

    /// Returns the schema as it was written.
    pub fn source(&self) -> &Json {
        &self.source
    }

    /// Checks a value. Costs a parse of the value.
    ///
    /// # Errors
    /// Every breach with its place, up to 20; the text names three.
    pub fn check(&self, value: &Json) -> Result<(), SchemaBreaches> {
        let breaches = self.breaches(value);
        if breaches.is_empty() { Ok(()) } else { Err(SchemaBreaches(breaches)) }
    }

    /// Returns every breach with its place, up to 20. Costs a parse of the value.
    pub fn breaches(&self, value: &Json) -> Vec<SchemaBreach> {
        let value = value.to_value();
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        let errors = self.validator.iter_errors(&value).take(BREACHES_MAX);
        let breach = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            SchemaBreach { path: if at.is_empty() { "/".to_owned() } else { at }, message: error.to_string() }
        };
        errors.map(breach).collect()
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
