//! What people write who come from elsewhere, and what it is called here.

use serde_json::Value;

use super::document::escaped;

/// A field of other tools, the field of ours that must be known in that place, and what to do.
const ELSEWHERE: [(&str, &str, &str); 22] = [
    ("needs", "dependsOn", "write `dependsOn: [<id>…]`"),
    ("depends", "dependsOn", "write `dependsOn: [<id>…]`"),
    ("after", "dependsOn", "write `dependsOn: [<id>…]`"),
    ("upstream", "dependsOn", "write `dependsOn: [<id>…]`"),
    ("if", "when", "write `when`"),
    ("condition", "when", "write `when`"),
    ("retries", "retry", "write `retry: {maxAttempts: <tries in all>}`"),
    ("maxRetries", "retry", "write `retry: {maxAttempts: <tries in all>}`"),
    ("maxAttempts", "retry", "write `retry: {maxAttempts: <tries in all>}`"),
    ("attempts", "maxAttempts", "write `maxAttempts`"),
    ("tasks", "steps", "write `steps`"),
    ("jobs", "steps", "write `steps`"),
    ("stages", "steps", "write `steps`"),
    ("edges", "transitions", "write `transitions`"),
    ("params", "inputSchema", "describe the input in `inputSchema`, and give values in `defaults`"),
    ("schedule", "triggers", "there are no schedules in this release: let a scheduler of yours start runs"),
    ("cron", "triggers", "there are no schedules in this release: let a scheduler of yours start runs"),
    ("run", "action", "write `action: {kind: process, command: …}`"),
    ("command", "action", "write `action: {kind: process, command: […]}`"),
    ("uses", "jobSlug", "write `jobSlug`"),
    ("handler", "jobSlug", "write `jobSlug`"),
    ("outputs", "produces", "name assets in `produces`; what a node returns is its output by itself"),
];

/// The types that JSON Schema knows.
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
/// Where a schema holds schemas by names of the author's own.
const BY_NAME: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Where it holds values that are no schemas.
const VALUES: [&str; 4] = ["enum", "const", "default", "examples"];
/// What stands before a dot or a bracket in an expression.
const ROOTS: [&str; 7] = ["input", "nodes", "state", "assets", "run", "trigger", "error"];

/// Says what a field of another tool is called here, where that would be known.
pub(super) fn of_field(name: &str, known: &[&str]) -> Option<String> {
    let (_, _, hint) = ELSEWHERE.iter().find(|(other, ours, _)| *other == name && known.contains(ours))?;
    Some(format!(": {hint}"))
}

/// Finds a type in a schema that is none of JSON Schema's: where, and what to write.
pub(super) fn odd_type(schema: &Value) -> Option<(String, String)> {
    let Value::Object(fields) = schema else { return None };
    let listed: Vec<(String, &Value)> = match fields.get("type") {
        Some(Value::Array(types)) => types.iter().enumerate().map(|(n, one)| (format!("/type/{n}"), one)).collect(),
        Some(one) => vec![("/type".to_owned(), one)],
        None => Vec::new(),
    };
    for (at, one) in listed {
        let name = one.as_str().unwrap_or_default();
        if !TYPES.contains(&name) {
            return Some((at, type_message(one, name)));
        }
    }
    for (key, value) in fields.iter().filter(|(key, _)| !VALUES.contains(&key.as_str())) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(named) if BY_NAME.contains(&key.as_str()) => {
                named.iter().map(|(name, schema)| (format!("/{key}/{}", escaped(name)), schema)).collect()
            }
            Value::Array(items) => items.iter().enumerate().map(|(n, one)| (format!("/{key}/{n}"), one)).collect(),
            one => vec![(format!("/{}", escaped(key)), one)],
        };
        let odd = below.into_iter().find_map(|(at, one)| odd_type(one).map(|(rest, why)| (format!("{at}{rest}"), why)));
        if odd.is_some() {
            return odd;
        }
    }
    None
}

fn type_message(given: &Value, name: &str) -> String {
    let instead = match name {
        "date" => ": a date is `{type: string, format: date}`".to_owned(),
        "datetime" | "date-time" | "timestamp" => ": a time is `{type: string, format: date-time}`".to_owned(),
        "uuid" | "email" | "uri" | "url" => format!(": write `{{type: string, format: {name}}}`"),
        "float" | "double" | "decimal" => ": write `number`".to_owned(),
        "int" | "long" => ": write `integer`".to_owned(),
        "str" | "text" => ": write `string`".to_owned(),
        "bool" => ": write `boolean`".to_owned(),
        "dict" | "map" | "obj" => ": write `object`".to_owned(),
        "list" => ": write `array`".to_owned(),
        _ => super::nearest(name, TYPES.into_iter()),
    };
    format!("{given} is not a type of JSON Schema{instead}; there are {}", TYPES.join(", "))
}

/// Finds what looks like an expression and is taken as text: `{{ x }}`, `${ x }`, `${input.x}`.
pub(super) fn unmarked_expression(text: &str) -> Option<&str> {
    let doubled = text.match_indices("{{").filter(|(at, _)| !text[..*at].ends_with('$')).find_map(|(at, _)| {
        let end = text[at..].find("}}")? + at;
        is_path(text[at + 2..end].trim()).then(|| &text[at..end + 2])
    });
    doubled.or_else(|| {
        text.match_indices("${").filter(|(at, _)| !text[at + 2..].starts_with('{')).find_map(|(at, _)| {
            let end = text[at..].find('}')? + at;
            let inner = &text[at + 2..end];
            let is_rooted = ROOTS
                .iter()
                .any(|root| inner.trim().strip_prefix(root).is_some_and(|rest| rest.starts_with(['.', '['])));
            // A shell takes `${NAME}`, and no space in it.
            (is_path(inner.trim()) && (is_rooted || inner.starts_with(' '))).then(|| &text[at..=end])
        })
    })
}

/// Returns whether this is a name, perhaps with what follows it: `input.x`, `nodes["a-b"].output`.
fn is_path(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]\"'-".contains(c))
}
