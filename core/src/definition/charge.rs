//! What it costs to check a value against a JSON Schema.
//!
//! Alternatives that refer to alternatives can be tried more often than any clock would allow. So every subschema gets
//! a keyword of ours before it is compiled: it charges each time the subschema is tried on a part of a value, and
//! unwinds when nothing is left.

use std::cell::Cell;
use std::panic::resume_unwind;

use jsonschema::{Keyword, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};

use super::pattern;

/// The keyword; its value is `[units a visit, units a byte of a text]`.
const KEYWORD: &str = "headwater:work";
/// Keywords whose value is data, not schemas: left as they are.
const DATA: [&str; 2] = ["const", "enum"];
/// How much memory the program of one `pattern` may take.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// How often a pattern with look-around, which older definitions hold, may try again.
const BACKTRACKS_MAX: usize = 10_000;
/// What such a pattern costs on a text, however short.
const BACKTRACKING: u64 = 5_000;

/// What unwinds when nothing is left.
pub(super) struct Spent;

/// How much of the stack a check may take, whatever refers to what.
const STACK_BYTES_MAX: usize = 768 * 1024;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// Each unit costs so many.
    static PRICE: Cell<u64> = const { Cell::new(1) };
    static STACK: Cell<usize> = const { Cell::new(0) };
}

/// Lets `check` spend so many units, at a price for each; returns how many it did.
pub(super) fn spending<T>(units: u64, price: u64, check: impl FnOnce() -> T) -> (T, u64) {
    LEFT.set(units);
    PRICE.set(price);
    STACK.set(stack());
    let result = check();
    (result, units - LEFT.get())
}

/// Returns about where the stack is.
fn stack() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here) as usize
}

/// Compiles a schema that charges. Patterns take time linear in the text, but those with look-around, which are bounded.
pub(super) fn build(source: &Value) -> Result<Validator, ValidationError<'static>> {
    let options = || {
        jsonschema::options().should_validate_formats(true).with_keyword(KEYWORD, |_, value, _| {
            let units = |at: usize| value.get(at).and_then(Value::as_u64).unwrap_or(1);
            Ok(Box::new(Charge { visit: units(0), byte: units(1) }) as Box<dyn for<'i> Keyword<'i>>)
        })
    };
    let mut charged = source.clone();
    charge(&mut charged, 0);
    let linear = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(2 * PATTERN_BYTES_MAX);
    options().with_pattern_options(linear).build(&charged).or_else(|_| {
        let mut charged = source.clone();
        charge(&mut charged, BACKTRACKING);
        let bounded = PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX);
        options().with_pattern_options(bounded).build(&charged)
    })
}

/// Puts the keyword into every object that may be a schema. Where it is none, an unknown keyword means nothing.
fn charge(schema: &mut Value, pattern: u64) {
    match schema {
        Value::Object(keywords) => {
            for (name, value) in keywords.iter_mut() {
                if !DATA.contains(&name.as_str()) {
                    below(name, value, pattern);
                }
            }
            let units = json!([visit(keywords, pattern), byte(keywords)]);
            pattern::read_characters(keywords);
            keywords.insert(KEYWORD.to_owned(), units);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| charge(item, pattern)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Keywords whose keys are names, not keywords.
const NAMED: [&str; 8] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
    "dependentRequired",
    "$vocabulary",
];

fn below(name: &str, value: &mut Value, pattern: u64) {
    match value {
        Value::Object(entries) if NAMED.contains(&name) => {
            entries.values_mut().for_each(|entry| charge(entry, pattern));
        }
        value => charge(value, pattern),
    }
}

/// What it costs to come by: what has to be looked through, in the schema itself.
fn visit(keywords: &Map<String, Value>, pattern: u64) -> u64 {
    let mut units = 1 + keywords.len() as u64 / 4;
    for (name, value) in keywords {
        units += match (name.as_str(), value) {
            ("enum" | "const", value) => nodes(value) / 2,
            ("pattern" | "patternProperties", _) => pattern + 2,
            (_, Value::Array(items)) => items.len() as u64 / 4,
            (_, Value::Object(entries)) => entries.len() as u64 / 8,
            (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => 0,
        };
    }
    units
}

/// What it costs for each byte of a text, or of the keys of an object.
fn byte(keywords: &Map<String, Value>) -> u64 {
    let of_patterns = |patterns: &Map<String, Value>| patterns.keys().map(|pattern| repeats(pattern)).sum::<u64>();
    keywords
        .iter()
        .map(|(name, value)| match (name.as_str(), value) {
            ("pattern", Value::String(pattern)) => repeats(pattern),
            ("patternProperties", Value::Object(patterns)) => of_patterns(patterns),
            ("format", Value::String(format)) if format == "regex" => 100,
            ("format", _) => 1,
            _ => 0,
        })
        .sum()
}

/// About how many places in a pattern a text can be at once: counted repetitions multiply them.
fn repeats(pattern: &str) -> u64 {
    let counts = pattern.split('{').skip(1).filter_map(|rest| {
        let digits = rest.split('}').next()?;
        digits.split(',').filter_map(|count| count.parse::<u64>().ok()).max()
    });
    let places = counts.fold(1, |places: u64, count| places.saturating_mul(count.max(1)));
    1 + (pattern.len() as u64 / 32) + places.min(PATTERN_BYTES_MAX as u64) / 4
}

fn nodes(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<u64>(),
        Value::Object(entries) => 1 + entries.values().map(nodes).sum::<u64>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len() as u64 / 16,
    }
}

struct Charge {
    visit: u64,
    byte: u64,
}

impl Charge {
    fn charge(&self, value: &Value) {
        let bytes = match value {
            Value::String(text) => text.len() as u64,
            Value::Object(entries) if self.byte > 0 => entries.keys().map(|key| key.len() as u64).sum(),
            Value::Array(items) => items.len() as u64 / 8,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => 0,
        };
        let units = self.visit.saturating_add(self.byte.saturating_mul(bytes)).saturating_add(bytes / 16);
        match LEFT.get().checked_sub(units.saturating_mul(PRICE.get())) {
            Some(left) if STACK.get().abs_diff(stack()) < STACK_BYTES_MAX => LEFT.set(left),
            Some(_) | None => resume_unwind(Box::new(Spent)),
        }
    }
}

impl<'i> Keyword<'i> for Charge {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        self.charge(value);
        Ok(())
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        self.charge(value);
        true
    }
}
