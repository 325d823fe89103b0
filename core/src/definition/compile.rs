//! From the document to the graph, or to everything that is wrong with it.

use super::{Definition, Problem, Problems};

/// Compiles a document (already strict JSON) into its graph; warnings come beside it.
///
/// # Errors
/// All problems at once, in document order; at least one is an error.
pub fn compile(document: &serde_json::Value) -> Result<(Definition, Vec<Problem>), Problems> {
    let _ = document;
    todo!("being written")
}
