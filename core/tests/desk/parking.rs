//! What waits for a definition, and what comes behind it.

use headwater_core::DefinitionVersion;
use headwater_core::desk::{Input, Needed, Output};
use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::RunCommand;
use headwater_core::shard::{Command, Submission, WorkflowKey};
use serde_json::json;

use crate::room::{Room, one, slow};

fn needed(workflow: &str) -> Needed {
    let key = WorkflowKey { workspace: "acme".parse().unwrap(), workflow: workflow.parse().unwrap() };
    (key, DefinitionVersion::FIRST)
}

impl Room {
    /// Says that a definition was found.
    fn finds(&mut self, workflow: &str, definition: &serde_json::Value) {
        let document = headwater_core::definition::compile(definition).unwrap().0.source;
        self.take(Input::Found { needed: needed(workflow), document: Some(document) });
        self.settle();
    }

    /// Returns what is looked up for these.
    fn looks_up(&mut self, reply: u64, submissions: Vec<Submission>) -> Vec<Needed> {
        let requests = submissions.into_iter().map(|wish| ShardRequest::Submit(Box::new(wish))).collect();
        self.desk.take(Input::Commands { requests, reply }, self.at, &mut self.out);
        let looked_up = self.out.iter().filter_map(|output| match output {
            Output::Find(needed) => Some(needed.clone()),
            _ => None,
        });
        let looked_up = looked_up.collect();
        self.settle();
        looked_up
    }

    fn is_done(&self, reply: u64) -> Option<bool> {
        let replies = self.replies(reply)?;
        Some(replies.iter().all(|reply| matches!(reply, ShardReply::Done { .. })))
    }
}

#[test]
fn what_is_wished_of_a_run_whose_start_waits_is_decided_after_it() {
    let mut room = Room::new();
    room.finds = false;
    let (run, start) = room.start_of("slow", &json!({}));
    room.commands(1, vec![start]);
    let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    let cancel = Submission::new(room.id(), Command::Run { run, command });
    room.commands(2, vec![cancel]);
    room.settle();
    assert_eq!((room.replies(1), room.replies(2)), (None, None), "both wait");
    room.finds("slow", &slow());
    assert_eq!((room.is_done(1), room.is_done(2)), (Some(true), Some(true)));
    assert!(!room.is_known(run), "it was started, and cancelled");
}

#[test]
fn what_has_no_definition_is_looked_up_once_and_refused() {
    let mut room = Room::new();
    room.finds = false;
    let starts = [(); 2].map(|()| room.start_of("missing", &json!({})).1);
    assert_eq!(room.looks_up(1, starts.to_vec()), [needed("missing")]);
    room.take(Input::Found { needed: needed("missing"), document: None });
    room.settle();
    assert_eq!(room.is_done(1), Some(false));
    let (_, again) = room.start_of("missing", &json!({}));
    assert_eq!(room.looks_up(2, vec![again]), [needed("missing")], "it may have come meanwhile");
}

#[test]
fn what_waited_behind_another_definition_is_looked_up_by_itself() {
    let mut room = Room::new();
    room.finds = false;
    let mut starts = room.lane_starts("slow", 1, 2);
    let (run, other) = room.start_of("one", &json!({}));
    starts[1] = Submission { from: starts[1].from, ..other };
    assert_eq!(room.looks_up(1, starts), [needed("slow")]);
    room.finds("slow", &slow());
    assert_eq!(room.is_done(1), None);
    room.finds("one", &one());
    assert_eq!(room.is_done(1), Some(true));
    assert!(room.is_known(run));
}
