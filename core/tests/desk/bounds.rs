//! What a desk keeps for those who ask it: so much, and not one more.

use std::time::Duration;

use headwater_core::credit::{Credit, NAMES_MAX, SESSIONS_MAX, Term};
use headwater_core::desk::{Input, LINE_BYTES_MAX, LINE_OF_SENDER_MAX, Output};
use headwater_core::protocol::{
    Hello, PROTOCOL, QUEUES_MAX, ReadFrame, ShardReply, ShardRequest, WorkAnswer, WorkRequest,
};
use headwater_core::shard::{Bounds, Rejection};
use headwater_core::{Epoch, QueueName, RunId, SessionId};
use serde_json::json;

use crate::floods::Flood;
use crate::room::{FRAME, Room, SESSION, slow_value};

/// As `docs/bounds.md` says.
const WATCHERS_MAX: u64 = 32_768;

fn awaits(room: &mut Room, reply: u64, run: RunId) {
    room.take(Input::Commands { requests: vec![ShardRequest::AwaitRun { run }], reply });
}

impl Room {
    /// Says whether a worker's frame with these queues is taken.
    fn takes(&mut self, workspace: &str, session: u64, queues: Vec<QueueName>) -> bool {
        let frame = ReadFrame {
            worker: "w".parse().unwrap(),
            session: SessionId::from_bits(session),
            queues,
            credit: Credit { term: Term::unmet(Epoch::FIRST), word: 1, lent: 0 },
            requests: Vec::new(),
        };
        self.take(Input::Work { workspace: workspace.parse().unwrap(), frame, reply: session });
        let (_, said) = self.answers.pop().expect("it is answered");
        serde_json::from_slice::<WorkAnswer>(&said).unwrap().malformed.is_none()
    }

    fn leaves(&mut self, workspace: &str, session: u64) {
        let (worker, session) = ("w".parse().unwrap(), SessionId::from_bits(session));
        let hello = Hello { protocol: PROTOCOL, worker, session, queues: Vec::new(), leaving: true };
        self.take(Input::Hello { workspace: workspace.parse().unwrap(), hello });
    }
}

/// Steps down; returns the frames that are sent to the next owner.
fn turned_away(room: Room) -> Vec<u64> {
    let mut out = Vec::new();
    room.desk.step_down(&mut out);
    let turned_away = out.into_iter().map(|output| {
        let Output::Answer { reply, bytes } = output else { panic!("{output:?}") };
        let said: Vec<ShardReply> = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(said, [ShardReply::Refused { rejection: Rejection::NotOwner }]);
        reply
    });
    turned_away.collect()
}

fn queues(session: u64, count: usize) -> Vec<QueueName> {
    (0..count).map(|number| format!("q-{session}-{number}").parse().unwrap()).collect()
}

#[test]
fn so_many_may_wait_for_the_ends_of_runs_and_one_more_is_told_so() {
    let mut room = Room::bounded(Bounds::default());
    let run = room.started("quick", &json!({}));
    room.answers.clear();
    for reply in 0..WATCHERS_MAX {
        awaits(&mut room, reply, run);
    }
    assert_eq!(room.answers, [], "all of them wait");
    awaits(&mut room, WATCHERS_MAX, run);
    assert_eq!(room.replies(WATCHERS_MAX), Some(vec![ShardReply::Refused { rejection: Rejection::Overloaded }]));
    room.answers.clear();
    // Those that nobody hears any more make room.
    room.at.steady += Duration::from_secs(13);
    room.take(Input::Sweep);
    assert_eq!(room.answers.len() as u64, WATCHERS_MAX);
    room.answers.clear();
    awaits(&mut room, 0, run);
    assert_eq!(room.answers, []);
}

