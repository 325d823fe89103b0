//! Reads the feed from a cursor on.

use std::time::Duration;

use bytes::Bytes;
use headwater_core::{AssetId, Sequence, WorkspaceId};

use super::CloudEvent;
use crate::subject::{ASSETS, asset_filters};
use crate::tail::{Start, Tail};
use crate::{Broker, ExchangeError};

/// One change on the feed.
#[derive(Debug, Clone)]
pub struct FeedEvent {
    /// Where to go on: a reader that starts at the next one misses and repeats nothing.
    pub cursor: Sequence,
    /// The event as it is stored.
    pub bytes: Bytes,
}

impl FeedEvent {
    /// Parses the event.
    ///
    /// # Errors
    /// [`ExchangeError::Malformed`] for what is not an event of this release.
    pub fn event(&self) -> Result<CloudEvent, ExchangeError> {
        serde_json::from_slice(&self.bytes).map_err(|error| ExchangeError::malformed("read the asset feed", error))
    }
}

/// Reads the changes of a workspace's assets from `from` on (inclusive), for ever: of all, or of those whose id is
/// `prefix` or continues it behind a dot.
pub fn subscribe(broker: &Broker, workspace: &WorkspaceId, prefix: Option<&AssetId>, from: Sequence) -> FeedReader {
    let filters = asset_filters(workspace, prefix);
    FeedReader(Tail::new(broker, ASSETS.to_owned(), filters, Start::At(from.get())))
}

/// Reads the feed; made by [`subscribe`].
pub struct FeedReader(Tail);

impl FeedReader {
    /// Returns up to `events_max` changes as soon as there is one, or none after `wait`. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// Only when the broker was out of reach all the time: ask again.
    pub async fn next(&mut self, events_max: usize, wait: Duration) -> Result<Vec<FeedEvent>, ExchangeError> {
        let stored = self.0.next(events_max.max(1), wait).await?;
        let event = |stored: crate::tail::Stored| FeedEvent {
            cursor: Sequence::new(stored.sequence),
            bytes: stored.message.payload,
        };
        Ok(stored.into_iter().map(event).collect())
    }

    /// Frees what the broker keeps for this reader. Without it the broker does so after a minute.
    pub async fn close(self) {
        self.0.close().await;
    }
}
