//! What the engine's own processes ask about a desk, and what it says of itself.

use std::time::Duration;

use headwater_core::desk::{Input, Output};
use headwater_core::protocol::{Malformed, ShardReply, ShardRequest};
use headwater_core::run::RunCommand;
use headwater_core::shard::{Bounds, Command, Rejection, Submission};
use serde_json::json;

use crate::room::{REQUESTS_WAITING_MAX, Room, SESSION};

impl Room {
    /// Asks who drives the shard, without ending the turn.
    fn asks_who_drives(&mut self, reply: u64, prove: bool) {
        let requests = vec![ShardRequest::NameEpoch { prove }];
        self.desk.take(Input::Commands { requests, reply }, self.at, &mut self.out);
    }

    /// Says since when an append is on its way, as far as who has just asked is told at once.
    fn said_of_the_append(&mut self) -> Option<Option<u64>> {
        let said = self.out.iter().rev().find_map(|output| match output {
            Output::Answer { bytes, .. } => Some(serde_json::from_slice::<Vec<ShardReply>>(bytes).unwrap()),
            _ => None,
        })?;
        let [ShardReply::Driven { appending_ms, .. }] = said[..] else { panic!("{said:?}") };
        Some(appending_ms)
    }

    /// Decides the start of a run, without ending the turn.
    fn begins(&mut self, reply: u64, workflow: &str) {
        let requests = vec![ShardRequest::Submit(Box::new(self.start_of(workflow, &json!({})).1))];
        self.desk.take(Input::Commands { requests, reply }, self.at, &mut self.out);
    }

    /// Ends a turn, and leaves what was to be appended on its way.
    fn sends(&mut self) {
        self.desk.turn(false, self.at, &mut self.out);
        assert!(self.out.iter().any(|output| matches!(output, Output::Append(_))));
    }
}

#[test]
fn an_append_that_landed_is_proof_for_a_second() {
    let mut room = Room::new();
    for (millis, appends) in [(0, 0), (999, 0), (1_000, 1), (1_999, 1), (2_000, 2)] {
        room.at.steady = Duration::from_millis(millis);
        let before = room.answers.len();
        room.asks_who_drives(1, true);
        room.end_turn();
        assert_eq!((room.answers.len(), room.sequence.get()), (before + 1, 1 + appends), "after {millis} ms");
    }
    room.at.steady = Duration::from_secs(9);
    room.asks_who_drives(1, false);
    room.end_turn();
    assert_eq!(room.sequence.get(), 3, "nobody wanted proof");
}

#[test]
fn an_append_that_stalls_is_told_to_whoever_asks() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    room.begins(1, "quick");
    room.sends();
    let began = room.at.steady;
    for (millis, prove, said) in [
        (1_499, false, Some(None)),
        (1_499, true, None),
        (1_500, false, Some(Some(1_500))),
        (1_700, true, Some(Some(1_700))),
    ] {
        room.at.steady = began + Duration::from_millis(millis);
        let sent = std::mem::take(&mut room.out);
        room.asks_who_drives(2, prove);
        assert_eq!(room.said_of_the_append(), said, "after {millis} ms");
        room.out = sent;
    }
}

#[test]
fn every_refusal_is_counted_once() {
    let mut room = Room::new();
    let tasks = room.held();
    assert_eq!(room.desk.refusals(), 0);
    let malformed = Malformed { path: "/".to_owned(), reason: "no".to_owned() };
    room.take(Input::Unreadable { malformed, reply: 1 });
    assert_eq!(room.desk.refusals(), 1);
    // Decided, and refused by the rules: a report on what is done already.
    let reports = [room.report(&tasks[0]), room.report(&tasks[0])];
    for (report, refusals) in reports.into_iter().zip([1, 2]) {
        room.work(2, vec![report]);
        assert_eq!(room.desk.refusals(), refusals);
    }
    // Of a run that is another workspace's.
    let report = room.report(&tasks[1]);
    let frame = room.frame(9, 1, 0, vec![report]);
    room.take(Input::Work { workspace: "other".parse().unwrap(), frame, reply: 3 });
    assert_eq!(room.desk.refusals(), 3);
    let (run, _) = room.start_of("quick", &json!({}));
    let id = room.id();
    let command = RunCommand::CancelRun { workspace: None, reason: "why not".to_owned(), grace_ms: 0 };
    room.commands(4, vec![Submission::new(id, Command::Run { run, command })]);
    assert_eq!(room.desk.refusals(), 4);
}

#[test]
fn a_desk_is_at_rest_when_nothing_waits_for_anything() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    assert!(!room.desk.is_at_rest(), "holders of what it inherited may still show themselves");
    room.at.steady += Duration::from_secs(15);
    room.take(Input::Sweep);
    room.settle();
    assert!(room.desk.is_at_rest());
    room.begins(1, "quick");
    room.sends();
    assert!(!room.desk.is_at_rest(), "something is to be appended");
    room.settle();
    assert!(room.desk.is_at_rest());
    room.finds = false;
    room.begins(2, "slow");
    room.settle();
    assert!(!room.desk.is_at_rest(), "a definition is to be found");
}

#[test]
fn a_bundle_is_worth_waiting_for_where_workers_hold_something() {
    let mut room = Room::new();
    room.started("quick", &json!({}));
    assert!(!room.desk.is_worth_waiting());
    room.begins(1, "quick");
    assert!(!room.desk.is_worth_waiting(), "nobody holds anything");
    room.meet(SESSION, 1);
    room.started("one", &json!({}));
    assert_eq!(room.tasks.len(), 1);
    assert!(!room.desk.is_worth_waiting(), "nothing would leave");
    room.begins(1, "quick");
    assert!(room.desk.is_worth_waiting());
    room.sends();
    room.begins(1, "quick");
    assert!(!room.desk.is_worth_waiting(), "nothing leaves before what is on its way has landed");
}

#[test]
fn so_many_requests_wait_beside_those_for_the_ends_of_runs() {
    let mut room = Room::bounded(Bounds::default());
    let tasks = room.held();
    let run = room.started("quick", &json!({}));
    let watchers = 10;
    let requests = vec![ShardRequest::AwaitRun { run }; watchers];
    room.take(Input::Commands { requests, reply: 1 });
    room.at.steady += Duration::from_secs(2);
    // One of a worker, and then as many as there may be: what is decided is not durable yet.
    let report = room.report(&tasks[0]);
    let frame = room.frame(SESSION, 2, 50, vec![report]);
    room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 2 }, room.at, &mut room.out);
    let again = |count| vec![ShardRequest::NameEpoch { prove: true }; count];
    for (reply, count) in [(3, REQUESTS_WAITING_MAX - 2), (4, 1)] {
        room.desk.take(Input::Commands { requests: again(count), reply }, room.at, &mut room.out);
    }
    assert!(room.out.iter().all(|output| !matches!(output, Output::Answer { .. })), "all of them wait");
    room.desk.take(Input::Commands { requests: again(1), reply: 5 }, room.at, &mut room.out);
    room.end_turn();
    assert_eq!(room.replies(5), Some(vec![ShardReply::Refused { rejection: Rejection::Overloaded }]));
}
