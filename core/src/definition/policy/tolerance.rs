//! Which failures of a node the run goes on after (`allowFailure`).

use serde_json::{Map, Value, json};

use super::retry::codes;
use crate::definition::ProblemCode;
use crate::definition::document::Fields;

/// Which failures of a node the run goes on after, where no transition on failure takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tolerance {
    #[default]
    None,
    All,
    /// Those with one of these codes.
    Codes(Vec<String>),
}

impl Tolerance {
    /// Returns whether a failure with this code is tolerated.
    pub fn is_for(&self, code: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Codes(codes) => codes.iter().any(|known| known == code),
        }
    }

    /// Returns whether it says something that releases before 0.2 do not know.
    pub(in crate::definition) fn has_later_words(&self) -> bool {
        match self {
            Self::None => false,
            Self::All | Self::Codes(_) => true,
        }
    }
}

/// Reads `allowFailure`.
pub(in crate::definition) fn read(node: &mut Fields<'_>) -> Tolerance {
    let Some(field) = node.take(&["allowFailure"]) else { return Tolerance::None };
    match field.value {
        Value::Bool(false) => Tolerance::None,
        Value::Bool(true) => {
            node.keep("allowFailure", json!(true));
            Tolerance::All
        }
        Value::Object(_) => {
            let Some(mut fields) = field.fields() else { return Tolerance::None };
            let field = fields.need(&["codes"]);
            let codes = field.as_ref().map(codes).unwrap_or_default();
            if let Some(field) = field.filter(|field| field.value.as_array().is_some_and(Vec::is_empty)) {
                field.error(ProblemCode::InvalidValue, "no code is tolerated: name one, or leave `allowFailure` out");
            }
            fields.keep("codes", json!(codes));
            fields.finish();
            node.keep("allowFailure", Value::Object(Map::from_iter([("codes".to_owned(), json!(codes))])));
            Tolerance::Codes(codes)
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let message = "must be true, false or `{codes: [\"<code>\"…]}`";
            field.error(ProblemCode::InvalidValue, message);
            Tolerance::None
        }
    }
}
