//! Names and ids: what identifies each noun, one newtype each, one text form each.
//!
//! Every name that can become a token of a broker subject is validated here, at the edge:
//! no dots where a dot would split a token, no wildcards, no white space (`ID-1`).

mod authority;
mod name;
mod node;
mod unique;

use std::fmt;
use std::str::FromStr;

use serde::Deserializer;

pub use authority::{LeaseSecret, LeaseToken, SessionId, ShardId};
pub use name::{
    ActorName, AssetId, JobSlug, MemberId, NodeId, PartitionKey, QueueName, SignalKey, SignalName, Slug, WorkerId,
    WorkspaceId,
};
pub use node::{BranchId, NodeAddress};
pub use unique::{BundleId, CommandId, RunId};

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

/// Reads anything with a text form from text.
pub(crate) fn deserialize_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = InvalidName>,
{
    deserializer.deserialize_str(NameVisitor(std::marker::PhantomData))
}

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
