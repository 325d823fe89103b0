//! What somebody does to runs by hand in the stories of the laws.

use std::time::Duration;

use headwater_core::run::{Operation, RunCommand};
use headwater_core::shard::Command;
use headwater_core::{CommandId, Json, NodeAddress, RunId, Timestamp};

use crate::laws::exchange;
use crate::world::World;

/// What somebody does by hand, by chance.
pub fn taken_in_hand(id: CommandId, which: usize, node: Option<NodeAddress>, now: Timestamp) -> RunCommand {
    let of = node.as_ref().map(|node| node.node().clone());
    let operation = match (which % 8, node) {
        (0 | 1, _) | (_, None) => Operation::Pause { node: None },
        (2, _) => Operation::Resume { node: None },
        (3, _) => Operation::Pause { node: of },
        (4, _) => Operation::Resume { node: of },
        (5, Some(node)) => Operation::Skip { node },
        (6, Some(node)) => Operation::Complete { node, output: Json::of(&which), assets: Vec::new() },
        (_, Some(node)) if which == 15 => Operation::SetTimer { node, due_at: now.after(Duration::from_secs(3)) },
        (_, Some(_)) => Operation::Terminate {},
    };
    RunCommand::Operate { workspace: "default".parse().unwrap(), id, operation, reason: None }
}

/// Lets every run go on that is paused, or a node of it.
pub fn resume_all(world: &mut World, runs: &[RunId]) {
    for run in runs {
        let paused =
            world.shard.run(*run).map(|run| run.paused_nodes().cloned().map(Some).chain([None]).collect::<Vec<_>>());
        for node in paused.unwrap_or_default() {
            let workspace = "default".parse().unwrap();
            let id = world.fresh_id();
            let command = RunCommand::Operate { workspace, id, operation: Operation::Resume { node }, reason: None };
            world.decide(Command::Run { run: *run, command }).unwrap();
        }
    }
    exchange(world);
}
