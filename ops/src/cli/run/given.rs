//! Values that are given on the command line.

use headwater_core::{Flaw, InvalidJson, Json};
use serde_json::Value;

use crate::cli::Failure;
use crate::codes::Exit;

/// Reads a text, `@file`, or `@-` for standard input.
pub(in crate::cli) fn text(given: &str) -> Result<String, Failure> {
    match given.strip_prefix('@') {
        None => Ok(given.to_owned()),
        Some("-") => std::io::read_to_string(std::io::stdin()).map_err(|error| invalid(error.to_string())),
        Some(path) => std::fs::read_to_string(path).map_err(|error| invalid(format!("{path}: {error}"))),
    }
}

/// Reads JSON where it is JSON, else takes it as a text.
pub(in crate::cli) fn json_or_text(flag: &str, given: &str) -> Result<Value, Failure> {
    match Json::parse_strict(given) {
        Ok(json) => Ok(json.to_value()),
        Err(InvalidJson { flaw: Flaw::Syntax(_), .. }) => Ok(Value::from(given)),
        // JSON, but not as it would arrive.
        Err(error) => Err(invalid(format!("{flag}: {error}"))),
    }
}

pub(in crate::cli) fn invalid(message: String) -> Failure {
    Failure::new(message).exit(Exit::InvalidInput)
}
