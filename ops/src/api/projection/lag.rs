//! How old a read may be: from the projector in this process, or, where there is none, by asking both sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_core::{Sequence, ShardId, Timestamp};
use headwater_projector::Progress;
use headwater_projector::queries::Reads;
use headwater_streams::journals::{JetStreamJournals, Journals as _};
use tokio_util::sync::CancellationToken;

use crate::process::Process;

/// The lag of the read models, the worst of all shards.
#[derive(Debug, Clone)]
pub enum LagView {
    Projector(Progress),
    /// In milliseconds; [`UNKNOWN`] while nobody knows.
    Asked(Arc<AtomicU64>),
}

const UNKNOWN: u64 = u64::MAX;
const INTERVAL: Duration = Duration::from_secs(1);

impl LagView {
    /// Returns the lag in milliseconds, if it is known.
    pub fn millis(&self) -> Option<u64> {
        match self {
            Self::Projector(progress) => Some(progress.lag().iter().map(|lag| lag.millis).max().unwrap_or(0)),
            Self::Asked(millis) => Some(millis.load(Ordering::Relaxed)).filter(|millis| *millis != UNKNOWN),
        }
    }
}

/// Makes the view, and what keeps it true.
pub fn view(process: &Process, reads: &Reads) -> (LagView, LagWatch) {
    let Some(progress) = process.progress.clone() else {
        let millis = Arc::new(AtomicU64::new(UNKNOWN));
        let journal = JetStreamJournals::new(&process.broker);
        let watch = Asking { millis: millis.clone(), journal, reads: reads.clone(), shards: process.map.shards };
        return (LagView::Asked(millis), LagWatch(Some(watch)));
    };
    (LagView::Projector(progress), LagWatch(None))
}

/// Keeps the view true.
#[derive(Clone)]
pub struct LagWatch(Option<Asking>);

#[derive(Clone)]
struct Asking {
    millis: Arc<AtomicU64>,
    journal: JetStreamJournals,
    reads: Reads,
    shards: u16,
}

impl LagWatch {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Some(asking) = self.0 else { return };
        while !stop.is_cancelled() {
            let known = tokio::time::timeout(INTERVAL * 5, asking.ask()).await.ok().flatten();
            asking.millis.store(known.unwrap_or(UNKNOWN), Ordering::Relaxed);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }
}

impl Asking {
    async fn ask(&self) -> Option<u64> {
        let mut heads: BTreeMap<ShardId, Sequence> = BTreeMap::new();
        for shard in (0..self.shards).filter_map(|number| ShardId::new(number).ok()) {
            heads.insert(shard, self.journal.head(shard).await.ok()?);
        }
        let cursors: BTreeMap<_, _> =
            self.reads.cursors().await.ok()?.into_iter().map(|row| (row.shard, row)).collect();
        let now = crate::api::now();
        let age = |(shard, head): (&ShardId, &Sequence)| {
            let cursor = cursors.get(shard);
            let reached = cursor.map_or(Sequence::ZERO, |cursor| cursor.sequence);
            let time =
                cursor.and_then(|cursor| cursor.time).map_or(now, |time: headwater_projector::queries::Moment| time.0);
            if reached.in_stream() >= *head { Duration::ZERO } else { since(now, time) }
        };
        heads.iter().map(age).max().map(|age| u64::try_from(age.as_millis()).unwrap_or(UNKNOWN - 1))
    }
}

fn since(now: Timestamp, time: Timestamp) -> Duration {
    now.since(time)
}
