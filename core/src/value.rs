//! Values too large for a message of a journal: what they are known by, and how large they may be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::InvalidName;
use crate::id::deserialize_text;

/// From how many bytes on a value leaves the journal.
pub const STORED_FROM: usize = 64 << 10;
/// How many bytes one value may have.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// What a value is known by inside its workspace: SHA-256 over its bytes. Text form 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueDigest([u8; 32]);

impl ValueDigest {
    /// Works out the digest of a value; costs one pass over it.
    pub fn of(value: &[u8]) -> Self {
        Self(sha2::Sha256::digest(value).into())
    }
}

impl fmt::Display for ValueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ValueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ValueDigest {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let is_valid = text.len() == 64
            && bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)).all(|(byte, pair)| {
                let read = nibble(pair[0]).zip(nibble(pair[1]));
                read.inspect(|(high, low)| *byte = high << 4 | low).is_some()
            });
        if is_valid { Ok(Self(bytes)) } else { Err(InvalidName::new("digest", text, "64 lower-case hex digits")) }
    }
}

impl Serialize for ValueDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValueDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer)
    }
}

/// A value that is kept in the store of values, and how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredValue {
    pub digest: ValueDigest,
    pub size_bytes: u32,
}

impl StoredValue {
    /// Describes a value of at most [`VALUE_BYTES_MAX`] bytes; `None`: it is larger.
    pub fn of(value: &[u8]) -> Option<Self> {
        let size_bytes = u32::try_from(value.len()).ok().filter(|_| value.len() <= VALUE_BYTES_MAX)?;
        Some(Self { digest: ValueDigest::of(value), size_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_text_form() {
        let digest = ValueDigest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.to_string(), text.parse()), (text.to_owned(), Ok(digest)));
        for bad in ["", "ba", &text.to_uppercase(), &text[1..], &format!("{text}0"), &text.replace('b', "g")] {
            assert!(bad.parse::<ValueDigest>().is_err(), "{bad}");
        }
        assert!(format!("{}é", &text[2..]).parse::<ValueDigest>().is_err());
    }

    #[test]
    fn what_is_larger_than_a_value_may_be_has_no_description() {
        assert_eq!(StoredValue::of(&vec![0; VALUE_BYTES_MAX]).map(|it| it.size_bytes), Some(16 << 20));
        assert_eq!(StoredValue::of(&vec![0; VALUE_BYTES_MAX + 1]), None);
    }
}
