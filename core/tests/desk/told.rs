//! What a worker is told, when, and when it is called.

use std::time::Duration;

use headwater_core::SessionId;
use headwater_core::desk::{Input, Output};
use headwater_core::protocol::{Hello, PROTOCOL, ShardRequest, Task, WorkReply, WorkRequest};
use headwater_core::shard::Bounds;
use serde_json::json;

use crate::room::{Room, SESSION};
use crate::workers::{heartbeat, with_one_task};

impl Room {
    /// Takes in what a worker lends and says, without letting anything land that is to be appended.
    fn hears(&mut self, reply: u64, lent: u64, requests: Vec<WorkRequest>) {
        let frame = self.frame(SESSION, reply, lent, requests);
        self.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, self.at, &mut self.out);
        self.desk.turn(false, self.at, &mut self.out);
    }

    fn is_about_to(&self, what: impl Fn(&Output<u64, u64>) -> bool) -> bool {
        self.out.iter().any(what)
    }
}

#[test]
fn what_is_granted_to_who_asked_by_what_it_asked_goes_with_the_answer() {
    let (mut room, task) = with_one_task(2);
    let Task { run, node, attempt, lease, .. } = task;
    let given_back = WorkRequest::Return { id: room.id(), run, node: node.clone(), attempt, lease };
    let WorkReply::Accepted { next } = room.said_to("acme", SESSION, given_back) else { panic!("it is taken back") };
    assert_eq!(next.iter().map(|task| (task.run, &task.node)).collect::<Vec<_>>(), [(run, &node)], "it had room");
    assert_eq!(room.handed, []);
}

#[test]
fn where_nothing_waits_nobody_is_called() {
    let mut room = Room::new();
    room.meet(SESSION, 1);
    room.at.steady += Duration::from_secs(2);
    room.hears(2, 9, Vec::new());
    assert!(!room.is_about_to(is_call));
}

#[test]
fn that_an_attempt_is_not_current_is_said_when_that_is_durable_and_that_it_is_at_once() {
    let (mut room, task) = with_one_task(1);
    let is_answer = |output: &Output<u64, u64>| matches!(output, Output::Answer { reply: 2, .. });
    room.hears(2, 1, vec![heartbeat(&task)]);
    assert!(room.is_about_to(is_answer) && !room.is_about_to(|output| matches!(output, Output::Append(_))));
    room.settle();
    room.hears(2, 1, vec![heartbeat(&Task { attempt: task.attempt.next(), ..task })]);
    assert!(!room.is_about_to(is_answer) && room.is_about_to(|output| matches!(output, Output::Append(_))));
}

#[test]
fn who_says_again_that_it_is_there_is_not_greeted_again() {
    let mut room = Room::new();
    let hello = |session| {
        let (worker, queues) = ("w".parse().unwrap(), vec!["work".parse().unwrap()]);
        let hello =
            Hello { protocol: PROTOCOL, worker, session: SessionId::from_bits(session), queues, leaving: false };
        Input::Hello { workspace: "acme".parse().unwrap(), hello }
    };
    for (session, greeted) in [(1, true), (1, false), (2, true), (2, false)] {
        room.take(hello(session));
        assert_eq!(room.standing.take().is_some(), greeted, "session {session}");
    }
}

#[test]
fn what_finds_room_while_the_bundle_is_full_is_handed_over_after_it() {
    let mut room = Room::bounded(Bounds::default());
    room.meet(SESSION, 0);
    room.started("one", &json!({}));
    room.started("quick", &json!({}));
    let large = json!({"more": "x".repeat(60_000)});
    for _ in 0..72 {
        let (_, start) = room.start_of("quick", &large);
        let requests = vec![ShardRequest::Submit(Box::new(start))];
        room.desk.take(Input::Commands { requests, reply: 9 }, room.at, &mut room.out);
    }
    assert!(room.desk.owner().is_full());
    room.hears(2, 1, Vec::new());
    assert_eq!(room.desk.owner().shard().waiting_for(&"acme".parse().unwrap(), &"work".parse().unwrap()), 1);
    room.settle();
    assert_eq!(room.tasks.len(), 1);
}

