//! What `heard` means where a shard began anew: nothing is dropped as done before, nothing is missing, nothing comes twice.

use headwater_core::credit::Hands;
use headwater_core::shard::{
    Bundle, EffectPlace, HoldReason, Mismatch, Origin, Owner, Rejection, Replaces, Resending, Shard, ShardMap,
    Submission, Way,
};
use headwater_core::{Actor, BundleId, CommandId, Epoch, Incarnation, Sequence, ShardId, Timestamp};
use proptest::prelude::*;

use crate::lanes::{apply, declare, go, many, now, place, sender};
use crate::world::{empty, shard_zero};

fn incarnation(number: u32) -> Incarnation {
    Incarnation::new(number)
}

fn within(number: u32, sequence: u64, index: u32) -> EffectPlace {
    let EffectPlace { sequence, index } = place(sequence, index);
    EffectPlace { sequence: sequence.within(incarnation(number)), index }
}

fn replaces() -> Replaces {
    Replaces {
        from: Incarnation::FIRST,
        release: CommandId::from_uuid(uuid::Uuid::from_u128(77)),
        contradicted: HoldReason::Missing {},
        actor: Some(Actor::Claimed("somebody".parse().unwrap())),
        reason: "no copy is left".to_owned(),
        at: Timestamp::from_micros(7),
    }
}

fn toward(submission: Submission, number: u32) -> Submission {
    let from = submission.from.map(|from| Origin { toward: incarnation(number), ..from });
    Submission { from, ..submission }
}

/// Appends what the owner has; returns the bundle and on which ways something left.
fn append(owner: &mut Owner<()>, journal: &mut Vec<Vec<u8>>) -> (Sequence, Vec<Way>) {
    let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(journal.len() as u128))).unwrap();
    assert_eq!(append.expected.in_stream().get(), journal.len() as u64);
    journal.push(append.bytes);
    let released = owner.appended(Sequence::new(journal.len() as u64));
    let map = ShardMap::even(8).unwrap();
    (owner.last(), released.effects.iter().filter_map(|effect| effect.way(&map)).collect())
}

fn fold(owner: &mut Owner<()>, journal: &[Vec<u8>]) -> Result<(), Mismatch> {
    for at in owner.last().in_stream().get()..journal.len() as u64 {
        let bytes = &journal[at as usize];
        owner.fold(Sequence::new(at + 1), &Bundle::read(bytes).unwrap(), bytes)?;
    }
    Ok(())
}

#[test]
fn a_shard_that_began_anew_is_heard_from_its_start_and_what_it_was_heard_of_before_is_not_again() {
    let mut owner = Owner::new(empty());
    for number in 1..=9 {
        go(&mut owner, declare(number, place(number, 0), None)).0.unwrap();
    }
    // It fell back to its fourth entry: what that may not have delivered comes again, then what is new.
    for number in 3..=4 {
        assert_eq!(go(&mut owner, declare(number, place(number, 0), None)).1.commits, [], "{number}");
    }
    for (number, sequence) in (21..).zip(5..=12) {
        let (answer, bundle) = go(&mut owner, declare(number, within(1, sequence, 0), None));
        assert_eq!((answer, bundle.commits.len()), (Ok(()), 1), "{sequence}");
        let again = go(&mut owner, declare(number, within(1, sequence, 0), None)).1;
        assert_eq!(again.commits, [], "once");
    }
    // Made anew altogether.
    assert_eq!(go(&mut owner, declare(40, within(2, 1, 0), None)).1.commits.len(), 1);
    assert_eq!(owner.shard().heard(sender()), Some(within(2, 1, 0)));
    assert_eq!(go(&mut owner, declare(41, within(1, 99, 0), None)).1.commits, [], "of who drives it no longer");
}

#[test]
fn a_shard_that_began_anew_hears_nobody_who_sends_to_it_as_it_was() {
    let mut owner = Owner::new(empty());
    go(&mut owner, declare(1, place(4, 0), None)).0.unwrap();
    let mut anew = Owner::new(empty());
    anew.begin_incarnation(incarnation(1), replaces());
    let mut journal = Vec::new();
    append(&mut anew, &mut journal);
    let opened = Bundle::read(&journal[0]).unwrap();
    assert_eq!((opened.replaces, opened.needs), (Some(Box::new(replaces())), 4));
    assert_eq!((opened.epoch, owner.epoch() < opened.epoch), (Epoch::first_of(incarnation(1)), true));
    // All it comes after was answered, by the one before.
    assert_eq!(go(&mut anew, declare(2, place(5, 0), None)).0, Err(Rejection::Gap { heard: None }));
    for number in [0, 2] {
        let stray = toward(declare(2, place(5, 0), None), number);
        assert_eq!(go(&mut anew, stray).0, Err(Rejection::Gap { heard: None }), "{number}");
    }
    for (number, at) in [(1, place(4, 0)), (2, place(5, 0))] {
        let (answer, bundle) = go(&mut anew, toward(declare(number, at, None), 1));
        assert_eq!((answer, bundle.commits.len(), bundle.heard), (Ok(()), 1, vec![(sender(), at)]));
    }
    let mut next = Owner::<()>::new(empty());
    fold(&mut next, &journal).unwrap();
    assert_eq!((next.shard().lanes().incarnation(), next.released_by()), (incarnation(1), Some(replaces().release)));
    assert_eq!(next.last(), Sequence::FIRST.within(incarnation(1)));
    let restored = Owner::<()>::restore(empty(), &next.checkpoint()).unwrap();
    assert_eq!((restored.shard().lanes().incarnation(), restored.last()), (incarnation(1), next.last()));
}

