//! Which workers a shard knows, and who of them is handed the next task.

use headwater_core::credit::{Credit, Hands, NAMES_MAX, SESSIONS_MAX};
use headwater_core::{Epoch, QueueName, SessionId, WorkspaceId};

fn session(number: u64) -> SessionId {
    SessionId::from_bits(number)
}

fn workspace(name: &str) -> WorkspaceId {
    name.parse().unwrap()
}

fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

fn names(count: usize) -> Vec<QueueName> {
    (0..count).map(|number| queue(&format!("q-{number}"))).collect()
}

fn meets(hands: &mut Hands, of: &str, number: u64, queues: &[QueueName]) -> bool {
    hands.meet(&"w".parse().unwrap(), session(number), &workspace(of), queues, Epoch::FIRST)
}

/// Workers of one workspace, by their numbers from 1, each with its queues and what it lends.
fn hands(workers: &[(&[&str], u64)]) -> Hands {
    let mut hands = Hands::default();
    for (number, (queues, lent)) in (1..).zip(workers) {
        let queues: Vec<_> = queues.iter().map(|name| queue(name)).collect();
        assert!(meets(&mut hands, "acme", number, &queues));
        lends(&mut hands, number, 1, *lent);
    }
    hands
}

fn lends(hands: &mut Hands, number: u64, word: u64, lent: u64) {
    let room = hands.room(session(number)).expect("it is known");
    room.hear(Credit { term: room.standing(false).term, word, lent });
}

/// Hands a task of a queue over; returns to whom.
fn to(hands: &mut Hands, name: &str) -> Option<u64> {
    let taken = hands.take(&workspace("acme"), &queue(name))?.session;
    (1..9).find(|number| session(*number) == taken)
}

fn turns(hands: &mut Hands, name: &str, count: usize) -> Vec<u64> {
    (0..count).map_while(|_| to(hands, name)).collect()
}

#[test]
fn a_worker_is_known_by_its_session_until_it_parts() {
    let mut hands = hands(&[(&["work"], 1), (&["work"], 2)]);
    assert!(hands.get(session(1)).is_some() && hands.room(session(1)).is_some());
    assert!(hands.get(session(3)).is_none() && hands.room(session(3)).is_none());
    hands.part(session(1));
    assert!(hands.get(session(1)).is_none());
    assert_eq!(turns(&mut hands, "work", 9), [2, 2]);
    hands.part(session(1));
    assert!(hands.is_served(&workspace("acme"), &queue("work")));
    hands.part(session(2));
    assert!(!hands.is_served(&workspace("acme"), &queue("work")));
}

#[test]
fn whoever_comes_again_is_met_anew() {
    let mut hands = Hands::default();
    let meeting = |hands: &mut Hands| {
        assert!(meets(hands, "acme", 1, &[]));
        hands.get(session(1)).unwrap().room.standing(false).term.meeting
    };
    assert_eq!([(); 2].map(|()| meeting(&mut hands)), [1, 1], "it never left");
    for expected in [2, 3] {
        hands.part(session(1));
        assert_eq!(meeting(&mut hands), expected);
    }
}

#[test]
fn nobody_else_may_speak_in_a_workers_session() {
    let mut hands = hands(&[(&["work"], 1)]);
    let mut meet = |worker: &str, of: &str, name: &str| {
        hands.meet(&worker.parse().unwrap(), session(1), &workspace(of), &[queue(name)], Epoch::FIRST)
    };
    assert!(!meet("other", "acme", "work"));
    assert!(!meet("w", "other", "work"));
    assert!(!meet("other", "acme", "other"));
    assert!(meet("w", "acme", "work"));
    assert_eq!(hands.get(session(1)).unwrap().worker.as_str(), "w");
    assert!(!hands.is_served(&workspace("acme"), &queue("other")));
}

#[test]
fn who_serves_other_queues_now_is_handed_those_and_keeps_its_room() {
    let mut hands = hands(&[(&["a", "b"], 4), (&["a"], 4)]);
    assert!(meets(&mut hands, "acme", 1, &[queue("b"), queue("c")]));
    assert_eq!(turns(&mut hands, "a", 9), [2; 4]);
    assert_eq!((to(&mut hands, "b"), to(&mut hands, "c")), (Some(1), Some(1)));
    let of = |name: &str| hands.free(&workspace("acme"), &queue(name));
    assert_eq!(["a", "b", "c", "d"].map(of), [0, 2, 2, 0]);
}

