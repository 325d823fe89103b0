//! Every subject of Headwater, in one place.
//!
//! The second token is the kind, out of a closed set; whatever a user may name (workspace, queue, asset) only ever
//! comes after it. So no name can reach into another kind, and no two streams overlap (`STR-1`).
//!
//! | subject | what |
//! |---|---|
//! | `hw.journal.<shard>` | the journal of a shard (stream `HW_JOURNAL_<shard>`) |
//! | `hw.hand.<workspace>.<session>` | tasks that shards hand to a worker |
//! | `hw.call.<workspace>` | shards that have tasks and nobody to hand them to |
//! | `hw.asset.<workspace>.<change>.<partition>.<asset.id.tokens>` | the asset feed (stream `HW_ASSETS`) |
//! | `hw.value.<workspace>.<digest>.<part>` | a part of a large value (stream `HW_VALUES`) |
//! | `hw.cmd.<shard>` | requests of the engine's processes to a shard (not stored) |
//! | `hw.work.<workspace>.<shard>` | reports of workers to a shard (not stored) |
//! | `hw.cancel.<workspace>` | best-effort word to workers that attempts are cancelled (not stored) |

use std::fmt;
use std::hash::{Hash, Hasher};

use headwater_core::{AssetId, PartitionKey, SessionId, ShardId, ValueDigest, WorkspaceId};

/// A subject of the broker, validated because it was built from validated names. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(async_nats::Subject);

impl Subject {
    pub(crate) fn new(text: String) -> Self {
        Self(async_nats::Subject::from(text))
    }

    pub(crate) fn to_wire(&self) -> async_nats::Subject {
        self.0.clone()
    }

    /// Returns the text form.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What every user may ask and nobody ever serves: see [`crate::Broker::flush`].
pub(crate) const FLUSH: &str = "hw.flush";

/// Returns where the workers of a workspace introduce themselves to every shard. No shard is called `all`.
pub(crate) fn hello_subject(workspace: &WorkspaceId) -> Subject {
    Subject::new(format!("hw.work.{workspace}.all"))
}

/// Selects what the workers of every workspace say to a shard, or, for `None`, to every shard.
pub(crate) fn work_filter(shard: Option<ShardId>) -> String {
    match shard {
        Some(shard) => format!("hw.work.*.{shard}"),
        None => "hw.work.*.all".to_owned(),
    }
}

/// Returns the workspace whose workers speak on a subject that [`work_filter`] selects.
pub(crate) fn speaking(subject: &str) -> Option<WorkspaceId> {
    subject.split('.').nth(2)?.parse().ok()
}

/// Returns where a worker's session is handed tasks.
pub fn hand_subject(workspace: &WorkspaceId, session: SessionId) -> Subject {
    Subject::new(format!("hw.hand.{workspace}.{session}"))
}

/// Returns where shards call for the workers of a workspace.
pub fn call_subject(workspace: &WorkspaceId) -> Subject {
    Subject::new(format!("hw.call.{workspace}"))
}

/// Returns where a shard takes requests of the engine's own processes.
pub fn cmd_subject(shard: ShardId) -> Subject {
    Subject::new(format!("hw.cmd.{shard}"))
}

/// Returns where a shard hears the workers of a workspace.
pub fn work_subject(workspace: &WorkspaceId, shard: ShardId) -> Subject {
    Subject::new(format!("hw.work.{workspace}.{shard}"))
}

/// Returns where workers of a workspace hear that attempts are cancelled.
pub fn cancel_subject(workspace: &WorkspaceId) -> Subject {
    Subject::new(format!("hw.cancel.{workspace}"))
}

/// Returns the subject of a shard's journal.
pub fn journal_subject(shard: ShardId) -> Subject {
    Subject::new(format!("hw.journal.{shard}"))
}

/// Returns the subject of one asset's changes; `change` is a word of ours (`produced`).
///
/// The partition has a token of its own (`-` for none, else `=` and the key with every byte outside
/// `A-Z a-z 0-9 _ -` as `%XX`), so that the last message on a subject is the last version of that partition.
pub fn asset_subject(
    workspace: &WorkspaceId,
    change: &'static str,
    partition: Option<&PartitionKey>,
    asset: &AssetId,
) -> Subject {
    use fmt::Write as _;
    let mut text = format!("hw.asset.{workspace}.{change}.");
    match partition {
        None => text.push('-'),
        Some(key) => {
            text.push('=');
            for byte in key.as_str().bytes() {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
                    text.push(char::from(byte));
                } else {
                    write!(text, "%{byte:02X}").expect("writing to a string does not fail");
                }
            }
        }
    }
    text.push('.');
    text.push_str(asset.as_str());
    Subject::new(text)
}

/// Returns the filters that select the changes of a workspace's assets whose id is `prefix` or starts with it at a
/// dot; all of them for `None`.
pub(crate) fn asset_filters(workspace: &WorkspaceId, prefix: Option<&AssetId>) -> Vec<String> {
    match prefix {
        None => vec![format!("hw.asset.{workspace}.>")],
        Some(id) => vec![format!("hw.asset.{workspace}.*.*.{id}"), format!("hw.asset.{workspace}.*.*.{id}.>")],
    }
}

/// Returns where one part of a workspace's value is stored, counted from 0. One workspace never reads what another stored.
pub(crate) fn value_subject(workspace: &WorkspaceId, digest: ValueDigest, part: usize) -> Subject {
    Subject::new(format!("hw.value.{workspace}.{digest}.{part}"))
}

/// Selects all parts of a workspace's value.
pub(crate) fn value_filter(workspace: &WorkspaceId, digest: ValueDigest) -> String {
    format!("hw.value.{workspace}.{digest}.*")
}

/// Returns the stream of a shard's journal.
pub(crate) fn journal_stream(shard: ShardId) -> String {
    format!("{JOURNAL_PREFIX}{shard}")
}

pub(crate) const JOURNAL_PREFIX: &str = "HW_JOURNAL_";
pub(crate) const ASSETS: &str = "HW_ASSETS";
pub(crate) const VALUES: &str = "HW_VALUES";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_named_like_a_kind_stays_in_its_own_kind() {
        for name in ["asset", "cmd", "journal", "all", "work"] {
            let workspace: WorkspaceId = name.parse().unwrap();
            let work = work_subject(&workspace, ShardId::new(0).unwrap());
            assert!(work.as_str().starts_with("hw.work."));
            assert_eq!(speaking(work.as_str()), Some(workspace.clone()));
            assert!(cancel_subject(&workspace).as_str().starts_with("hw.cancel."));
        }
    }

    #[test]
    fn a_partition_key_is_one_token_whatever_it_holds() {
        let asset: AssetId = "directory.insights".parse().unwrap();
        let workspace: WorkspaceId = "acme".parse().unwrap();
        let subject = |key: &str| {
            let key: PartitionKey = key.parse().unwrap();
            asset_subject(&workspace, "produced", Some(&key), &asset).to_string()
        };
        assert_eq!(subject("2025-01"), "hw.asset.acme.produced.=2025-01.directory.insights");
        assert_eq!(subject("a.b ü"), "hw.asset.acme.produced.=a%2Eb%20%C3%BC.directory.insights");
        let none = asset_subject(&workspace, "produced", None, &asset);
        assert_eq!(none.as_str(), "hw.asset.acme.produced.-.directory.insights");
    }
}
