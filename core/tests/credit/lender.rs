//! To which shard a worker lends what is free, what it takes back, and when it says so.

use headwater_core::credit::{Credit, Lender, Room, Standing, Term};
use headwater_core::{Epoch, ShardId};

const TERM: Term = Term { epoch: Epoch::FIRST, meeting: 1 };
const NEXT_TERM: Term = Term { epoch: Epoch::FIRST, meeting: 2 };

fn shard(number: u16) -> ShardId {
    ShardId::new(number).unwrap()
}

/// What a shard says at first.
fn stands(waiting: bool) -> Standing {
    Standing { term: TERM, handed: 0, unheard: 0, message: 0, waiting }
}

/// What a shard says that has handed so many over, which are all on their way.
fn handed(handed: u64, message: u64) -> Standing {
    Standing { handed, unheard: handed, message, ..stands(false) }
}

/// A worker that knows one shard and has lent it everything.
fn lent_to_one(slots: u64) -> (Lender, Credit) {
    let mut lender = Lender::new(slots);
    lender.hear(shard(0), stands(false));
    assert_eq!(lender.share(slots, &[], 0), [shard(0)]);
    let credit = lender.credit(shard(0));
    assert_eq!(credit, Credit { term: TERM, word: 1, lent: slots });
    (lender, credit)
}

/// A worker that has lent one shard everything, is called by another, and asks for half back.
fn takes_back(slots: u64) -> (Lender, Credit, Credit) {
    let (mut lender, before) = lent_to_one(slots);
    lender.called(shard(1), Epoch::FIRST);
    assert_eq!(lender.share(slots, &[], 0), [shard(0)], "it is asked");
    let after = lender.credit(shard(0));
    (lender, before, after)
}

/// Makes a lender that has heard of four shards, all with tasks waiting or none.
fn lender(slots: u64, waiting: bool) -> (Lender, Vec<ShardId>) {
    let shards: Vec<_> = (0..4).map(|shard| ShardId::new(shard).unwrap()).collect();
    let mut lender = Lender::new(slots);
    for shard in &shards {
        lender.hear(*shard, Room::new(Term { epoch: Epoch::FIRST, meeting: 1 }).standing(waiting));
    }
    (lender, shards)
}

fn lent(lender: &mut Lender, shards: &[ShardId]) -> Vec<u64> {
    let mut lent: Vec<_> = shards.iter().map(|shard| lender.credit(*shard).lent).collect();
    lent.sort_unstable();
    lent
}

#[test]
fn few_slots_go_to_few_shards_with_one_for_each_where_that_leaves_many() {
    for (slots, expected) in [(4, [0, 0, 0, 4]), (16, [1, 1, 1, 13]), (32, [1, 1, 15, 15]), (64, [16, 16, 16, 16])] {
        let (mut lender, shards) = lender(slots, false);
        lender.share(slots, &[], 0);
        assert_eq!(lent(&mut lender, &shards), expected);
    }
}

#[test]
fn where_all_wait_each_has_its_turn() {
    let (mut lender, shards) = lender(4, true);
    let mut told: Vec<_> = (0..4)
        .flat_map(|turn| {
            let told = lender.share(4, &[], turn);
            // All four were used at once, and end before the next turn.
            let before = lender.credit(told[0]).lent;
            let term = Term { epoch: Epoch::FIRST, meeting: 1 };
            let standing = Standing { term, handed: before, unheard: 0, message: 1, waiting: true };
            lender.hear(told[0], standing);
            told
        })
        .collect();
    told.sort_unstable();
    assert_eq!(told, shards);
}

#[test]
fn one_is_kept_for_each_shard_where_there_are_two_slots_for_each() {
    for (slots, expected) in [(8, [1, 1, 1, 5]), (7, [0, 0, 0, 7])] {
        let (mut lender, shards) = lender(slots, false);
        lender.share(slots, &[], 0);
        assert_eq!(lent(&mut lender, &shards), expected);
    }
}

#[test]
fn what_may_still_come_is_what_was_lent_and_did_not_come() {
    let (mut lender, _) = lent_to_one(4);
    assert_eq!(lender.idle(), 4);
    lender.hear(shard(0), handed(2, 1));
    assert_eq!(lender.idle(), 4, "they are on their way");
    for idle in [3, 2, 2] {
        lender.took(shard(0));
        assert_eq!(lender.idle(), idle, "no more come than were handed over");
    }
}

#[test]
fn what_was_handed_over_and_is_not_expected_to_come_will_not_come() {
    let (mut lender, _) = lent_to_one(4);
    lender.hear(shard(0), Standing { unheard: 1, ..handed(3, 1) });
    assert_eq!(lender.idle(), 2);
    lender.hear(shard(0), handed(2, 1));
    assert_eq!(lender.idle(), 2, "what is said late changes nothing");
}

