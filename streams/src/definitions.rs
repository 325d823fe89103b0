//! Every version of every workflow, for every process: written once, never changed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use headwater_core::definition::StoredDocument;
use headwater_core::shard::WorkflowKey;
use headwater_core::{DefinitionVersion, Json, WorkspaceId};
use serde::Deserialize;

use crate::acked::PublishFailure;
use crate::bucket::{Bucket, BucketWatch, Expected, Slot};
use crate::complaints::Complaints;
use crate::values::{self, ValueError, ValueStore, Values as _};
use crate::{Broker, Disposition, ExchangeError, topology};

/// Says why a version was not stored.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The version exists with another document; versions never change.
    #[error("version {version} of {} is another document already", .key.workflow)]
    VersionTaken { key: WorkflowKey, version: DefinitionVersion },
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl DefinitionError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::VersionTaken { .. } => Disposition::Conflict,
            Self::Exchange(error) => error.disposition(),
        }
    }
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    pub key: WorkflowKey,
    pub version: DefinitionVersion,
    pub document: Json,
}

/// What starts where no version is named, and whether anything does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    pub version: DefinitionVersion,
    /// Nothing starts the workflow.
    pub paused: bool,
}

/// How that is written: `2`, or `{"paused": 2}`, which releases that know no pauses do not take for a version.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pointed {
    Version(DefinitionVersion),
    Paused { paused: DefinitionVersion },
}

impl Pointer {
    fn to_bytes(self) -> Bytes {
        match self.paused {
            true => format!("{{\"paused\":{}}}", self.version).into(),
            false => self.version.to_string().into(),
        }
    }
}

/// The table of definitions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Definitions {
    bucket: Bucket,
    values: ValueStore,
}

/// A version's key is `<workspace>.<slug>.<version>`; the pointer to the current one ends in this instead.
const CURRENT: &str = "current";

impl Definitions {
    /// Opens the table.
    pub fn new(broker: &Broker) -> Self {
        Self { bucket: Bucket::new(broker, topology::DEFINITIONS), values: ValueStore::new(broker) }
    }

    /// Stores a version and points to it as the current one, which starts where none is named. The same again is fine.
    ///
    /// # Errors
    /// [`DefinitionError::VersionTaken`] for another document under the same version; else safe to repeat.
    pub async fn publish(
        &self,
        key: &WorkflowKey,
        version: DefinitionVersion,
        document: &Json,
    ) -> Result<(), DefinitionError> {
        self.publish_as(key, Pointer { version, paused: false }, document).await
    }

    /// The same of a workflow that may be paused.
    ///
    /// # Errors
    /// Those of [`Self::publish`].
    pub async fn publish_as(
        &self,
        key: &WorkflowKey,
        pointer: Pointer,
        document: &Json,
    ) -> Result<(), DefinitionError> {
        self.store(key, pointer.version, document).await?;
        Ok(self.point_to(key, pointer).await?)
    }

    /// Stores a version; another one stays current.
    ///
    /// # Errors
    /// Those of [`Self::publish`].
    pub async fn store(
        &self,
        key: &WorkflowKey,
        version: DefinitionVersion,
        document: &Json,
    ) -> Result<(), DefinitionError> {
        const WHAT: &str = "store a definition";
        let name = version_key(key, version);
        let bytes = Bytes::copy_from_slice(document.as_str().as_bytes());
        match self.bucket.put(&name, bytes, Expected::Revision(0)).await {
            Ok(_) => {}
            Err(PublishFailure::WrongSequence(_)) => match self.as_stored(key, version).await? {
                Some(existing) if existing == *document => {}
                Some(_) | None => return Err(DefinitionError::VersionTaken { key: key.clone(), version }),
            },
            Err(failure) => return Err(failure.exchange(WHAT).into()),
        }
        Ok(())
    }

    /// Points to a version. One writer calls this in the order of its own decisions: the workflow's shard.
    async fn point_to(&self, key: &WorkflowKey, pointer: Pointer) -> Result<(), ExchangeError> {
        let put = self.bucket.put(&current_key(key), pointer.to_bytes(), Expected::Anything).await;
        put.map(drop).map_err(|failure| failure.exchange("point to the current definition"))
    }

