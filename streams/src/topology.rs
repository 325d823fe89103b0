//! Which streams there are, as data.

mod establish;
mod passing;
mod plan;

use std::time::Duration;

use headwater_core::shard::ShardMap;
use headwater_core::{InvalidName, ShardId};

pub use establish::{EstablishError, establish};
pub(crate) use passing::{Passing, make_journal};
pub(crate) use plan::described;
pub use plan::{Change, Drift, Plan, TopologyError};

use crate::subject;

pub(crate) const LEASES: &str = "HW_LEASES";
pub(crate) const MEMBERS: &str = "HW_MEMBERS";
pub(crate) const SHARD_MAP: &str = "HW_SHARD_MAP";
pub(crate) const DEFINITIONS: &str = "HW_DEFINITIONS";
pub(crate) const CHECKPOINTS: &str = "HW_CHECKPOINTS";

/// When the broker may drop a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// When a limit is reached, or never.
    Limits,
    /// When it was acknowledged once.
    WorkQueue,
}

/// What happens when a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// The oldest message goes.
    Old,
    /// The new one is refused.
    New,
}

/// What a stream should be. All of them are kept in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    pub name: String,
    pub description: &'static str,
    pub subjects: Vec<String>,
    pub retention: Retention,
    pub discard: Discard,
    pub replicas: usize,
    /// `None`: for ever.
    pub age_max: Option<Duration>,
    /// `None`: any number.
    pub messages_per_subject_max: Option<u32>,
    /// How long message ids are remembered. `None`: the broker's default.
    pub duplicate_window: Option<Duration>,
    pub deny_delete: bool,
    pub allow_rollup: bool,
    /// Whether replicas may answer reads.
    pub allow_direct: bool,
    /// It is never made: what it held cannot be made again.
    pub must_exist: bool,
}

impl StreamSpec {
    fn new(name: String, description: &'static str, subjects: Vec<String>, replicas: usize) -> Self {
        Self {
            name,
            description,
            subjects,
            retention: Retention::Limits,
            discard: Discard::New,
            replicas,
            age_max: None,
            messages_per_subject_max: None,
            duplicate_window: None,
            deny_delete: false,
            allow_rollup: false,
            allow_direct: false,
            must_exist: false,
        }
    }

    fn bucket(name: &str, description: &'static str, replicas: usize) -> Self {
        Self {
            messages_per_subject_max: Some(1),
            deny_delete: true,
            allow_rollup: true,
            ..Self::new(format!("KV_{name}"), description, vec![format!("$KV.{name}.>")], replicas)
        }
    }
}

/// All streams of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    pub shards: u16,
    pub streams: Vec<StreamSpec>,
}

impl Topology {
    /// How long the entry of a member that fell silent is kept; its leases are lost long before.
    const MEMBER_AGE_MAX: Duration = Duration::from_secs(3600);

    /// Describes a cluster of `shards` shards (1–1,024), each stream kept `replicas` times (1, 3 or 5).
    ///
    /// # Errors
    /// Other numbers of shards are refused.
    pub fn new(shards: u16, replicas: usize) -> Result<Self, InvalidName> {
        // The table of slots has the same bounds.
        ShardMap::even(shards)?;
        let journals = (0..shards).filter_map(|number| ShardId::new(number).ok()).map(|shard| StreamSpec {
            deny_delete: true,
            ..StreamSpec::new(
                subject::journal_stream(shard),
                "what a shard decided",
                vec![subject::journal_subject(shard).to_string()],
                replicas,
            )
        });
        let shared = [
            StreamSpec::new(
                subject::ASSETS.to_owned(),
                "what changed in the assets",
                vec!["hw.asset.>".into()],
                replicas,
            ),
            StreamSpec {
                deny_delete: true,
                ..StreamSpec::new(
                    subject::VALUES.to_owned(),
                    "values too large for a journal's message",
                    vec!["hw.value.>".into()],
                    replicas,
                )
            },
            StreamSpec::bucket(LEASES, "which process drives which shard", replicas),
            StreamSpec {
                age_max: Some(Self::MEMBER_AGE_MAX),
                ..StreamSpec::bucket(MEMBERS, "which processes live", replicas)
            },
            StreamSpec::bucket(SHARD_MAP, "which shard decides for which slot", replicas),
            StreamSpec::bucket(DEFINITIONS, "every version of every workflow", replicas),
            StreamSpec {
                allow_rollup: true,
                ..StreamSpec::new(
                    format!("OBJ_{CHECKPOINTS}"),
                    "where the recovery of a shard starts",
                    vec![format!("$O.{CHECKPOINTS}.C.>"), format!("$O.{CHECKPOINTS}.M.>")],
                    replicas,
                )
            },
        ];
        Ok(Self { shards, streams: journals.chain(shared).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether some subject matches both patterns.
    fn overlap(a: &str, b: &str) -> bool {
        let (mut a, mut b) = (a.split('.'), b.split('.'));
        loop {
            match (a.next(), b.next()) {
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    #[test]
    fn no_two_streams_take_the_same_subject_and_none_takes_a_request() {
        let topology = Topology::new(12, 1).unwrap();
        let owned = topology.streams.iter().flat_map(|s| s.subjects.iter().map(move |subject| (&s.name, subject)));
        let owned: Vec<_> = owned.collect();
        for (i, (one, a)) in owned.iter().enumerate() {
            for (other, b) in &owned[i + 1..] {
                assert!(!overlap(a, b), "{one} and {other}: {a} and {b}");
            }
            for free in ["hw.cmd.*", "hw.work.*.*", "hw.hand.*.*", "hw.call.*", "hw.cancel.*"] {
                assert!(!overlap(a, free), "{one}: {a} and {free}");
            }
        }
    }

    #[test]
    fn a_number_of_shards_outside_the_range_is_refused() {
        assert!(Topology::new(0, 1).is_err());
        assert!(Topology::new(1025, 1).is_err());
        assert_eq!(Topology::new(1024, 1).unwrap().streams.len(), 1024 + 7);
    }
}
