//! What the runs of a definition are called: `run` in its header, and `setAttributes` of a node.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ProblemCode;
use super::document::{Field, Fields, escaped};
use super::template::{Use, template};
use crate::expr::Template;

/// The most labels of a run.
pub const RUN_LABELS_MAX: usize = 32;
/// The most search attributes of a run.
pub const ATTRIBUTES_MAX: usize = 32;
/// The longest key of either.
const KEY_CHARS_MAX: usize = 63;

/// What is made of a run's input, its trigger and itself, as it starts.
#[derive(Debug, Default)]
pub struct Naming {
    pub name: Option<Template>,
    pub labels: BTreeMap<String, Template>,
    pub attributes: BTreeMap<String, Template>,
}

/// Reads `run` of the header.
pub(super) fn of_runs(header: &mut Fields<'_>, uses: &mut Vec<Use>) -> Option<Naming> {
    let field = header.take(&["run"])?;
    let mut fields = field.fields()?;
    let name = fields.take(&["name"]).and_then(|name| {
        fields.keep("name", name.value.clone());
        template(&name.at, name.value, name.findings(), uses)
    });
    let labels = templates(&mut fields, "labels", RUN_LABELS_MAX, uses);
    let attributes = templates(&mut fields, "attributes", ATTRIBUTES_MAX, uses);
    header.keep("run", Value::Object(fields.finish()));
    Some(Naming { name, labels, attributes })
}

/// Reads `setAttributes` of a node.
pub(super) fn of_node(node: &mut Fields<'_>, uses: &mut Vec<Use>) -> BTreeMap<String, Template> {
    templates(node, "setAttributes", ATTRIBUTES_MAX, uses)
}

fn templates(
    fields: &mut Fields<'_>,
    name: &'static str,
    max: usize,
    uses: &mut Vec<Use>,
) -> BTreeMap<String, Template> {
    let Some(field) = fields.take(&[name]) else { return BTreeMap::new() };
    let Value::Object(entries) = field.value else {
        field.wrong_kind("an object", field.value);
        return BTreeMap::new();
    };
    fields.keep(name, field.value.clone());
    if !field.at_most(max, entries.len(), "entries", "keep others in the run's input or output") {
        return BTreeMap::new();
    }
    let mut read = BTreeMap::new();
    for (key, value) in entries {
        let entry = Field::new(format!("{}/{}", field.at, escaped(key)), value, field.findings());
        if let Err(rule) = check_key(key) {
            entry.error(ProblemCode::InvalidName, rule);
        }
        if let Some(parsed) = template(&entry.at, value, entry.findings(), uses) {
            read.insert(key.clone(), parsed);
        }
    }
    read
}

/// Checks a key of labels or search attributes.
///
/// # Errors
/// The rule it breaks, in words.
pub fn check_key(key: &str) -> Result<(), String> {
    let is_valid = (1..=KEY_CHARS_MAX).contains(&key.len())
        && key.starts_with(|first: char| first.is_ascii_alphanumeric())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
    let shown: String = key.chars().take(KEY_CHARS_MAX).collect();
    let rule =
        format!("`{shown}` is no key: 1-{KEY_CHARS_MAX} of A-Z a-z 0-9 . _ / -, starting with a letter or digit");
    if is_valid { Ok(()) } else { Err(rule) }
}
