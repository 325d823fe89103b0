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

/// Says where and why a value breaks a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at {path})")]
pub struct SchemaBreach {
    /// JSON Pointer into the value; `/` for the whole.
    pub path: String,
    /// The first few breaches, for people.
    pub message: String,
}

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
    /// The first breach's place, and the text of up to three.
    pub fn check(&self, value: &Json) -> Result<(), SchemaBreach> {
        let value = value.to_value();
        if self.validator.is_valid(&value) {
            return Ok(());
        }
        let mut path = None;
        let mut messages = Vec::new();
        for error in self.validator.iter_errors(&value).take(3) {
            let at = error.instance_path().to_string();
            path.get_or_insert(if at.is_empty() { "/".to_owned() } else { at });
            messages.push(error.to_string());
        }
        Err(SchemaBreach { path: path.unwrap_or_else(|| "/".to_owned()), message: messages.join("; ") })
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
