//! What expressions compute with. Texts of the run are borrowed, lists and maps are shared: nothing is copied deeply.

use std::cmp::Ordering;
use std::rc::Rc;

use super::fault::Fault;
use super::nested::{Held, List, depth_around};
use super::time::{Lapse, Moment};
use crate::expr::work::Meter;

/// About how many bytes an item of a list takes.
pub(super) const ITEM_BYTES: usize = 32;
/// About how many bytes an entry of a map takes.
pub(super) const ENTRY_BYTES: usize = 64;

/// A value.
#[derive(Debug, Clone)]
pub(in super::super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    List(Rc<List<'a>>),
    Map(Rc<Map<'a>>),
    Type(Kind),
    Optional(Option<Rc<Held<'a>>>),
    Timestamp(Moment),
    Duration(Lapse),
}

/// A text of the run or of the expression, or one that was made.
#[derive(Debug, Clone)]
pub(in super::super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

/// The kind of a value, as `type(x)` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Null,
    Bool,
    Int,
    UInt,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Type,
    Optional,
    Timestamp,
    Duration,
}

impl Kind {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Null, "null_type"),
        (Self::Bool, "bool"),
        (Self::Int, "int"),
        (Self::UInt, "uint"),
        (Self::Double, "double"),
        (Self::Text, "string"),
        (Self::Bytes, "bytes"),
        (Self::List, "list"),
        (Self::Map, "map"),
        (Self::Type, "type"),
        (Self::Optional, "optional_type"),
        (Self::Timestamp, "timestamp"),
        (Self::Duration, "duration"),
    ];

    /// Returns the kind an expression may name.
    pub(in super::super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(kind, known)| *known == name && *kind != Self::Optional).map(|(kind, _)| *kind)
    }

    /// Returns each kind there is.
    pub(in super::super) fn every() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(kind, _)| *kind)
    }

    pub(in super::super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Returns whether releases before 0.2 do not know it.
    pub(in super::super) fn is_later(self) -> bool {
        matches!(self, Self::Timestamp | Self::Duration)
    }

    pub(in super::super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::UInt | Self::Double)
    }
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::UInt(_) => Kind::UInt,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Type(_) => Kind::Type,
            Self::Optional(_) => Kind::Optional,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
        }
    }

    pub(in super::super) fn kind_name(&self) -> &'static str {
        self.kind().name()
    }

    /// Makes a text; the memory is charged.
    pub(super) fn made(text: String, meter: &Meter<'_>) -> Result<Self, Fault> {
        meter.keep(ITEM_BYTES + text.len())?;
        Ok(Self::Text(Text::Made(text.into())))
    }

    /// Makes a list; the memory is charged.
    pub(super) fn list(items: Vec<Self>, meter: &Meter<'_>) -> Result<Self, Fault> {
        meter.keep(ITEM_BYTES * items.len())?;
        List::of(items).map(Self::List)
    }

    pub(super) fn some(value: Self) -> Result<Self, Fault> {
        Held::of(value).map(|held| Self::Optional(Some(held)))
    }

    pub(super) fn none() -> Self {
        Self::Optional(None)
    }
}

/// A key of a map. Numbers of different kinds are the same key where they are the same number.
#[derive(Debug, Clone)]
pub(in super::super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Text(Text<'a>),
}

impl<'a> Key<'a> {
    /// Takes a value as the key of a new map.
    pub(super) fn of(value: Value<'a>) -> Result<Self, Fault> {
        match value {
            Value::Bool(key) => Ok(Self::Bool(key)),
            Value::Int(key) => Ok(Self::Int(key)),
            Value::UInt(key) => Ok(Self::UInt(key)),
            Value::Text(key) => Ok(Self::Text(key)),
            other => Err(Fault::new(format!("a {} cannot be a key", other.kind().name()))),
        }
    }

    pub(super) fn to_value(&self) -> Value<'a> {
        match self {
            Self::Bool(key) => Value::Bool(*key),
            Self::Int(key) => Value::Int(*key),
            Self::UInt(key) => Value::UInt(*key),
            Self::Text(key) => Value::Text(key.clone()),
        }
    }

    fn probe(&self) -> Probe<'_> {
        match self {
            Self::Bool(key) => Probe::Bool(*key),
            Self::Int(key) => Probe::Number(i128::from(*key)),
            Self::UInt(key) => Probe::Number(i128::from(*key)),
            Self::Text(key) => Probe::Text(key.as_str()),
        }
    }
}

