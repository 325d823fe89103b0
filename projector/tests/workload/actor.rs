//! One run that lives through whatever can happen to it.

use std::collections::BTreeMap;

use headwater_core::run::{RunEvent, RunFailure, RunStatus};
use headwater_core::{Attempt, Json, LeaseToken, NodeAddress, Revision, RunId, SessionId, Timestamp};
use serde_json::json;

use super::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Awaiting,
    Queued(u32),
    Scheduled(u32),
    Retrying(u32),
    Over(&'static str, u32),
}

pub struct Actor {
    pub run: RunId,
    pub revision: Revision,
    nodes: Vec<(NodeAddress, State)>,
    end: Option<RunStatus>,
}

const NUL_FREE: [&str; 3] = ["it broke", "ünwell 💥", "a \"quoted\" reason\nin two lines"];

fn shown(state: State) -> Option<(&'static str, u32)> {
    match state {
        State::Pending => None,
        State::Awaiting => Some(("waiting", 1)),
        State::Queued(attempt) => Some(("queued", attempt)),
        State::Scheduled(attempt) => Some(("running", attempt)),
        State::Retrying(attempt) => Some(("waiting", attempt)),
        State::Over(status, attempt) => Some((status, attempt)),
    }
}

impl Actor {
    pub fn new(run: RunId, node_count: u64) -> Self {
        let nodes = (0..node_count).map(|n| (format!("n{n}").parse().unwrap(), State::Pending)).collect();
        Self { run, revision: Revision::FIRST, nodes, end: None }
    }

    /// How the run ended, once it has.
    pub fn end(&self) -> Option<RunStatus> {
        self.end
    }

    /// The status and the number of the highest attempt of every node that has one.
    pub fn nodes(&self) -> BTreeMap<String, (&'static str, u32)> {
        self.nodes.iter().filter_map(|(node, state)| Some((node.to_string(), shown(*state)?))).collect()
    }

    /// Lets some node take its next step.
    pub fn step(&mut self, dice: &mut Dice, now: Timestamp, events: &mut Vec<RunEvent>) {
        let is_over = |state: State| matches!(state, State::Over(..));
        let open: Vec<usize> = (0..self.nodes.len()).filter(|&at| !is_over(self.nodes[at].1)).collect();
        if let Some(&at) = open.get(dice.below(open.len().max(1) as u64) as usize)
            && self.end.is_none()
        {
            self.advance(dice, now, at, events);
        }
        if self.end.is_none() && self.nodes.iter().all(|(_, state)| is_over(*state)) {
            events.push(RunEvent::RunSucceeded { output: payload(dice) });
            self.end = Some(RunStatus::Succeeded);
        }
    }

    pub fn cancel(&mut self, events: &mut Vec<RunEvent>) {
        events.push(RunEvent::RunCancelled { reason: NUL_FREE[0].to_owned() });
        self.end = Some(RunStatus::Cancelled);
        self.cancel_rest(events);
    }

    fn advance(&mut self, dice: &mut Dice, now: Timestamp, at: usize, events: &mut Vec<RunEvent>) {
        let (node, state) = self.nodes[at].clone();
        let next = match state {
            State::Pending => match dice.below(12) {
                0 => {
                    events.push(RunEvent::NodeSkipped { node });
                    State::Over("skipped", 0)
                }
                1 => {
                    events.push(succeeded(dice, node, 1, None));
                    State::Over("succeeded", 1)
                }
                2 | 3 => {
                    events.push(RunEvent::NodeAwaitedAssets { node, needs: Vec::new() });
                    State::Awaiting
                }
                4 => return self.fail(node, at, 0, events, failure(dice, None)),
                _ => scheduled(dice, self.run, node, 1, events),
            },
            State::Awaiting => match dice.below(6) {
                0 => return self.fail(node, at, 1, events, failure(dice, None)),
                1 => {
                    events.push(RunEvent::AssetResolved { node, asset: "x.y".parse().unwrap(), chosen: None });
                    State::Awaiting
                }
                _ => {
                    events.push(RunEvent::AssetResolved {
                        node: node.clone(),
                        asset: "x.z".parse().unwrap(),
                        chosen: None,
                    });
                    scheduled(dice, self.run, node, 1, events)
                }
            },
            State::Scheduled(attempt) => match dice.below(8) {
                0 => {
                    let worker = "w.1".parse().unwrap();
                    events.push(RunEvent::AttemptStarted {
                        node,
                        attempt: Attempt::new(attempt),
                        worker,
                        started_at: now,
                    });
                    State::Scheduled(attempt)
                }
                1 if attempt < 3 => {
                    let worker = "w.4".parse().unwrap();
                    events.push(RunEvent::AttemptReturned {
                        node: node.clone(),
                        attempt: Attempt::new(attempt),
                        worker,
                    });
                    scheduled(dice, self.run, node, attempt + 1, events)
                }
                1 | 2 => {
                    let failure = failure(dice, Some((&node, attempt)));
                    events.push(RunEvent::AttemptFailed {
                        node: node.clone(),
                        attempt: Attempt::new(attempt),
                        failure: failure.clone(),
                        worker: None,
                        started_at: dice.one_in(2).then_some(now),
                    });
                    if attempt == 3 || dice.one_in(4) {
                        return self.fail(node, at, attempt, events, failure);
                    }
                    let due_at = now.after(std::time::Duration::from_secs(1));
                    events.push(RunEvent::RetryArmed { node, attempt: Attempt::new(attempt + 1), due_at });
                    State::Retrying(attempt + 1)
                }
                _ => {
                    events.push(succeeded(dice, node, attempt, Some(now)));
                    State::Over("succeeded", attempt)
                }
            },
            State::Retrying(attempt) => scheduled(dice, self.run, node, attempt, events),
            State::Queued(attempt) => {
                let (lease, session) = (LeaseToken::from_bits(dice.roll()), SessionId::from_bits(9));
                let worker = "w.4".parse().unwrap();
                let attempt_number = Attempt::new(attempt);
                events.push(RunEvent::AttemptGranted { node, attempt: attempt_number, lease, worker, session });
                State::Scheduled(attempt)
            }
            State::Over(..) => state,
        };
        self.nodes[at].1 = next;
    }

