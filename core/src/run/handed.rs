//! What a worker gets of an attempt.

use super::attempt::CurrentAttempt;
use super::recall;
use super::state::{Place, Run};
use crate::NodeAddress;
use crate::definition::Execution;
use crate::task::{Task, Work};

/// The task of a node's current attempt; `None` for attempts that no worker executes.
fn task(run: &Run, place: Place, current: &CurrentAttempt) -> Option<Task> {
    let node = run.definition().node(place.node);
    let work = match &node.action.execution {
        Execution::Fleet { job } => Work::Job(job.clone()),
        Execution::Engine(action) => Work::BuiltIn(*action),
        Execution::Inside { .. }
        | Execution::Fails { .. }
        | Execution::Each(_)
        | Execution::Group(_)
        | Execution::Calls(_)
        | Execution::Callback(_)
        | Execution::Continues(_)
        | Execution::Waits(_)
        | Execution::Listens(_)
        | Execution::Asks(_)
        | Execution::Undoes => return None,
    };
    Some(Task {
        workspace: run.workspace().clone(),
        workflow: run.workflow().clone(),
        run: run.id(),
        node: run.address(place),
        attempt: current.attempt,
        lease: current.lease,
        queue: node.queue.clone(),
        work,
        input: current.input.clone().unwrap_or_else(|| run.input().clone()),
        assets: run.node(place).consumed.clone(),
        deadline: node.timeout.map(|span| current.scheduled_at.after(span)),
        effects_key: recall::key_of(run, place).map(|by| format!("{}/{}", by.run, by.node)),
        heartbeat_timeout_ms: node.heartbeat_timeout.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// Returns the task of a node's current attempt, to hand it over.
pub fn task_of(run: &Run, node: &NodeAddress) -> Option<Task> {
    let place = run.find(node)?;
    task(run, place, run.current(place)?)
}