#[test]
fn what_a_shard_says_of_an_older_term_is_not_listened_to() {
    let mut lender = Lender::new(4);
    assert!(lender.hear(shard(0), Standing { term: NEXT_TERM, ..stands(false) }));
    assert!(!lender.hear(shard(0), Standing { waiting: true, ..handed(1, 9) }));
    assert!(lender.hear(shard(0), Standing { term: NEXT_TERM, ..stands(false) }), "the same again is");
    let next = Standing { term: NEXT_TERM, ..handed(0, 1) };
    assert!(lender.is_news(shard(0), next), "no message was counted");
}

#[test]
fn in_a_newer_term_nothing_is_lent_and_words_go_on() {
    let (mut lender, _) = lent_to_one(4);
    lender.hear(shard(0), Standing { term: NEXT_TERM, ..stands(false) });
    assert_eq!(lender.idle(), 0);
    assert_eq!(lender.credit(shard(0)), Credit { term: NEXT_TERM, word: 2, lent: 0 });
    let epoch = Epoch::FIRST.next();
    lender.share(4, &[], 0);
    lender.called(shard(0), epoch);
    assert_eq!(lender.credit(shard(0)), Credit { term: Term::unmet(epoch), word: 3, lent: 0 });
}

/// A worker that holds one task of the first shard and two of the second, whose tasks wait or do not.
fn holds(slots: u64, waiting: bool, ends: u64) -> Lender {
    let mut lender = Lender::new(slots);
    for (number, free) in [(0, 1), (1, 2)] {
        lender.hear(shard(number), stands(false));
        lender.share(free, &[shard(number); 2], 0);
        lender.hear(shard(number), handed(free, 1));
        (0..free).for_each(|_| lender.took(shard(number)));
    }
    for (number, tasks) in [(0, 1), (1, 2)] {
        lender.hear(shard(number), Standing { waiting, ..handed(tasks, 1) });
    }
    (0..ends).for_each(|_| lender.let_go(shard(1)));
    lender
}

#[test]
fn of_two_that_wait_the_one_that_has_least_is_lent_more_in_the_next_term_too() {
    for (ends, least) in [(0, 0), (2, 1), (9, 1)] {
        let mut lender = holds(32, true, ends);
        assert_eq!(lender.clone().share(1, &[], 0), [shard(least)], "{ends} have ended");
        let next = Standing { term: NEXT_TERM, ..stands(true) };
        (0..2).for_each(|number| assert!(lender.hear(shard(number), next)));
        assert_eq!(lender.clone().share(1, &[], 0), [shard(least)], "{ends} have ended");
        (0..2).for_each(|number| lender.called(shard(number), Epoch::FIRST.next()));
        assert_eq!(lender.share(1, &[], 0), [shard(least)], "{ends} have ended");
    }
}

#[test]
fn a_shard_of_which_something_is_held_needs_none_in_reserve() {
    let mut lender = holds(16, false, 0);
    assert_eq!(lender.clone().share(1, &[], 0), [shard(1)], "that is where it is at home");
    lender.let_go(shard(0));
    assert_eq!(lender.share(1, &[], 0), [shard(0)]);
}

#[test]
fn only_a_message_newer_than_all_before_brings_tasks() {
    let mut lender = Lender::new(4);
    assert!(lender.is_news(shard(0), handed(1, 0)), "nothing was heard of it");
    lender.hear(shard(0), Standing { term: NEXT_TERM, ..handed(1, 2) });
    let news = |term, message| lender.is_news(shard(0), Standing { term, ..handed(1, message) });
    assert_eq!([1, 2, 3].map(|message| news(NEXT_TERM, message)), [false, false, true]);
    assert!(!news(TERM, 9), "of an older term");
    assert!(news(Term { meeting: 3, ..TERM }, 1), "of a newer one");
}

#[test]
fn a_message_is_early_where_one_before_it_is_missing() {
    let mut lender = Lender::new(4);
    assert!(!lender.is_early(shard(0), handed(1, 2)), "nothing was heard of it");
    lender.hear(shard(0), Standing { term: NEXT_TERM, ..handed(1, 2) });
    let early = |term, message| lender.is_early(shard(0), Standing { term, ..handed(1, message) });
    assert_eq!([2, 3, 4].map(|message| early(NEXT_TERM, message)), [false, false, true]);
    assert!(!early(TERM, 9) && !early(Term { meeting: 3, ..TERM }, 9), "other terms count by themselves");
}

