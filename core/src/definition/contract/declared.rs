//! What a definition declares of an asset, beside what it means.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Json;
use crate::definition::document::{Field, Findings};

/// An object as it stands in a definition, and what it means. Journals and read models hold the object: two are equal when
/// their objects are.
///
/// To read one never fails: journals hold what earlier releases took. What says nothing to this release means nothing.
#[derive(Clone)]
pub struct Declared<T> {
    source: Json,
    meaning: Option<Arc<T>>,
}

/// What can be declared of an asset.
pub trait Meaning: Sized {
    /// Returns what an object means, as far as it says anything.
    fn of(source: &Json) -> Option<Self>;
}

impl<T: Meaning> Declared<T> {
    /// Reads an object.
    pub fn of(source: Json) -> Self {
        let meaning = T::of(&source).map(Arc::new);
        Self { source, meaning }
    }
}

impl<T> Declared<T> {
    /// Returns the object.
    pub fn source(&self) -> &Json {
        &self.source
    }

    /// Returns what it means; `None` where it says nothing.
    pub fn meaning(&self) -> Option<&T> {
        self.meaning.as_deref()
    }
}

/// Reads an object by `read`, whatever is wrong with it.
pub(super) fn lenient<T>(source: &Json, read: impl FnOnce(&Field<'_>) -> T) -> T {
    let (value, findings) = (source.to_value(), Findings::default());
    read(&Field::new("", &value, &findings))
}

impl<T> PartialEq for Declared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl<T: fmt::Debug> fmt::Debug for Declared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} = {:?}", self.source, self.meaning)
    }
}

impl<T> Serialize for Declared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

impl<'de, T: Meaning> Deserialize<'de> for Declared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(Self::of)
    }
}
