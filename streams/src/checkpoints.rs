//! Where the recovery of a shard starts: what was folded as bytes, the newest only. Never needed: journals are the truth.

use std::time::Duration;

use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectStore};
use bytes::Bytes;
use headwater_core::ShardId;
use tokio::io::AsyncReadExt as _;

use crate::{Broker, ExchangeError, topology};

/// How long a read waits for the next piece. Pieces that are gone never come.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The store of checkpoints. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoints {
    store: ObjectStore,
}

/// Tells one stored checkpoint from the next, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

/// What became of a checkpoint that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is the newest now.
    Stored,
    /// Somebody else has stored one meanwhile, which stays.
    Overtaken,
}

impl Checkpoints {
    /// Opens the store; [`crate::topology`] makes it.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn open(broker: &Broker) -> Result<Self, ExchangeError> {
        let store = broker.jetstream().get_object_store(topology::CHECKPOINTS).await;
        let store = store.map_err(|error| ExchangeError::unavailable("open the checkpoints", error))?;
        Ok(Self { store })
    }

    /// Returns whether the broker says that there is a store: one that is away says nothing.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn are_there(broker: &Broker) -> Result<bool, ExchangeError> {
        let described = topology::described(broker, &format!("OBJ_{}", topology::CHECKPOINTS)).await;
        Ok(described?.is_some())
    }

    /// Returns which checkpoint of a shard is the newest, `None` when there is none.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn stamp(&self, shard: ShardId) -> Result<Option<Stamp>, ExchangeError> {
        match self.store.info(name(shard)).await {
            Ok(info) => Ok(Some(Stamp(info.nuid)).filter(|_| !info.deleted)),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(ExchangeError::unavailable("describe a checkpoint", error)),
        }
    }

    /// Replaces the checkpoint of a shard, if the newest still is the one that was `seen` before this one was made: what
    /// others made meanwhile is as good. The broker does not compare, so two writers can pass at the same moment; then
    /// the last stays, and the pieces of the other are never freed. Until it returns, the one before is the newest.
    ///
    /// # Errors
    /// See [`ExchangeError`]; safe to repeat.
    pub async fn replace(&self, shard: ShardId, seen: Option<&Stamp>, bytes: Bytes) -> Result<Replaced, ExchangeError> {
        if self.stamp(shard).await?.as_ref() != seen {
            return Ok(Replaced::Overtaken);
        }
        self.put(shard, bytes).await.map(|()| Replaced::Stored)
    }

    /// Replaces the checkpoint of a shard, whatever is there.
    ///
    /// # Errors
    /// See [`ExchangeError`]; safe to repeat.
    pub async fn put(&self, shard: ShardId, bytes: Bytes) -> Result<(), ExchangeError> {
        let mut reader = bytes.as_ref();
        match self.store.put(name(shard).as_str(), &mut reader).await {
            Ok(_) => Ok(()),
            Err(error) => Err(ExchangeError::indeterminate("store a checkpoint", error)),
        }
    }

    /// Returns the newest checkpoint of a shard, its checksum verified.
    ///
    /// # Errors
    /// [`ExchangeError::Malformed`] when it is damaged: recover without it. Else ask again; also this one may be
    /// replaced while it is read. When it stays so, recover without it.
    pub async fn latest(&self, shard: ShardId) -> Result<Option<Bytes>, ExchangeError> {
        const WHAT: &str = "read a checkpoint";
        let mut object = match self.store.get(name(shard)).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ExchangeError::unavailable(WHAT, error)),
        };
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(SILENCE_MAX, object.read_buf(&mut bytes)).await {
                Ok(Ok(0)) => return Ok(Some(bytes.into())),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(ExchangeError::malformed(WHAT, error)),
                Err(silent) => return Err(ExchangeError::unavailable(WHAT, silent)),
            }
        }
    }
}

fn name(shard: ShardId) -> String {
    format!("shard-{shard}")
}
