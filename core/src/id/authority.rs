//! Who may act: the shard that decides, and the lease that fences an attempt.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InvalidName, deserialize_text, digest128};

/// Numbers a shard: one journal stream, one owner at a time. 0–1023.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct ShardId(u16);

impl ShardId {
    /// How many shards there can be: the number of low bits a run id gives to its shard (`ID-2`).
    pub const COUNT_MAX: u16 = 1024;

    /// Returns the shard of that number.
    ///
    /// # Errors
    /// Numbers of [`Self::COUNT_MAX`] and above are refused.
    pub fn new(number: u16) -> Result<Self, InvalidName> {
        if number < Self::COUNT_MAX {
            Ok(Self(number))
        } else {
            Err(InvalidName::new("shard", &number.to_string(), "a number from 0 to 1023"))
        }
    }

    /// Returns the number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for ShardId {
    type Error = InvalidName;
    fn try_from(number: u16) -> Result<Self, InvalidName> {
        Self::new(number)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ShardId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let number = text.parse().map_err(|_| InvalidName::new("shard", text, "a number from 0 to 1023"))?;
        Self::new(number)
    }
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Derives the token of a cause.
            pub fn derived(cause: &[&[u8]]) -> Self {
                let bytes = digest128(cause);
                Self(u64::from_be_bytes(bytes[..8].try_into().expect("eight of sixteen bytes")))
            }

            /// Returns the 64 bits.
            pub fn bits(self) -> u64 {
                self.0
            }

            /// Wraps 64 bits.
            pub fn from_bits(bits: u64) -> Self {
                Self(bits)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let rule = "sixteen hex digits";
                if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(InvalidName::new($kind, text, rule));
                }
                u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidName::new($kind, text, rule))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_text(deserializer)
            }
        }
    };
}

token!(
    /// Fences one attempt: comes with the task, must come back with the report. Sixteen hex digits on the wire. Made from
    /// a secret of the owner ([`LeaseSecret`]), so nobody knows it who was not given it.
    LeaseToken,
    "lease token"
);
token!(
    /// One life of a worker process: what was handed to an earlier life is not this one's. Sixteen hex digits, random.
    SessionId,
    "session id"
);

/// What an owner makes leases from: 128 random bits, kept in memory only.
#[derive(Clone, Copy, Default)]
pub struct LeaseSecret([u8; 16]);

impl LeaseSecret {
    /// Wraps 128 random bits.
    pub fn new(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }

    /// Makes the lease of one grant.
    pub fn lease(&self, cause: &[&[u8]]) -> LeaseToken {
        let mut parts = Vec::with_capacity(cause.len() + 1);
        parts.push(self.0.as_slice());
        parts.extend_from_slice(cause);
        LeaseToken::derived(&parts)
    }
}

impl fmt::Debug for LeaseSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_token_reads_back_what_it_shows() {
        let token = LeaseToken::derived(&[b"x"]);
        assert_eq!(token.to_string().parse::<LeaseToken>().unwrap(), token);
        assert!("+123456789abcdef".parse::<LeaseToken>().is_err());
    }
}
