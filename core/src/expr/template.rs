//! JSON values with `${{ … }}` inside.

use super::{EvaluationError, ExpressionProblem, Scope};
use crate::Json;

/// A JSON value in which texts may hold expressions.
///
/// A text that is exactly one `${{ … }}` keeps the value's type; otherwise expressions interpolate as text.
#[derive(Debug)]
pub struct Template {}

impl Template {
    /// Parses a value; every problem comes with its JSON Pointer below the value.
    ///
    /// # Errors
    /// All expressions that do not parse.
    pub fn parse(value: &serde_json::Value) -> Result<Self, Vec<(String, ExpressionProblem)>> {
        let _ = value;
        todo!("being written")
    }

    /// Returns the ids of the nodes whose output it names literally.
    pub fn node_references(&self) -> Vec<String> {
        todo!("being written")
    }

    /// Renders the value. A template without expressions costs a reference count.
    ///
    /// # Errors
    /// The first expression that has no value here.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Json, EvaluationError> {
        let _ = scope;
        todo!("being written")
    }
}
