//! Whether parameters fit the schema of their action, as far as they are written out. Sound, not complete. It is looked at where
//! definitions come in, like whether expressions can have a value.

use serde_json::{Map, Value};

use crate::Json;
use crate::definition::document::{Field, escaped, nearest, sorted};
use crate::definition::header::closed_keys;
use crate::definition::{ProblemCode, Schema, SchemaRefusal};

/// What of a schema is true of each key apart from the others.
const OF_KEYS: [&str; 8] =
    ["$schema", "$id", "$defs", "definitions", "type", "properties", "patternProperties", "additionalProperties"];

/// Checks an object of parameters: the keys that are there and are not, and the values that no expression has to make first.
pub(in crate::definition) fn check(params: &Field<'_>, schema: &Schema) {
    let Value::Object(given) = params.value else { return };
    let found = params.findings();
    let source = schema.source().to_value();
    let below = |key: &str| format!("{}/{}", params.at, escaped(key));
    let properties = source.get("properties").and_then(Value::as_object);
    let known = || properties.into_iter().flatten().map(|(key, _)| key.as_str());
    let closed = closed_keys(schema);
    for key in given.keys().filter(|key| known().all(|known| known != key.as_str())) {
        let hint = nearest(key, known());
        if closed.is_some() {
            let message = format!("the action takes no parameter `{key}`{hint}");
            found.error(&below(key), ProblemCode::UnknownField, message);
        } else if !hint.is_empty() {
            let message = format!("the action's schema does not name the parameter `{key}`{hint}");
            found.warning(&below(key), ProblemCode::UnknownField, message);
        }
    }
    for key in source.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !given.contains_key(key) {
            let message = format!("the action needs the parameter `{key}`");
            found.error(&below(key), ProblemCode::MissingField, message);
        }
    }
    check_values(params, given, &source);
}

fn check_values(params: &Field<'_>, given: &Map<String, Value>, source: &Value) {
    let literal = given.iter().filter(|(_, value)| !holds_expression(value));
    let literal: Map<String, Value> = literal.map(|(key, value)| (key.clone(), value.clone())).collect();
    let Value::Object(all) = source else { return };
    let apart: Map<String, Value> =
        all.iter().filter(|(key, _)| OF_KEYS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    let Ok(apart) = Schema::compile(&Value::Object(apart)) else { return };
    let literal = Json::of(&sorted(Value::Object(literal)));
    // Where all of it takes too much to find out, runs do.
    let Err(SchemaRefusal::Breach(breaches)) = apart.check_within(&literal, params.findings().work()) else { return };
    // Keys that are not taken have been told of.
    for breach in breaches.iter().filter(|breach| breach.path != "/") {
        let message = format!("does not fit the action's schema: {}", breach.message);
        params.findings().error(&format!("{}{}", params.at, breach.path), ProblemCode::InvalidValue, message);
    }
}

fn holds_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${{"),
        Value::Array(items) => items.iter().any(holds_expression),
        Value::Object(entries) => entries.values().any(holds_expression),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
