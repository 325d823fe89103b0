//! One CEL expression, parsed once.

use super::{EvaluationError, Scope};
use crate::Json;

/// A parsed expression.
#[derive(Debug)]
pub struct Expression {
    source: String,
}

/// Says why a text is not an expression the engine takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ExpressionProblem {
    /// What is wrong, with the place where CEL can tell it.
    pub reason: String,
}

impl Expression {
    /// Parses a source of at most 4,096 bytes and 32 levels.
    ///
    /// # Errors
    /// Syntax errors, unknown variables, a source over the limits.
    pub fn parse(source: &str) -> Result<Self, ExpressionProblem> {
        let _ = source;
        todo!("being written")
    }

    /// Returns the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the ids of the nodes whose output it names literally (`nodes.a.output`, `nodes["a"].output`).
    pub fn node_references(&self) -> Vec<String> {
        todo!("being written")
    }

    /// Evaluates to a JSON value.
    ///
    /// # Errors
    /// A missing key, a type error, an overflow: the reason in words.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Json, EvaluationError> {
        let _ = scope;
        todo!("being written")
    }

    /// Evaluates to a truth value.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; a value other than `true` or `false` is an error too.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        let _ = scope;
        todo!("being written")
    }
}
