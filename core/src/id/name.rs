//! Names that people choose: one newtype each, validated at the edge (`ID-1`).

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InvalidName, NameVisitor};

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

compared_exactly!(
    WorkspaceId,
    Slug,
    NodeId,
    QueueName,
    JobSlug,
    PartitionKey,
    WorkerId,
    MemberId,
    ActorName,
    SignalName,
    SignalKey
);

/// What stands behind the id of a node in the id of what undoes it. No document can say it.
const UNDO: &str = "~undo";

impl NodeId {
    /// Returns the id of what undoes the node.
    ///
    /// # Errors
    /// It is such an id itself.
    pub fn undone(&self) -> Result<Self, InvalidName> {
        format!("{self}{UNDO}").parse()
    }

    /// Returns the id of the node that it undoes, where it is the id of what undoes one.
    pub fn undoes(&self) -> Option<&str> {
        self.0.strip_suffix(UNDO)
    }
}

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
    /// Names a node inside its definition: 1–100 characters; what undoes it has `~undo` behind them.
    NodeId, "node id", "1-100 of A-Z a-z 0-9 _ -, starting with a letter or digit",
    |t| is_token(t.strip_suffix(UNDO).unwrap_or(t), 100, b"_-")
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
    /// Names a kind of signal. 1–200 characters.
    SignalName, "signal name", "1-200 of A-Z a-z 0-9 . _ : / -, starting with a letter or digit",
    |t| is_token(t, 200, b"._:/-")
);
name!(
    /// Says which of several waiting for the same signal is meant. 1–200 printable characters.
    SignalKey, "signal key", "1-200 characters without control characters",
    |t| (1..=200).contains(&t.chars().count()) && !t.chars().any(char::is_control)
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
name!(
    /// Names somebody who asks: a person, a service. One line of 1–128 characters.
    ActorName, "actor", "1-128 characters without control and formatting characters, and no space at either end",
    |t| (1..=128).contains(&t.chars().count()) && t.trim() == t && !t.chars().any(|c| c.is_control() || is_invisible(c))
);

/// Characters that let a line read as another than it is.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
