//! An attempt of the built-in action `process`, as both of its test programs run one.

use headwater_core::protocol::{Task, Work};
use headwater_core::{Attempt, Json, LeaseToken, RunId, ShardId, Timestamp};
use headwater_workers::actions::ActionPolicy;
use headwater_workers::sdk::Context;

pub fn policy() -> ActionPolicy {
    let supervisor = Some(env!("CARGO_BIN_EXE_headwater-supervise").into());
    ActionPolicy { allow_processes: true, supervisor, ..ActionPolicy::default() }
}

pub fn context() -> Context {
    Context::new(Task {
        workspace: "acme".parse().unwrap(),
        workflow: "w".parse().unwrap(),
        run: RunId::new(ShardId::new(0).unwrap(), Timestamp::from_micros(1), 1),
        node: "n".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(1),
        queue: "builtin".parse().unwrap(),
        work: Work::BuiltIn(headwater_core::definition::BuiltIn::Process),
        input: Json::null(),
        assets: Vec::new(),
        effects_key: None,
        deadline: None,
        heartbeat_timeout_ms: None,
    })
}