/// What is looked for among the keys of a map.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
pub(super) enum Probe<'p> {
    Bool(bool),
    Number(i128),
    Text(&'p str),
}

impl<'p> Probe<'p> {
    /// Reads a value as something that can be looked for; a double that is no whole number is found nowhere.
    pub(super) fn of(value: &'p Value<'_>) -> Option<Option<Self>> {
        match value {
            Value::Bool(key) => Some(Some(Self::Bool(*key))),
            Value::Int(key) => Some(Some(Self::Number(i128::from(*key)))),
            Value::UInt(key) => Some(Some(Self::Number(i128::from(*key)))),
            Value::Double(key) => Some(super::operators::whole(*key).map(Self::Number)),
            Value::Text(key) => Some(Some(Self::Text(key.as_str()))),
            Value::Null
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Type(_)
            | Value::Optional(_)
            | Value::Timestamp(_)
            | Value::Duration(_) => None,
        }
    }
}

/// A map, sorted by key: the same input gives the same result, in the same order.
#[derive(Debug)]
pub(in super::super) struct Map<'a> {
    entries: Vec<(Key<'a>, Value<'a>)>,
    depth: u16,
}

impl<'a> Map<'a> {
    /// Sorts entries; of two with one key the last counts, as in JSON of old journals.
    pub(super) fn of(mut entries: Vec<(Key<'a>, Value<'a>)>) -> Result<Self, Fault> {
        let order = |a: &(Key<'a>, _), b: &(Key<'a>, _)| a.0.probe().cmp(&b.0.probe());
        if !entries.is_sorted_by(|a, b| order(a, b) == Ordering::Less) {
            entries.reverse();
            entries.sort_by(order);
            entries.dedup_by(|a, b| order(a, b) == Ordering::Equal);
        }
        Self::sorted(entries)
    }

    /// Sorts entries of which each key may stand once.
    pub(super) fn distinct(entries: Vec<(Key<'a>, Value<'a>)>) -> Result<Self, Fault> {
        let named = entries.len();
        let map = Self::of(entries)?;
        if map.entries.len() == named { Ok(map) } else { Err(Fault::new("a map names a key twice")) }
    }

    fn sorted(entries: Vec<(Key<'a>, Value<'a>)>) -> Result<Self, Fault> {
        let depth = depth_around(entries.iter().map(|(_, value)| value))?;
        Ok(Self { entries, depth })
    }

    pub(super) fn depth(&self) -> u16 {
        self.depth
    }

    pub(super) fn entries(&self) -> &[(Key<'a>, Value<'a>)] {
        &self.entries
    }

    pub(super) fn get(&self, key: Probe<'_>) -> Option<&Value<'a>> {
        let at = self.entries.binary_search_by(|(known, _)| known.probe().cmp(&key)).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// About how many bytes are compared to find a key.
    pub(super) fn search_bytes(&self, key: Probe<'_>) -> usize {
        match key {
            Probe::Text(text) => text.len().min(4096) * (usize::BITS - self.entries.len().leading_zeros()) as usize,
            Probe::Bool(_) | Probe::Number(_) => 0,
        }
    }

    /// How many bytes the keys have that are texts.
    pub(super) fn key_bytes(&self) -> usize {
        self.entries.iter().fold(0, |bytes, (key, _)| match key {
            Key::Text(key) => bytes + key.as_str().len(),
            Key::Bool(_) | Key::Int(_) | Key::UInt(_) => bytes,
        })
    }

    /// The entries of both; of a key that both have, the other's.
    pub(super) fn merged(&self, other: &Self) -> Result<Self, Fault> {
        let mut entries = Vec::with_capacity(self.entries.len() + other.entries.len());
        let mut rest = self.entries.as_slice();
        for entry in &other.entries {
            let key = entry.0.probe();
            let before = rest.iter().take_while(|(known, _)| known.probe() < key).count();
            entries.extend_from_slice(&rest[..before]);
            rest = &rest[before..];
            if let Some(((known, _), after)) = rest.split_first()
                && known.probe() == key
            {
                rest = after;
            }
            entries.push(entry.clone());
        }
        entries.extend_from_slice(rest);
        Self::sorted(entries)
    }

    pub(super) fn same_keys(&self, other: &Self, at: usize) -> bool {
        self.entries[at].0.probe() == other.entries[at].0.probe()
    }
}
