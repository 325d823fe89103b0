//! How the shard map hears that a journal has begun, and up to where it is durable.

use std::future::Future;
use std::time::Duration;

use headwater_core::shard::JournalState;
use headwater_core::{Incarnation, Sequence, ShardId, Timestamp};
use headwater_streams::backoff::Backoff;
use headwater_streams::{Broker, shard_map};

use super::append::Lost;

/// How long a take-over waits for the map where it only has to be told how far the journal is.
const TELL_WAIT: Duration = Duration::from_secs(1);

/// What is known of a journal before its owner appends to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    pub state: JournalState,
    pub made_at: Timestamp,
    /// Of its owner.
    pub incarnation: Incarnation,
}

impl Beginning {
    /// Waits for the first bundle, and tells the map of it before anybody else hears. Where the map does not say yet that the
    /// journal has begun, it is told again and again: without that a journal that vanishes would not be missed.
    pub async fn with(
        self,
        broker: Broker,
        shard: ShardId,
        first: impl Future<Output = Result<Sequence, Lost>>,
    ) -> Result<Sequence, Lost> {
        let reached = first.await?;
        let tell = || shard_map::begin(&broker, shard, self.made_at, reached.within(self.incarnation));
        match self.state {
            JournalState::Begun { made_at: Some(_), .. } => {
                if !matches!(tokio::time::timeout(TELL_WAIT, tell()).await, Ok(Ok(()))) {
                    tracing::debug!(%shard, "how far the journal is was not told; the next take-over says it");
                }
            }
            JournalState::New {} | JournalState::Creating {} | JournalState::Begun { made_at: None, .. } => {
                let mut backoff = Backoff::of_exchange();
                while let Err(error) = tell().await {
                    tracing::warn!(%shard, %error, "that the journal has begun cannot be told yet");
                    backoff.wait().await;
                }
            }
        }
        Ok(reached)
    }
}