fn lane_of(effects: &[(Sequence, Vec<headwater_core::shard::Effect>)], way: Way) -> Vec<(Sequence, String)> {
    let map = ShardMap::even(8).unwrap();
    let of = |(sequence, effects): &(Sequence, Vec<headwater_core::shard::Effect>)| {
        let on_it = effects.iter().filter(|effect| effect.way(&map) == Some(way));
        on_it.map(|effect| (*sequence, serde_json::to_string(effect).unwrap())).collect::<Vec<_>>()
    };
    effects.iter().filter(|(sequence, _)| *sequence > Sequence::ZERO).flat_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However much was delivered before, wherever a checkpoint was taken: what the new incarnation has not heard is sent again,
    /// in its order and with its places, and nothing else is.
    #[test]
    fn what_a_shard_that_began_anew_has_not_heard_is_sent_again_in_order(
        delivered in prop::collection::vec(any::<bool>(), 3..9),
        heard in prop::option::of((1..9_u64, 0..3_u32)),
        checkpoint_at in 1..9_usize,
    ) {
        let map = ShardMap::even(8).unwrap();
        let (mut owner, mut journal) = (many(), Vec::new());
        // The lane to a shard that all of them have something for.
        let mut lane = None;
        for (number, is_delivered) in (1..).zip(&delivered) {
            owner.submit((), apply(number), now(), &mut Hands::default());
            let (sequence, mut ways) = append(&mut owner, &mut journal);
            ways.sort_unstable();
            ways.dedup();
            lane = lane.or(ways.iter().copied().find(|way| matches!(way, Way::Lane(_))));
            for way in ways.into_iter().filter(|way| *is_delivered || Some(*way) != lane) {
                owner.effects_delivered(way, sequence);
            }
        }
        let way = lane.unwrap();
        let Way::Lane(to) = way else { unreachable!() };
        let mut whole = many();
        fold(&mut whole, &journal).unwrap();
        let checkpoint = {
            let mut early = many();
            fold(&mut early, &journal[..checkpoint_at.min(journal.len())]).unwrap();
            early.checkpoint()
        };
        // An owner says it, and is gone.
        let heard = heard.map(|(sequence, index)| place(sequence, index));
        let resending = Resending { to, incarnation: incarnation(1), heard };
        let others: Vec<_> = whole.inherit().into_iter().map(|(sequence, effects)| {
            (sequence, effects.into_iter().filter(|effect| effect.way(&map) != Some(way)).collect::<Vec<_>>())
        }).collect();
        whole.resend(resending.clone());
        append(&mut whole, &mut journal);
        let at = Sequence::new(journal.len() as u64);

        let all: Vec<_> = {
            let mut nobody_delivered = many();
            nobody_delivered.keep_for(&resending, Sequence::new(u64::MAX));
            fold(&mut nobody_delivered, &journal).unwrap();
            lane_of(&nobody_delivered.inherit(), way)
        };
        let mark = heard.map_or(0, |heard| heard.sequence.get() - 1);
        let wanted: Vec<_> = all.into_iter().filter(|(sequence, _)| sequence.get() > mark).collect();
        prop_assert_eq!(wanted.iter().map(|(at, _)| at.get()).min(), (mark < at.get() - 1).then_some(mark + 1));

        let mut kept = many();
        kept.keep_for(&resending, at);
        fold(&mut kept, &journal).unwrap();
        prop_assert_eq!(kept.shard().lanes().toward(to), incarnation(1));
        let again = Owner::<()>::restore(Shard::new(shard_zero(), map.clone()), &kept.checkpoint()).unwrap();
        let restored = Owner::<()>::restore(Shard::new(shard_zero(), map.clone()), &checkpoint).unwrap();
        for (mut next, what) in [(many(), "whole"), (restored, "from before"), (again, "from after")] {
            match fold(&mut next, &journal) {
                Ok(()) => {
                    let inherited = next.inherit();
                    prop_assert_eq!(&lane_of(&inherited, way), &wanted, "{}", what);
                    for (sequence, effects) in &others {
                        let on = |way| lane_of(&[(*sequence, effects.clone())], way);
                        for other in [Way::Feed, Way::Definitions, Way::Lane(ShardId::new(0).unwrap())] {
                            let of = |(_, one): &(Sequence, String)| one.clone();
                            let before: Vec<_> = on(other).iter().map(of).collect();
                            let after = lane_of(&inherited, other);
                            prop_assert!(before.iter().all(|one| after.iter().any(|(_, found)| found == one)) || other == way);
                        }
                    }
                }
                // Then it has to be folded from the start.
                Err(Mismatch::Resent { resending: found, at: place }) => {
                    prop_assert_eq!((&found, place), (&resending, at));
                    prop_assert!(what != "from after");
                }
                Err(mismatch) => prop_assert!(false, "{}", mismatch),
            }
        }
        let mut inherited = kept.inherit();
        inherited.pop();
        prop_assert_eq!(lane_of(&inherited, way), wanted);
    }

    #[test]
    fn every_place_of_a_later_incarnation_comes_after_each_of_an_earlier(
        one in 0..1_u64 << 40, other in 0..1_u64 << 40, earlier in 0..8_000_u32, later in 1..100_u32,
    ) {
        let later = incarnation(earlier + later);
        let (one, other) = (Sequence::new(one).within(incarnation(earlier)), Sequence::new(other).within(later));
        prop_assert!(one < other);
        prop_assert_eq!((other.incarnation(), other.in_stream().within(later)), (later, other));
        prop_assert!(i64::try_from(Sequence::new(u64::MAX).within(Incarnation::LAST).get()).is_ok());
        prop_assert!(Epoch::first_of(later) > Epoch::new(Epoch::first_of(incarnation(earlier)).get() + (1 << 39)));
    }
}
