//! Who is handed what, to whom it is handed again, and who fell silent: up to which moment, and from which on.

use std::time::Duration;

use headwater_core::SessionId;
use headwater_core::desk::{Input, Output};
use headwater_core::protocol::{Held, Hello, PROTOCOL, ShardRequest, Task, WorkReply, WorkRequest};
use headwater_core::run::RunRejection;
use headwater_core::shard::{Bounds, Rejection};
use serde_json::json;

use crate::room::{FRAME, Out, Room, SESSION};

const TTL: Duration = Duration::from_secs(15);
const MOMENT: Duration = Duration::from_millis(1);

/// A worker that lends so much and holds one task.
pub fn with_one_task(lent: u64) -> (Room, Task) {
    let mut room = Room::new();
    room.meet(SESSION, lent);
    room.started("one", &json!({}));
    let task = room.tasks.pop().expect("it was handed over");
    room.handed.clear();
    (room, task)
}

impl Room {
    /// Sweeps at a moment, and returns what that makes the desk say.
    fn swept(&mut self, steady: Duration) -> Vec<Out> {
        self.at.steady = steady;
        self.desk.take(Input::Sweep, self.at, &mut self.out);
        let said = std::mem::take(&mut self.out);
        self.end_turn();
        said
    }

    fn fell_silent(&mut self, steady: Duration) -> usize {
        self.swept(steady).iter().filter(|output| matches!(output, Output::FellSilent { .. })).count()
    }

    /// Returns the tasks that a sweep hands over again.
    fn handed_again(&mut self, steady: Duration) -> Vec<Task> {
        let again = self.swept(steady).into_iter().filter_map(|output| match output {
            Output::Hand { handed, .. } => Some(handed.tasks),
            _ => None,
        });
        again.flatten().collect()
    }

    /// Returns the queues that a sweep calls for.
    fn called(&mut self, steady: Duration) -> usize {
        let calls = self.swept(steady).into_iter().filter_map(|output| match output {
            Output::Call { call, .. } => Some(call.queues.len()),
            _ => None,
        });
        calls.sum()
    }

    /// Says what a worker is answered.
    pub fn said_to(&mut self, workspace: &str, session: u64, request: WorkRequest) -> WorkReply {
        let frame = self.frame(session, 1, 0, vec![request]);
        self.answers.clear();
        self.take(Input::Work { workspace: workspace.parse().unwrap(), frame, reply: 1 });
        let answer = self.answers.pop().expect("it is answered").1;
        serde_json::from_slice::<headwater_core::protocol::WorkAnswer>(&answer).unwrap().replies.remove(0)
    }
}

fn started(room: &Room, task: &Task) -> WorkRequest {
    let Task { run, node, attempt, lease, .. } = task.clone();
    WorkRequest::Started { run, node, attempt, lease, started_at: room.at.wall }
}

pub fn heartbeat(task: &Task) -> WorkRequest {
    let Task { run, node, attempt, lease, .. } = task.clone();
    WorkRequest::Heartbeat { held: vec![Held { run, node, attempt, lease, progress: None }] }
}

#[test]
fn a_holder_may_be_silent_for_the_lease_time_and_not_for_longer() {
    let (mut room, task) = with_one_task(1);
    assert_eq!(room.fell_silent(TTL), 0);
    let alive = room.said_to("acme", SESSION, heartbeat(&task));
    assert_eq!(alive, WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() });
    assert_eq!(room.fell_silent(2 * TTL), 0, "it has spoken meanwhile");
    assert_eq!(room.fell_silent(2 * TTL + MOMENT), 1);
    assert_eq!(room.fell_silent(3 * TTL + MOMENT), 0, "once");
}

#[test]
fn what_nobody_spoke_of_for_a_second_is_handed_again_until_somebody_does() {
    let (mut room, task) = with_one_task(1);
    let second = Duration::from_secs(1);
    assert_eq!(room.handed_again(second - MOMENT), []);
    assert_eq!(room.handed_again(second), std::slice::from_ref(&task));
    assert_eq!(room.handed_again(2 * second - MOMENT), []);
    assert_eq!(room.handed_again(2 * second), std::slice::from_ref(&task));
    let started = started(&room, &task);
    room.said_to("acme", SESSION, started);
    assert_eq!(room.handed_again(9 * second), []);
}

