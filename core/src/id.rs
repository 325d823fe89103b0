//! Names: what identifies each noun, one newtype each, one text form each.
//!
//! Every name that can become a token of a broker subject is validated here, at the edge:
//! no dots where a dot would split a token, no wildcards, no white space (`ID-1`).

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Says why a text is not a name of the asked kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}: {rule}")]
pub struct InvalidName {
    /// What it should have been (`slug`, `node id`, …).
    pub kind: &'static str,
    /// The offending text, at most 80 characters of it.
    pub text: String,
    /// The rule it breaks, in words.
    pub rule: &'static str,
}

impl InvalidName {
    pub(crate) fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        let text = text.chars().take(80).collect();
        Self { kind, text, rule }
    }
}

fn is_token(text: &str, max: usize, extra: &[u8]) -> bool {
    let bytes = text.as_bytes();
    (1..=max).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || extra.contains(b))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(InvalidName::new($kind, text, $rule)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(NameVisitor(std::marker::PhantomData))
            }
        }
    };
}

/// Names that are the same only when every character is.
macro_rules! compared_exactly {
    ($($name:ident),*) => {$(
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.cmp(&other.0)
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

compared_exactly!(WorkspaceId, Slug, NodeId, QueueName, JobSlug, PartitionKey, WorkerId, MemberId);

impl AssetId {
    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

/// Asset ids are the same ignoring ASCII case; each keeps the spelling it came with.
impl PartialEq for AssetId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for AssetId {}

impl PartialOrd for AssetId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AssetId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for AssetId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|b| b.hash(state));
        0xff_u8.hash(state);
    }
}

/// Reads a name from text without an intermediate `String`.
struct NameVisitor<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = InvalidName>> serde::de::Visitor<'_> for NameVisitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

name!(
    /// Names a workspace: the tenant. A lower-case slug of 1–63 characters.
    WorkspaceId, "workspace", "1-63 of a-z 0-9 _ -, starting with a letter or digit",
    |t| is_token(t, 63, b"_-") && !t.bytes().any(|b| b.is_ascii_uppercase())
);
name!(
    /// Names a workflow inside its workspace. A lower-case slug of 1–100 characters.
    Slug, "slug", "1-100 of a-z 0-9 _ -, starting with a letter or digit",
    |t| is_token(t, 100, b"_-") && !t.bytes().any(|b| b.is_ascii_uppercase())
);
name!(
    /// Names a node inside its definition. 1–100 characters.
    NodeId, "node id", "1-100 of A-Z a-z 0-9 _ -, starting with a letter or digit",
    |t| is_token(t, 100, b"_-")
);
name!(
    /// Names a job handler, and a queue of work. 1–100 characters.
    QueueName, "queue name", "1-100 of A-Z a-z 0-9 _ -, starting with a letter or digit",
    |t| is_token(t, 100, b"_-")
);
name!(
    /// Names a job: which handler on a worker does the work. 1–100 characters, dots allowed.
    JobSlug, "job slug", "1-100 of A-Z a-z 0-9 . _ : / @ -, starting with a letter or digit",
    |t| is_token(t, 100, b"._:/@-")
);
name!(
    /// Names an asset, unique ignoring case in its workspace. 1–200 characters; dots make its subject tokens.
    AssetId, "asset id", "1-200 of A-Z a-z 0-9 . _ : -, starting with a letter or digit, no empty part between dots",
    |t| is_token(t, 200, b"._:-") && !t.ends_with('.') && !t.contains("..")
);
name!(
    /// Names one partition of an asset. 1–200 printable characters.
    PartitionKey, "partition key", "1-200 printable characters without * or >",
    |t| (1..=200).contains(&t.chars().count()) && !t.chars().any(|c| c.is_control() || c == '*' || c == '>')
);
name!(
    /// Names a worker process for as long as it lives. 1–100 characters.
    WorkerId, "worker id", "1-100 of A-Z a-z 0-9 . _ -, starting with a letter or digit",
    |t| is_token(t, 100, b"._-")
);
name!(
    /// Names a process of the engine in the membership list. 1–100 characters.
    MemberId, "member id", "1-100 of A-Z a-z 0-9 _ -, starting with a letter or digit",
    |t| is_token(t, 100, b"_-")
);

/// Reads anything with a text form from text.
pub(crate) fn deserialize_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = InvalidName>,
{
    deserializer.deserialize_str(NameVisitor(std::marker::PhantomData))
}

/// Numbers a shard: one journal stream, one owner at a time. 0–1023.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
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

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Wraps an id made elsewhere.
            pub fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the 128 bits.
            pub fn as_uuid(self) -> uuid::Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                uuid::Uuid::from_str(text).map(Self).map_err(|_| InvalidName::new($kind, text, "a UUID"))
            }
        }
    };
}

