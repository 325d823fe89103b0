//! The document as users write it, in both spellings, before anything is known to be right about it.
//!
//! [`Fields`] reads one object: each field under any of its spellings, with its own path, and what remains is
//! unknown. While it reads it writes the same object in canonical form.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::{Problem, ProblemCode, Severity, hints};
use crate::expr::Work;

/// The longest name or description, in characters.
const TEXT_CHARS_MAX: usize = 10_000;
/// The most problems one answer lists. Of more, the last one found is kept.
const PROBLEMS_MAX: usize = 1_000;
/// For how many problems the nearest name is looked for, where there can be many.
const HINTS_MAX: usize = 100;
/// The most names that are compared to find the nearest.
const NEAREST_MAX: usize = 200;

/// Fields that the format will have, and what to say of them.
const NOT_YET: [&str; 5] = ["loop", "concurrencyKey", "priority", "concurrency", "checks"];

/// Collects what is wrong, and knows what is bound where the document is being read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: RefCell<Vec<Problem>>,
    bound: RefCell<Vec<String>>,
    /// What all checks of written values against schemas may cost together.
    work: OnceCell<Work>,
}

impl Findings {
    /// Returns the names that expressions can use here beside the variables there always are.
    pub(super) fn bound(&self) -> Vec<String> {
        self.bound.borrow().clone()
    }

    /// Returns what checks of written values against schemas draw on.
    pub(super) fn work(&self) -> &Work {
        self.work.get_or_init(Work::of_a_decision)
    }

    /// Reads something that stands where more names are bound.
    pub(super) fn binding<T>(&self, names: &[&str], read: impl FnOnce() -> T) -> T {
        let before = self.bound.borrow().len();
        self.bound.borrow_mut().extend(names.iter().map(|name| (*name).to_owned()));
        let read = read();
        self.bound.borrow_mut().truncate(before);
        read
    }

    /// Returns one that nobody reads, for what is read a second time in the same place.
    pub(super) fn silent(&self) -> Self {
        Self { problems: RefCell::default(), bound: self.bound.clone(), work: OnceCell::new() }
    }

    pub(super) fn error(&self, path: &str, code: ProblemCode, message: impl Into<String>) {
        self.add(path, code, Severity::Error, message.into());
    }

    pub(super) fn warning(&self, path: &str, code: ProblemCode, message: impl Into<String>) {
        self.add(path, code, Severity::Warning, message.into());
    }

    /// Returns whether anything found forbids to apply the document.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Says what [`nearest`] says, for the first problems.
    pub(super) fn nearest<'k>(&self, name: &str, known: impl Iterator<Item = &'k str>) -> String {
        if self.problems.borrow().len() < HINTS_MAX { nearest(name, known) } else { String::new() }
    }

    fn add(&self, path: &str, code: ProblemCode, severity: Severity, message: String) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= PROBLEMS_MAX && severity == Severity::Warning {
            return;
        }
        if problems.len() >= PROBLEMS_MAX {
            problems.truncate(PROBLEMS_MAX - 1);
        }
        problems.push(Problem { path: path.to_owned(), code, severity, message });
    }

    /// Returns everything found, in the order of the document's own fields.
    pub(super) fn into_document_order(self, document: &Value) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        let mut places = Places::default();
        problems.sort_by_cached_key(|problem| places.of(document, &problem.path));
        problems.dedup();
        problems
    }
}

/// Where the fields of objects stand, for those asked about.
#[derive(Default)]
struct Places<'d>(HashMap<*const Map<String, Value>, HashMap<&'d str, usize>>);

impl<'d> Places<'d> {
    /// Where a path leads, as positions to compare. A field that is missing stands before those that are there.
    fn of(&mut self, document: &'d Value, path: &str) -> Vec<usize> {
        let mut here = Some(document);
        let mut positions = Vec::new();
        for step in path.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            let (position, next) = match here {
                Some(Value::Object(map)) => (self.field(map, &name), map.get(&name)),
                Some(Value::Array(items)) => {
                    let index = name.parse::<usize>().ok();
                    (index, index.and_then(|index| items.get(index)))
                }
                _ => (None, None),
            };
            positions.push(position.map_or(0, |position| position + 1));
            here = next;
        }
        positions
    }

    fn field(&mut self, map: &'d Map<String, Value>, name: &str) -> Option<usize> {
        let number = || map.keys().enumerate().map(|(position, key)| (key.as_str(), position)).collect();
        self.0.entry(std::ptr::from_ref(map)).or_insert_with(number).get(name).copied()
    }
}