#[test]
fn what_is_held_counts_as_unheard_until_its_worker_speaks_of_it() {
    let (mut room, task) = with_one_task(9);
    let unheard = |room: &mut Room| {
        room.meet(SESSION, 9);
        let (_, said) = room.answers.last().unwrap();
        let answer: headwater_core::protocol::WorkAnswer = serde_json::from_slice(said).unwrap();
        answer.standing.expect("it is known").unheard
    };
    assert_eq!(unheard(&mut room), 1);
    room.said_to("acme", SESSION, heartbeat(&task));
    assert_eq!(unheard(&mut room), 0);
    room.started("one", &json!({}));
    let task = room.tasks.pop().unwrap();
    assert_eq!(unheard(&mut room), 1);
    let report = room.report(&task);
    room.said_to("acme", SESSION, report);
    assert_eq!(unheard(&mut room), 0);
}

#[test]
fn a_worker_that_is_silent_for_longer_than_the_lease_time_is_handed_nothing_more() {
    for (silent, handed) in [(TTL, 1), (TTL + MOMENT, 0)] {
        let mut room = Room::new();
        room.meet(SESSION, 9);
        room.swept(silent);
        room.started("one", &json!({}));
        assert_eq!(room.tasks.len(), handed, "after {silent:?}");
    }
}

#[test]
fn a_worker_that_leaves_is_handed_nothing_more() {
    let mut room = Room::new();
    room.meet(SESSION, 9);
    let (worker, session) = ("w".parse().unwrap(), SessionId::from_bits(SESSION));
    let hello = Hello { protocol: PROTOCOL, worker, session, queues: Vec::new(), leaving: true };
    room.take(Input::Hello { workspace: "acme".parse().unwrap(), hello });
    room.started("one", &json!({}));
    assert_eq!(room.tasks, []);
}

#[test]
fn workers_are_called_at_once_and_then_every_second_where_any_are_known() {
    let mut room = Room::new();
    room.started("one", &json!({}));
    assert_eq!(room.called(Duration::from_secs(1)), 0, "nobody serves it");
    room.meet(SESSION, 0);
    let second = Duration::from_secs(1);
    for (at, called) in [(2 * second, 1), (3 * second - MOMENT, 0), (3 * second, 1), (3 * second + MOMENT, 0)] {
        assert_eq!(room.called(at), called, "at {at:?}");
    }
    let frame = room.frame(SESSION, 2, 9, Vec::new());
    room.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 0 });
    assert_eq!(room.tasks.len(), 1);
    assert_eq!(room.called(9 * second), 0, "nothing waits any more");
}

#[test]
fn what_is_called_for_anew_is_called_for_at_once() {
    let mut room = Room::new();
    room.meet(SESSION, 0);
    let called = |room: &mut Room| {
        let requests = vec![ShardRequest::Submit(Box::new(room.start_of("one", &json!({})).1))];
        room.desk.take(Input::Commands { requests, reply: 0 }, room.at, &mut room.out);
        room.desk.turn(false, room.at, &mut room.out);
        let calls = room.out.iter().filter(|output| matches!(output, Output::Call { .. })).count();
        room.settle();
        calls
    };
    // Its definition is looked up first.
    called(&mut room);
    room.at.steady += Duration::from_secs(1);
    assert_eq!((called(&mut room), called(&mut room)), (1, 0));
}

#[test]
fn tasks_go_thirty_two_to_a_message() {
    let mut room = Room::new();
    room.meet(SESSION, FRAME as u64);
    room.started("slow", &json!({}));
    let messages: Vec<_> = room.handed.iter().map(|(_, tasks)| *tasks).collect();
    assert_eq!(messages, [32, FRAME - 32]);
}

#[test]
fn a_message_has_as_many_tasks_as_it_has_bytes_for() {
    // What a task is taken to need beside its input.
    const NAMES: usize = 2_048;
    let each = NAMES + Room::new().held()[0].input.len_bytes();
    let messages_of = |bytes_max: usize| {
        let mut room = Room::speaking_in(bytes_max);
        room.meet(SESSION, FRAME as u64);
        room.started("slow", &json!({}));
        room.handed.iter().map(|(_, tasks)| *tasks).collect::<Vec<_>>()
    };
    for (bytes_max, tasks) in [(3 * each, 3), (3 * each - 1, 2), (each, 1), (each - 1, 1)] {
        let messages = messages_of(bytes_max);
        assert_eq!(messages.iter().sum::<usize>(), FRAME, "{bytes_max}: none is left out");
        let (last, full) = messages.split_last().unwrap();
        assert!(full.iter().all(|count| *count == tasks) && (1..=tasks).contains(last), "{bytes_max}: {messages:?}");
    }
}

