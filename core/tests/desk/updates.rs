//! Who waits for what an update is answered with.

use std::time::Duration;

use headwater_core::desk::{Input, Output};
use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::{RunCommand, RunRejection, RunStatus};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{CommandId, Json, RunId};
use serde_json::{Value, json};

use crate::room::Room;

fn update_id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn refused(rejection: RunRejection) -> ShardReply {
    ShardReply::Refused { rejection: Rejection::Run(rejection) }
}

impl Room {
    fn says(&mut self, run: RunId, number: u128, name: &str) -> Submission {
        let command = RunCommand::Signal {
            workspace: "acme".parse().unwrap(),
            signal: update_id(number),
            name: name.parse().unwrap(),
            key: None,
            payload: Json::of(&number.to_string()),
            broadcast: false,
            update: true,
        };
        Submission::new(self.id(), Command::Run { run, command })
    }

    fn awaits(&mut self, reply: u64, workspace: &str, run: RunId, number: u128) {
        let (workspace, update) = (workspace.parse().unwrap(), update_id(number));
        let requests = vec![ShardRequest::AwaitReply { workspace, run, update }];
        self.take(Input::Commands { requests, reply });
    }

    fn reply(&self, frame: u64) -> Option<Value> {
        let [ShardReply::Replied { reply, .. }] = &self.replies(frame)?[..] else {
            panic!("{:?}", self.replies(frame))
        };
        Some(reply.value.to_value())
    }
}

#[test]
fn who_waits_for_a_reply_hears_it_once_it_is_durable() {
    let mut room = Room::new();
    let run = room.started("replies", &json!({}));
    let said = room.says(run, 1, "later");
    room.commands(1, vec![said]);
    room.awaits(2, "acme", run, 1);
    room.awaits(3, "acme", run, 9);
    room.awaits(4, "other", run, 1);
    assert_eq!(room.replies(2), None, "nobody has taken it");
    assert_eq!(room.replies(3), Some(vec![refused(RunRejection::UpdateNotFound)]));
    assert_eq!(room.replies(4), Some(vec![refused(RunRejection::RunNotFound)]));
    let said = room.says(run, 2, "first");
    let requests = vec![ShardRequest::Submit(Box::new(said))];
    room.desk.take(Input::Commands { requests, reply: 5 }, room.at, &mut room.out);
    assert!(!room.out.iter().any(|output| matches!(output, Output::Answer { reply: 2, .. })), "it is not durable");
    room.settle();
    assert_eq!(room.reply(2), Some(json!("later 1")), "taken when the first was");
    room.awaits(6, "acme", run, 2);
    assert_eq!(room.reply(6), Some(json!("first 2")));
    let said = room.says(run, 3, "unheard");
    room.commands(7, vec![said]);
    room.awaits(8, "acme", run, 3);
    let said = room.says(run, 4, "last");
    room.commands(9, vec![said]);
    let closed = refused(RunRejection::RunClosed { status: RunStatus::Succeeded, successor: None });
    assert_eq!(room.replies(8), Some(vec![closed]), "the run has ended without it");
}

#[test]
fn who_has_waited_long_asks_again() {
    let mut room = Room::new();
    let run = room.started("replies", &json!({}));
    let said = room.says(run, 1, "later");
    room.commands(1, vec![said]);
    room.awaits(2, "acme", run, 1);
    room.at.steady += Duration::from_secs(13);
    room.take(Input::Sweep);
    assert_eq!(room.replies(2), Some(vec![ShardReply::Refused { rejection: Rejection::NotOwner }]));
}
