//! JSON as text: carried through the engine without parsing it twice.
//!
//! One invariant (`JSN-1`): what a [`Json`] holds every parser takes, so that whoever reads, shows, embeds or projects
//! it cannot fail. What enters from outside passes [`Json::parse_strict`]; what was taken in before that was strict is
//! mended as it is read.

mod mend;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value as its text. Cloning is cheap; equality is of the text.
///
/// To deserialize one is lenient, for journals: half a surrogate becomes U+FFFD, a number beyond the doubles the largest
/// one. Where somebody outside writes, [`Json::parse_strict`] comes first.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

/// Says why, and where, a text from outside is not JSON that the engine accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flaw}{}", place(path))]
pub struct InvalidJson {
    /// JSON Pointer to the value that is refused; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What the reader refuses. Texts from outside are cut to some sixty characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not JSON at all: what was expected where.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Bytes that are not UTF-8, from this one on.
    #[error("not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// More than [`Json::DEPTH_MAX`] levels of arrays and objects.
    #[error("nested deeper than {} levels", Json::DEPTH_MAX)]
    TooDeep,
    /// An object names the same key twice.
    #[error("the key {0:?} stands twice in one object")]
    DuplicateKey(String),
    /// A string contains U+0000, which the database cannot store.
    #[error("a string contains the character U+0000")]
    NulCharacter,
    /// A string contains an escape like `\ud83d` without its other half, which stands for no character.
    #[error("a string contains half of a surrogate pair, which is not a character")]
    LoneSurrogate,
    /// A whole number outside the 64-bit range, which would silently lose digits.
    #[error("the whole number {0} is outside the 64-bit range")]
    NumberOutOfRange(String),
    /// A number with a point or an exponent whose nearest double is infinite, or zero where the number is not.
    #[error("the number {0} is outside the range of a double")]
    NotADouble(String),
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" (at {path})") }
}

impl Json {
    /// How deeply arrays and objects may be nested.
    pub const DEPTH_MAX: usize = 64;

    /// Reads a text from outside, refusing what a part further down could not keep: the one reader behind every door.
    ///
    /// Numbers with a point or an exponent are the nearest double; whole numbers fit 64 bits. One pass over the bytes.
    ///
    /// # Errors
    /// See [`Flaw`]; the text is refused whole.
    pub fn parse_strict(text: &str) -> Result<Self, InvalidJson> {
        Self::check(text)?;
        Self::joined(text.trim_ascii().to_owned())
    }

    /// Reads bytes from outside as [`Self::parse_strict`] does, without a byte order mark.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, InvalidJson> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| InvalidJson { path: String::new(), flaw: Flaw::NotUtf8(error.valid_up_to()) })?;
        Self::parse_strict(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// Does what [`Self::parse_strict`] does, and keeps nothing.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub fn check(text: &str) -> Result<(), InvalidJson> {
        scan::scan(text)
    }

    /// Wraps a value built inside the engine.
    pub fn of(value: &impl Serialize) -> Self {
        Self::try_of(value).expect("engine values have text keys")
    }

    /// Wraps a value of somebody else's type. Numbers that are not finite become `null`.
    ///
    /// # Errors
    /// [`Flaw::Syntax`] for what has no form in JSON, such as a map whose keys are not texts.
    pub fn try_of(value: &impl Serialize) -> Result<Self, InvalidJson> {
        serde_json::value::to_raw_value(value).map(|raw| Self(raw.into())).map_err(syntax)
    }

    /// Wraps text that is JSON already: stored by the engine, perhaps before the reader was strict. It is mended.
    ///
    /// # Errors
    /// [`Flaw::Syntax`] for text that is not JSON.
    pub fn from_text(text: String) -> Result<Self, InvalidJson> {
        RawValue::from_string(text).map(Self::mended).map_err(syntax)
    }

    /// Returns whether a text that is JSON is nested more deeply than so many levels.
    pub(crate) fn is_deeper_than(text: &str, levels: usize) -> bool {
        scan::is_deeper_than(text, levels)
    }

    /// Wraps text made of pieces that every parser takes.
    pub(crate) fn joined(text: String) -> Result<Self, InvalidJson> {
        RawValue::from_string(text).map(|raw| Self(raw.into())).map_err(syntax)
    }

    /// Takes a piece of a text that [`Self::check`] found good, or of another value.
    pub(crate) fn checked(piece: &RawValue) -> Self {
        Self(piece.to_owned().into())
    }

    /// Holds `JSN-1` for text of which only the grammar is known.
    fn mended(raw: Box<RawValue>) -> Self {
        match mend::mend(raw.get()) {
            Cow::Borrowed(_) => Self(raw.into()),
            Cow::Owned(text) => Self::joined(text).expect("what is mended keeps its grammar"),
        }
    }

    /// Returns `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned().into())
    }

    /// Returns `{}`.
    pub fn empty_object() -> Self {
        Self::of(&serde_json::Map::new())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Returns the parsed value. Costs a parse.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.as_str()).expect("every parser takes what it holds (JSN-1)")
    }

    /// Returns whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// Returns the length of the text in bytes.
    pub fn len_bytes(&self) -> usize {
        self.as_str().len()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::mended)
    }
}

/// Reads an optional value that is there, also where it is `null`: for fields that are left out when there is none.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

fn syntax(error: serde_json::Error) -> InvalidJson {
    InvalidJson { path: String::new(), flaw: Flaw::Syntax(error.to_string()) }
}
