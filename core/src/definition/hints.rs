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

/// What other tools call what an expression begins with, longest first, and what it is here.
const ROOTS_ELSEWHERE: [(&str, &str); 12] = [
    ("workflow.parameters", "input"),
    ("inputs.parameters", "input"),
    ("states.context", "run"),
    ("states.input", "input"),
    ("workflow.input", "input"),
    ("parameters", "input"),
    ("variables", "state"),
    ("context", "state"),
    ("params", "input"),
    ("inputs", "input"),
    ("vars", "state"),
    ("event", "input"),
];
/// Where other tools keep what nodes returned, and what they call that.
const RESULTS_ELSEWHERE: [&str; 3] = ["steps", "tasks", "nodes"];
const RESULT_WORDS: [&str; 4] = ["outputs", "output", "result", "results"];

/// How long what looks like an expression may be.
const NEAR_BYTES: usize = 300;

/// Finds what looks like an expression and is taken as text, and what to write instead: `{{ x }}`, `{{ x | filter }}`, `${ x }`,
/// `${input.x}`, and as a whole text `${x}`, `{% $x %}` and `$.x`. `bound` are the names of bodies around it.
pub(super) fn unmarked_expression<'t>(text: &'t str, bound: &[String]) -> Option<(&'t str, String)> {
    let whole = text.trim();
    let instead = |path: &str| format!("${{{{ {} }}}}", here(path, bound));
    if let Some(inner) = whole.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")) {
        let inner = inner.trim();
        let path = inner.strip_prefix('$').filter(|path| is_path(path));
        let variable = |path: &str| if path.starts_with("states.") { path.to_owned() } else { format!("state.{path}") };
        return Some((whole, path.map_or_else(|| "${{ … }}".to_owned(), |path| instead(&variable(path)))));
    }
    if let Some(path) = whole.strip_prefix("$.").filter(|path| is_path(path)) {
        return Some((whole, instead(&format!("input.{path}"))));
    }
    if let Some(path) = whole.strip_prefix("$$.").filter(|path| is_path(path)) {
        return Some((whole, instead(&format!("run.{path}"))));
    }
    let doubled = text.match_indices("{{").filter(|(at, _)| !text[..*at].ends_with('$')).find_map(|(at, _)| {
        let end = near(text, at).find("}}")? + at;
        let path = text[at + 2..end].split('|').next().unwrap_or_default().trim();
        is_path(path).then(|| (&text[at..end + 2], instead(path)))
    });
    doubled.or_else(|| {
        text.match_indices("${").filter(|(at, _)| !text[at + 2..].starts_with('{')).find_map(|(at, _)| {
            let end = near(text, at).find('}')? + at;
            let inner = &text[at + 2..end];
            let path = inner.trim();
            let is_rooted = ROOTS.iter().any(|root| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('[')));
            // A shell takes `${NAME}` and `${name[0]}`, and neither a space nor a dot in it; names of its own are capital.
            let is_whole = text[at..=end].len() == whole.len() && path.starts_with(|c: char| c.is_ascii_lowercase());
            let is_meant = is_rooted || path.contains('.') || inner.starts_with(' ') || is_whole && !path.contains('[');
            (is_path(path) && is_meant).then(|| (&text[at..=end], instead(path)))
        })
    })
}

/// Returns what stands from there on, as far as an expression that is worth a hint would go.
fn near(text: &str, at: usize) -> &str {
    &text[at..text.floor_char_boundary(at + NEAR_BYTES)]
}

/// Returns what a path of another tool is called here, as far as that is known.
fn here(path: &str, bound: &[String]) -> String {
    let is_bound = bound.iter().any(|name| {
        path.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    if is_bound {
        return path.to_owned();
    }
    let rest_of = |root: &str| path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    if let Some((rest, ours)) = ROOTS_ELSEWHERE.iter().find_map(|(root, ours)| Some((rest_of(root)?, ours))) {
        return format!("{ours}{rest}");
    }
    if let Some(rest) = RESULTS_ELSEWHERE.iter().find_map(|root| rest_of(root)?.strip_prefix('.')) {
        let (node, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
        let after = after.strip_prefix('.').unwrap_or_default();
        let (word, below) = after.split_at(after.find(['.', '[']).unwrap_or(after.len()));
        let node = if node.contains('-') { format!("nodes[\"{node}\"]") } else { format!("nodes.{node}") };
        return match RESULT_WORDS.contains(&word) {
            true => format!("{node}.output{below}"),
            false if after.is_empty() => format!("{node}.output"),
            false => format!("{node}.{after}"),
        };
    }
    let known = ROOTS.iter().copied().chain(["item", "index", "now"]).chain(bound.iter().map(String::as_str));
    let is_known = known.into_iter().any(|root| rest_of(root).is_some());
    if is_known { path.to_owned() } else { format!("input.{path}") }
}

/// Returns whether this is a name, perhaps with what follows it: `input.x`, `nodes["a-b"].output`.
fn is_path(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]\"'-".contains(c))
}