#[test]
fn tasks_that_fit_no_message_together_go_by_themselves() {
    let mut room = Room::new();
    let mut tasks = room.held();
    tasks.truncate(3);
    room.handed.clear();
    room.take(Input::TooLarge { tasks: tasks.clone(), bytes: 9 << 20 });
    assert_eq!(room.handed, [(SessionId::from_bits(SESSION), 1); 3]);
    assert_eq!(std::mem::take(&mut room.tasks), tasks);
}

#[test]
fn a_task_that_fits_no_message_has_failed_and_is_waited_for_no_longer() {
    let (mut room, task) = with_one_task(1);
    let run = task.run;
    room.take(Input::TooLarge { tasks: vec![task], bytes: 9 << 20 });
    assert!(!room.is_known(run), "its run has ended");
    assert_eq!(room.fell_silent(TTL + MOMENT), 0);
}

#[test]
fn a_run_of_another_workspace_is_not_there() {
    let (mut room, task) = with_one_task(1);
    let other = 2;
    let Task { run, node, attempt, lease, .. } = task.clone();
    let said =
        [room.report(&task), WorkRequest::Return { id: room.id(), run, node, attempt, lease }, started(&room, &task)];
    for said in said {
        let refused = WorkReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) };
        assert_eq!(room.said_to("other", other, said.clone()), refused, "{said:?}");
    }
    let cancelled = WorkReply::Alive { cancelled: vec![lease], unclear: Vec::new(), stopping: Vec::new() };
    assert_eq!(room.said_to("other", other, heartbeat(&task)), cancelled);
    assert_eq!(room.fell_silent(TTL + MOMENT), 1, "nothing of that was its holder's word");
}

#[test]
fn an_attempt_that_is_given_back_is_waited_for_no_longer() {
    let (mut room, task) = with_one_task(1);
    let Task { run, node, attempt, lease, .. } = task;
    let given_back = WorkRequest::Return { id: room.id(), run, node, attempt, lease };
    assert_eq!(room.said_to("acme", SESSION, given_back), WorkReply::Accepted { next: Vec::new() });
    assert_eq!(room.fell_silent(TTL + MOMENT), 0);
}

#[test]
fn who_came_before_the_first_bundle_landed_is_greeted_once_it_has() {
    let mut room = Room::unopened(Bounds::default(), 8 << 20);
    let first = std::mem::take(&mut room.out);
    let (worker, session) = ("w".parse().unwrap(), SessionId::from_bits(SESSION));
    let hello = Hello { protocol: PROTOCOL, worker, session, queues: vec!["work".parse().unwrap()], leaving: false };
    room.take(Input::Hello { workspace: "acme".parse().unwrap(), hello });
    assert_eq!(room.standing, None, "another owner may still decide");
    room.out = first;
    room.settle();
    assert!(room.standing.take().is_some());
    room.started("quick", &json!({}));
    assert_eq!(room.standing, None, "once is enough");
}

#[test]
fn a_worker_is_told_whether_anything_waits_for_it() {
    let (mut room, task) = with_one_task(1);
    let waiting = |room: &mut Room, lent| {
        let frame = room.frame(SESSION, lent, lent, Vec::new());
        room.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 0 });
        let (_, said) = room.answers.last().unwrap();
        let answer: headwater_core::protocol::WorkAnswer = serde_json::from_slice(said).unwrap();
        answer.standing.expect("it is known").waiting
    };
    assert!(!waiting(&mut room, 1));
    room.started("one", &json!({}));
    assert!(waiting(&mut room, 1));
    let report = room.report(&task);
    room.said_to("acme", SESSION, report);
    room.settle();
    assert!(waiting(&mut room, 2), "it lent nothing before");
    room.settle();
    assert!(!waiting(&mut room, 3), "it was handed to it");
}

#[test]
fn tasks_that_do_not_fit_the_answer_go_by_themselves_at_once() {
    let mut room = Room::speaking_in(8_000);
    room.meet(SESSION, 1);
    room.started("slow", &json!({}));
    let task = room.tasks.pop().expect("it was handed over");
    let report = room.report(&task);
    let frame = room.frame(SESSION, 2, FRAME as u64, vec![report]);
    room.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 1 });
    room.settle();
    assert_eq!(room.tasks.len(), FRAME - 1);
    assert!(room.handed.len() > 1 && room.answers.iter().all(|(_, bytes)| bytes.len() <= 8_000), "{:?}", room.handed);
}
