//! Whether an append landed, also when the broker did not say.

use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::{Append, HoldReason, Sighting, Standing, Witness};
use headwater_core::{BundleId, Sequence};
use headwater_streams::backoff::Backoff;
use headwater_streams::journal::{AppendError, Journal};
use headwater_streams::values::Values;

use super::values::store;

/// Says that the shard is no longer this owner's: somebody else appended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("another owner appended to the journal")]
    Fenced,
    #[error("the bundle is larger than the broker takes")]
    TooLarge,
    /// What this owner knows to be durable is not there any more.
    #[error("what was appended is gone: {reason}")]
    Gone { reason: HoldReason, saw: Sighting },
}

/// How often in a row the leader has to say that entries are gone: one that has just become it may be behind for a moment.
const SAID_MIN: u32 = 3;

/// Stores the values that a bundle names, then appends it, and keeps at both until it is known to be there or known never to be.
/// Returns its number in the stream.
pub(super) async fn append(journal: Journal, values: impl Values, append: Append) -> Result<Sequence, Lost> {
    store(&values, append.values).await;
    let bytes = Bytes::from(append.bytes);
    let mut backoff = Backoff::between(Duration::from_millis(10), Duration::from_secs(1));
    let mut said_gone = 0;
    let expected = append.expected.in_stream();
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
                if end > expected {
                    let ours = last.is_some_and(|entry| {
                        entry.sequence == expected.next() && bundle_id(&entry.bytes) == Some(append.id)
                    });
                    return if ours { Ok(expected.next()) } else { Err(Lost::Fenced) };
                }
            }
            Err(error) => tracing::debug!(shard = %journal.shard(), %error, "the journal cannot be read back yet"),
        }
        match journal.standing().await {
            Ok(standing) => match gone(standing, expected) {
                Some(reason) if said_gone + 1 >= SAID_MIN => {
                    let saw = Sighting { witness: Witness::Owner {}, at: append.expected, digest: None };
                    return Err(Lost::Gone { reason, saw });
                }
                Some(_) => said_gone += 1,
                None => said_gone = 0,
            },
            Err(error) => {
                tracing::debug!(shard = %journal.shard(), %error, "whether the journal is there is not known")
            }
        }
        backoff.wait().await;
    }
}

fn gone(standing: Option<Standing>, reached: Sequence) -> Option<HoldReason> {
    match standing {
        None => Some(HoldReason::Missing {}),
        Some(Standing { end, .. }) if end < reached => {
            Some(HoldReason::Behind { witness: Witness::Owner {}, reached, end })
        }
        Some(_) => None,
    }
}

fn bundle_id(bytes: &[u8]) -> Option<BundleId> {
    #[derive(serde::Deserialize)]
    struct Head {
        id: BundleId,
    }
    serde_json::from_slice::<Head>(bytes).ok().map(|head| head.id)
}
