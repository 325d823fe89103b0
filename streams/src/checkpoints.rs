//! Where the recovery of a shard starts: its whole state as bytes, the newest one only.

use async_nats::jetstream::object_store::{GetErrorKind, ObjectStore};
use bytes::Bytes;
use headwater_core::ShardId;
use tokio::io::AsyncReadExt as _;

use crate::{Broker, ExchangeError, topology};

/// The store of checkpoints. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoints {
    store: ObjectStore,
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

    /// Replaces the checkpoint of a shard. Until it returns, the one before is the newest.
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
    /// [`ExchangeError::Malformed`] when it is damaged: recover without it. Else ask again.
    pub async fn latest(&self, shard: ShardId) -> Result<Option<Bytes>, ExchangeError> {
        const WHAT: &str = "read a checkpoint";
        let mut object = match self.store.get(name(shard)).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ExchangeError::unavailable(WHAT, error)),
        };
        let mut bytes = Vec::with_capacity(object.info().size);
        match object.read_to_end(&mut bytes).await {
            Ok(_) => Ok(Some(bytes.into())),
            Err(error) => Err(ExchangeError::malformed(WHAT, error)),
        }
    }
}

fn name(shard: ShardId) -> String {
    format!("shard-{shard}")
}
