//! What those who start a workflow, or consume what it makes, cannot rely on any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::listed;
use crate::definition::document::escaped;

/// The most that is told.
const BREAKING_MAX: usize = 100;
/// The longest value that a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// Something that breaks who relies on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breaking {
    /// A JSON Pointer: into the input schema of the new version, or where the old one produced an asset.
    pub path: String,
    /// For people.
    pub message: String,
}

/// Finds inputs that are not taken any more, and assets that are not made any more.
pub(super) fn find(old: &Value, new: &Value) -> Vec<Breaking> {
    let mut found = Vec::new();
    let schema = |of: &Value| of.get("inputSchema").cloned().unwrap_or(Value::Bool(true));
    let defaults = |of: &Value| of.get("defaults").and_then(Value::as_object).cloned().unwrap_or_default();
    let (was, is) = (without_filled(schema(old), &defaults(old)), without_filled(schema(new), &defaults(new)));
    narrowed(&was, &is, "/inputSchema", &mut found);
    let made = made(new);
    for (asset, at) in self::made(old).into_iter().filter(|(asset, _)| !made.contains_key(asset)) {
        found.push(Breaking { path: at, message: format!("`{asset}` is not produced any more") });
    }
    found.truncate(BREAKING_MAX);
    found
}

/// What defaults fill nobody has to give.
fn without_filled(mut schema: Value, defaults: &Map<String, Value>) -> Value {
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name.as_str().is_none_or(|name| !defaults.contains_key(name)));
    }
    schema
}

/// Returns each asset that is produced, ids without case, with its place.
fn made(document: &Value) -> BTreeMap<String, String> {
    let nodes = listed::nodes(document);
    let produced = nodes.iter().flat_map(|node| listed::entries_of(node.value, &node.at, "produces"));
    produced.filter_map(|(at, asset)| Some((asset.get("assetId")?.as_str()?.to_ascii_lowercase(), at))).collect()
}

/// Finds what keeps to `old` and not to `new`, as far as keywords say so for themselves. As deep as the documents.
fn narrowed(old: &Value, new: &Value, at: &str, found: &mut Vec<Breaking>) {
    let mut tell = |at: &str, message: String| found.push(Breaking { path: at.to_owned(), message });
    if *new == Value::Bool(false) && *old != Value::Bool(false) {
        return tell(at, "nothing is taken here any more".to_owned());
    }
    let nothing = Map::new();
    let (old, Value::Object(new)) = (old.as_object().unwrap_or(&nothing), new) else { return };
    // What a reference stands for is not looked up: nothing is certain then.
    if old.contains_key("$ref") || new.contains_key("$ref") {
        return;
    }
    if let Some(taken) = new.get("type").map(texts) {
        let takes = |is: &&str| taken.contains(is) || *is == "integer" && taken.contains("number");
        if old.get("type").map(texts).is_none_or(|types| !types.iter().all(takes)) {
            let taken: Vec<_> = taken.into_iter().collect();
            tell(&format!("{at}/type"), format!("only {} is taken", taken.join(" or ")));
        }
    }
    let known = old.get("required").map(texts).unwrap_or_default();
    for name in new.get("required").map(texts).unwrap_or_default().difference(&known) {
        tell(&format!("{at}/required"), format!("`{}` is required", shown(name)));
    }
    let values = |of: &Map<String, Value>| -> Option<BTreeSet<String>> {
        let only = of.get("const").map(|only| BTreeSet::from([only.to_string()]));
        only.or_else(|| Some(of.get("enum")?.as_array()?.iter().map(Value::to_string).collect()))
    };
    if let Some(taken) = values(new) {
        let name = if new.contains_key("const") { "const" } else { "enum" };
        match values(old) {
            None => tell(&format!("{at}/{name}"), "only some values are taken".to_owned()),
            Some(values) => {
                for gone in values.difference(&taken) {
                    tell(&format!("{at}/{name}"), format!("{} is not taken any more", shown(gone)));
                }
            }
        }
    }
    for (name, is_most) in LIMITS {
        let limit = |of: &Map<String, Value>| of.get(name).and_then(Value::as_f64);
        let Some(is) = limit(new) else { continue };
        if limit(old).is_none_or(|was| if is_most { is < was } else { is > was }) {
            tell(&format!("{at}/{name}"), format!("`{name}` is {is}"));
        }
    }
    for name in ["pattern", "format", "not", "dependentRequired", "propertyNames"] {
        if new.contains_key(name) && !old.contains_key(name) {
            tell(&format!("{at}/{name}"), format!("`{name}` is asked for"));
        }
    }
    let closed = |of: &Map<String, Value>| of.get("additionalProperties") == Some(&Value::Bool(false));
    if closed(new) && !closed(old) {
        tell(&format!("{at}/additionalProperties"), "other keys are not taken any more".to_owned());
    }
    let properties =
        |of: &Map<String, Value>| of.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let taken = properties(new);
    for (name, old) in &properties(old) {
        let below = format!("{at}/properties/{}", escaped(name));
        match taken.get(name) {
            Some(new) => narrowed(old, new, &below, found),
            None if closed(new) && !new.contains_key("patternProperties") => {
                found.push(Breaking { path: below, message: format!("`{}` is not taken any more", shown(name)) });
            }
            None => {}
        }
    }
    if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
        narrowed(old, new, &format!("{at}/items"), found);
    }
}

/// Keywords that bound, and whether from above.
const LIMITS: [(&str, bool); 10] = [
    ("maximum", true),
    ("exclusiveMaximum", true),
    ("maxLength", true),
    ("maxItems", true),
    ("maxProperties", true),
    ("minimum", false),
    ("exclusiveMinimum", false),
    ("minLength", false),
    ("minItems", false),
    ("minProperties", false),
];

fn texts(of: &Value) -> BTreeSet<&str> {
    of.as_str().into_iter().chain(of.as_array().into_iter().flatten().filter_map(Value::as_str)).collect()
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