#[test]
fn the_workers_of_a_workspace_name_so_many_queues_together_and_not_one_more() {
    let mut room = Room::bounded(Bounds::default());
    let full = (NAMES_MAX / QUEUES_MAX) as u64;
    for session in 0..full {
        assert!(room.takes("acme", session, queues(session, QUEUES_MAX)), "session {session}");
    }
    assert!(!room.takes("acme", full, queues(full, 1)));
    assert!(room.takes("acme", 0, queues(0, QUEUES_MAX)), "whoever is known stays known");
    assert!(room.takes("acme", 1, queues(77, QUEUES_MAX)), "and may serve other queues");
    assert!(room.takes("other", full, queues(full, 1)), "another workspace has room of its own");
    room.leaves("acme", 0);
    assert!(room.takes("acme", full + 1, queues(full + 1, QUEUES_MAX)));
    assert!(!room.takes("acme", full + 2, queues(full + 2, 1)));
    // Nor by naming more later.
    room.leaves("acme", 1);
    assert!(room.takes("acme", full + 3, queues(full + 3, 1)));
    assert!(room.takes("acme", full + 4, queues(full + 4, 1)));
    assert!(!room.takes("acme", full + 3, queues(full + 3, QUEUES_MAX)));
    assert!(room.takes("acme", full + 3, queues(full + 3, 2)));
}

#[test]
fn all_workspaces_together_have_as_much_as_four() {
    let mut room = Room::bounded(Bounds::default());
    let full = (NAMES_MAX / QUEUES_MAX) as u64;
    for session in 0..4 * full {
        assert!(room.takes(&format!("acme-{}", session / 8), session, queues(session, QUEUES_MAX)), "{session}");
    }
    assert!(!room.takes("one-more", 4 * full, queues(4 * full, 1)));
    // Nor does one that names nothing come in without end.
    let mut room = Room::bounded(Bounds::default());
    for session in 0..4 * SESSIONS_MAX as u64 {
        assert!(room.takes(&format!("acme-{}", session / 16), session, Vec::new()), "{session}");
    }
    assert!(!room.takes("one-more", 4 * SESSIONS_MAX as u64, Vec::new()));
}

#[test]
fn so_much_of_one_worker_waits_and_one_more_frame_of_its_is_refused() {
    let mut room = Room::new();
    let tasks = room.held();
    let reports = room.reports(&tasks);
    let frames = (LINE_OF_SENDER_MAX / FRAME + 2) as u64;
    // All within one turn: the first report ends its burst.
    for reply in 1..=frames {
        let frame = room.frame(SESSION, 1, FRAME as u64, reports.clone());
        room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, room.at, &mut room.out);
    }
    room.end_turn();
    let refused = room.answers.iter().filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains("overloaded"));
    assert_eq!(refused.map(|(reply, _)| *reply).collect::<Vec<_>>(), [frames], "only the last");
    let (run, submission) = room.start_of("quick", &json!({}));
    room.commands(1_000, vec![submission]);
    room.settle();
    assert!(room.is_known(run), "others have room");
}

#[test]
fn so_many_bytes_wait_and_one_more_frame_is_refused() {
    let mut room = Room::new();
    room.flood(Flood::Starts);
    let (_, slow) = room.start_of("slow", &json!({"s": slow_value()}));
    let ends_the_burst = vec![ShardRequest::Submit(Box::new(slow))];
    room.desk.take(Input::Commands { requests: ends_the_burst, reply: 100 }, room.at, &mut room.out);
    let input = json!({"more": "x".repeat(1_000_000)});
    let frames = (LINE_BYTES_MAX / 10_000_000 + 2) as u64;
    for reply in 101..=100 + frames {
        let requests = (0..10).map(|_| ShardRequest::Submit(Box::new(room.start_of("slow", &input).1))).collect();
        room.desk.take(Input::Commands { requests, reply }, room.at, &mut room.out);
    }
    room.end_turn();
    let refused = Some(vec![ShardReply::Refused { rejection: Rejection::Overloaded }; 10]);
    assert_eq!(room.replies(100 + frames), refused);
    assert_eq!(room.replies(99 + frames), None, "it waits");
}

