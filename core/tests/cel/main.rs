//! Whether expressions mean what CEL says: against the library's own evaluator, and case by case.

mod cases;
mod data;
mod differential;
mod encodings;
mod papers;
mod reductions;
mod regex;
mod time;
mod typing;
mod typing_laws;

use std::collections::BTreeMap;

use headwater_core::expr::{Expression, Scope};
use headwater_core::{Json, Timestamp};
use serde_json::Value;

/// Evaluates over an input; the reason in words where there is no value.
fn evaluate(source: &str, input: &Value) -> Result<Value, String> {
    let expression = Expression::parse(source).map_err(|problem| format!("parse: {problem}"))?;
    let (input, state, nothing) = (Json::of(input), BTreeMap::new(), Json::empty_object());
    let facts = (nothing.clone(), nothing);
    let output = |_: &str| None;
    let scope = Scope {
        input: &input,
        state: &state,
        output: &output,
        standing: &|_| None,
        assets: &[],
        error: None,
        facts: &facts,
        bound: &[],
        now: Timestamp::from_micros(1_764_158_400_500_000),
    };
    expression.evaluate(&scope).map(|json| json.to_value()).map_err(|error| error.reason)
}
