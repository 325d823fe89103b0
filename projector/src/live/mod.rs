//! What happens in runs, told to whoever follows them.
//!
//! Everyone who follows says where they are and gets what is behind that place, as soon as there is something: the place
//! alone decides what they get, so nothing is lost or doubled, whatever becomes of connections, servers and this process. The
//! hub only knows when to look: it is told which shards moved, and looks for all who wait there at once. Whoever is slow waits
//! for nothing meanwhile, and nothing is kept for them.

mod followers;
mod hub;

use std::sync::{Arc, Mutex, PoisonError};

use headwater_core::{Revision, RunId};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::queries::RecordedEvent;

pub use hub::Hub;

/// How many may wait at once.
const WAITING_MAX: usize = 4_096;

/// Asks for what happens. Clones share their hub.
#[derive(Debug, Clone, Default)]
pub struct Live {
    inbox: Arc<Inbox>,
}

/// What happened in a run behind a place: whole commits, at least one event. Shared by all who are at the same place.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<RecordedEvent>,
    /// The last of them is the last of the run.
    pub is_last: bool,
    /// Room that a large page takes until nobody has it any more.
    _room: Option<OwnedSemaphorePermit>,
}

/// Rejection: too many wait already. Come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_MAX} wait for what happens already")]
pub struct TooMany;

/// Somebody who waits.
#[derive(Debug)]
struct Ask {
    run: RunId,
    after: u64,
    reply: oneshot::Sender<Arc<Page>>,
}

/// What the hub was asked and has not looked at.
#[derive(Debug, Default)]
struct Inbox {
    /// Never held across a wait. Not a channel: what was asked outlives a hub that panics, and whoever asks need not wait.
    asks: Mutex<Vec<Ask>>,
    news: Notify,
}

impl Live {
    /// Returns what happened in a run behind a revision: at once, or as soon as something has. Waits for ever where nothing
    /// will, and where nobody runs the hub; whoever does not want to wait any more drops the future.
    ///
    /// # Errors
    /// [`TooMany`].
    pub async fn behind(&self, run: RunId, after: Revision) -> Result<Arc<Page>, TooMany> {
        loop {
            let (reply, page) = oneshot::channel();
            self.inbox.put(Ask { run, after: after.get(), reply })?;
            // A hub that panicked has dropped whoever waited: its successor is asked again.
            if let Ok(page) = page.await {
                return Ok(page);
            }
        }
    }
}

impl Inbox {
    fn put(&self, ask: Ask) -> Result<(), TooMany> {
        let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        if asks.len() >= WAITING_MAX {
            asks.retain(|ask| !ask.reply.is_closed());
            if asks.len() >= WAITING_MAX {
                return Err(TooMany);
            }
        }
        asks.push(ask);
        drop(asks);
        self.news.notify_one();
        Ok(())
    }

    fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.asks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
