//! How large and how deep a value may be that an expression or a template makes.

use super::eval::Fault;
use crate::{Json, VALUE_BYTES_MAX};

/// The largest value an expression or a template makes, in bytes of JSON. Values handed on whole are not counted.
pub const RESULT_BYTES_MAX: usize = VALUE_BYTES_MAX;
/// How deeply a result may be nested, as deep as any JSON inside the engine.
pub(super) const RESULT_DEPTH_MAX: usize = Json::DEPTH_MAX;

/// Refuses JSON that is too large or too deep to be handed on. Embedding value in value, a chain of nodes could make
/// one that no parser takes.
pub(super) fn check_made(text: &str) -> Result<(), Fault> {
    if text.len() > RESULT_BYTES_MAX {
        return Err(Fault::limit(format!("the result is larger than {RESULT_BYTES_MAX} bytes")));
    }
    if Json::is_deeper_than(text, RESULT_DEPTH_MAX) {
        return Err(Fault::limit(format!("the result is nested deeper than {RESULT_DEPTH_MAX} levels")));
    }
    Ok(())
}
