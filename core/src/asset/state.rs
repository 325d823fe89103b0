//! What an asset is, folded from its events.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AssetCommand, Declaration, RecordAsset, Waiter};
use crate::address::AssetKey;
use crate::definition::{OnMiss, Require};
use crate::{Json, NodeAddress, PartitionKey, Revision, RunId, Slug, Timestamp, Version};

/// How many of the newest versions of a partition can be consumed; older ones are in the catalogue only.
pub const VERSIONS_KEPT_MAX: usize = 32;

/// A named logical data product: who declares it, which versions there are, who waits for one.
///
/// Checkpoints hold it as it is: a change is a new format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asset {
    pub(super) key: AssetKey,
    /// Of the last event folded; 0 before the first.
    pub(super) revision: Revision,
    pub(super) declarations: BTreeMap<Slug, Declaration>,
    /// By partition; `None` is the unpartitioned asset.
    #[serde(serialize_with = "as_pairs", deserialize_with = "from_pairs")]
    pub(super) partitions: Partitions,
}

/// The versions of one partition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Partition {
    /// The newest last, at most [`VERSIONS_KEPT_MAX`].
    pub kept: VecDeque<KeptVersion>,
    pub waiting: Vec<WaitingConsumer>,
    /// The one run that was started for the waiters (`AST-2`), until it has ended: it may make more than one version.
    pub producer: Option<RunId>,
    /// The workflow that produced the newest version, and its run's input.
    pub last: Option<(Slug, Json)>,
}

/// A version that consumers can have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeptVersion {
    pub version: Version,
    pub run: RunId,
    pub node: NodeAddress,
    pub produced_at: Timestamp,
    pub payload: Json,
}

/// A consumer that waits for a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WaitingConsumer {
    pub waiter: Waiter,
    pub require: Require,
    pub on_miss: OnMiss,
}

type Partitions = BTreeMap<Option<PartitionKey>, Partition>;

/// The keys of a JSON object are texts, and the unpartitioned asset has none.
fn as_pairs<S: Serializer>(partitions: &Partitions, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(partitions)
}

fn from_pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Partitions, D::Error> {
    Vec::deserialize(deserializer).map(|pairs: Vec<_>| pairs.into_iter().collect())
}

impl Asset {
    /// Makes an asset nothing is known of yet.
    pub fn unknown(key: AssetKey) -> Self {
        Self { key, revision: Revision::new(0), declarations: BTreeMap::new(), partitions: BTreeMap::new() }
    }

    /// Returns which asset it is.
    pub fn key(&self) -> &AssetKey {
        &self.key
    }

    /// Returns the revision of the last event folded; 0 before the first.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Puts it at a revision, where the facts before are not all folded.
    pub(crate) fn stand_at(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Returns whether a run is the producer of some partition, and has not ended as far as is known.
    pub(crate) fn awaits_producer(&self, run: RunId) -> bool {
        self.partitions.values().any(|partition| partition.producer == Some(run))
    }

    /// Returns what each workflow's current version declares, by workflow.
    pub fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.declarations.values()
    }

    /// Returns the newest version of a partition.
    pub fn latest(&self, partition: &Option<PartitionKey>) -> Option<Version> {
        self.partitions.get(partition)?.kept.back().map(|kept| kept.version)
    }

    /// Returns the versions that consumers can have, of every partition that has any: the newest last, at most
    /// [`VERSIONS_KEPT_MAX`].
    pub fn kept(&self) -> impl Iterator<Item = (&Option<PartitionKey>, Vec<Version>)> {
        let versions = |partition: &Partition| partition.kept.iter().map(|kept| kept.version).collect::<Vec<_>>();
        let all = self.partitions.iter().map(move |(key, partition)| (key, versions(partition)));
        all.filter(|(_, versions)| !versions.is_empty())
    }

    /// Returns the version that a node of a run has recorded already, if it is kept.
    pub(super) fn recorded(&self, record: &RecordAsset) -> Option<Version> {
        let kept = &self.partitions.get(&record.partition)?.kept;
        kept.iter().find(|kept| kept.run == record.run && kept.node == record.node).map(|kept| kept.version)
    }

    /// Returns the version that a command would record once more.
    pub(crate) fn recorded_by(&self, command: &AssetCommand) -> Option<Version> {
        match command {
            AssetCommand::RecordAsset(record) => self.recorded(record),
            AssetCommand::DeclareAsset(_)
            | AssetCommand::ResolveConsumption(_)
            | AssetCommand::EndProducer { .. }
            | AssetCommand::ForgetWaiter { .. } => None,
        }
    }

    /// Returns the run that was started for the waiters of a partition and has not ended.
    pub fn producer_in_flight(&self, partition: &Option<PartitionKey>) -> Option<RunId> {
        self.partitions.get(partition)?.producer
    }
}

impl Asset {
    /// Returns whether `run` is `on`, or waits for producers of this asset that end only after `on` has.
    pub(super) fn depends(&self, run: RunId, on: RunId) -> bool {
        let (mut seen, mut next) = (vec![run], 0);
        while let Some(run) = seen.get(next).copied() {
            next += 1;
            if run == on {
                return true;
            }
            let awaited = self
                .partitions
                .values()
                .filter(|p| p.waiting.iter().any(|w| w.waiter.run == run && w.on_miss == OnMiss::Materialize));
            for producer in awaited.filter_map(|partition| partition.producer) {
                if !seen.contains(&producer) {
                    seen.push(producer);
                }
            }
        }
        false
    }
}

impl Partition {
    pub fn find(&self, version: Version) -> Option<&KeptVersion> {
        self.kept.iter().find(|kept| kept.version == version)
    }

    /// Returns a version that satisfies a consumer, the newest first.
    pub fn usable(&self, require: Require, now: Timestamp) -> Option<&KeptVersion> {
        match require {
            Require::Exists => self.kept.back(),
            Require::Fresh { max_age_ms } => {
                let fresh = |kept: &&KeptVersion| now.since(kept.produced_at).as_millis() <= u128::from(max_age_ms);
                self.kept.iter().rev().find(fresh)
            }
            Require::Version(version) => self.find(version),
        }
    }
}
