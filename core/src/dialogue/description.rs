//! What a run is called: its name, labels and search attributes, for whoever looks for it. Nothing that happens depends on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ContinuedFrom;
use crate::definition::{ATTRIBUTES_MAX, RUN_LABELS_MAX, check_key};
use crate::failure::RunFailure;
use crate::{Json, NodeId};

/// The longest name of a run, in characters.
const NAME_CHARS_MAX: usize = 200;
/// The longest value of a label, in characters.
const LABEL_CHARS_MAX: usize = 200;
/// The longest value of a search attribute, in bytes of JSON.
const ATTRIBUTE_BYTES_MAX: usize = 512;

/// What a run is called. Each part: what is new of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Description {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Texts, numbers and truth values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Json>,
}

/// What whoever starts a run may say beside its input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartWishes {
    /// It comes before what the definition says.
    #[serde(default, skip_serializing_if = "Description::is_empty")]
    pub description: Description,
    /// Only these nodes happen, and what they depend on. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<NodeId>,
    /// The run that it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued: Option<ContinuedFrom>,
}

impl Description {
    /// Returns whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what is new.
    pub fn learn(&mut self, news: &Self) {
        if let Some(name) = &news.name {
            self.name = Some(name.clone());
        }
        self.labels.extend(news.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.attributes.extend(news.attributes.iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    /// Returns about how many bytes it has.
    pub(crate) fn len_bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        let attributes: usize = self.attributes.iter().map(|(key, value)| key.len() + value.len_bytes() + 4).sum();
        self.name.as_ref().map_or(0, String::len) + labels + attributes
    }

    /// Checks what somebody outside says.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        if let Some(name) = &self.name {
            check_text(name, NAME_CHARS_MAX).map_err(|why| format!("the name {why}"))?;
        }
        if self.labels.len() > RUN_LABELS_MAX {
            return Err(format!("these are {} labels, and a run has {RUN_LABELS_MAX} at most", self.labels.len()));
        }
        for (key, value) in &self.labels {
            check_key(key)?;
            check_text(value, LABEL_CHARS_MAX).map_err(|why| format!("the label `{key}` {why}"))?;
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            let count = self.attributes.len();
            return Err(format!("these are {count} search attributes, and a run has {ATTRIBUTES_MAX} at most"));
        }
        for (key, value) in &self.attributes {
            check_key(key)?;
            check_attribute(value).map_err(|why| format!("the search attribute `{key}` {why}"))?;
        }
        Ok(())
    }
}

fn check_text(text: &str, chars_max: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(format!("has {chars} characters, and {chars_max} are the most"));
    }
    if text.chars().any(char::is_control) { Err("holds a control character".to_owned()) } else { Ok(()) }
}

fn check_attribute(value: &Json) -> Result<(), String> {
    if value.len_bytes() > ATTRIBUTE_BYTES_MAX {
        return Err(format!("has {} bytes, and {ATTRIBUTE_BYTES_MAX} are the most", value.len_bytes()));
    }
    match value.to_value() {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err("is a text, a number or a truth value, nothing else".to_owned())
        }
    }
}

/// Makes a text of what a template for a name or a label gives: texts as they are, numbers and truth values as JSON.
pub(crate) fn text_of(value: &Json) -> Result<String, RunFailure> {
    match value.to_value() {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.as_str().to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(invalid("a name or a label is made of a text, a number or a truth value"))
        }
    }
}

/// The failure of what cannot be a description.
pub(crate) fn invalid(why: &str) -> RunFailure {
    RunFailure::new("run_description", why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_is_bounded_in_number_and_size() {
        let of = |value: Value| serde_json::from_value::<Description>(value).unwrap().check();
        let many = |count: usize, value: Value| -> Value {
            (0..count).map(|n| (format!("k{n}"), value.clone())).collect::<serde_json::Map<_, _>>().into()
        };
        assert_eq!(of(json!({})), Ok(()));
        let full = json!({"name": "ü".repeat(200), "labels": many(32, json!("x".repeat(200))), "attributes": many(32, json!(1.5))});
        assert_eq!(of(full), Ok(()));
        for (bad, why) in [
            (json!({"name": "ü".repeat(201)}), "201 characters"),
            (json!({"name": "a\nb"}), "control"),
            (json!({"labels": many(33, json!("x"))}), "33 labels"),
            (json!({"labels": {"a b": "x"}}), "no key"),
            (json!({"labels": {"": "x"}}), "no key"),
            (json!({"labels": {"k": "x".repeat(201)}}), "201 characters"),
            (json!({"attributes": many(33, json!(1))}), "33 search attributes"),
            (json!({"attributes": {"k": [1]}}), "nothing else"),
            (json!({"attributes": {"k": null}}), "nothing else"),
            (json!({"attributes": {"k": "x".repeat(511)}}), "513 bytes"),
        ] {
            assert!(of(bad.clone()).unwrap_err().contains(why), "{bad}");
        }
    }
}
