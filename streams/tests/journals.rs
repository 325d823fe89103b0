//! What goes for journals wherever they are: one suite, for those of a broker and for those in memory.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{House, PATIENCE, shard};
use headwater_core::shard::{HoldReason, Sighting, Witness, digest};
use headwater_core::{Incarnation, Sequence};
use headwater_streams::journal::Journal;
use headwater_streams::journals::{
    Entry, JetStreamJournals, JournalReader as _, Journals, MemoryJournals, ReadError, Stretch, StretchError,
};

fn bytes(number: u64) -> Bytes {
    format!("entry-{number};").into()
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    for entry in entries {
        assert_eq!(entry.bytes, bytes(entry.sequence.in_stream().get()));
    }
    entries.iter().map(|entry| entry.sequence.in_stream().get()).collect()
}

async fn stretch<J: Journals>(journals: &J, from: u64, end: u64) -> Result<Vec<u64>, StretchError> {
    let mut stretch = Stretch::new(journals, shard(0), Sequence::new(from), Sequence::new(end));
    let mut read = Vec::new();
    loop {
        let entries = stretch.next().await?;
        if entries.is_empty() {
            assert!(stretch.next().await?.is_empty(), "an end is an end");
            return Ok(read);
        }
        read.extend(numbers(&entries));
    }
}

async fn keep_what_a_trait_promises<J: Journals>(
    journals: &J,
    append: impl AsyncFn(u64),
    purge_below: impl AsyncFn(Sequence),
) {
    let (shard, at) = (shard(0), Sequence::new);
    let describe = async || journals.describe(shard).await.unwrap().unwrap();
    assert_eq!((describe().await.last, journals.head(shard).await.unwrap()), (Sequence::ZERO, Sequence::ZERO));
    assert_eq!(journals.entry(shard, Sequence::FIRST).await.unwrap(), None);
    assert_eq!(stretch(journals, 1, 0).await.unwrap(), [0; 0]);
    assert!(journals.read(shard, Sequence::FIRST).next(9, Duration::from_millis(20)).await.unwrap().is_empty());

    for number in 1..=5 {
        append(number).await;
    }
    assert_eq!((describe().await.first, describe().await.last), (Sequence::FIRST, at(5)));
    assert_eq!(stretch(journals, 1, 5).await.unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(stretch(journals, 4, 5).await.unwrap(), [4, 5]);
    assert_eq!(stretch(journals, 6, 5).await.unwrap(), [0; 0]);
    // Whoever asks in an incarnation is answered in it.
    for incarnation in [Incarnation::FIRST, Incarnation::new(3)] {
        let mut reader = journals.read(shard, at(2).within(incarnation));
        let mut read = Vec::new();
        while read.len() < 4 {
            let entries = reader.next(2, PATIENCE).await.unwrap();
            assert!((1..=2).contains(&entries.len()));
            assert!(entries.iter().all(|entry| entry.sequence.incarnation() == incarnation));
            read.extend(numbers(&entries));
        }
        assert_eq!(read, [2, 3, 4, 5]);
        let entry = journals.entry(shard, at(2).within(incarnation)).await.unwrap().unwrap();
        assert_eq!((entry.sequence, entry.bytes), (at(2).within(incarnation), bytes(2)));
        reader.close().await;
    }
    let mut tail = journals.read(shard, at(6));
    let appended = async {
        append(6).await;
        std::future::pending::<()>().await;
    };
    let entries = tokio::select! {
        entries = tail.next(9, PATIENCE) => entries.unwrap(),
        () = appended => unreachable!(),
    };
    assert_eq!(numbers(&entries), [6]);

    let seen = |place, digest| Sighting { witness: Witness::Cursor {}, at: at(place), digest };
    let contradicts = async |seen: Sighting| journals.contradicts(shard, &seen).await.unwrap();
    assert_eq!(contradicts(seen(6, Some(digest(&bytes(6))))).await, None);
    assert_eq!(contradicts(seen(0, None)).await, None);
    let (witness, reached, end) = (Witness::Cursor {}, at(7), at(6));
    assert_eq!(contradicts(seen(7, None)).await, Some(HoldReason::Behind { witness, reached, end }));
    let different = HoldReason::Different { witness, at: at(6) };
    assert_eq!(contradicts(seen(6, Some(digest(&bytes(5))))).await, Some(different));

    purge_below(at(4)).await;
    assert_eq!((describe().await.first, describe().await.last), (at(4), at(6)));
    assert_eq!(journals.entry(shard, at(3)).await.unwrap(), None);
    assert_eq!(stretch(journals, 4, 6).await.unwrap(), [4, 5, 6]);
    let gone = journals.read(shard, at(2)).next(9, PATIENCE).await.unwrap_err();
    assert!(matches!(gone, ReadError::Purged { wanted, first } if wanted == at(2) && first == at(4)), "{gone}");
    let gone = stretch(journals, 2, 6).await.unwrap_err();
    assert!(matches!(gone, StretchError::Gone { at } if at == Sequence::new(2)), "{gone}");
    purge_below(at(7)).await;
    assert_eq!((describe().await.first, describe().await.last), (at(7), at(6)), "that it was there is known");
    append(7).await;
    assert_eq!(stretch(journals, 7, 7).await.unwrap(), [7]);
}

#[tokio::test]
async fn journals_of_a_broker_keep_what_their_trait_promises() {
    let house = House::with_shards(1).await;
    let journal = Journal::open(&house.broker, shard(0)).await.unwrap();
    let append = async |number| {
        journal.append(bytes(number), Sequence::new(number - 1)).await.unwrap();
    };
    let purge_below = async |first| journal.purge_below(first).await.unwrap();
    keep_what_a_trait_promises(&JetStreamJournals::new(&house.broker), append, purge_below).await;
}

#[tokio::test]
async fn journals_in_memory_keep_what_their_trait_promises() {
    let journals = MemoryJournals::new();
    let append = async |number| {
        journals.append(shard(0), bytes(number));
    };
    let purge_below = async |first| journals.purge_below(shard(0), first);
    keep_what_a_trait_promises(&journals, append, purge_below).await;
}
