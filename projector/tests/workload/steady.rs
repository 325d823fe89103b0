//! Runs of ten steps, many at a time: eleven commits of two events each, about 500 bytes of JSON a commit.

use headwater_core::run::{RunEvent, Trigger};
use headwater_core::shard::{AggregateId, Event};
use headwater_core::{Attempt, DefinitionVersion, Json, LeaseToken, NodeAddress, Revision, RunId, Timestamp, WorkerId};
use headwater_streams::journals::MemoryJournals;

use super::{Dice, Shard};

/// What is generated.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub shards: u16,
    pub steps: u64,
    pub steps_per_run: u32,
    /// Runs in flight on each shard.
    pub in_flight: usize,
    pub commits_per_bundle: usize,
    pub payload_bytes: usize,
}

struct Flight {
    run: RunId,
    revision: Revision,
    done: u32,
    since: Timestamp,
}

fn events(events: Vec<RunEvent>) -> Vec<Event> {
    events.into_iter().map(Event::Run).collect()
}

/// Writes the journals of a load and returns how many steps, commits and events are in them.
pub fn write(load: Load, journal: &MemoryJournals) -> Written {
    let mut dice = Dice::new(7);
    let mut written = Written::default();
    let nodes: Vec<NodeAddress> = (0..load.steps_per_run).map(|n| format!("step-{n}").parse().unwrap()).collect();
    let worker: WorkerId = "worker-1.host".parse().unwrap();
    let filler = "x".repeat(load.payload_bytes);
    for number in 0..load.shards {
        let mut shard = Shard::new(number);
        let mut flights: Vec<Flight> = Vec::new();
        let (mut left, mut turn) = (load.steps / u64::from(load.shards), 0);
        while left > 0 || !flights.is_empty() {
            if left > 0 && flights.len() < load.in_flight {
                left = left.saturating_sub(u64::from(load.steps_per_run));
                let run = RunId::new(shard.id, shard.clock, dice.wide());
                let mut revision = Revision::FIRST;
                let input = Json::of(&serde_json::json!({"customer": dice.below(100_000), "note": "monthly"}));
                let start = RunEvent::RunStarted {
                    workspace: "default".parse().unwrap(),
                    workflow: "ten-steps".parse().unwrap(),
                    version: DefinitionVersion::FIRST,
                    input: input.clone(),
                    trigger: Trigger::Manual {},
                    keyed: false,
                    targets: Vec::new(),
                    continued: None,
                };
                let made = vec![start, scheduled(&nodes[0], run, input, &worker)];
                shard.commit(&mut dice, AggregateId::Run(run), &mut revision, events(made));
                flights.push(Flight { run, revision, done: 0, since: shard.clock });
            } else {
                turn = (turn + 1) % flights.len();
                let flight = &mut flights[turn];
                let node = &nodes[flight.done as usize];
                let output = Json::of(&serde_json::json!({"value": dice.below(1 << 40), "text": filler}));
                let succeeded = RunEvent::NodeSucceeded {
                    node: node.clone(),
                    attempt: Attempt::FIRST,
                    output: output.clone(),
                    assets: Vec::new(),
                    worker: Some(worker.clone()),
                    started_at: Some(flight.since),
                    taken: None,
                    reused: None,
                    landed: None,
                };
                flight.done += 1;
                let ended = flight.done == load.steps_per_run;
                let next = if ended {
                    RunEvent::RunSucceeded { output, successor: None }
                } else {
                    scheduled(&nodes[flight.done as usize], flight.run, output, &worker)
                };
                let made = vec![succeeded, next];
                shard.commit(&mut dice, AggregateId::Run(flight.run), &mut flight.revision, events(made));
                flight.since = shard.clock;
                written.steps += 1;
                if ended {
                    flights.remove(turn);
                    written.runs += 1;
                    turn = turn.saturating_sub(1);
                }
            }
            written.commits += 1;
            if shard.open_commits() >= load.commits_per_bundle || (left == 0 && flights.is_empty()) {
                let bytes = shard.close(&mut dice);
                written.bytes += bytes.len();
                journal.append(shard.id, bytes);
            }
        }
    }
    written
}

fn scheduled(node: &NodeAddress, run: RunId, input: Json, worker: &WorkerId) -> RunEvent {
    RunEvent::AttemptScheduled {
        node: node.clone(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::derived(&[run.as_uuid().as_bytes(), node.text().as_bytes()]),
        input: Some(input),
        wakes_at: None,
        handed_to: Some(worker.clone()),
        session: None,
        child: None,
        signals: Vec::new(),
    }
}

/// What was generated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    pub runs: u64,
    pub steps: u64,
    pub commits: u64,
    pub bytes: usize,
}
