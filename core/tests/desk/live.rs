//! Who asks what is seen of a run.

use headwater_core::desk::{Input, Output};
use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::RunRejection;
use headwater_core::shard::Rejection;
use headwater_core::{BranchId, RunId};
use serde_json::{Value, json};

use crate::room::Room;

impl Room {
    /// Asks in a turn of its own, and leaves what it would append where it is.
    fn asks_of(&mut self, reply: u64, workspace: &str, run: RunId, branch: u32) {
        let (workspace, branch) = (workspace.parse().unwrap(), BranchId::new(branch));
        let requests = vec![ShardRequest::DescribeRun { workspace, run, branch }];
        self.take(Input::Commands { requests, reply });
    }

    fn told(&self, reply: u64) -> ShardReply {
        self.replies(reply).expect("it is answered").remove(0)
    }
}

fn context(reply: &ShardReply) -> Value {
    let ShardReply::Run { context: Some(context), .. } = reply else { panic!("{reply:?}") };
    context.to_value()
}

#[test]
fn what_is_seen_of_a_run_is_told_by_its_shard() {
    let mut room = Room::new();
    let run = room.started("one", &json!({"n": 3}));
    room.asks_of(1, "acme", run, 0);
    let seen = context(&room.told(1));
    assert_eq!((&seen["input"], &seen["nodes"]["a"]["status"]), (&json!({"n": 3}), &json!("queued")));
    room.asks_of(2, "acme", run, 7);
    assert_eq!(room.told(2), ShardReply::Run { context: None, bytes: 0 });
    let unknown = ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) };
    room.asks_of(3, "other", run, 0);
    assert_eq!(room.told(3), unknown, "of another workspace it is not there");
    let large = room.started("one", &json!({"n": "x".repeat(300 << 10)}));
    room.asks_of(4, "acme", large, 0);
    let ShardReply::Run { context: None, bytes } = room.told(4) else { panic!("{:?}", room.told(4)) };
    assert!(bytes > 300 << 10, "{bytes}");
}

#[test]
fn what_is_not_durable_yet_is_not_told_before_it_is() {
    let mut room = Room::new();
    let (run, start) = room.start_of("one", &json!({}));
    let requests = vec![ShardRequest::Submit(Box::new(start))];
    room.desk.take(Input::Commands { requests, reply: 1 }, room.at, &mut room.out);
    room.settle();
    let (second, start) = room.start_of("one", &json!({}));
    let requests = vec![ShardRequest::Submit(Box::new(start))];
    room.desk.take(Input::Commands { requests, reply: 2 }, room.at, &mut room.out);
    let (workspace, branch) = ("acme".parse().unwrap(), BranchId::ROOT);
    let requests = vec![ShardRequest::DescribeRun { workspace, run: second, branch }];
    room.desk.take(Input::Commands { requests, reply: 3 }, room.at, &mut room.out);
    let is_answered = room.out.iter().any(|output| matches!(output, Output::Answer { reply: 3, .. }));
    assert!(!is_answered, "its start is not durable");
    room.settle();
    assert_eq!(context(&room.told(3))["status"], "running");
    assert!(room.is_known(run));
}

#[test]
fn what_a_shard_has_of_a_run_is_told_by_its_hash() {
    let mut room = Room::new();
    let run = room.started("one", &json!({"n": 3}));
    let mut ask = |reply: u64, workspace: &str, run: RunId| {
        let requests = vec![ShardRequest::DigestRun { workspace: workspace.parse().unwrap(), run }];
        room.take(Input::Commands { requests, reply });
        room.told(reply)
    };
    let ShardReply::Digest { revision, digest: Some(first) } = ask(1, "acme", run) else { panic!("it is told") };
    assert!(revision.get() > 0 && first.len() == 64, "{revision} {first}");
    assert_eq!(ask(2, "acme", run), ShardReply::Digest { revision, digest: Some(first) }, "it is the same again");
    let unknown = ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) };
    assert_eq!(ask(3, "other", run), unknown, "of another workspace it is not there");
}