/// A value with its path.
#[derive(Clone)]
pub(super) struct Field<'d> {
    pub(super) at: String,
    pub(super) value: &'d Value,
    found: &'d Findings,
}

impl<'d> Field<'d> {
    pub(super) fn new(at: impl Into<String>, value: &'d Value, found: &'d Findings) -> Self {
        Self { at: at.into(), value, found }
    }

    pub(super) fn error(&self, code: ProblemCode, message: impl Into<String>) {
        self.found.error(&self.at, code, message);
    }

    pub(super) fn warning(&self, code: ProblemCode, message: impl Into<String>) {
        self.found.warning(&self.at, code, message);
    }

    pub(super) fn findings(&self) -> &'d Findings {
        self.found
    }

    /// Reads it as an object with fields of its own.
    pub(super) fn fields(&self) -> Option<Fields<'d>> {
        self.fields_like(|_| None)
    }

    /// Reads it as an object; of what is none, `instead` may know how it is written.
    pub(super) fn fields_like(&self, instead: impl FnOnce(&Value) -> Option<String>) -> Option<Fields<'d>> {
        match self.value {
            Value::Object(map) => {
                Some(Fields { at: self.at.clone(), map, asked: Vec::new(), source: Map::new(), found: self.found })
            }
            other => {
                let how = instead(other).map(|how| format!(": write `{how}`")).unwrap_or_default();
                self.error(ProblemCode::InvalidValue, format!("must be an object, not {}{how}", kind_of(other)));
                None
            }
        }
    }

    /// Refuses a list that is too long, and says how long it is and what to do.
    pub(super) fn at_most(&self, max: usize, count: usize, what: &str, how: &str) -> bool {
        if count > max {
            let message = format!("has {count} {what}, and at most {max} are taken: {how}");
            self.error(ProblemCode::TooLarge, message);
        }
        count <= max
    }

    /// Reads it as an array.
    pub(super) fn items(&self) -> Vec<Field<'d>> {
        match self.value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| Field::new(format!("{}/{index}", self.at), item, self.found))
                .collect(),
            other => {
                self.wrong_kind("an array", other);
                Vec::new()
            }
        }
    }

    pub(super) fn text(&self) -> Option<&'d str> {
        match self.value {
            Value::String(text) if text.chars().count() <= TEXT_CHARS_MAX => Some(text),
            Value::String(text) => {
                let chars = text.chars().count();
                let message = format!("has {chars} characters, and at most {TEXT_CHARS_MAX} are taken");
                self.error(ProblemCode::TooLarge, message);
                None
            }
            other => {
                self.wrong_kind("a text", other);
                None
            }
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.wrong_kind("true or false", other);
                None
            }
        }
    }

    /// Reads a whole number within bounds.
    pub(super) fn number(&self, min: u64, max: u64) -> Option<u64> {
        let number = self.value.as_u64().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.error(ProblemCode::InvalidValue, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// Reads a name by its own rule.
    pub(super) fn name<T: std::str::FromStr<Err = crate::InvalidName>>(&self) -> Option<T> {
        let text = self.text()?;
        text.parse()
            .map_err(|invalid: crate::InvalidName| self.error(ProblemCode::InvalidName, invalid.to_string()))
            .ok()
    }

    /// Reads one of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let word = words.iter().find(|(word, _)| *word == text);
        if word.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = nearest(text, known.iter().copied());
            self.error(ProblemCode::InvalidValue, format!("must be one of {}{hint}", known.join(", ")));
        }
        word.map(|(_, value)| *value)
    }

    /// Says that the value is of the wrong kind.
    pub(super) fn wrong_kind(&self, wanted: &str, got: &Value) {
        self.error(ProblemCode::InvalidValue, format!("must be {wanted}, not {}", kind_of(got)));
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// One object: what is asked for is known, what remains at the end is not.
pub(super) struct Fields<'d> {
    pub(super) at: String,
    map: &'d Map<String, Value>,
    asked: Vec<&'static str>,
    /// The object in canonical form, as far as it was read.
    source: Map<String, Value>,
    found: &'d Findings,
}

