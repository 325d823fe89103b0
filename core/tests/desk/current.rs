//! Who asks which version of a workflow is current, to have another shard look for it.

use headwater_core::desk::{Input, Output};
use headwater_core::dialogue::Caller;
use headwater_core::protocol::{Granted, ShardReply};
use headwater_core::shard::{Command, Rejection, Submission, Way, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand, WorkflowRejection};
use headwater_core::{Attempt, NodeAddress, Sequence};
use serde_json::json;

use crate::room::{Out, Room};

fn key(workflow: &str) -> WorkflowKey {
    WorkflowKey { workspace: "acme".parse().unwrap(), workflow: workflow.parse().unwrap() }
}

impl Room {
    /// Applies the next version of a workflow; returns the bundle with it.
    fn applies(&mut self, workflow: &str, version: u32) -> Sequence {
        let document =
            json!({"slug": workflow, "description": version.to_string(), "nodes": [{"id": "a", "jobSlug": "work"}]});
        let definition = headwater_core::definition::compile(&document).unwrap().0;
        let (document, content_hash) = (definition.source.clone(), definition.content_hash.to_string());
        let apply = WorkflowCommand::ApplyWorkflow(ApplyWorkflow { document, content_hash });
        let wish = Submission::new(self.id(), Command::Workflow { key: key(workflow), command: apply });
        self.commands(1000 + u64::from(version), vec![wish]);
        self.settle();
        self.sequence
    }

    fn asks(&mut self, reply: u64, workflow: &str) {
        let (run, _) = self.start_of("one", &json!({}));
        let caller = Caller {
            run,
            node: NodeAddress::from("call".parse::<headwater_core::NodeId>().unwrap()),
            attempt: Attempt::FIRST,
        };
        let command = Command::Workflow { key: key(workflow), command: WorkflowCommand::NameCurrent { caller } };
        let wish = Submission::new(self.id(), command);
        self.commands(reply, vec![wish]);
        self.settle();
    }

    fn publishes(&mut self, sequence: Sequence) {
        self.take(Input::Delivered { way: Way::Definitions, sequence });
    }

    fn named(&self, reply: u64) -> Option<u32> {
        let replies = self.replies(reply)?;
        let [ShardReply::Done { granted: Some(Granted::Workflow { version, .. }), .. }] = &replies[..] else {
            panic!("{replies:?}");
        };
        Some(version.get())
    }
}

#[test]
fn a_version_is_named_once_it_is_published_and_later_ones_are_not_waited_for() {
    let mut room = Room::new();
    let first = room.applies("called", 1);
    room.asks(1, "called");
    assert_eq!(room.named(1), None, "no other shard finds it yet");
    let second = room.applies("called", 2);
    room.asks(2, "called");
    let other = room.applies("other", 3);
    room.publishes(first);
    assert_eq!((room.named(1), room.named(2)), (Some(1), None));
    room.publishes(second);
    assert_eq!(room.named(2), Some(2), "whatever else is applied all the time");
    room.publishes(other);
    room.asks(3, "called");
    assert_eq!(room.named(3), Some(2), "there is nothing to wait for");
}

#[test]
fn a_workflow_that_is_not_known_is_said_to_be_at_once() {
    let mut room = Room::new();
    room.applies("other", 1);
    room.asks(1, "called");
    let unknown = Rejection::Workflow(WorkflowRejection::WorkflowNotFound);
    assert_eq!(room.replies(1).unwrap(), [ShardReply::Refused { rejection: unknown }]);
}

#[test]
fn who_waits_for_a_version_to_be_published_is_told_to_ask_the_next_owner() {
    let mut room = Room::new();
    room.applies("called", 1);
    room.asks(1, "called");
    assert!(!room.desk.is_at_rest(), "somebody waits");
    let mut out: Vec<Out> = Vec::new();
    room.desk.step_down(&mut out);
    let [Output::Answer { reply: 1, bytes }] = &out[..] else { panic!("{out:?}") };
    let replies: Vec<ShardReply> = serde_json::from_slice(bytes).unwrap();
    assert_eq!(replies, [ShardReply::Refused { rejection: Rejection::NotOwner }]);
}