uuid_id!(
    /// Identifies a run: a UUIDv7 with the shard number in its ten lowest bits (`ID-2`).
    RunId,
    "run id"
);
uuid_id!(
    /// Identifies a wish, so that the same wish sent twice is granted once.
    CommandId,
    "command id"
);
uuid_id!(
    /// Identifies a bundle, so that an owner recognises its own after an unclear append.
    BundleId,
    "bundle id"
);

/// The first 16 bytes of SHA-256 over the parts, each preceded by its length.
fn digest128(parts: &[&[u8]]) -> [u8; 16] {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize()[..16]);
    out
}

impl RunId {
    const SHARD_MASK: u128 = (ShardId::COUNT_MAX - 1) as u128;

    /// Makes the id of a run that starts now on `shard`, from 74 bits of the caller's randomness.
    pub fn new(shard: ShardId, now: crate::Timestamp, randomness: u128) -> Self {
        let millis = u128::from(now.as_micros() / 1000) & 0xffff_ffff_ffff;
        let bits = (millis << 80)
            | (0x7 << 76)
            | (((randomness >> 62) & 0xfff) << 64)
            | (0b10 << 62)
            | (randomness & 0x3fff_ffff_ffff_ffff & !Self::SHARD_MASK)
            | u128::from(shard.number());
        Self(uuid::Uuid::from_u128(bits))
    }

    /// Derives the run id of a cause: the same cause always starts the same run.
    ///
    /// Used for idempotency keys (`["key", workspace, workflow, key]`, time zero) and for producers started
    /// by an asset. The time part is the caller's so that the ids of automatic runs still sort by age.
    pub fn derived(shard: ShardId, at: crate::Timestamp, cause: &[&[u8]]) -> Self {
        Self::new(shard, at, u128::from_be_bytes(digest128(cause)))
    }

    /// Returns the shard that owns the run. Numbers at or above the cluster's count name no shard.
    pub fn shard(self) -> ShardId {
        ShardId((self.0.as_u128() & Self::SHARD_MASK) as u16)
    }
}

impl CommandId {
    /// Derives the id of a command that follows from a cause, so that sending it again changes nothing.
    pub fn derived(cause: &[&[u8]]) -> Self {
        Self(uuid::Builder::from_custom_bytes(digest128(cause)).into_uuid())
    }
}

/// Fences one attempt: comes with the task, must come back with the report. Sixteen hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(u64);

impl LeaseToken {
    /// Derives the token of an attempt. It fences, it does not authenticate.
    pub fn derived(cause: &[&[u8]]) -> Self {
        let bytes = digest128(cause);
        Self(u64::from_be_bytes(bytes[..8].try_into().expect("eight of sixteen bytes")))
    }

    /// Returns the 64 bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Wraps 64 bits that an attempt was given before.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LeaseToken {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = "sixteen hex digits";
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidName::new("lease token", text, rule));
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidName::new("lease token", text, rule))
    }
}

impl Serialize for LeaseToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn a_run_id_is_a_uuid_v7_that_carries_its_shard() {
        for shard in [0, 1, 513, 1023] {
            let shard = ShardId::new(shard).unwrap();
            let id = RunId::new(shard, Timestamp::from_micros(1_700_000_000_000_000), u128::MAX);
            assert_eq!(id.shard(), shard);
            assert_eq!(id.as_uuid().get_version_num(), 7);
            assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        }
    }

    #[test]
    fn names_that_would_reach_into_other_subjects_are_refused() {
        for bad in ["", "*", "a.*", ">", "a b", "a\n", "a.>", ".a", "a..b", "a.", "é"] {
            assert!(bad.parse::<AssetId>().is_err(), "{bad:?}");
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
        }
        assert!("directory.insights.report".parse::<AssetId>().is_ok());
        assert!("A".repeat(201).parse::<AssetId>().is_err());
        assert!("Upper".parse::<Slug>().is_err());
    }

    #[test]
    fn asset_ids_are_the_same_ignoring_case() {
        let id = |text: &str| text.parse::<AssetId>().unwrap();
        assert_eq!(id("Directory.Report"), id("directory.report"));
        let set: std::collections::HashSet<_> = [id("A.b"), id("a.B"), id("a.c")].into();
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn a_lease_token_reads_back_what_it_shows() {
        let token = LeaseToken::derived(&[b"x"]);
        assert_eq!(token.to_string().parse::<LeaseToken>().unwrap(), token);
        assert!("+123456789abcdef".parse::<LeaseToken>().is_err());
    }
}
