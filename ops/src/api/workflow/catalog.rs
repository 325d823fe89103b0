//! Which version a start without one means, without asking the broker each time.
//!
//! A version's document never changes, but which one is current does: any news from the table of definitions empties
//! the catalog, and the next start of a workflow asks the table's leader once. So a start never uses a version older
//! than the news this process has heard.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use headwater_core::shard::WorkflowKey;
use headwater_streams::ExchangeError;
use headwater_streams::definitions::{Definitions, Pointer};
use tokio_util::sync::CancellationToken;

/// The current versions this process knows. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Counts the news, so that an answer that was on its way meanwhile is not kept.
    generation: u64,
    current: HashMap<WorkflowKey, Pointer>,
    /// The table is being followed: otherwise nothing is kept.
    watched: bool,
}

/// How long one question for news waits.
const WAIT: Duration = Duration::from_secs(20);
/// How long to leave the broker alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(500);

impl Catalog {
    /// Returns the current version of a workflow, and whether it is paused. `None`: there is no such workflow.
    ///
    /// # Errors
    /// See [`ExchangeError`]; only where the version is not known here yet.
    pub async fn current(
        &self,
        definitions: &Definitions,
        key: &WorkflowKey,
    ) -> Result<Option<Pointer>, ExchangeError> {
        let generation = {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(pointer) = known.current.get(key) {
                return Ok(Some(*pointer));
            }
            known.generation
        };
        let found = definitions.pointer(key).await?;
        if let Some(pointer) = found {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.watched && known.generation == generation {
                known.current.insert(key.clone(), pointer);
            }
        }
        Ok(found)
    }

    fn forget(&self, watched: bool) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.generation += 1;
        known.watched = watched;
        known.current.clear();
    }
}

/// Follows the table of definitions until `stop`.
pub async fn watch(catalog: Catalog, definitions: Definitions, stop: CancellationToken) {
    let mut watch = definitions.watch();
    loop {
        let began = Instant::now();
        let news = tokio::select! {
            () = stop.cancelled() => return,
            news = watch.next(WAIT) => news,
        };
        match news {
            // The pointer to the current version is not among the versions: that something came early is the news.
            Ok(versions) if !versions.is_empty() || began.elapsed() < WAIT => catalog.forget(true),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "the table of definitions cannot be followed");
                catalog.forget(false);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}