impl<'d> Fields<'d> {
    /// Takes a field under any of its spellings; `null` counts as absent.
    pub(super) fn take(&mut self, spellings: &[&'static str]) -> Option<Field<'d>> {
        self.asked.extend_from_slice(spellings);
        let mut given = spellings.iter().filter(|name| self.map.get(**name).is_some_and(|value| !value.is_null()));
        let first = given.next()?;
        if let Some(second) = given.next() {
            let message = format!("`{first}` and `{second}` are two spellings of the same field: keep one");
            self.found.error(&self.below(second), ProblemCode::Duplicate, message);
        }
        self.map.get(*first).map(|value| Field::new(self.below(first), value, self.found))
    }

    /// Takes a field that must be there.
    pub(super) fn need(&mut self, spellings: &[&'static str]) -> Option<Field<'d>> {
        let field = self.take(spellings);
        if field.is_none() {
            let name = spellings.first().copied().unwrap_or_default();
            self.found.error(&self.below(name), ProblemCode::MissingField, format!("`{name}` is missing"));
        }
        field
    }

    /// Takes a text that changes nothing but what people see.
    pub(super) fn label(&mut self, name: &'static str) -> Option<String> {
        let text = self.take(&[name])?.text()?.to_owned();
        self.keep(name, Value::String(text.clone()));
        Some(text)
    }

    /// Returns the canonical form as far as it was read, but for these fields.
    pub(super) fn kept_but(&self, names: &[&str]) -> Map<String, Value> {
        let kept = self.source.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Puts a field into the canonical form.
    pub(super) fn keep(&mut self, name: &str, value: Value) {
        self.source.insert(name.to_owned(), value);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Returns the fields nobody has asked for yet.
    pub(super) fn remaining(&self) -> Map<String, Value> {
        let rest = self.map.iter().filter(|(name, _)| !self.asked.contains(&name.as_str()));
        rest.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub(super) fn error(&self, code: ProblemCode, message: impl Into<String>) {
        self.found.error(&self.at, code, message);
    }

    pub(super) fn findings(&self) -> &'d Findings {
        self.found
    }

    /// Returns the path of a field.
    pub(super) fn below(&self, name: &str) -> String {
        format!("{}/{}", self.at, escaped(name))
    }

    /// Reports the fields nobody asked for and returns the canonical form.
    pub(super) fn finish(self) -> Map<String, Value> {
        for name in self.map.keys().filter(|name| !self.asked.contains(&name.as_str())) {
            let message = if NOT_YET.contains(&name.as_str()) {
                format!("`{name}` is not in this release")
            } else {
                let hint = hints::of_field(name, &self.asked);
                let hint = hint.unwrap_or_else(|| nearest(name, self.asked.iter().copied()));
                format!("there is no field `{name}` here{hint}")
            };
            self.found.error(&self.below(name), ProblemCode::UnknownField, message);
        }
        self.source
    }
}

/// Returns a key as a JSON Pointer writes it.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Returns the value with the keys of every object sorted, however the parser keeps them.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<String, Value> = entries.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// Says `: did you mean …?` when one of the first 200 known names is close; else nothing.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let near = known.take(NEAREST_MAX).map(|k| (distance(&name.to_lowercase(), &k.to_lowercase()), k)).min();
    match near {
        Some((distance, known)) if distance <= 1 + name.len() / 4 => format!(": did you mean `{known}`?"),
        _ => String::new(),
    }
}

/// The number of letters to change, add or drop (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(x != y));
            diagonal = above;
        }
    }
    row[b.len()]
}
