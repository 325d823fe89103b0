//! The hub: one task of a process that looks for all who wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwater_core::{Json, RunId, Sequence, ShardId};
use headwater_streams::backoff::Backoff;
use headwater_streams::complaints::Complaints;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::followers::Followers;
use super::{Inbox, Live, Page, WAITING_MAX};
use crate::queries::{ALL_BYTES_MAX, Behind, Reads, SMALL_BYTES_MAX};
use crate::tail::Progress;

/// Looks for all who wait. Of the clones one runs.
#[derive(Debug, Clone)]
pub struct Hub {
    reads: Reads,
    progress: Progress,
    inbox: Arc<Inbox>,
    /// How much large pages hold together, in KiB.
    room: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// How far looks are apart at least.
const APART: Duration = Duration::from_millis(50);
/// How often every run is looked at whose shard did not move, as far as anybody said: a server that crashed may show again what
/// it had lost, and read models may have been replaced.
const SWEEP: Duration = Duration::from_secs(5);
/// How long a look may take.
const LOOK_WAIT: Duration = Duration::from_secs(20);
/// What pages that are larger than small ones have together.
const ROOM_KIB: usize = 256 << 10;
/// Large pages are looked for while so much of it is left: what one look reads, and a commit of the largest.
const LOOK_KIB: usize = (ALL_BYTES_MAX >> 10) + 4 * 1024;

impl Hub {
    /// Makes the hub of `live`. Nobody is told anything before [`Self::run`].
    pub fn new(live: &Live, reads: Reads, progress: Progress) -> Self {
        let room = Arc::new(Semaphore::new(ROOM_KIB));
        Self { reads, progress, inbox: Arc::clone(&live.inbox), room, waiting: Arc::default() }
    }

    /// Gives large pages another room (in KiB) than 256 MiB.
    #[must_use]
    pub fn with_room(mut self, kib: usize) -> Self {
        self.room = Arc::new(Semaphore::new(kib));
        self
    }

    /// Returns how many wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Looks until `stop`. While the database is away whoever waits goes on waiting.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut followers = Followers::default();
        let mut seen = BTreeMap::new();
        let mut interest = None;
        let mut sweep_at = Instant::now() + SWEEP;
        while !stop.is_cancelled() {
            self.inbox.take().into_iter().for_each(|ask| followers.add(ask));
            if Instant::now() >= sweep_at || followers.len() > WAITING_MAX {
                followers.sweep();
                sweep_at = Instant::now() + SWEEP;
            }
            followers.moved(&moved(&mut seen, self.progress.cursors()));
            match (followers.is_empty(), &interest) {
                (true, Some(_)) => interest = None,
                (false, None) => interest = Some(self.progress.follow()),
                (true, None) | (false, Some(_)) => {}
            }
            let places = followers.take_due();
            self.waiting.store(followers.len(), Ordering::Relaxed);
            if !places.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look(&mut followers, &places) => {}
                }
                tokio::time::sleep(APART).await;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.inbox.news.notified() => {}
                () = self.progress.moved(), if !followers.is_empty() => {}
                () = tokio::time::sleep_until(sweep_at), if !followers.is_empty() => {}
            }
        }
    }

    /// Looks behind these places, until all that is there has been given to those who wait.
    async fn look(&self, followers: &mut Followers, places: &[(RunId, u64)]) {
        let (mut left, mut backoff) = (places, Backoff::of_duty());
        while !left.is_empty() {
            let began = Instant::now();
            let large = self.room.available_permits() >= LOOK_KIB;
            let error: Box<dyn std::error::Error + Send + Sync> =
                match tokio::time::timeout(LOOK_WAIT, self.reads.behind(left, large)).await {
                    Ok(Ok(found)) => {
                        let (looked, rest) = left.split_at(found.len());
                        left = rest;
                        looked.iter().zip(found).for_each(|(place, behind)| self.give(followers, *place, behind));
                        continue;
                    }
                    Ok(Err(error)) => error.into(),
                    Err(late) => late.into(),
                };
            static AWAY: Complaints = Complaints::new();
            if let Some(count) = AWAY.due() {
                tracing::warn!(%error, count, "what happens cannot be read now; whoever follows it waits");
            }
            tokio::time::sleep(backoff.after(began.elapsed())).await;
        }
    }

    /// Gives what is behind a place to all who wait there.
    fn give(&self, followers: &mut Followers, (run, after): (RunId, u64), behind: Behind) {
        let Behind { events, bytes, is_all } = behind;
        let Some(last) = events.last() else { return followers.ends(run, after) };
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = match bytes > SMALL_BYTES_MAX {
            // Without room they wait for the next sweep: until then somebody may have read theirs.
            true => match Arc::clone(&self.room).try_acquire_many_owned(kib) {
                Ok(room) => Some(room),
                Err(_) => return,
            },
            false => None,
        };
        if is_all {
            followers.ends(run, last.revision);
        }
        let page = Arc::new(Page { is_last: is_terminal(&last.event), events, _room: room });
        for reply in followers.take(run, after) {
            // Whoever has left needs nothing.
            let _ = reply.send(Arc::clone(&page));
        }
    }
}

/// Returns the shards that are elsewhere than when they were looked at last.
fn moved(seen: &mut BTreeMap<ShardId, Sequence>, now: BTreeMap<ShardId, Sequence>) -> BTreeSet<ShardId> {
    let moved = now.iter().filter(|(shard, at)| seen.get(*shard) != Some(*at)).map(|(shard, _)| *shard).collect();
    *seen = now;
    moved
}

/// Returns whether nothing follows an event (`RUN-1`).
fn is_terminal(event: &Json) -> bool {
    let Value::Object(event) = event.to_value() else { return false };
    let run = event.get("run").and_then(Value::as_object).unwrap_or(&event);
    if let Some(release) = event.get("released") {
        return release["record"].get("ended").is_some();
    }
    ["runSucceeded", "runFailed", "runCancelled"].iter().any(|kind| run.contains_key(*kind))
}
