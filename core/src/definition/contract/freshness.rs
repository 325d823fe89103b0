//! `freshness`: for how long a version is as good as new.

use std::time::Duration;

use serde_json::Value;

use super::declared::{Declared, Meaning, lenient};
use super::not_in_effect;
use crate::Json;
use crate::definition::document::{Field, Fields, Findings};
use crate::definition::{Problem, Severity, policy};

/// The shortest that each of them may be.
const SHORTEST: Duration = Duration::from_millis(1);

/// For how long a version is as good as new, from when it was produced. Whole milliseconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    /// A version is too old from then on.
    pub ttl: Option<Duration>,
    /// A new one is due from then on. Nothing reads it yet.
    pub cadence: Option<Duration>,
    /// How old a version may be for a consumer; goes before `ttl`.
    pub max_age: Option<Duration>,
}

impl Freshness {
    /// Returns how old a version may be to be fresh, where that is said.
    pub fn age(&self) -> Option<Duration> {
        self.max_age.or(self.ttl)
    }

    /// Reads its fields; says what is wrong and what has no effect.
    fn read(fields: &mut Fields<'_>) -> Self {
        let ttl = policy::time(fields, &["ttlMs", "ttl"], SHORTEST);
        for name in ["cadenceMs", "cadence"].into_iter().filter(|name| fields.has(name)) {
            not_in_effect(fields.findings(), &fields.below(name), "nothing makes versions by a clock");
        }
        let cadence = policy::time(fields, &["cadenceMs", "cadence"], SHORTEST);
        let max_age = policy::time(fields, &["maxAgeMs", "maxAge"], SHORTEST);
        Self { ttl, cadence, max_age }
    }
}

impl Freshness {
    /// Reads what the maker of a version says of it, as strictly as a definition is read, and returns its canonical form.
    ///
    /// # Errors
    /// The first thing that is wrong with it; its path begins at the object.
    pub fn told(told: &Json) -> Result<Json, Problem> {
        let (value, found) = (told.to_value(), Findings::default());
        let canonical = Field::new("", &value, &found).fields().map(|mut fields| {
            Self::read(&mut fields);
            Json::of(&fields.finish())
        });
        let mut problems = found.into_document_order(&value).into_iter();
        match problems.find(|problem| problem.severity == Severity::Error) {
            Some(problem) => Err(problem),
            None => Ok(canonical.unwrap_or_else(|| told.clone())),
        }
    }
}

impl Meaning for Freshness {
    fn of(source: &Json) -> Option<Self> {
        lenient(source, |field| field.fields().as_mut().map(Self::read))
    }
}

/// Reads `freshness`; its canonical form counts milliseconds.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Declared<Freshness>> {
    let mut inner = fields.take(&["freshness"])?.fields()?;
    Freshness::read(&mut inner);
    let source = inner.finish();
    let declared = Declared::of(Json::of(&source));
    fields.keep("freshness", Value::Object(source));
    Some(declared)
}
