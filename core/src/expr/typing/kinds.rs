//! Of which kinds a value can be.

use std::fmt;

use serde_json::Value;

use crate::expr::eval::Kind;

/// Some of the kinds there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u16);

/// The most values of an `enum`, or names of types, that are looked at.
const LISTED_MAX: usize = 100;

pub(super) const ANY: Kinds = Kinds(u16::MAX);
/// What JSON can hold, or is written as a text in it.
pub(super) const JSON: Kinds = Kinds::of(&[
    Kind::Null,
    Kind::Bool,
    Kind::Int,
    Kind::UInt,
    Kind::Double,
    Kind::Text,
    Kind::List,
    Kind::Map,
    Kind::Optional,
    Kind::Timestamp,
    Kind::Duration,
]);

impl Kinds {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn one(kind: Kind) -> Self {
        Self(1 << kind as u16)
    }

    pub(super) const fn of(kinds: &[Kind]) -> Self {
        let (mut all, mut at) = (0, 0);
        while at < kinds.len() {
            all |= 1 << kinds[at] as u16;
            at += 1;
        }
        Self(all)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, kind: Kind) -> bool {
        self.meets(Self::one(kind))
    }

    pub(super) fn meets(self, other: Self) -> bool {
        !self.and(other).is_empty()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::every().filter(move |kind| self.has(*kind))
    }

    pub(super) fn pairs(self, other: Self) -> impl Iterator<Item = (Kind, Kind)> {
        self.iter().flat_map(move |left| other.iter().map(move |right| (left, right)))
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, kind) in self.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { " or " } else { "" }, kind.name())?;
        }
        Ok(())
    }
}

/// What is known of a value.
#[derive(Clone, Copy)]
pub(super) struct Type<'v> {
    pub(super) kinds: Kinds,
    /// What it keeps, as far as it is described.
    schema: Option<&'v Value>,
}

impl<'v> Type<'v> {
    pub(super) const ANY: Self = Self::with(ANY);

    pub(super) const fn of(kind: Kind) -> Self {
        Self::with(Kinds::one(kind))
    }

    pub(super) const fn with(kinds: Kinds) -> Self {
        Self { kinds, schema: None }
    }

    /// What a value is that keeps a schema. Only what every draft means alike is read; all else only narrows it further.
    pub(super) fn described(schema: &'v Value, is_written_plainly: bool) -> Self {
        let Some(members) = schema.as_object() else { return Self::with(JSON) };
        // In some drafts nothing counts beside a reference.
        if ["$ref", "$dynamicRef", "$recursiveRef"].iter().any(|name| members.contains_key(*name)) {
            return Self::with(JSON);
        }
        let named = match members.get("type") {
            Some(Value::String(name)) => of_name(name, is_written_plainly),
            Some(Value::Array(names)) if names.len() <= LISTED_MAX => names.iter().fold(Kinds::NONE, |kinds, name| {
                kinds.or(name.as_str().map_or(JSON, |name| of_name(name, is_written_plainly)))
            }),
            _ => JSON,
        };
        let listed = match members.get("enum") {
            Some(Value::Array(values)) if values.len() <= LISTED_MAX => {
                values.iter().fold(Kinds::NONE, |kinds, value| kinds.or(of_value(value, is_written_plainly)))
            }
            _ => JSON,
        };
        let kinds = named.and(listed);
        // Of what no value keeps nothing is said.
        if kinds.is_empty() { Self::with(JSON) } else { Self { kinds, schema: Some(schema) } }
    }

    /// What stands under a key; nothing where no key of that name is allowed.
    pub(super) fn member(self, key: &str, is_written_plainly: bool) -> Option<Self> {
        let Some(schema) = self.schema else { return Some(Self::ANY) };
        if let Some(member) = schema.get("properties").and_then(|members| members.get(key)) {
            return Some(Self::described(member, is_written_plainly));
        }
        match schema.get("additionalProperties") {
            _ if schema.get("patternProperties").is_some() => Some(Self::with(JSON)),
            Some(Value::Bool(false)) => None,
            Some(other) => Some(Self::described(other, is_written_plainly)),
            None => Some(Self::with(JSON)),
        }
    }

    /// What the items are.
    pub(super) fn item(self, is_written_plainly: bool) -> Self {
        match self.schema {
            Some(schema) if schema.get("prefixItems").is_none() => {
                schema.get("items").map_or(Self::with(JSON), |items| Self::described(items, is_written_plainly))
            }
            _ => Self::with(JSON),
        }
    }
}

fn numbers(is_written_plainly: bool) -> Kinds {
    let whole = Kinds::of(&[Kind::Int, Kind::UInt]);
    if is_written_plainly { whole } else { whole.or(Kinds::one(Kind::Double)) }
}

fn of_name(name: &str, is_written_plainly: bool) -> Kinds {
    match name {
        "null" => Kinds::one(Kind::Null),
        "boolean" => Kinds::one(Kind::Bool),
        "integer" => numbers(is_written_plainly),
        "number" => numbers(false),
        "string" => Kinds::one(Kind::Text),
        "array" => Kinds::one(Kind::List),
        "object" => Kinds::one(Kind::Map),
        _ => JSON,
    }
}

fn of_value(value: &Value, is_written_plainly: bool) -> Kinds {
    match value {
        Value::Null => Kinds::one(Kind::Null),
        Value::Bool(_) => Kinds::one(Kind::Bool),
        Value::Number(number) => numbers(is_written_plainly && !number.is_f64()),
        Value::String(_) => Kinds::one(Kind::Text),
        Value::Array(_) => Kinds::one(Kind::List),
        Value::Object(_) => Kinds::one(Kind::Map),
    }
}
