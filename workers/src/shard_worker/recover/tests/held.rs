//! What holds a shard at a take-over: each way in which a journal can contradict what was seen of it.

use headwater_core::shard::Witness;
use headwater_streams::shard_map;

use super::*;

impl House {
    /// Returns why the shard is held.
    async fn held(&self) -> HoldReason {
        match recover::<()>(&self.broker, shard(), &self.map).await {
            Err(RecoverError::Held { reason, .. }) => reason,
            Err(error) => panic!("{error}"),
            Ok(recovered) => panic!("taken over at {}", recovered.owner.last()),
        }
    }

    /// Appends whatever it is at the end.
    async fn append_foreign(&self, bytes: &[u8]) -> Sequence {
        self.journal.append(bytes.to_vec().into(), Sequence::new(self.end().await)).await.unwrap()
    }

    /// Says in the map what it would after a take-over.
    async fn begun(&self, made_at: Timestamp, reached: Sequence) {
        shard_map::create_if_absent(&self.broker, &self.map, JournalState::New {}).await.unwrap();
        shard_map::begin(&self.broker, shard(), made_at, reached).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_a_bundle_holds_the_shard() {
    for foreign in [&b"[]"[..], b"", b"{\"shard\":0}", b"\xff"] {
        let house = House::new().await;
        house.append(3).await;
        house.write().await;
        let at = house.append_foreign(foreign).await;
        assert_eq!(house.held().await, HoldReason::NotABundle { at });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_somebody_who_did_not_follow_holds_the_shard() {
    let house = House::new().await;
    house.append(3).await;
    let first = house.journal.entry(Sequence::FIRST).await.unwrap().unwrap();
    let at = house.append_foreign(&first.bytes).await;
    let reason = house.held().await;
    assert!(matches!(&reason, HoldReason::NotFollowing { at: found, .. } if *found == at), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_its_checkpoint_has_seen_more_of_or_another_one_holds_the_shard() {
    let house = House::new().await;
    house.append(5).await;
    let good = house.write().await;
    let end = Sequence::new(house.end().await);
    let sequence = format!(r#""sequence":{end}"#);
    let digest_at = good.find(r#""digest":""#).unwrap() + r#""digest":""#.len();
    let foreign = format!("{}{}{}", &good[..digest_at], "0".repeat(32), &good[digest_at + 32..]);
    let (witness, reached) = (Witness::Checkpoint {}, Sequence::new(99));
    let cases = [
        (good.replacen(&sequence, r#""sequence":99"#, 1), HoldReason::Behind { witness, reached, end }),
        (good.replacen(&sequence, r#""sequence":2"#, 1), HoldReason::Different { witness, at: Sequence::new(2) }),
        (foreign, HoldReason::Different { witness, at: end }),
    ];
    for (stored, reason) in cases {
        house.checkpoints.put(shard(), stored.into_bytes().into()).await.unwrap();
        assert_eq!(house.held().await, reason);
        assert!(write(&house.broker, shard(), &house.map, &house.counters).await.is_err(), "nor is it replaced");
    }
    house.checkpoints.put(shard(), good.into_bytes().into()).await.unwrap();
    assert_eq!(house.recover().await.checkpoint, Some(end));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_the_map_has_seen_more_of_holds_the_shard() {
    let house = House::new().await;
    house.append(3).await;
    let info = house.journal.info().await.unwrap();
    house.begun(info.made_at, info.last).await;
    house.recover().await;
    let reached = Sequence::new(info.last.get() + 4);
    house.begun(info.made_at, reached).await;
    let reason = HoldReason::Behind { witness: Witness::Map {}, reached, end: info.last };
    assert_eq!(house.held().await, reason);
    house.append_foreign(b"[]").await;
    assert!(matches!(house.held().await, HoldReason::Behind { .. }), "the map is asked first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_somebody_else_made_holds_the_shard_however_long_it_is() {
    let house = House::new().await;
    house.append(9).await;
    let expected = now();
    house.begun(expected, Sequence::FIRST).await;
    let found = house.journal.info().await.unwrap().made_at;
    assert_eq!(house.held().await, HoldReason::MadeAnew { expected, found });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_made_where_there_never_was_one_and_nowhere_else() {
    let began = [JournalState::UNSAID, JournalState::New {}.begun(now(), Sequence::FIRST)];
    for state in [JournalState::New {}, JournalState::Creating {}].into_iter().chain(began) {
        let house = House::without_journal().await;
        shard_map::create_if_absent(&house.broker, &house.map, state).await.unwrap();
        if state.may_be_made() {
            assert_eq!(house.recover().await.owner.last(), Sequence::ZERO, "{state:?}");
            house.recover().await;
        } else {
            assert_eq!(house.held().await, HoldReason::Missing {}, "{state:?}");
            assert_eq!(house.held().await, HoldReason::Missing {}, "it is not made by looking");
        }
    }
}