#[test]
fn a_sweep_that_finds_nothing_appends_nothing() {
    let mut room = Room::new();
    for seconds in [1, 16, 17] {
        room.at.steady = Duration::from_secs(seconds);
        let before = room.sequence;
        room.take(Input::Sweep);
        assert_eq!(room.sequence, before, "after {seconds} s");
    }
}

#[test]
fn every_message_with_tasks_has_the_next_number() {
    let mut room = Room::new();
    room.meet(SESSION, 9);
    for number in [1, 2, 3] {
        room.started("one", &json!({}));
        assert_eq!(room.standing.map(|standing| standing.message), Some(number));
    }
}

#[test]
fn what_was_granted_to_who_left_meanwhile_is_lost_by_its_silence() {
    let mut room = Room::new();
    room.started("one", &json!({}));
    room.meet(SESSION, 0);
    room.hears(2, 1, Vec::new());
    let (worker, session) = ("w".parse().unwrap(), SessionId::from_bits(SESSION));
    let hello = Hello { protocol: PROTOCOL, worker, session, queues: Vec::new(), leaving: true };
    room.desk.take(Input::Hello { workspace: "acme".parse().unwrap(), hello }, room.at, &mut room.out);
    room.settle();
    assert_eq!(room.tasks, [], "nobody is there to take it");
    room.at.steady += Duration::from_millis(15_001);
    room.desk.take(Input::Sweep, room.at, &mut room.out);
    assert!(room.is_about_to(|output| matches!(output, Output::FellSilent { .. })));
}

fn is_call(output: &Output<u64, u64>) -> bool {
    matches!(output, Output::Call { .. })
}

#[test]
fn who_has_no_room_is_not_called_because_it_speaks() {
    let mut room = Room::new();
    room.meet(SESSION, 0);
    room.started("one", &json!({}));
    room.at.steady += Duration::from_secs(2);
    room.hears(2, 0, Vec::new());
    assert!(!room.is_about_to(is_call));
    room.desk.take(Input::Sweep, room.at, &mut room.out);
    assert!(room.is_about_to(is_call), "but because it waits");
}

#[test]
fn what_waits_anew_is_called_for_at_once() {
    let mut room = Room::new();
    room.meet(SESSION, 0);
    room.started("one", &json!({}));
    room.at.steady = Duration::from_secs(2);
    room.desk.take(Input::Sweep, room.at, &mut room.out);
    assert!(room.is_about_to(is_call));
    room.settle();
    room.hears(2, 1, Vec::new());
    room.settle();
    assert_eq!(room.tasks.len(), 1, "nothing waits any more");
    room.at.steady += Duration::from_millis(100);
    room.take(Input::Sweep);
    let (_, start) = room.start_of("one", &json!({}));
    let requests = vec![ShardRequest::Submit(Box::new(start))];
    room.desk.take(Input::Commands { requests, reply: 1 }, room.at, &mut room.out);
    room.desk.turn(false, room.at, &mut room.out);
    assert!(room.is_about_to(is_call));
}

#[test]
fn a_call_names_so_many_queues_and_not_one_more() {
    const CALL_QUEUES_MAX: usize = 256;
    let mut room = Room::bounded(Bounds::default());
    let name = |number: usize| format!("q{number:03}");
    let job = |number| json!({"id": name(number), "jobSlug": name(number)});
    room.documents.push(json!({"slug": "wide", "nodes": (0..=CALL_QUEUES_MAX).map(job).collect::<Vec<_>>()}));
    room.meet(SESSION, 0);
    for session in [0, 1] {
        let queues = (0..=CALL_QUEUES_MAX).skip(session * CALL_QUEUES_MAX).take(CALL_QUEUES_MAX);
        let mut frame = room.frame(10 + session as u64, 1, 0, Vec::new());
        frame.queues = queues.map(|number| name(number).parse().unwrap()).collect();
        room.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 0 });
    }
    room.started("wide", &json!({}));
    room.at.steady += Duration::from_secs(2);
    room.desk.take(Input::Sweep, room.at, &mut room.out);
    let named = room.out.iter().filter_map(|output| match output {
        Output::Call { call, .. } => Some(call.queues.len()),
        _ => None,
    });
    assert_eq!(named.collect::<Vec<_>>(), [CALL_QUEUES_MAX]);
}
