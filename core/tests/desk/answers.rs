//! What goes together in one message to a worker.

use std::time::Duration;

use headwater_core::SessionId;
use headwater_core::desk::{Input, Output};
use headwater_core::protocol::{Held, ShardRequest, Task, WorkAnswer, WorkReply, WorkRequest};
use headwater_core::run::ReportOutcome;
use serde_json::json;

use crate::room::{FRAME, Room, SESSION};

#[test]
fn a_workers_frames_are_answered_in_their_order() {
    let mut room = Room::new();
    let tasks = room.held();
    let (first, second) = tasks.split_at(FRAME - 1);
    let (first, second) = (room.reports(first), room.reports(second));
    room.work(1, first);
    room.work(2, second);
    assert!(room.answers.iter().all(|(reply, _)| *reply == 0), "both wait");
    room.settle();
    let order: Vec<_> = room.answers.iter().map(|(reply, _)| *reply).filter(|reply| *reply > 0).collect();
    assert_eq!(order, [1, 2]);
}

impl Room {
    /// Starts runs of one task each, without ending the turn.
    fn begin(&mut self, count: usize) {
        let starts = (0..count).map(|_| self.start_of("one", &json!({})).1);
        let requests = starts.map(|start| ShardRequest::Submit(Box::new(start))).collect();
        self.desk.take(Input::Commands { requests, reply: 0 }, self.at, &mut self.out);
    }

    /// Has the first worker report, without ending the turn.
    fn reports_of(&mut self, reply: u64, tasks: &[Task], lent: u64) {
        let requests = self.reports(tasks);
        let frame = self.frame(SESSION, 2, lent, requests);
        self.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, self.at, &mut self.out);
    }

    /// Returns how many tasks an answer brings.
    fn brought(&self, frame: u64) -> usize {
        let (_, said) = self.answers.iter().find(|(reply, _)| *reply == frame).expect("it is answered");
        let answer: WorkAnswer = serde_json::from_slice(said).unwrap();
        let tasks = |reply: &WorkReply| if let WorkReply::Accepted { next } = reply { next.len() } else { 0 };
        answer.replies.iter().map(tasks).sum()
    }
}

/// A worker that lends so much and holds one task.
fn with_one_task(lent: u64) -> (Room, Vec<Task>) {
    let mut room = Room::new();
    room.started("one", &json!({}));
    room.meet(SESSION, lent);
    room.settle();
    let tasks = std::mem::take(&mut room.tasks);
    assert_eq!(tasks.len(), 1);
    room.handed.clear();
    (room, tasks)
}

#[test]
fn an_answer_brings_what_others_decisions_granted_too() {
    let (mut room, tasks) = with_one_task(10);
    room.begin(2);
    room.reports_of(1, &tasks, 10);
    room.begin(1);
    room.end_turn();
    assert_eq!((room.brought(1), room.handed), (3, Vec::new()));
}

#[test]
fn who_is_answered_anyway_is_given_more_until_it_is_half_busy() {
    let (mut room, tasks) = with_one_task(11);
    let other = 2;
    room.meet(other, 11);
    room.at.steady += Duration::from_millis(200);
    room.reports_of(1, &tasks, 11);
    // Of the ten that are left, five make it half busy; the others go in turn.
    room.begin(7);
    room.end_turn();
    assert_eq!((room.brought(1), &room.handed), (6, &vec![(SessionId::from_bits(other), 1)]));
    // What comes with nobody's answer is shared.
    room.handed.clear();
    room.begin(2);
    room.end_turn();
    assert_eq!(room.handed.len(), 2);
}

#[test]
fn who_was_quick_is_given_all_that_it_lends() {
    let (mut room, tasks) = with_one_task(11);
    let other = 2;
    room.meet(other, 11);
    room.at.steady += Duration::from_millis(50);
    room.reports_of(1, &tasks, 11);
    room.begin(12);
    room.end_turn();
    assert_eq!((room.brought(1), &room.handed), (10, &vec![(SessionId::from_bits(other), 2)]));
}

#[test]
fn who_was_slow_with_what_it_reports_last_is_slow() {
    let mut room = Room::new();
    room.meet(SESSION, 12);
    for wait in [200, 50] {
        room.started("one", &json!({}));
        room.settle();
        room.at.steady += Duration::from_millis(wait);
    }
    let mut tasks = std::mem::take(&mut room.tasks);
    assert_eq!(tasks.len(), 2);
    tasks.reverse();
    room.handed.clear();
    room.meet(2, 11);
    room.reports_of(1, &tasks, 12);
    room.begin(7);
    room.end_turn();
    assert_eq!((room.brought(1), &room.handed), (6, &vec![(SessionId::from_bits(2), 1)]));
}