#[test]
fn half_of_what_is_not_used_is_asked_back_for_a_shard_that_waits_and_has_none() {
    for (slots, left) in [(4, 2), (3, 1), (1, 0)] {
        let (mut lender, _, after) = takes_back(slots);
        assert_eq!((after.word, after.lent), (2, left));
        assert_eq!(lender.idle(), slots, "it may not have heard");
        assert_eq!(lender.share(slots, &[], 0), [], "one at a time");
    }
}

#[test]
fn what_was_asked_back_is_lent_elsewhere_when_the_last_word_was_answered() {
    let (mut lender, before, after) = takes_back(4);
    lender.answered(shard(0), before, stands(false));
    assert_eq!(lender.idle(), 4, "that word came before");
    lender.answered(shard(0), after, Standing { term: NEXT_TERM, ..stands(false) });
    assert_eq!(lender.idle(), 0, "it began anew");
    let (mut lender, _, after) = takes_back(4);
    lender.answered(shard(0), after, stands(false));
    assert_eq!(lender.idle(), 2);
    assert_eq!(lender.share(4, &[], 0), [shard(1)]);
    assert_eq!(lender.credit(shard(1)).lent, 2);
}

#[test]
fn what_was_handed_over_meanwhile_is_not_taken_back() {
    let (mut lender, _, after) = takes_back(4);
    lender.answered(shard(0), after, handed(3, 1));
    assert_eq!(lender.idle(), 3, "they are on their way");
    assert_eq!(lender.credit(shard(0)).lent, 3);
}

#[test]
fn it_is_asked_back_from_who_has_most_and_from_nobody_that_waits() {
    let mut lender = Lender::new(9);
    for (number, free) in [(0, 2), (1, 5), (2, 9)] {
        lender.hear(shard(number), stands(number == 2));
        let from = vec![shard(number); 9];
        if number < 2 {
            lender.share(free, &from, 0);
        } else {
            lender.share(free, &[], 2);
        }
    }
    assert_eq!([0, 1, 2].map(|number| lender.credit(shard(number)).lent), [2, 3, 4]);
    lender.called(shard(3), Epoch::FIRST);
    assert_eq!(lender.share(9, &[], 0), [shard(1)]);
    assert_eq!([0, 1, 2].map(|number| lender.credit(shard(number)).lent), [2, 1, 4]);
}

#[test]
fn nothing_is_asked_back_where_nobody_waits_or_who_waits_has_some_or_nobody_else_has() {
    let (mut lender, _) = lent_to_one(4);
    lender.hear(shard(1), stands(false));
    assert_eq!(lender.share(4, &[], 0), []);
    let mut lender = Lender::new(4);
    for (number, free) in [(0, 2), (1, 4)] {
        lender.hear(shard(number), stands(false));
        lender.share(free, &[shard(number); 4], 0);
    }
    lender.hear(shard(1), stands(true));
    assert_eq!(lender.share(4, &[], 0), []);
    let (mut lender, _) = lent_to_one(2);
    lender.hear(shard(0), handed(2, 1));
    (0..2).for_each(|_| lender.took(shard(0)));
    lender.called(shard(1), Epoch::FIRST);
    assert_eq!(lender.share(0, &[], 0), [], "nor from who has used everything");
}

/// Tasks that are done as they come leave their slots before anybody looks: who has used all that it was lent, and more wait,
/// is lent what others do not use, but for one each.
#[test]
fn half_is_asked_back_too_for_a_shard_whose_quick_tasks_have_used_all_it_was_lent() {
    let (mut lender, shards) = lender(64, false);
    lender.share(64, &[], 0);
    let busy = shards[1];
    let mut told = 0;
    for round in 1..=40_u64 {
        let credit = lender.credit(busy);
        let standing = Standing { handed: credit.lent, unheard: credit.lent - told, message: round, ..stands(true) };
        lender.answered(busy, credit, standing);
        let came = credit.lent - told;
        (0..came).for_each(|_| lender.took(busy));
        (0..came).for_each(|_| lender.let_go(busy));
        told = credit.lent;
        for asked in lender.share(64, &vec![busy; came as usize], 0) {
            if asked != busy {
                let credit = lender.credit(asked);
                lender.answered(asked, credit, stands(false));
            }
        }
        assert!(lender.idle() <= 64);
    }
    let credit = lender.credit(busy);
    assert_eq!(credit.lent - told, 61, "all but one for each of the others");
    lender.answered(busy, credit, Standing { handed: told + 5, unheard: 5, message: 41, ..stands(false) });
    assert_eq!(lender.share(59, &[], 0), [], "nothing is asked back for who has room left");
}

