//! What comes again, and what is cut off in the middle.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::definition::StoredDocument;
use headwater_core::shard::{HoldReason, Sighting};
use headwater_core::{Incarnation, Json, Sequence, ShardId};
use headwater_projector::{BatchLimits, Projector};
use headwater_streams::ExchangeError;
use headwater_streams::journals::{
    Entry, JournalInfo, JournalReader, Journals, MemoryJournals, MemoryReader, ReadError,
};
use tokio_util::sync::CancellationToken;

use crate::workload::story::tell;
use crate::{House, Running, agrees, compare};

/// Delivers everything twice: each batch comes with the one before it in front.
#[derive(Debug)]
struct Stutter(MemoryJournals);

struct StutterReader {
    reader: MemoryReader,
    before: Vec<Entry>,
}

impl Journals for Stutter {
    type Reader = StutterReader;

    async fn describe(&self, shard: ShardId) -> Result<Option<JournalInfo>, ExchangeError> {
        self.0.describe(shard).await
    }

    async fn entry(&self, shard: ShardId, at: Sequence) -> Result<Option<Entry>, ExchangeError> {
        self.0.entry(shard, at).await
    }

    fn read(&self, shard: ShardId, from: Sequence) -> StutterReader {
        // From a little before, as a consumer that lost its acknowledgement would.
        let earlier = Sequence::new(from.get().saturating_sub(3));
        StutterReader { reader: self.0.read(shard, earlier), before: Vec::new() }
    }

    async fn contradicts(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, ExchangeError> {
        self.0.contradicts(shard, seen).await
    }

    async fn incarnations(&self, shards: &[ShardId]) -> Result<Vec<Incarnation>, ExchangeError> {
        self.0.incarnations(shards).await
    }

    async fn document(&self, stored: &StoredDocument) -> Result<Option<Json>, ExchangeError> {
        self.0.document(stored).await
    }
}

impl JournalReader for StutterReader {
    async fn next(&mut self, messages_max: usize, wait: Duration) -> Result<Vec<Entry>, ReadError> {
        let new = self.reader.next(messages_max.min(5), wait).await?;
        if new.is_empty() {
            return Ok(new);
        }
        let mut all = std::mem::replace(&mut self.before, new.clone());
        all.extend(new);
        Ok(all)
    }

    async fn close(self) {
        self.reader.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_restarts_and_crashes_leave_no_trace() {
    let mut house = House::build().await;
    let database = house.database().await;
    let story = tell(2, 2, 3_000);
    for round in 1..=4_u64 {
        let journal = Arc::new(Stutter(story.journal.clone()));
        let limits = BatchLimits { events_max: 60, ..BatchLimits::default() };
        // Two at once for the same shards: each batch is applied by one of them.
        let mut projectors = Vec::new();
        for _ in 0..2 {
            let projector =
                Projector::new(database.clone(), Arc::clone(&journal), story.shards.clone()).with_limits(limits);
            let (progress, shutdown) = (projector.progress(), CancellationToken::new());
            let task = tokio::spawn(projector.run(shutdown.clone()));
            projectors.push(Running { progress, shutdown, task });
        }
        for &shard in &story.shards {
            let head = story.journal.head(shard).await.unwrap().get();
            projectors[0].reach(shard, Sequence::new(head * round / 4)).await;
        }
        if round == 2 {
            // In the middle of things, with transactions that are not yet on the disk.
            house.server.kill().await.unwrap();
            house.server.restart().await.unwrap();
            for &shard in &story.shards {
                let head = story.journal.head(shard).await.unwrap().get();
                projectors[1].reach(shard, Sequence::new(head * 3 / 4)).await;
            }
        }
        for projector in projectors {
            projector.stop().await;
        }
    }
    agrees(&house, &story).await;
    compare(&database, &story).await;
}