#[test]
fn who_fails_quickly_gathers_nothing() {
    let (mut room, tasks) = with_one_task(11);
    let other = 2;
    room.meet(other, 11);
    let Some(WorkRequest::Report { id, run, mut report }) = room.reports(&tasks).pop() else { panic!() };
    report.outcome = ReportOutcome::failed("broken", "here", true);
    let frame = room.frame(SESSION, 2, 11, vec![WorkRequest::Report { id, run, report }]);
    room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 1 }, room.at, &mut room.out);
    room.begin(7);
    room.end_turn();
    assert_eq!((room.brought(1), &room.handed), (6, &vec![(SessionId::from_bits(other), 1)]), "as one that is slow");
}

#[test]
fn who_was_quick_has_the_turn_until_it_holds_sixteen() {
    let (mut room, tasks) = with_one_task(41);
    let other = 2;
    room.meet(other, 41);
    room.reports_of(1, &tasks, 41);
    room.end_turn();
    let mut handed = || {
        for _ in 0..20 {
            room.started("one", &json!({}));
        }
        let handed = std::mem::take(&mut room.handed);
        [SESSION, other].map(|session| {
            let of = handed.iter().filter(|(to, _)| *to == SessionId::from_bits(session));
            of.map(|(_, tasks)| tasks).sum::<usize>()
        })
    };
    assert_eq!(handed(), [18, 2], "sixteen, and then in turn");
    assert_eq!(handed(), [10, 10]);
}

#[test]
fn only_the_answer_to_a_report_brings_tasks() {
    let (mut room, tasks) = with_one_task(10);
    let Task { run, node, attempt, lease, .. } = tasks[0].clone();
    let started = WorkRequest::Started { run, node, attempt, lease, started_at: room.at.wall };
    room.begin(2);
    let frame = room.frame(SESSION, 2, 10, vec![started]);
    room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 1 }, room.at, &mut room.out);
    room.end_turn();
    assert_eq!((room.brought(1), room.handed), (0, vec![(SessionId::from_bits(SESSION), 2)]));
}

#[test]
fn what_is_said_of_no_current_attempt_does_not_let_its_lease_go() {
    let branch = |task: &mut Task| task.node = format!("{}@17", task.node).parse().unwrap();
    let node = |task: &mut Task| task.node = "nowhere".parse().unwrap();
    let attempt = |task: &mut Task| task.attempt = task.attempt.next();
    let wrong: [&dyn Fn(&mut Task); 3] = [&branch, &node, &attempt];
    type Says = fn(&mut Room, &Task) -> WorkRequest;
    let says: [Says; 4] = [
        |room, task| room.report(task),
        |room, task| {
            let (run, node, attempt, lease) = (task.run, task.node.clone(), task.attempt, task.lease);
            WorkRequest::Return { id: room.id(), run, node, attempt, lease }
        },
        |room, task| {
            let (run, node, attempt, lease) = (task.run, task.node.clone(), task.attempt, task.lease);
            WorkRequest::Started { run, node, attempt, lease, started_at: room.at.wall }
        },
        |_, task| {
            let (run, node, attempt, lease) = (task.run, task.node.clone(), task.attempt, task.lease);
            WorkRequest::Heartbeat { held: vec![Held { run, node, attempt, lease, progress: None }] }
        },
    ];
    for (said, wrong) in says.into_iter().flat_map(|said| wrong.map(|wrong| (said, wrong))) {
        let (mut room, tasks) = with_one_task(1);
        room.at.steady += Duration::from_secs(10);
        let mut elsewhere = tasks[0].clone();
        wrong(&mut elsewhere);
        let said = said(&mut room, &elsewhere);
        room.work(1, vec![said.clone()]);
        room.settle();
        let (_, answer) = room.answers.iter().find(|(reply, _)| *reply == 1).expect("it is answered");
        let answer: WorkAnswer = serde_json::from_slice(answer).unwrap();
        match (&said, &answer.replies[..]) {
            (WorkRequest::Heartbeat { .. }, [WorkReply::Alive { cancelled, unclear, .. }]) => {
                assert_eq!((&cancelled[..], &unclear[..]), (&[elsewhere.lease][..], &[][..]), "{said:?}");
            }
            (_, [WorkReply::Refused { .. }]) => {}
            (_, other) => panic!("{other:?} to {said:?}"),
        }
        // Its holder is still waited for, and missed.
        room.at.steady += Duration::from_secs(6);
        room.desk.take(Input::Sweep, room.at, &mut room.out);
        let silent = room.out.iter().filter(|output| matches!(output, Output::FellSilent { .. })).count();
        assert_eq!(silent, 1, "{said:?}");
    }
}
