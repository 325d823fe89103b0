//! A value that a row has, or says where it is.

use headwater_core::shard::Stored;
use headwater_core::{Json, StoredValue};

/// A value of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Here(Json),
    /// In the store of values: its column is null, and the one beside it says this.
    Stored(StoredValue),
}

impl Value {
    /// Returns what the column of the value holds.
    pub fn here(&self) -> Option<&str> {
        match self {
            Self::Here(json) => Some(json.as_str()),
            Self::Stored(_) => None,
        }
    }

    /// Returns what the column beside it holds: `{digest, sizeBytes}`.
    pub fn stored(&self) -> Option<String> {
        match self {
            Self::Here(_) => None,
            Self::Stored(value) => Some(Json::of(value).as_str().to_owned()),
        }
    }

    /// Returns the value of an event of a commit, from 0, which has `json` itself where the commit says nothing of it.
    pub(crate) fn of(stored: Option<&Stored>, event: usize, json: Json) -> Self {
        let fields = stored.map_or(&[][..], |stored| &stored.values);
        let field = fields.iter().find(|field| field.event as usize == event);
        field.map_or(Self::Here(json), |field| Self::Stored(field.value))
    }
}
