//! What a journal must not contradict.

use headwater_core::shard::{HoldReason, JournalState, Sighting, Standing, Witness, digest};
use headwater_core::{Sequence, ShardId, Timestamp};
use proptest::prelude::*;

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn sequence() -> impl Strategy<Value = Sequence> {
    (0..40_u64).prop_map(Sequence::new)
}

#[test]
fn a_journal_is_made_only_where_there_never_was_one() {
    let made: Vec<_> =
        [JournalState::New {}, JournalState::Creating {}].iter().map(JournalState::may_be_made).collect();
    assert_eq!(made, [true, true]);
    for begun in [JournalState::UNSAID, JournalState::New {}.begun(at(1), Sequence::FIRST)] {
        assert!(!begun.may_be_made());
        assert_eq!(begun.contradiction(None), Some(HoldReason::Missing {}));
    }
}

#[test]
fn states_and_reasons_are_read_as_they_were_written() {
    let states = r#"[{"new":{}},{"creating":{}},{"begun":{"reached":0}},{"begun":{"madeAt":7,"reached":3}}]"#;
    let read: Vec<JournalState> = serde_json::from_str(states).unwrap();
    assert_eq!(read[2], JournalState::UNSAID);
    assert_eq!(serde_json::to_string(&read).unwrap(), states);
    let (n, shard) = (Sequence::new(4), ShardId::new(2).unwrap());
    let witnesses =
        [Witness::Map {}, Witness::Checkpoint {}, Witness::Owner {}, Witness::Cursor {}, Witness::Shard { shard }];
    let mut reasons = vec![
        HoldReason::Missing {},
        HoldReason::MadeAnew { expected: at(1), found: at(2) },
        HoldReason::Beginning { first: n },
        HoldReason::Hole { at: n },
        HoldReason::NotABundle { at: n },
        HoldReason::NotFollowing { at: n, why: "it does not".into() },
    ];
    reasons.extend(witnesses.map(|witness| HoldReason::Behind { witness, reached: n, end: n }));
    reasons.extend(witnesses.map(|witness| HoldReason::Different { witness, at: n }));
    for reason in reasons {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<HoldReason>(&text).unwrap(), reason, "{text}");
        assert!(!reason.remedy().is_empty());
    }
}

proptest! {
    #[test]
    fn a_journal_that_only_grew_contradicts_nothing(reached in prop::collection::vec(sequence(), 0..8), more in sequence()) {
        let mut state = JournalState::New {};
        let mut end = Sequence::ZERO;
        for reached in reached {
            end = end.max(reached);
            state = state.begun(at(9), reached);
            let standing = Standing { made_at: at(9), end };
            prop_assert_eq!(state.contradiction(Some(&standing)), None);
            let longer = Standing { end: Sequence::new(end.get() + more.get()), ..standing };
            prop_assert_eq!(state.contradiction(Some(&longer)), None);
        }
    }

    #[test]
    fn a_journal_that_is_shorter_or_another_one_always_does(reached in 1..40_u64, end in 0..80_u64, made_at in 8..11_u64) {
        let state = JournalState::Creating {}.begun(at(9), Sequence::new(reached)).begun(at(9), Sequence::ZERO);
        let standing = Standing { made_at: at(made_at), end: Sequence::new(end) };
        let contradicts = state.contradiction(Some(&standing)).is_some();
        prop_assert_eq!(contradicts, made_at != 9 || end < reached);
    }

    #[test]
    fn what_was_seen_has_to_be_there_as_it_was(seen in sequence(), end in sequence(), same in any::<bool>(), known in any::<bool>()) {
        let digest = known.then(|| digest(b"one"));
        let sighting = Sighting { witness: Witness::Cursor {}, at: seen, digest };
        let bytes: &[u8] = if same { b"one" } else { b"other" };
        let found = sighting.contradiction(end, (end >= seen).then_some(bytes));
        let is_fine = seen == Sequence::ZERO || (end >= seen && (same || !known));
        prop_assert_eq!(found.is_none(), is_fine, "{:?}", found);
        let purged = sighting.contradiction(end, None);
        prop_assert_eq!(purged.is_none(), seen == Sequence::ZERO);
    }
}