#[test]
fn what_was_asked_back_and_not_given_is_lent_again_before_anything_else() {
    let (mut lender, ..) = takes_back(4);
    lender.hear(shard(1), stands(false));
    lender.hear(shard(0), stands(true));
    assert_eq!(lender.share(5, &[], 0), [shard(0)]);
    assert_eq!((lender.credit(shard(0)).lent, lender.idle()), (5, 5), "two of them had not been given back");
}

#[test]
fn what_is_freed_goes_back_where_it_came_from_unless_tasks_wait() {
    let (mut lender, shards) = lender(3, false);
    assert_eq!(lender.share(3, &[shards[2], shards[3], shards[2]], 0), [shards[2], shards[3]]);
    assert_eq!([0, 1, 2, 3].map(|number| lender.credit(shards[number]).lent), [0, 0, 2, 1]);
    lender.hear(shards[1], stands(true));
    assert_eq!(lender.share(4, &[shards[2]], 0), [shards[1]]);
    assert_eq!(lender.share(4, &[], 0), [], "there is no more");
    let mut lender = Lender::new(1);
    lender.hear(shard(0), stands(false));
    assert_eq!(lender.share(1, &[shard(7)], 0), [shard(0)], "who is not known gets nothing back");
    assert_eq!(Lender::new(1).share(1, &[shard(7)], 0), []);
}

#[test]
fn who_calls_though_it_was_lent_something_is_told_again() {
    let (mut lender, _) = lent_to_one(2);
    lender.called(shard(0), Epoch::FIRST);
    assert_eq!(lender.share(2, &[], 0), [shard(0)]);
    assert_eq!(lender.credit(shard(0)), Credit { term: TERM, word: 2, lent: 2 });
    assert_eq!(lender.share(2, &[], 0), [], "once");
    lender.hear(shard(0), handed(2, 1));
    (0..2).for_each(|_| lender.took(shard(0)));
    lender.called(shard(0), Epoch::FIRST);
    assert_eq!(lender.share(0, &[], 0), [], "it has used everything");
}

#[test]
fn a_call_of_an_older_owner_is_no_call() {
    let epoch = Epoch::FIRST.next();
    let mut lender = Lender::new(4);
    lender.called(shard(0), Epoch::FIRST);
    lender.hear(shard(1), Standing { term: Term::unmet(epoch), ..stands(false) });
    lender.called(shard(1), Epoch::FIRST);
    assert_eq!(lender.share(1, &[], 1), [shard(0)], "it is the only one that waits");
    assert_eq!(lender.share(1, &[], 1), []);
}

#[test]
fn with_each_heartbeat_what_was_not_answered_is_said_again() {
    let (mut lender, credit) = lent_to_one(2);
    lender.doubt();
    assert_eq!(lender.share(2, &[], 0), [shard(0)]);
    let again = lender.credit(shard(0));
    lender.answered(shard(0), credit, stands(false));
    lender.doubt();
    assert_eq!(lender.share(2, &[], 0), [shard(0)], "the answer was to another word");
    let last = lender.credit(shard(0));
    assert_eq!((again.word, last.word), (2, 3));
    lender.answered(shard(0), last, stands(false));
    lender.doubt();
    assert_eq!(lender.share(2, &[], 0), []);
    lender.hear(shard(0), stands(true));
    lender.doubt();
    assert_eq!(lender.share(2, &[], 0), [shard(0)], "it waits, and does not use what it has");
    let last = lender.credit(shard(0));
    lender.answered(shard(0), last, Standing { waiting: true, unheard: 0, ..handed(2, 1) });
    lender.doubt();
    assert_eq!(lender.share(0, &[], 0), [], "it waits, and has used everything");
}

#[test]
fn a_worker_that_stops_takes_back_all_that_was_not_used() {
    let mut lender = Lender::new(4);
    for number in [0, 1] {
        lender.hear(shard(number), stands(true));
        lender.share(2 * (u64::from(number) + 1), &[], u64::from(number) + 1);
    }
    let lent = [0, 1].map(|number| lender.credit(shard(number)).lent);
    assert_eq!(lent.iter().sum::<u64>(), 4);
    lender.hear(shard(0), Standing { waiting: true, ..handed(1, 1) });
    assert_eq!(lender.close(), [shard(0), shard(1)]);
    assert_eq!([0, 1].map(|number| lender.credit(shard(number)).lent), [1, 0]);
}

#[test]
fn nothing_is_lent_to_who_is_not_known() {
    let lent = Lender::new(4).credit(shard(0));
    assert_eq!(lent, Credit { term: Term::unmet(Epoch::FIRST), word: 0, lent: 0 });
    assert_eq!(Lender::new(4).share(4, &[], 0), []);
}