    /// Returns the document of a version, also where it is too large for this table.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn get(&self, key: &WorkflowKey, version: DefinitionVersion) -> Result<Option<Json>, ExchangeError> {
        let Some(document) = self.as_stored(key, version).await? else { return Ok(None) };
        let Some(stored) = StoredDocument::of(&document) else { return Ok(Some(document)) };
        values::document(&self.values, &stored).await.map(Some).map_err(|error| match error {
            ValueError::Exchange(error) => error,
            lost @ (ValueError::Missing { .. } | ValueError::Damaged { .. } | ValueError::TooLarge { .. }) => {
                ExchangeError::malformed("fetch a definition", lost)
            }
        })
    }

    /// Returns a document of a workspace as messages take it: what is too large for them is put into the store of values, and
    /// what stands for it is returned.
    ///
    /// # Errors
    /// See [`ExchangeError`]; safe to repeat.
    pub async fn as_sent(&self, workspace: &WorkspaceId, document: &Json) -> Result<Json, ExchangeError> {
        let Some(stored) = StoredDocument::instead_of(workspace, document) else { return Ok(document.clone()) };
        let put = self.values.put(workspace, Bytes::copy_from_slice(document.as_str().as_bytes())).await;
        match put {
            Ok(_) => Ok(stored.to_json()),
            Err(ValueError::Exchange(error)) => Err(error),
            Err(other @ (ValueError::Missing { .. } | ValueError::Damaged { .. } | ValueError::TooLarge { .. })) => {
                Err(ExchangeError::malformed("store a large definition", other))
            }
        }
    }

    /// Returns the document of a version, or what stands for it where it is too large for this table.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn as_stored(
        &self,
        key: &WorkflowKey,
        version: DefinitionVersion,
    ) -> Result<Option<Json>, ExchangeError> {
        let slot = self.bucket.get(&version_key(key, version)).await?;
        slot.and_then(|slot| slot.value).as_ref().map(document_of).transpose()
    }

    /// Returns the number of the current version.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn current_version(&self, key: &WorkflowKey) -> Result<Option<DefinitionVersion>, ExchangeError> {
        Ok(self.pointer(key).await?.map(|pointer| pointer.version))
    }

    /// Returns the number of the current version, and whether the workflow is paused.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn pointer(&self, key: &WorkflowKey) -> Result<Option<Pointer>, ExchangeError> {
        let slot = self.bucket.get(&current_key(key)).await?;
        Ok(slot.as_ref().map(pointer).transpose()?.flatten())
    }

    /// Returns the current version with its document.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn current(&self, key: &WorkflowKey) -> Result<Option<StoredDefinition>, ExchangeError> {
        let Some(version) = self.current_version(key).await? else { return Ok(None) };
        let document = self.get(key, version).await?;
        Ok(document.map(|document| StoredDefinition { key: key.clone(), version, document }))
    }

    /// Returns every version of every workflow, each workflow's in their order, and which of them is current, for those that
    /// `wanted` is true of.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn list(&self, wanted: impl Fn(&WorkflowKey) -> bool) -> Result<Listed, ExchangeError> {
        let (mut watch, mut listed) = (self.bucket.watch(">"), Listed::new());
        while !watch.is_caught_up() {
            for slot in watch.next(Duration::from_secs(5)).await? {
                let pointed = pointed(&slot);
                if let Some((key, version)) = pointed.filter(|(key, _)| wanted(key)) {
                    listed.entry(key).or_default().1 = Some(version);
                } else if let Some(stored) = definition(&slot).filter(|stored| wanted(&stored.key)) {
                    listed.entry(stored.key).or_default().0.insert(stored.version, stored.document);
                }
            }
        }
        Ok(listed)
    }

    /// Follows all versions: first those there are, then those that come.
    pub fn watch(&self) -> DefinitionWatch {
        DefinitionWatch(self.bucket.watch(">"))
    }
}

/// Follows the versions; made by [`Definitions::watch`].
pub struct DefinitionWatch(BucketWatch);

impl DefinitionWatch {
    /// Returns the next versions, or none after `wait`.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again. What is not ours in the table is skipped with a warning.
    pub async fn next(&mut self, wait: Duration) -> Result<Vec<StoredDefinition>, ExchangeError> {
        let slots = self.0.next(wait).await?;
        Ok(slots.iter().filter_map(definition).collect())
    }

    /// Returns whether the versions that were there when watching began have all been returned.
    pub fn is_caught_up(&self) -> bool {
        self.0.is_caught_up()
    }
}

/// The versions of workflows, and which one is current.
pub type Listed = BTreeMap<WorkflowKey, (BTreeMap<DefinitionVersion, Json>, Option<DefinitionVersion>)>;

/// Reads a pointer to the current version.
fn pointed(slot: &Slot) -> Option<(WorkflowKey, DefinitionVersion)> {
    let mut parts = slot.key.split('.');
    let (workspace, workflow, CURRENT) = (parts.next()?, parts.next()?, parts.next()?) else { return None };
    let key = WorkflowKey { workspace: workspace.parse().ok()?, workflow: workflow.parse().ok()? };
    Some((key, pointer(slot).ok()??.version))
}

fn version_key(key: &WorkflowKey, version: DefinitionVersion) -> String {
    format!("{}.{}.{version}", key.workspace, key.workflow)
}

fn current_key(key: &WorkflowKey) -> String {
    format!("{}.{}.{CURRENT}", key.workspace, key.workflow)
}

fn document_of(bytes: &Bytes) -> Result<Json, ExchangeError> {
    serde_json::from_slice(bytes).map_err(|error| ExchangeError::malformed("read a definition", error))
}

fn pointer(slot: &Slot) -> Result<Option<Pointer>, ExchangeError> {
    let Some(value) = &slot.value else { return Ok(None) };
    let pointer = serde_json::from_slice::<Pointed>(value).map(|pointed| match pointed {
        Pointed::Version(version) => Pointer { version, paused: false },
        Pointed::Paused { paused: version } => Pointer { version, paused: true },
    });
    pointer.map(Some).map_err(|error| ExchangeError::malformed("read the current version", error))
}

fn definition(slot: &Slot) -> Option<StoredDefinition> {
    let mut parts = slot.key.split('.');
    let (workspace, workflow, version) = (parts.next()?, parts.next()?, parts.next()?);
    if version == CURRENT {
        return None;
    }
    let parsed = (|| {
        let key = WorkflowKey { workspace: workspace.parse().ok()?, workflow: workflow.parse().ok()? };
        let version = DefinitionVersion::new(version.parse().ok()?);
        let document = document_of(slot.value.as_ref()?).ok()?;
        Some(StoredDefinition { key, version, document })
    })();
    if parsed.is_none() {
        static MALFORMED: Complaints = Complaints::new();
        if let Some(count) = MALFORMED.due() {
            tracing::warn!(key = slot.key, count, "the table of definitions holds a malformed entry");
        }
    }
    parsed
}
