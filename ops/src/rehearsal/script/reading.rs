//! How a test file is read: value by value, with everything that is wrong with it and where.

use std::time::Duration;

use headwater_core::Json;
use headwater_core::Timestamp;
use headwater_core::definition::{nearest, parse_span};
use serde_json::{Map, Value};

/// What is wrong with a test file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A JSON Pointer into the document.
    pub path: String,
    /// Whether it is about a field rather than about what that holds.
    pub by_name: bool,
    pub message: String,
}

/// Everything that is wrong so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

/// How many problems of one file are named; the others come to light when these are mended.
const PROBLEMS_MAX: usize = 100;

impl Problems {
    /// Notes one about what a value is.
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        self.note(path, false, message.into());
    }

    fn note(&mut self, path: &str, by_name: bool, message: String) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { path: path.to_owned(), by_name, message });
        }
    }

    /// Returns all of them, in the order they were found.
    pub fn into_list(self) -> Vec<Problem> {
        self.0
    }
}

/// A value of a test file, and where it stands.
#[derive(Debug, Clone)]
pub struct At<'v> {
    pub value: &'v Value,
    pub path: String,
}

/// The fields of an object, all of which are known.
#[derive(Debug)]
pub struct Fields<'v> {
    of: &'v Map<String, Value>,
    path: String,
}

impl<'v> Fields<'v> {
    /// Returns a field that is there.
    pub fn get(&self, name: &str) -> Option<At<'v>> {
        self.of.get(name).map(|value| At { value, path: below(&self.path, name) })
    }

    /// Returns a field that has to be there.
    pub fn need(&self, name: &str, problems: &mut Problems) -> Option<At<'v>> {
        let found = self.get(name);
        if found.is_none() {
            problems.add(&self.path, format!("`{name}` is missing"));
        }
        found
    }
}

/// Adds a step to a JSON Pointer.
fn below(path: &str, step: &str) -> String {
    format!("{path}/{}", step.replace('~', "~0").replace('/', "~1"))
}

impl<'v> At<'v> {
    /// Begins with a document.
    pub fn root(value: &'v Value) -> Self {
        Self { value, path: String::new() }
    }

    /// Reads an object that has no other fields than these.
    pub fn fields(&self, known: &[&'static str], problems: &mut Problems) -> Option<Fields<'v>> {
        let of = self.object(problems)?;
        for name in of.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(60).collect();
            let hint = nearest(name, known.iter().copied());
            problems.note(&below(&self.path, name), true, format!("there is no field `{shown}` here{hint}"));
        }
        Some(Fields { of, path: self.path.clone() })
    }

    fn object(&self, problems: &mut Problems) -> Option<&'v Map<String, Value>> {
        let of = self.value.as_object();
        if of.is_none() {
            problems.add(&self.path, "is not an object");
        }
        of
    }

    /// Reads an object by names of the author's own.
    pub fn entries(&self, problems: &mut Problems) -> Vec<(&'v str, At<'v>)> {
        let of = self.object(problems).into_iter().flatten();
        of.map(|(name, value)| (name.as_str(), At { value, path: below(&self.path, name) })).collect()
    }

    /// Reads a list.
    pub fn items(&self, problems: &mut Problems) -> Vec<At<'v>> {
        let Some(items) = self.value.as_array() else {
            problems.add(&self.path, "is not a list");
            return Vec::new();
        };
        (0..).zip(items).map(|(n, value): (usize, _)| At { value, path: format!("{}/{n}", self.path) }).collect()
    }

    /// Reads a text.
    pub fn text(&self, problems: &mut Problems) -> Option<&'v str> {
        let text = self.value.as_str();
        if text.is_none() {
            problems.add(&self.path, "is not a text");
        }
        text
    }

    /// Reads what has a text form of its own.
    pub fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self, problems: &mut Problems) -> Option<T> {
        let read = self.text(problems)?.parse();
        read.map_err(|error: T::Err| problems.add(&self.path, error.to_string())).ok()
    }

    /// Reads a whole number from `min` to `max`.
    pub fn whole(&self, min: u64, max: u64, problems: &mut Problems) -> Option<u64> {
        let number = self.value.as_u64().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            problems.add(&self.path, format!("is not a whole number from {min} to {max}"));
        }
        number
    }

    /// Reads a share: a number from 0 to 1.
    pub fn share(&self, problems: &mut Problems) -> Option<f64> {
        let share = self.value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            problems.add(&self.path, "is not a number from 0 to 1");
        }
        share
    }

    /// Reads true or false.
    pub fn truth(&self, problems: &mut Problems) -> Option<bool> {
        let truth = self.value.as_bool();
        if truth.is_none() {
            problems.add(&self.path, "is not true or false");
        }
        truth
    }

    /// Reads a duration: `90s`, `2h`, or whole milliseconds.
    pub fn span(&self, problems: &mut Problems) -> Option<Duration> {
        if let Some(ms) = self.value.as_u64() {
            return Some(Duration::from_millis(ms));
        }
        let read = parse_span(self.text(problems)?);
        read.map_err(|error| problems.add(&self.path, error.to_string())).ok()
    }

    /// Reads a time.
    pub fn time(&self, problems: &mut Problems) -> Option<Timestamp> {
        self.parsed(problems)
    }

    /// Takes the value as it is.
    pub fn json(&self) -> Json {
        Json::of(self.value)
    }
}
