//! JSON as text: carried through the engine without parsing it twice.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value as its text. Cloning is cheap; equality is of the text.
///
/// Values that enter from outside pass [`Json::parse_strict`] once; what is inside the engine is trusted.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

/// Says why a text from outside is not JSON that the engine accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// Not JSON at all, with the parser's reason.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// More than [`Json::DEPTH_MAX`] levels of arrays and objects.
    #[error("nested deeper than {} levels", Json::DEPTH_MAX)]
    TooDeep,
    /// An object names the same key twice.
    #[error("the key {0:?} stands twice in one object")]
    DuplicateKey(String),
    /// A string contains U+0000, which the database cannot store.
    #[error("a string contains the character U+0000")]
    NulCharacter,
    /// A whole number outside the 64-bit range, which would silently lose digits.
    #[error("a whole number is outside the 64-bit range")]
    NumberOutOfRange,
}

impl Json {
    /// How deeply arrays and objects may be nested.
    pub const DEPTH_MAX: usize = 64;

    /// Parses a text from outside, refusing what a part further down could not keep.
    ///
    /// # Errors
    /// See [`InvalidJson`]; the text is refused whole.
    pub fn parse_strict(text: &str) -> Result<Self, InvalidJson> {
        strict::check(text)?;
        let raw: Box<RawValue> = serde_json::from_str(text).map_err(|e| InvalidJson::Syntax(e.to_string()))?;
        Ok(Self(raw.into()))
    }

    /// Wraps a value built inside the engine.
    pub fn of(value: &impl Serialize) -> Self {
        let raw = serde_json::value::to_raw_value(value).expect("engine values have text keys and finite numbers");
        Self(raw.into())
    }

    /// Wraps text the engine itself wrote as JSON.
    ///
    /// # Errors
    /// Text that is not JSON is refused with the parser's reason.
    pub fn from_text(text: String) -> Result<Self, InvalidJson> {
        RawValue::from_string(text).map(|raw| Self(raw.into())).map_err(|e| InvalidJson::Syntax(e.to_string()))
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
        serde_json::from_str(self.as_str()).expect("a RawValue is JSON")
    }

    /// Returns whether a part further down can keep it: at most [`Self::DEPTH_MAX`] levels, and no `\u0000` in a text.
    /// One look at each byte; nothing is parsed.
    pub fn is_storable(&self) -> bool {
        let (mut depth, mut in_text) = (0_usize, false);
        let mut rest = self.as_str().as_bytes();
        while let [byte, after @ ..] = rest {
            rest = after;
            match (byte, in_text) {
                (b'"', _) => in_text = !in_text,
                (b'\\', true) if after.starts_with(b"u0000") => return false,
                (b'\\', true) => rest = after.get(1..).unwrap_or_default(),
                (b'[' | b'{', false) => {
                    depth += 1;
                    if depth > Self::DEPTH_MAX {
                        return false;
                    }
                }
                (b']' | b'}', false) => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        true
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
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
    }
}

/// Reads an optional value that is there, also where it is `null`: for fields that are left out when there is none.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

mod strict {
    use std::collections::HashSet;
    use std::fmt;

    use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

    use super::{InvalidJson, Json};

    /// Walks the text once. The reason of a refusal is kept beside serde's own error, whose text is never matched on.
    pub(super) fn check(text: &str) -> Result<(), InvalidJson> {
        let mut refusal = None;
        let mut reader = serde_json::Deserializer::from_str(text);
        let walk = Walk { depth: 0, refusal: &mut refusal };
        let outcome = walk.deserialize(&mut reader).and_then(|()| reader.end());
        match (outcome, refusal) {
            (_, Some(refusal)) => Err(refusal),
            (Err(syntax), None) => Err(InvalidJson::Syntax(syntax.to_string())),
            (Ok(()), None) => Ok(()),
        }
    }

    struct Walk<'r> {
        depth: usize,
        refusal: &'r mut Option<InvalidJson>,
    }

    impl Walk<'_> {
        fn refuse<E: serde::de::Error>(self, refusal: InvalidJson) -> E {
            let error = E::custom(&refusal);
            *self.refusal = Some(refusal);
            error
        }
    }

    impl<'de> DeserializeSeed<'de> for Walk<'_> {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            if self.depth > Json::DEPTH_MAX {
                return Err(self.refuse(InvalidJson::TooDeep));
            }
            deserializer.deserialize_any(self)
        }
    }

    impl<'de> Visitor<'de> for Walk<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
            // serde_json reads a whole number beyond 64 bits as a float of at least 2^63.
            if number.abs() >= 9_223_372_036_854_775_808.0 && number.fract() == 0.0 && number.abs() < 1e22 {
                return Err(self.refuse(InvalidJson::NumberOutOfRange));
            }
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
            if text.contains('\0') { Err(self.refuse(InvalidJson::NulCharacter)) } else { Ok(()) }
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
            while items.next_element_seed(Walk { depth: self.depth + 1, refusal: &mut *self.refusal })?.is_some() {}
            Ok(())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
            let mut keys = HashSet::new();
            while let Some(key) = entries.next_key::<String>()? {
                if key.contains('\0') {
                    return Err(self.refuse(InvalidJson::NulCharacter));
                }
                if keys.contains(&key) {
                    return Err(self.refuse(InvalidJson::DuplicateKey(key)));
                }
                keys.insert(key);
                entries.next_value_seed(Walk { depth: self.depth + 1, refusal: &mut *self.refusal })?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_further_down_could_not_keep_is_refused() {
        let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
        let cases = [
            (r#"{"a":1,"a":2}"#, InvalidJson::DuplicateKey("a".into())),
            (r#"{"x":[{"b":1,"b":1}]}"#, InvalidJson::DuplicateKey("b".into())),
            (r#""\u0000""#, InvalidJson::NulCharacter),
            (r#"{"\u0000":1}"#, InvalidJson::NulCharacter),
            ("18446744073709551616", InvalidJson::NumberOutOfRange),
            (deep.as_str(), InvalidJson::TooDeep),
        ];
        for (text, refusal) in cases {
            assert_eq!(Json::parse_strict(text), Err(refusal), "{text}");
        }
        for text in ["", "{", "{} {}", "nul", "{'a':1}"] {
            assert!(matches!(Json::parse_strict(text), Err(InvalidJson::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_seen_without_parsing() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let brackets = format!("{:?}", "[{".repeat(100));
        let siblings = format!("[{}1]", "[],".repeat(1_000));
        for text in [&nested(64), &brackets, &siblings, r#""\\u0000""#, r#"{"\"[\u0001":"\\"}"#] {
            assert!(Json::from_text(text.to_owned()).unwrap().is_storable(), "{text}");
        }
        for text in [&nested(65), &nested(10_000), r#""\u0000""#, r#"{"a\\\u0000":1}"#] {
            assert!(!Json::from_text(text.to_owned()).unwrap().is_storable(), "{text}");
        }
    }

    #[test]
    fn what_is_accepted_keeps_its_text() {
        for text in [r#"{"a":[1,2.50,"ü",null,true]}"#, "1e3", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(Json::parse_strict(text).unwrap().as_str(), text);
        }
    }
}
