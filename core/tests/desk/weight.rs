//! How much what waits weighs: by the bytes it holds, until it is decided, and nothing afterwards.

use headwater_core::Json;
use headwater_core::desk::{Input, LINE_BYTES_MAX, Output};
use headwater_core::protocol::{Held, ShardReply, ShardRequest, Task, WorkReply, WorkRequest};
use headwater_core::run::{ProducedAsset, ReportOutcome};
use headwater_core::shard::Rejection;
use serde_json::json;

use crate::room::{Room, SESSION};

const MEGABYTE: usize = 1_000_000;
/// Requests of a frame, each of about a megabyte.
const REQUESTS: usize = 10;
/// So many frames fit, and the last of them over the edge.
const FRAMES: usize = LINE_BYTES_MAX / (REQUESTS * MEGABYTE) + 1;

fn large() -> Json {
    Json::of(&"x".repeat(MEGABYTE))
}

impl Room {
    /// A report of a task with another outcome.
    fn ends(&mut self, task: &Task, outcome: ReportOutcome) -> WorkRequest {
        let WorkRequest::Report { id, run, mut report } = self.report(task) else { unreachable!() };
        report.outcome = outcome;
        WorkRequest::Report { id, run, report }
    }

    /// Ends the burst of this turn.
    fn is_busy_with(&mut self, task: &Task) {
        let report = self.report(task);
        let frame = self.frame(SESSION, 1, 0, vec![report]);
        self.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply: 0 }, self.at, &mut self.out);
    }

    /// Returns how many frames of such requests wait within a turn before one is refused.
    fn frames_taken(&mut self, busy_with: &Task, request: &WorkRequest) -> usize {
        self.is_busy_with(busy_with);
        let frames = 2 * FRAMES;
        for reply in 1..=frames as u64 {
            let frame = self.frame(SESSION, 1, 0, vec![request.clone(); REQUESTS]);
            self.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, self.at, &mut self.out);
        }
        self.answers.clear();
        self.settle();
        let overloaded = serde_json::to_string(&WorkReply::Refused { rejection: Rejection::Overloaded }).unwrap();
        let refused = self.answers.iter().filter(|(_, said)| String::from_utf8_lossy(said).contains(&overloaded));
        frames - refused.count()
    }
}

#[test]
fn what_a_worker_says_weighs_what_it_holds_until_it_is_decided() {
    let mut room = Room::new();
    let tasks = room.held();
    // Of an attempt that is not there, so that nothing comes of it.
    let task = &Task { attempt: tasks[0].attempt.next(), ..tasks[0].clone() };
    let asset = ProducedAsset {
        asset_id: "a.b".parse().unwrap(),
        payload: large(),
        produced_at: None,
        partition_key: None,
        schema: None,
        freshness: None,
    };
    let failed = |code: &str, message: &str| ReportOutcome::failed(code, message, true);
    let word = "x".repeat(MEGABYTE);
    let outcomes = [
        ReportOutcome::Succeeded { output: large(), assets: Vec::new() },
        ReportOutcome::Succeeded { output: Json::null(), assets: vec![asset] },
        failed("boom", &word),
        failed(&word, "boom"),
    ];
    let mut requests: Vec<_> = outcomes.into_iter().map(|outcome| room.ends(task, outcome)).collect();
    let Task { run, node, attempt, lease, .. } = task.clone();
    let held = Held { run, node, attempt, lease, progress: None };
    requests.push(WorkRequest::Heartbeat { held: vec![held; MEGABYTE / 512] });
    for (request, busy_with) in requests.iter().zip(&tasks[1..]) {
        assert_eq!(room.frames_taken(busy_with, request), FRAMES);
    }
}

#[test]
fn what_is_parked_weighs_what_it_holds_until_what_it_needs_is_found() {
    let mut room = Room::new();
    let input = json!({"more": "x".repeat(MEGABYTE)});
    for (round, workflow) in [(0, "early"), (100, "late")] {
        let mut needed = None;
        for reply in round + 1..=round + 2 * FRAMES as u64 {
            let requests =
                (0..REQUESTS).map(|_| ShardRequest::Submit(Box::new(room.start_of(workflow, &input).1))).collect();
            room.desk.take(Input::Commands { requests, reply }, room.at, &mut room.out);
            for output in std::mem::take(&mut room.out) {
                match output {
                    Output::Find(wanted) => needed = Some(wanted),
                    output => room.act(output),
                }
            }
        }
        let overloaded = vec![ShardReply::Refused { rejection: Rejection::Overloaded }; REQUESTS];
        let refused = |room: &Room, reply| room.replies(reply).is_some_and(|replies| replies == overloaded);
        let taken = (round + 1..=round + 2 * FRAMES as u64).filter(|reply| !refused(&room, *reply)).count();
        assert_eq!(taken, FRAMES, "{workflow}");
        // There is none: everybody is told so.
        room.take(Input::Found { needed: needed.expect("it is looked up"), document: None });
        room.settle();
        for reply in round + 1..=round + FRAMES as u64 {
            let replies = room.replies(reply).expect("it is answered");
            assert!(replies.iter().all(|reply| matches!(reply, ShardReply::Refused { .. })), "{workflow}");
        }
    }
}

#[test]
fn what_weighs_nothing_takes_its_turns_too() {
    let mut room = Room::new();
    let requests = vec![ShardRequest::NameEpoch { prove: false }; 1_000];
    room.take(Input::Commands { requests, reply: 1 });
    assert_eq!(room.replies(1), None, "that is more than one burst");
    room.settle();
    assert_eq!(room.replies(1).map(|replies| replies.len()), Some(1_000));
}

#[test]
fn what_waits_may_weigh_as_much_as_the_bound_says_and_nothing_more() {
    // What a request, and each attempt that it names, is taken to weigh.
    const NAMES: usize = 512;
    const HELD: usize = 1_023;
    let mut room = Room::new();
    let tasks = room.held();
    let Task { run, node, attempt, lease, .. } = tasks[0].clone();
    let held = vec![Held { run, node, attempt, lease, progress: None }; HELD];
    room.is_busy_with(&tasks[1]);
    let requests = vec![WorkRequest::Heartbeat { held }; LINE_BYTES_MAX / (NAMES * (HELD + 1))];
    let frames = [
        requests,
        vec![WorkRequest::Heartbeat { held: Vec::new() }],
        vec![WorkRequest::Heartbeat { held: Vec::new() }],
    ];
    for (reply, requests) in (1..).zip(frames) {
        let frame = room.frame(SESSION, 1, 0, requests);
        room.desk.take(Input::Work { workspace: "acme".parse().unwrap(), frame, reply }, room.at, &mut room.out);
    }
    room.settle();
    let overloaded = |reply| {
        let (_, said) = room.answers.iter().find(|(to, _)| *to == reply).expect("it is answered");
        String::from_utf8_lossy(said).contains("overloaded")
    };
    assert_eq!([1, 2, 3].map(overloaded), [false, false, true]);
}
