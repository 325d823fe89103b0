//! By what runs are found, as terms of one length: what the table `run_terms` holds, and what a list is asked for.
//!
//! Two things have the same term exactly if they are the same, so far as SHA-256 is one: nobody looks at a row again.

use std::borrow::Cow;
use std::fmt;

use headwater_core::definition::check_key;
use headwater_core::run::{Description, Trigger};
use headwater_core::{Json, RunId, WorkspaceId};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The most values of an input by which a run is found: the first ones of its top level that are scalars.
pub const INPUT_KEYS_MAX: usize = 16;
/// The longest of them, in bytes of JSON.
pub const INPUT_VALUE_BYTES_MAX: usize = 256;
/// The longest input that is looked into, in bytes.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Makes the terms of a workspace's runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'w>(pub(crate) &'w str);

impl<'w> Terms<'w> {
    pub(crate) fn of(workspace: &'w WorkspaceId) -> Self {
        Self(workspace.as_str())
    }

    pub(crate) fn name(self, name: &str) -> Uuid {
        self.term("name", "", name)
    }

    pub(crate) fn label(self, key: &str, value: &str) -> Uuid {
        self.term("label", key, value)
    }

    pub(crate) fn attribute(self, key: &str, value: &Json) -> Uuid {
        self.term("attribute", key, &scalar(value.as_str()))
    }

    /// Of a value of the input, as JSON.
    pub(crate) fn input(self, key: &str, value: &str) -> Uuid {
        self.term("input", key, &scalar(value))
    }

    pub(crate) fn parent(self, run: RunId) -> Uuid {
        self.term("parent", "", &run.to_string())
    }

    /// Adds those of what a run is called.
    pub(crate) fn describe(self, description: &Description, terms: &mut Vec<Uuid>) {
        terms.extend(description.name.as_ref().map(|name| self.name(name)));
        terms.extend(description.labels.iter().map(|(key, value)| self.label(key, value)));
        terms.extend(description.attributes.iter().map(|(key, value)| self.attribute(key, value)));
    }

    /// Adds those that the start of a run gives it for good.
    pub(crate) fn start(self, input: Option<&str>, trigger: &Trigger, terms: &mut Vec<Uuid>) {
        terms.extend(input.into_iter().flat_map(values).map(|(key, value)| self.input(&key, value.get())));
        match trigger {
            Trigger::Call(by) => terms.push(self.parent(by.parent)),
            Trigger::Manual {} | Trigger::Materialize { .. } => {}
        }
    }

    fn term(self, kind: &str, key: &str, value: &str) -> Uuid {
        let mut hash = Sha256::new();
        for part in [kind, self.0, key, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut first = [0; 16];
        first.copy_from_slice(&hash.finalize()[..16]);
        Uuid::from_bytes(first)
    }
}

/// Writes a JSON scalar so that what is equal is the same text: texts without escapes, numbers by their value.
fn scalar(json: &str) -> Cow<'_, str> {
    let json = json.trim();
    if json.starts_with('"') {
        let text = serde_json::from_str::<String>(json).unwrap_or_default();
        return format!("\"{text}").into();
    }
    if let Ok(whole) = json.parse::<i64>() {
        return whole.to_string().into();
    }
    match json.parse::<f64>() {
        // Below 2^63, so that nothing is lost.
        Ok(number) if number.fract() == 0.0 && number.abs() < 9e18 => (number as i64).to_string().into(),
        Ok(number) => number.to_string().into(),
        // A truth value.
        Err(_) => json.into(),
    }
}

/// Returns the values of an input by which its run is found, in its order. Of a key that stands there twice the last one counts.
fn values(input: &str) -> Vec<(Cow<'_, str>, &RawValue)> {
    if input.len() > INPUT_BYTES_MAX || !input.trim_start().starts_with('{') {
        return Vec::new();
    }
    serde_json::Deserializer::from_str(input).deserialize_map(Scalars).unwrap_or_default()
}

struct Scalars;

impl<'de> Visitor<'de> for Scalars {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Self::Value = Vec::new();
        while found.len() < INPUT_KEYS_MAX
            && let Some(key) = map.next_key::<Key<'de>>()?
        {
            let value = map.next_value::<&RawValue>()?;
            let key = key.0;
            found.retain(|(before, _)| *before != key);
            if is_found(&key, value.get()) {
                found.push((key, value));
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

#[derive(serde::Deserialize)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

/// Returns whether runs are found by this value of their input.
pub fn is_found(key: &str, value: &str) -> bool {
    let is_scalar = !value.starts_with(['{', '[']) && value != "null";
    is_scalar && value.len() <= INPUT_VALUE_BYTES_MAX && check_key(key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(input: &str) -> Vec<(String, String)> {
        values(input).into_iter().map(|(key, value)| (key.into_owned(), value.get().to_owned())).collect()
    }

    #[test]
    fn scalars_are_the_same_if_they_are_equal() {
        for (one, other) in [("1", "1.0"), ("10", "1e1"), ("0", "-0.0"), ("\"\u{e9}\"", "\"\\u00e9\""), ("0.1", "1e-1")]
        {
            assert_eq!(scalar(one), scalar(other), "{one} {other}");
        }
        for (one, other) in [("1", "\"1\""), ("true", "\"true\""), ("true", "false"), ("1.5", "1")] {
            assert_ne!(scalar(one), scalar(other), "{one} {other}");
        }
        for odd in ["1e999", "-1e999", "9223372036854775808", "", "\"\\ud800\""] {
            scalar(odd);
        }
    }

    #[test]
    fn parts_of_a_term_do_not_run_into_each_other() {
        let all = [
            Terms("w").label("a", "bc"),
            Terms("w").label("ab", "c"),
            Terms("wa").label("b", "c"),
            Terms("w").name("bc"),
            Terms("w").input("a", "\"bc\""),
            Terms("w").attribute("a", &Json::of(&"bc")),
        ];
        let mut distinct = all.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn of_an_input_the_first_short_scalars_of_the_top_level_count() {
        let input = r#"{"customer":"acme","n":1,"nested":{"x":1},"list":[1],"none":null,"yes":true,"a b":1,"n":2}"#;
        let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(keys(input), text(&[("customer", "\"acme\""), ("yes", "true"), ("n", "2")]));
        let many: serde_json::Map<_, _> = (0..40).map(|n| (format!("k{n:02}"), n.into())).collect();
        assert_eq!(keys(Json::of(&many).as_str()).len(), INPUT_KEYS_MAX);
        let long = format!(r#"{{"long":"{}","short":1}}"#, "x".repeat(INPUT_VALUE_BYTES_MAX));
        assert_eq!(keys(&long), text(&[("short", "1")]));
        let large = format!(r#"{{"n":1,"text":"{}"}}"#, "x".repeat(INPUT_BYTES_MAX));
        for nothing in ["[1]", "3", "null", "", "{", &large] {
            assert_eq!(keys(nothing), text(&[]));
        }
    }
}
