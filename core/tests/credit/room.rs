//! What a shard may still hand over to a worker, and what it says of that.

use headwater_core::Epoch;
use headwater_core::credit::{Credit, Room, Term};

const TERM: Term = Term { epoch: Epoch::FIRST, meeting: 1 };

#[test]
fn an_old_word_that_comes_late_changes_nothing() {
    let mut room = Room::new(TERM);
    let word = |word, lent| Credit { term: TERM, word, lent };
    room.hear(word(1, 3));
    room.hand(1);
    room.hear(word(2, 1));
    assert_eq!(room.free(), 0, "what was not used is taken back");
    room.hear(word(1, 3));
    assert_eq!(room.free(), 0);
    room.hear(Credit { term: Term { meeting: 2, ..TERM }, word: 9, lent: 9 });
    assert_eq!(room.free(), 0, "nor does one of another term");
    room.hear(word(3, 0));
    assert_eq!((room.free(), room.standing(false).handed), (0, 1), "what was used stays used");
}

#[test]
fn no_more_is_handed_over_than_was_lent() {
    let mut room = Room::new(TERM);
    assert_eq!(room.free(), 0, "nothing is lent at first");
    room.hear(Credit { term: TERM, word: 1, lent: 3 });
    assert_eq!(room.free(), 3);
    room.hand(2);
    assert_eq!((room.free(), room.standing(false).handed), (1, 2));
    room.hand(2);
    assert_eq!((room.free(), room.standing(false).handed), (0, 3));
}

#[test]
fn what_a_worker_is_told_counts_what_it_has_not_spoken_of_and_every_message() {
    let mut room = Room::new(TERM);
    room.hear(Credit { term: TERM, word: 1, lent: 9 });
    for tasks in [3, 2] {
        room.hand(tasks);
        room.number();
    }
    room.heard();
    let told = room.standing(true);
    assert_eq!((told.term, told.handed, told.unheard, told.message, told.waiting), (TERM, 5, 4, 2, true));
    (0..9).for_each(|_| room.heard());
    assert_eq!(room.standing(false).unheard, 0, "more cannot be spoken of than was handed over");
}

#[test]
fn who_holds_half_of_what_it_lent_is_not_idle() {
    let mut room = Room::new(TERM);
    room.hear(Credit { term: TERM, word: 1, lent: 5 });
    room.hand(2);
    assert!(room.is_half_idle(), "three are free, two are held");
    room.hear(Credit { term: TERM, word: 2, lent: 4 });
    assert!(!room.is_half_idle(), "as many are free as are held");
    room.heard();
    assert!(room.is_half_idle());
}

#[test]
fn who_holds_as_many_tasks_as_go_together_is_not_below_that() {
    let mut room = Room::new(TERM);
    room.hear(Credit { term: TERM, word: 1, lent: 9 });
    room.hand(2);
    assert_eq!([2, 3].map(|tasks| room.is_below(tasks)), [false, true]);
}
