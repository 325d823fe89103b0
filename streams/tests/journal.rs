//! What every journal must do, on the real broker.

mod harness;

use bytes::Bytes;
use harness::{House, PATIENCE, eventually, shard};
use headwater_core::Sequence;
use headwater_streams::Disposition;
use headwater_streams::journal::{AppendError, Journal, ReadError};

async fn journal(house: &House) -> Journal {
    Journal::open(&house.broker, shard(0)).await.unwrap()
}

async fn append(journal: &Journal, count: u64) {
    let mut last = journal.info().await.unwrap().last;
    for n in 0..count {
        last = journal.append(format!("{n}").into(), last).await.unwrap();
    }
}

#[tokio::test]
async fn an_append_lands_only_behind_the_sequence_it_expects() {
    let house = House::with_shards(2).await;
    let journal = journal(&house).await;
    assert_eq!(journal.last().await.unwrap(), None);
    assert_eq!(journal.info().await.unwrap().last, Sequence::ZERO);
    let first = journal.append("a".into(), Sequence::ZERO).await.unwrap();
    assert_eq!(first, Sequence::FIRST);
    let second = journal.append("b".into(), first).await.unwrap();
    for wrong in [Sequence::ZERO, first, second.next()] {
        let refusal = journal.append("x".into(), wrong).await.unwrap_err();
        assert_eq!(refusal.disposition(), Disposition::Conflict, "{refusal}");
    }
    let last = journal.last().await.unwrap().unwrap();
    assert_eq!((last.sequence, last.bytes), (second, Bytes::from("b")));
    assert_eq!(Journal::open(&house.broker, shard(1)).await.unwrap().last().await.unwrap(), None);
}

#[tokio::test]
async fn a_retried_append_is_refused_and_found_by_reading_back() {
    let house = House::with_shards(1).await;
    let journal = journal(&house).await;
    let landed = journal.append("mine".into(), Sequence::ZERO).await.unwrap();
    // As if the acknowledgement had been lost.
    let refusal = journal.append("mine".into(), Sequence::ZERO).await.unwrap_err();
    assert!(matches!(refusal, AppendError::Conflict { .. }));
    let last = journal.last().await.unwrap().unwrap();
    assert_eq!((last.sequence, last.bytes), (landed, Bytes::from("mine")));
}

#[tokio::test]
async fn what_is_too_large_or_has_no_journal_is_refused_before_it_is_sent() {
    let house = House::with_shards(1).await;
    let journal = journal(&house).await;
    let large = Bytes::from(vec![b'x'; house.broker.payload_bytes_max() + 1]);
    let refusal = journal.append(large, Sequence::ZERO).await.unwrap_err();
    assert_eq!(refusal.disposition(), Disposition::Rejection);
    let missing = Journal::open(&house.broker, shard(7)).await.unwrap_err();
    assert_eq!(missing.disposition(), Disposition::Unavailable);
}