#[test]
fn the_room_for_a_queue_is_what_all_who_serve_it_lend() {
    let hands = hands(&[(&["a"], 3), (&["a", "b"], 4), (&["c"], 0)]);
    let of = |name: &str| hands.free(&workspace("acme"), &queue(name));
    assert_eq!(["a", "b", "c"].map(of), [7, 4, 0]);
    assert_eq!(hands.free(&workspace("other"), &queue("a")), 0);
    let served = |name: &str| hands.is_served(&workspace("acme"), &queue(name));
    assert_eq!(["a", "c", "d"].map(served), [true, true, false], "also by one that has no room now");
}

#[test]
fn a_queue_that_is_named_twice_is_served_once() {
    let mut hands = hands(&[(&["a", "a"], 2), (&["a"], 2)]);
    assert_eq!(hands.free(&workspace("acme"), &queue("a")), 4);
    assert_eq!(turns(&mut hands, "a", 9), [1, 2, 1, 2]);
}

#[test]
fn so_many_sessions_of_a_workspace_are_known_and_not_one_more() {
    let mut hands = Hands::default();
    let full = SESSIONS_MAX as u64;
    assert!((0..full).all(|number| meets(&mut hands, "acme", number, &[])));
    assert!(!meets(&mut hands, "acme", full, &[]));
    assert!(meets(&mut hands, "acme", 0, &[]), "it is known");
    assert!(meets(&mut hands, "other", full + 1, &[]), "others have room of their own");
    hands.part(session(0));
    assert!(meets(&mut hands, "acme", full, &[]));
    assert!(!meets(&mut hands, "acme", 0, &[]));
}

#[test]
fn so_many_queues_are_named_in_a_workspace_and_not_one_more() {
    let mut hands = Hands::default();
    assert!(meets(&mut hands, "acme", 1, &names(NAMES_MAX - 3)));
    assert!(meets(&mut hands, "acme", 2, &names(2)));
    assert!(!meets(&mut hands, "acme", 3, &names(2)));
    assert!(meets(&mut hands, "acme", 3, &names(1)));
    assert!(!meets(&mut hands, "acme", 2, &names(3)), "nor by naming more later");
    assert!(meets(&mut hands, "acme", 2, &names(1)), "fewer may be named");
    assert!(meets(&mut hands, "acme", 3, &names(2)), "and then somebody else more");
    assert!(!meets(&mut hands, "acme", 2, &names(2)));
}

#[test]
fn so_many_queues_are_named_in_all_workspaces_together_and_not_one_more() {
    let mut hands = Hands::default();
    for number in 1..4 {
        assert!(meets(&mut hands, &format!("acme-{number}"), number, &names(NAMES_MAX)));
    }
    assert!(meets(&mut hands, "acme-4", 4, &names(NAMES_MAX - 5)));
    assert!(meets(&mut hands, "small", 5, &names(4)));
    assert!(!meets(&mut hands, "one-more", 6, &names(2)));
    assert!(!meets(&mut hands, "small", 5, &names(6)));
    let others: Vec<_> = ["a", "b", "c", "d", "e"].map(queue).to_vec();
    assert!(meets(&mut hands, "small", 5, &others));
    assert!(!meets(&mut hands, "one-more", 6, &names(1)));
    hands.part(session(1));
    assert!(meets(&mut hands, "one-more", 6, &names(NAMES_MAX)));
    assert!(!meets(&mut hands, "small", 5, &names(6)));
}

#[test]
fn workers_take_turns_as_far_as_they_have_room() {
    let mut hands = hands(&[(&["a"], 2), (&["a"], 4), (&["a"], 3)]);
    assert_eq!(turns(&mut hands, "a", 99), [1, 2, 3, 2, 3, 2, 3, 1, 2]);
    assert_eq!((to(&mut hands, "a"), to(&mut hands, "b")), (None, None));
}