#[test]
fn whoever_was_told_of_an_end_makes_room_for_others_who_wait() {
    let mut room = Room::bounded(Bounds::default());
    room.meet(SESSION, 9);
    for round in [0, 1_000_000] {
        let run = room.started("one", &json!({}));
        let task = room.tasks.pop().expect("it was handed over");
        room.answers.clear();
        for reply in round + 1..=round + WATCHERS_MAX - 10 {
            awaits(&mut room, reply, run);
        }
        assert_eq!(room.answers, [], "all of them wait");
        let report = room.report(&task);
        room.work(round, vec![report]);
        room.settle();
        let ends = |(_, said): &&(u64, Vec<u8>)| String::from_utf8_lossy(said).contains("ended");
        assert_eq!(room.answers.iter().filter(ends).count() as u64, WATCHERS_MAX - 10);
    }
}

#[test]
fn only_a_run_whose_start_waits_is_waited_for_before_it_is_there() {
    let mut room = Room::new();
    room.finds = false;
    let (parked, start) = room.start_of("slow", &json!({}));
    let (unknown, _) = room.start_of("slow", &json!({}));
    awaits(&mut room, 1, unknown);
    room.settle();
    assert!(room.replies(1).is_some(), "nobody knows it");
    room.commands(2, vec![start]);
    awaits(&mut room, 3, unknown);
    awaits(&mut room, 4, parked);
    room.settle();
    assert!(room.replies(3).is_some(), "nor now");
    assert_eq!(room.replies(4), None);
}

#[test]
fn who_waits_for_an_end_is_turned_away_by_who_steps_down() {
    let mut room = Room::new();
    let run = room.started("quick", &json!({}));
    awaits(&mut room, 7, run);
    assert_eq!(room.replies(7), None);
    assert_eq!(turned_away(room), [7]);
}

#[test]
fn who_waits_for_a_definition_is_turned_away_by_who_steps_down() {
    let mut room = Room::new();
    room.finds = false;
    let (_, start) = room.start_of("slow", &json!({}));
    room.commands(7, vec![start]);
    assert_eq!(room.replies(7), None);
    assert_eq!(turned_away(room), [7]);
}

#[test]
fn a_question_for_an_end_is_kept_for_twelve_seconds_and_answered_within_them() {
    let mut room = Room::new();
    room.meet(SESSION, 1);
    let run = room.started("one", &json!({}));
    let task = room.tasks.pop().expect("it was handed over");
    awaits(&mut room, 7, run);
    for (millis, asked, turned_away) in [(2_000, 8, false), (12_000, 9, false), (12_001, 10, true)] {
        room.at.steady = Duration::from_millis(millis);
        awaits(&mut room, asked, run);
        room.take(Input::Sweep);
        assert_eq!(room.replies(7).is_some(), turned_away, "after {millis} ms");
    }
    let report = room.report(&task);
    room.work(1, vec![report]);
    room.settle();
    for reply in [8, 9, 10] {
        let replies = room.replies(reply).expect("it is told");
        assert!(matches!(replies[..], [ShardReply::Ended { .. }]), "{replies:?}");
    }
}

#[test]
fn as_many_requests_of_one_worker_wait_as_the_bound_says_before_one_more_is_refused() {
    let mut room = Room::new();
    let tasks = room.held();
    let report = room.report(&tasks[0]);
    let alive = |count| vec![WorkRequest::Heartbeat { held: Vec::new() }; count];
    for (reply, requests) in (1..).zip([vec![report], alive(LINE_OF_SENDER_MAX), alive(1), alive(1)]) {
        let frame = room.frame(SESSION, 1, 0, requests);
        room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, room.at, &mut room.out);
    }
    room.settle();
    let refused = room.answers.iter().filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains("overloaded"));
    assert_eq!(refused.map(|(reply, _)| *reply).collect::<Vec<_>>(), [4], "only the last");
}
