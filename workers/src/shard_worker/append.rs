//! Whether an append landed, also when the broker did not say.

use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::Append;
use headwater_core::{BundleId, Sequence};
use headwater_streams::journal::{AppendError, Journal};

/// Says that the shard is no longer this owner's: somebody else appended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("another owner appended to the journal")]
    Fenced,
    #[error("the bundle is larger than the broker takes")]
    TooLarge,
}

/// Appends a bundle, and keeps at it until it is known to be there or known never to be.
pub(super) async fn append(journal: Journal, append: Append) -> Result<Sequence, Lost> {
    let bytes = Bytes::from(append.bytes);
    let mut pause = Duration::from_millis(10);
    loop {
        match journal.append(bytes.clone(), append.expected).await {
            Ok(sequence) => return Ok(sequence),
            Err(AppendError::TooLarge { .. }) => return Err(Lost::TooLarge),
            Err(
                error @ (AppendError::Conflict { .. } | AppendError::Indeterminate(_) | AppendError::Unavailable(_)),
            ) => {
                tracing::debug!(shard = %journal.shard(), %error, "an append is unclear, reading back");
            }
        }
        // Read the end of the journal and compare: a retried append that landed is refused like anybody else's.
        match journal.last().await {
            Ok(last) => {
                let end = last.as_ref().map_or(Sequence::ZERO, |entry| entry.sequence);
                if end > append.expected {
                    let ours = last.is_some_and(|entry| {
                        entry.sequence == append.expected.next() && bundle_id(&entry.bytes) == Some(append.id)
                    });
                    return if ours { Ok(append.expected.next()) } else { Err(Lost::Fenced) };
                }
            }
            Err(error) => tracing::debug!(shard = %journal.shard(), %error, "the journal cannot be read back yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

fn bundle_id(bytes: &[u8]) -> Option<BundleId> {
    #[derive(serde::Deserialize)]
    struct Head {
        id: BundleId,
    }
    serde_json::from_slice::<Head>(bytes).ok().map(|head| head.id)
}