#[tokio::test]
async fn a_reader_returns_everything_in_order_and_then_what_comes() {
    let house = House::with_shards(1).await;
    let journal = journal(&house).await;
    append(&journal, 300).await;
    for (from, expected) in [(0, 300), (1, 300), (100, 201), (300, 1)] {
        let mut reader = journal.read(Sequence::new(from));
        let mut read = Vec::new();
        while read.len() < expected {
            read.extend(reader.next(64, PATIENCE).await.unwrap().into_iter().map(|entry| entry.sequence.get()));
        }
        assert_eq!(read, (from.max(1)..=300).collect::<Vec<_>>());
        reader.close().await;
    }
    let mut tail = journal.read(Sequence::new(301));
    let appended = async {
        append(&journal, 1).await;
        std::future::pending::<()>().await;
    };
    let entries = tokio::select! {
        entries = tail.next(10, PATIENCE) => entries.unwrap(),
        () = appended => unreachable!(),
    };
    assert_eq!(entries[0].sequence, Sequence::new(301));
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_after_the_broker_was_gone() {
    let mut house = House::with_shards(1).await;
    let journal = journal(&house).await;
    append(&journal, 10).await;
    let mut reader = journal.read(Sequence::FIRST);
    let mut read = reader.next(10, PATIENCE).await.unwrap();
    house.server.kill();
    house.server.restart().unwrap();
    eventually("the connection stands again", || async { journal.info().await.ok() }).await;
    append(&journal, 5).await;
    while read.len() < 15 {
        read.extend(reader.next(10, PATIENCE).await.unwrap());
    }
    let sequences: Vec<u64> = read.iter().map(|entry| entry.sequence.get()).collect();
    assert_eq!(sequences, (1..=15).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_append_without_a_broker_is_unavailable_or_indeterminate_and_says_so_in_time() {
    let mut house = House::with_shards(1).await;
    let journal = journal(&house).await;
    append(&journal, 1).await;
    house.server.kill();
    let failure = journal.append("x".into(), Sequence::FIRST).await.unwrap_err();
    assert!(matches!(failure.disposition(), Disposition::Unavailable | Disposition::Indeterminate), "{failure}");
    house.server.restart().unwrap();
    eventually("the connection stands again", || async { journal.last().await.ok() }).await;
}

#[tokio::test]
async fn a_reader_says_that_entries_are_gone_instead_of_leaving_them_out() {
    let house = House::with_shards(1).await;
    let journal = journal(&house).await;
    append(&journal, 10).await;
    journal.purge_below(Sequence::new(6)).await.unwrap();
    assert_eq!(journal.info().await.unwrap().first, Sequence::new(6));
    let mut reader = journal.read(Sequence::new(3));
    let refusal = reader.next(10, PATIENCE).await.unwrap_err();
    assert!(matches!(refusal, ReadError::Purged { wanted, first } if wanted.get() == 3 && first.get() == 6));
    let mut reader = journal.read(Sequence::new(6));
    assert_eq!(reader.next(10, PATIENCE).await.unwrap()[0].sequence, Sequence::new(6));
}

#[tokio::test]
async fn dropping_a_read_loses_nothing() {
    let house = House::with_shards(1).await;
    let journal = journal(&house).await;
    append(&journal, 50).await;
    let mut reader = journal.read(Sequence::FIRST);
    let mut read = Vec::new();
    while read.len() < 50 {
        // Given up at every possible point, first of all before anything could arrive.
        for polls in 0..20 {
            let next = reader.next(7, PATIENCE);
            tokio::select! {
                biased;
                entries = next => read.extend(entries.unwrap()),
                () = yield_times(polls) => {}
            }
        }
    }
    let sequences: Vec<u64> = read.iter().map(|entry| entry.sequence.get()).collect();
    assert_eq!(sequences, (1..=50).collect::<Vec<_>>());
}

async fn yield_times(times: u32) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Prints how fast a journal is read: `cargo test -p headwater-streams --test journal -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn reading_speed() {
    const ENTRIES: u64 = 4_000;
    let house = House::with_shards(1).await;
    let journal = journal(&house).await;
    let bytes = Bytes::from(vec![b'x'; 50_000]);
    let started = std::time::Instant::now();
    let mut last = Sequence::ZERO;
    for _ in 0..ENTRIES {
        last = journal.append(bytes.clone(), last).await.unwrap();
    }
    println!("append: {:.0}/s of 50 kB", ENTRIES as f64 / started.elapsed().as_secs_f64());
    for _ in 0..3 {
        let started = std::time::Instant::now();
        let mut reader = journal.read(Sequence::FIRST);
        let (mut read, mut bytes) = (0, 0);
        while read < ENTRIES {
            for entry in reader.next(1000, PATIENCE).await.unwrap() {
                read += 1;
                bytes += entry.bytes.len();
            }
        }
        println!("read: {:.0} MB/s", bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
    }
}
