//! The values that bundles name: in the store before an append, and in the bundles again before they are folded.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use headwater_core::shard::{Bundle, Stowed};
use headwater_core::{Json, ValueDigest, WorkspaceId};
use headwater_streams::backoff::Backoff;
use headwater_streams::complaints::Complaints;
use headwater_streams::values::{ValueError, Values};
use headwater_streams::{Disposition, ExchangeError};

/// How many values are under way at once.
const AT_ONCE: usize = 4;
/// How many bytes of values are read before what names them is folded, and the bundle that reaches them.
const FILLED_BYTES_MAX: usize = 64 << 20;

/// Stores what a bundle names, and keeps at it until all of it is there.
pub(super) async fn store(values: &impl Values, stowed: Vec<Stowed>) {
    let stores = stowed.into_iter().map(|Stowed { workspace, value, .. }| async move {
        let bytes = Bytes::copy_from_slice(value.as_str().as_bytes());
        let mut backoff = Backoff::between(Duration::from_millis(10), Duration::from_secs(1));
        while let Err(error) = values.put(&workspace, bytes.clone()).await {
            static UNSTORED: Complaints = Complaints::new();
            if let Some(count) = UNSTORED.due() {
                tracing::warn!(%workspace, %error, count, "a value cannot be stored yet; what names it waits");
            }
            backoff.wait().await;
        }
    });
    stream::iter(stores).buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// Takes the first of the bundles off, as far as their values have room together: one at least.
pub(super) fn next_piece<T>(bundles: &mut Vec<T>, of: impl Fn(&T) -> &Bundle) -> Vec<T> {
    let mut bytes = 0;
    let fits = |bundle: &T| {
        let has_room = bytes < FILLED_BYTES_MAX;
        bytes += of(bundle).wanted().map(|(_, value)| value.size_bytes as usize).sum::<usize>();
        has_room
    };
    let count = bundles.iter().map(fits).take_while(|fits| *fits).count();
    let rest = bundles.split_off(count);
    std::mem::replace(bundles, rest)
}

/// Fills bundles in. What the store has lost stays named in them: whoever folds them sets its aggregate aside.
///
/// # Errors
/// The store does not answer; ask again.
pub(super) async fn fill<'b>(
    values: &impl Values,
    bundles: impl Iterator<Item = &'b mut Bundle>,
) -> Result<(), ExchangeError> {
    let mut bundles: Vec<&mut Bundle> = bundles.filter(|bundle| bundle.wanted().next().is_some()).collect();
    if bundles.is_empty() {
        return Ok(());
    }
    let wanted = bundles.iter().flat_map(|bundle| bundle.wanted());
    let wanted: BTreeMap<(WorkspaceId, ValueDigest), ()> =
        wanted.map(|(workspace, value)| ((workspace.clone(), value.digest), ())).collect();
    let reads = wanted.into_keys().map(|key| async move {
        match values.get(&key.0, key.1).await {
            Ok(bytes) => Ok(read(&bytes).map(|value| (key, value))),
            Err(ValueError::Exchange(error)) if error.disposition() != Disposition::Malformed => Err(error),
            Err(lost) => {
                static LOST: Complaints = Complaints::new();
                if let Some(count) = LOST.due() {
                    tracing::error!(error = %lost, count, "a value is lost; what names it is set aside");
                }
                Ok(None)
            }
        }
    });
    let found: Vec<_> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
    let found: BTreeMap<(WorkspaceId, ValueDigest), Json> = found.into_iter().flatten().collect();
    for bundle in &mut bundles {
        bundle.fill(|workspace, value| found.get(&(workspace.clone(), value.digest)).cloned());
    }
    Ok(())
}

/// What has the right digest was written by an engine, and is JSON.
fn read(bytes: &[u8]) -> Option<Json> {
    Json::from_text(std::str::from_utf8(bytes).ok()?.to_owned()).ok()
}
