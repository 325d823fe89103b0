//! Recovery from journals that no broker holds: what it makes of what a reader returns is the same wherever that comes from.

use headwater_core::definition::StoredDocument;
use headwater_core::shard::{HoldReason, Sighting};
use headwater_streams::journals::{Entry, JournalReader, Journals, MemoryJournals, ReadError};
use headwater_streams::values::MemoryValues;

use super::*;

fn map() -> ShardMap {
    ShardMap::even(1).unwrap()
}

/// Takes the shard over and appends a bundle for each wish that was not granted yet, up to `runs` runs.
async fn tell(journals: &MemoryJournals, runs: u128) -> Owner<()> {
    let mut owner = folded(journals, None).await.unwrap().owner;
    for wish in wishes(runs) {
        owner.submit((), wish, now(), &mut Hands::default());
        if let Some(next) = owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())) {
            owner.appended(journals.append(shard(), next.bytes.into()));
        }
    }
    folded(journals, None).await.unwrap().owner
}

async fn told(runs: u128) -> MemoryJournals {
    let journals = MemoryJournals::new();
    tell(&journals, runs).await;
    journals
}

async fn folded<J: Journals>(journals: &J, newest: Option<Bytes>) -> Result<Folded<()>, RecoverError> {
    let info = journals.describe(shard()).await.unwrap().unwrap();
    let found = Found { info, begun: Incarnation::FIRST, newest: Ok(newest), compiler: Compiler::default() };
    fold_found(journals, &MemoryValues::new(), shard(), &map(), found, Trust::Witnesses, &Lessons::default()).await
}

async fn held<J: Journals>(journals: &J, newest: Option<Bytes>) -> HoldReason {
    match folded(journals, newest).await {
        Err(RecoverError::Held { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
        Ok(folded) => panic!("folded up to {}", folded.owner.last()),
    }
}

#[tokio::test]
async fn a_journal_whose_beginning_is_purged_is_folded_from_its_checkpoint_or_not_at_all() {
    let journals = MemoryJournals::new();
    let before = tell(&journals, 4).await;
    let (at, taken) = (before.last(), Bytes::from(before.checkpoint()));
    let whole = tell(&journals, 6).await;
    journals.purge_below(shard(), at);
    let restored = folded(&journals, Some(taken.clone())).await.unwrap();
    assert_eq!((restored.checkpoint, restored.folded.bundles), (Some(at), whole.last().get() - at.get()));
    assert_eq!(restored.owner.checkpoint(), whole.checkpoint());
    assert_eq!(held(&journals, None).await, HoldReason::Beginning { first: at });
    journals.purge_below(shard(), at.next());
    assert_eq!(held(&journals, Some(taken)).await, HoldReason::Beginning { first: at.next() });
    journals.purge_below(shard(), whole.last().next());
    let taken = Bytes::from(whole.checkpoint());
    let reason = held(&journals, Some(taken)).await;
    assert_eq!(reason, HoldReason::Beginning { first: whole.last().next() }, "nothing shows that it was taken here");
}

/// What a reader makes of the entries that it is given.
type Mischief = fn(Vec<Entry>) -> Vec<Entry>;

/// Journals whose readers do not return what is there.
struct Unruly {
    journals: MemoryJournals,
    mischief: Mischief,
}

struct UnrulyReader {
    journals: MemoryJournals,
    next: Sequence,
    mischief: Mischief,
}

impl Journals for Unruly {
    type Reader = UnrulyReader;

    async fn describe(&self, shard: ShardId) -> Result<Option<JournalInfo>, ExchangeError> {
        self.journals.describe(shard).await
    }

    async fn entry(&self, shard: ShardId, at: Sequence) -> Result<Option<Entry>, ExchangeError> {
        let entry = self.journals.entry(shard, at).await?;
        Ok((self.mischief)(entry.into_iter().collect()).pop())
    }

    fn read(&self, _: ShardId, from: Sequence) -> UnrulyReader {
        UnrulyReader { journals: self.journals.clone(), next: from, mischief: self.mischief }
    }

    async fn incarnations(&self, shards: &[ShardId]) -> Result<Vec<Incarnation>, ExchangeError> {
        self.journals.incarnations(shards).await
    }

    async fn contradicts(&self, shard: ShardId, seen: &Sighting) -> Result<Option<HoldReason>, ExchangeError> {
        self.journals.contradicts(shard, seen).await
    }

    async fn document(&self, stored: &StoredDocument) -> Result<Option<Json>, ExchangeError> {
        self.journals.document(stored).await
    }
}

impl JournalReader for UnrulyReader {
    async fn next(&mut self, messages_max: usize, _: Duration) -> Result<Vec<Entry>, ReadError> {
        let entries = self.journals.entries(shard(), self.next, messages_max);
        self.next = entries.last().map_or(self.next, |last| last.sequence.next());
        Ok((self.mischief)(entries))
    }

    async fn close(self) {}
}

#[tokio::test]
async fn a_journal_that_ends_before_its_end_holds_the_shard() {
    let ends_early: Mischief = |entries| entries.into_iter().filter(|entry| entry.sequence.get() < 4).collect();
    let journals = Unruly { journals: told(5).await, mischief: ends_early };
    assert_eq!(held(&journals, None).await, HoldReason::Hole { at: Sequence::new(4) });
}

#[tokio::test]
async fn entries_out_of_order_or_twice_or_left_out_hold_the_shard() {
    let swapped: Mischief = |mut entries| {
        if entries.len() > 2 {
            entries.swap(1, 2);
        }
        entries
    };
    let twice: Mischief = |entries| entries.into_iter().flat_map(|entry| [entry.clone(), entry]).collect();
    let left_out: Mischief = |entries| entries.into_iter().filter(|entry| entry.sequence.get() != 2).collect();
    for (what, mischief) in [("swapped", swapped), ("twice", twice), ("left out", left_out)] {
        let journals = Unruly { journals: told(5).await, mischief };
        let reason = held(&journals, None).await;
        let at = match &reason {
            HoldReason::NotFollowing { at, .. } | HoldReason::Hole { at } => *at,
            other => panic!("{what}: {other}"),
        };
        assert!(at.get() <= 3, "{what}: {reason}");
    }
}