    /// Fails a node for good, and (unless it has a way on) the run with it.
    fn fail(&mut self, node: NodeAddress, at: usize, attempt: u32, events: &mut Vec<RunEvent>, failure: RunFailure) {
        self.nodes[at].1 = State::Over("failed", attempt);
        let goes_on = failure.message.len().is_multiple_of(2);
        let taken = if goes_on { vec![0] } else { Vec::new() };
        let tolerated = goes_on && attempt % 2 == 1;
        events.push(RunEvent::NodeFailed { node, failure: failure.clone(), taken, tolerated });
        if !goes_on {
            events.push(RunEvent::RunFailed { failure });
            self.end = Some(RunStatus::Failed);
            self.cancel_rest(events);
        }
    }

    fn cancel_rest(&mut self, events: &mut Vec<RunEvent>) {
        for (node, state) in &mut self.nodes {
            let attempt = match *state {
                State::Over(..) => continue,
                State::Pending => 0,
                State::Awaiting => 1,
                State::Queued(attempt) | State::Scheduled(attempt) | State::Retrying(attempt) => attempt,
            };
            events.push(RunEvent::NodeCancelled { node: node.clone() });
            *state = State::Over("cancelled", attempt);
        }
    }
}

pub fn payload(dice: &mut Dice) -> Json {
    // Some beyond what a row holds in its own page, some with what a database might trip over.
    let size = if dice.one_in(20) { 9_000 } else { dice.below(200) as usize };
    let noise: String = (0..size).map(|_| char::from(b'a' + dice.below(26) as u8)).collect();
    Json::of(&json!({"noise": noise, "text": "ü \u{1F980} \\u0000 \" \n", "n": dice.roll(), "nul": "\0"}))
}

fn failure(dice: &mut Dice, at: Option<(&NodeAddress, u32)>) -> RunFailure {
    let message = if dice.one_in(5) { "a nul \0 in it" } else { NUL_FREE[dice.below(3) as usize] };
    let failure = RunFailure::new("broken", message);
    let failure = if message.len() % 3 == 0 {
        failure.with_details(Json::of(&json!({"n": dice.roll(), "text": "ü \u{1F980} \\u0000 \""})))
    } else {
        failure
    };
    match at {
        Some((node, attempt)) => failure.at(node, Some(Attempt::new(attempt))),
        None => failure,
    }
}

fn scheduled(dice: &mut Dice, run: RunId, node: NodeAddress, attempt: u32, events: &mut Vec<RunEvent>) -> State {
    let lease = LeaseToken::derived(&[run.as_uuid().as_bytes(), node.text().as_bytes(), &attempt.to_be_bytes()]);
    let handed_to: Option<headwater_core::WorkerId> = dice.one_in(2).then(|| "w.2".parse().unwrap());
    let state = if handed_to.is_some() { State::Scheduled(attempt) } else { State::Queued(attempt) };
    events.push(RunEvent::AttemptScheduled {
        node,
        attempt: Attempt::new(attempt),
        lease,
        input: dice.one_in(2).then(|| payload(dice)),
        wakes_at: None,
        child: (attempt == 2 && handed_to.is_some()).then_some(run),
        handed_to,
        session: None,
    });
    state
}

fn succeeded(dice: &mut Dice, node: NodeAddress, attempt: u32, started_at: Option<Timestamp>) -> RunEvent {
    let worker = started_at.map(|_| "w.3".parse().unwrap());
    RunEvent::NodeSucceeded {
        node,
        attempt: Attempt::new(attempt),
        output: payload(dice),
        assets: Vec::new(),
        worker,
        started_at,
        taken: None,
    }
}