#[test]
fn who_has_lent_only_one_is_kept_for_what_finds_nobody_else() {
    let mut hands = hands(&[(&["a", "rare"], 1), (&["a"], 3)]);
    assert_eq!(turns(&mut hands, "a", 2), [2, 2]);
    assert_eq!(turns(&mut hands, "rare", 2), [1]);
    assert_eq!(turns(&mut hands, "a", 2), [2]);
}

#[test]
fn who_is_preferred_comes_first_where_it_serves_and_has_room() {
    let mut hands = hands(&[(&["a"], 5), (&["a"], 2), (&["b"], 5)]);
    hands.speak(session(1), None);
    for (preferred, taken) in [(Some(2), vec![2, 2, 1]), (Some(3), vec![1]), (Some(9), vec![1]), (None, vec![1])] {
        hands.prefer(preferred.map(session));
        assert_eq!(hands.preferred(), preferred.map(session));
        assert_eq!(turns(&mut hands, "a", taken.len()), taken, "{preferred:?}");
    }
    assert!(meets(&mut hands, "other", 4, &[queue("a")]));
    lends(&mut hands, 4, 1, 9);
    hands.prefer(Some(session(4)));
    assert_eq!(to(&mut hands, "a"), Some(1), "that is of another workspace");
    hands.part(session(1));
    assert_eq!(hands.preferred(), Some(session(4)));
    hands.part(session(4));
    assert_eq!(hands.preferred(), None);
}

#[test]
fn who_spoke_last_is_handed_more_until_it_is_half_busy_and_then_who_spoke_before() {
    let mut hands = hands(&[(&["a"], 9), (&["a"], 4), (&["a"], 6)]);
    hands.speak(session(3), None);
    hands.speak(session(2), None);
    assert_eq!(turns(&mut hands, "a", 5), [2, 2, 3, 3, 3]);
    assert_eq!(turns(&mut hands, "a", 2), [1, 2], "all are shared among from now on");
}

#[test]
fn who_lent_one_and_speaks_is_not_handed_it_for_that() {
    let mut hands = hands(&[(&["a"], 1), (&["a"], 9)]);
    hands.speak(session(1), None);
    assert_eq!(to(&mut hands, "a"), Some(2));
}

#[test]
fn who_spoke_and_serves_something_else_is_kept_for_that() {
    let mut hands = hands(&[(&["a"], 9), (&["b"], 9), (&["a"], 9)]);
    hands.speak(session(3), None);
    hands.speak(session(2), None);
    assert_eq!(turns(&mut hands, "a", 3), [1, 3, 1], "they are shared among");
    assert_eq!(to(&mut hands, "b"), Some(2));
    hands.hush();
    assert_eq!(turns(&mut hands, "a", 2), [3, 1]);
}

#[test]
fn who_spoke_in_another_workspace_is_handed_nothing_of_this_one() {
    let mut hands = hands(&[(&["a"], 9)]);
    assert!(meets(&mut hands, "other", 2, &[queue("a")]));
    lends(&mut hands, 2, 1, 9);
    hands.speak(session(2), None);
    assert_eq!(to(&mut hands, "a"), Some(1));
}

#[test]
fn who_was_quick_gathers_of_its_queue_until_it_holds_sixteen_and_keeps_its_turn() {
    let mut hands = hands(&[(&["a", "b"], 30), (&["a", "b"], 30)]);
    hands.speak(session(2), Some(&queue("a")));
    hands.hush();
    assert_eq!(turns(&mut hands, "a", 3), [1, 2, 2], "when its turn comes");
    assert_eq!(turns(&mut hands, "a", 17), [vec![2; 15], vec![1, 2]].concat(), "and then in turn");
    assert_eq!(hands.get(session(2)).unwrap().quick_at, Some(queue("a")));
    hands.speak(session(2), None);
    assert_eq!(hands.get(session(2)).unwrap().quick_at, None, "what it reported last counts");
}

#[test]
fn who_was_quick_and_has_lent_no_more_gathers_nothing() {
    let mut hands = hands(&[(&["a"], 2), (&["a"], 9)]);
    hands.speak(session(1), Some(&queue("a")));
    assert_eq!(turns(&mut hands, "a", 4), [1, 1, 2, 2], "it is given all that it lends");
}
