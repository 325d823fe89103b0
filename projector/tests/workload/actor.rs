//! One run that lives through whatever can happen to it.

use std::collections::BTreeMap;

use headwater_core::run::{BranchKind, BranchOutcome, Description, RunEvent, RunFailure, RunStatus};
use headwater_core::{
    Attempt, BranchId, CommandId, DefinitionVersion, Json, LeaseToken, NodeAddress, NodeId, Revision, RunId, SessionId,
    Timestamp,
};
use serde_json::json;

use super::Dice;
use super::people::{asked, of_people};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Awaiting,
    Queued(u32),
    Scheduled(u32),
    /// People are asked.
    Asking(u32),
    Retrying(u32),
    /// It has branches: of items, or turns of a loop.
    Around(&'static str),
    /// It stood for a loop.
    Round,
    Over(&'static str, u32),
}

/// A branch: what it is of, the node that opened it, which one it is, and where it stands.
type Branch = (&'static str, usize, u32, &'static str);

pub struct Actor {
    pub run: RunId,
    pub revision: Revision,
    nodes: Vec<(NodeAddress, State)>,
    /// From the first, which has the number 1.
    branches: Vec<Branch>,
    /// Whether it may open some.
    has_branches: bool,
    end: Option<RunStatus>,
}

const NUL_FREE: [&str; 3] = ["it broke", "ünwell 💥", "a \"quoted\" reason\nin two lines"];

fn shown(state: State) -> Option<(&'static str, u32)> {
    match state {
        State::Pending => None,
        State::Awaiting => Some(("waiting", 1)),
        State::Queued(attempt) => Some(("queued", attempt)),
        State::Scheduled(attempt) => Some(("running", attempt)),
        State::Retrying(attempt) | State::Asking(attempt) => Some(("waiting", attempt)),
        State::Around("item") => Some(("running", 1)),
        State::Around(_) | State::Round => None,
        State::Over(status, attempt) => Some((status, attempt)),
    }
}

impl Actor {
    pub fn new(run: RunId, node_count: u64, has_branches: bool) -> Self {
        let nodes = (0..node_count).map(|n| (format!("n{n}").parse().unwrap(), State::Pending)).collect();
        Self { run, revision: Revision::FIRST, nodes, branches: Vec::new(), has_branches, end: None }
    }

    /// How the run ended, once it has.
    pub fn end(&self) -> Option<RunStatus> {
        self.end
    }

    /// The status and the number of the highest attempt of every node that has one.
    pub fn nodes(&self) -> BTreeMap<String, (&'static str, u32)> {
        self.nodes.iter().filter_map(|(node, state)| Some((node.to_string(), shown(*state)?))).collect()
    }

    /// Of every branch by its number: of what it is, and where it stands.
    pub fn branches(&self) -> BTreeMap<u32, (&'static str, &'static str)> {
        (1..).zip(&self.branches).map(|(number, (kind, _, _, status))| (number, (*kind, *status))).collect()
    }

    /// Lets some node take its next step.
    pub fn step(&mut self, dice: &mut Dice, now: Timestamp, events: &mut Vec<RunEvent>) {
        let is_over = |state: State| matches!(state, State::Over(..) | State::Round);
        if self.end.is_none() && self.has_branches && events.is_empty() && dice.one_in(20) {
            self.go_over(dice, events);
        }
        if self.end.is_none() && dice.one_in(3) {
            events.push(RunEvent::RunDescribed { description: described(dice) });
        }
        let open: Vec<usize> = (0..self.nodes.len()).filter(|&at| !is_over(self.nodes[at].1)).collect();
        if let Some(&at) = open.get(dice.below(open.len().max(1) as u64) as usize)
            && self.end.is_none()
        {
            self.advance(dice, now, at, events);
        }
        if self.end.is_none() && self.nodes.iter().all(|(_, state)| is_over(*state)) {
            events.push(RunEvent::RunSucceeded { output: payload(dice), successor: None });
            self.end = Some(RunStatus::Succeeded);
        }
    }

    /// Goes over to another version, where a node is called otherwise.
    fn go_over(&mut self, dice: &mut Dice, events: &mut Vec<RunEvent>) {
        let before = self.nodes[dice.below(self.nodes.len() as u64) as usize].0.node().clone();
        let now: NodeId = format!("{before}-{}", self.revision.get()).parse().unwrap();
        for (node, _) in self.nodes.iter_mut().filter(|(node, _)| *node.node() == before) {
            *node = NodeAddress::new(now.clone(), node.branch());
        }
        events.push(RunEvent::RunMigrated {
            operation: CommandId::from_uuid(uuid::Uuid::from_u128(dice.wide())),
            version: DefinitionVersion::new(1 + dice.below(3) as u32),
            map: [(before, Some(now))].into(),
            taken: Vec::new(),
            reason: None,
        });
    }

    pub fn cancel(&mut self, events: &mut Vec<RunEvent>) {
        events.push(RunEvent::RunCancelled { reason: NUL_FREE[0].to_owned() });
        self.end = Some(RunStatus::Cancelled);
        self.cancel_rest(events);
    }

    fn advance(&mut self, dice: &mut Dice, now: Timestamp, at: usize, events: &mut Vec<RunEvent>) {
        let (node, state) = self.nodes[at].clone();
        let next = match state {
            State::Pending if self.has_branches && node.branch() == BranchId::ROOT && dice.one_in(8) => {
                let is_each = dice.one_in(2);
                if is_each {
                    let items = Json::of(&json!([1, 2, 3]));
                    events.push(RunEvent::ItemsListed { node, items });
                }
                let kind = if is_each { "item" } else { "turn" };
                self.open(at, kind, 0, if is_each { 1 + dice.below(3) as u32 } else { 1 }, events);
                State::Around(kind)
            }
            State::Around(kind) => self.end_a_branch(dice, at, kind, events),
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
            State::Asking(attempt) => match dice.below(7) {
                4 => {
                    let failure = failure(dice, Some((&node, attempt)));
                    events.push(RunEvent::AttemptFailed {
                        node: node.clone(),
                        attempt: Attempt::new(attempt),
                        failure: failure.clone(),
                        worker: None,
                        started_at: None,
                    });
                    return self.fail(node, at, attempt, events, failure);
                }
                5 | 6 => {
                    events.push(succeeded(dice, node, attempt, None));
                    State::Over("succeeded", attempt)
                }
                what => {
                    events.push(of_people(dice, what, node, Attempt::new(attempt)));
                    state
                }
            },
            State::Over(..) | State::Round => state,
        };
        self.nodes[at].1 = match next {
            State::Queued(attempt) if state != next && self.has_branches && dice.one_in(3) => {
                let (node, attempt_number) = (self.nodes[at].0.clone(), Attempt::new(attempt));
                let task = Box::new(asked(dice, now));
                events.push(RunEvent::PersonAsked { node, attempt: attempt_number, task });
                State::Asking(attempt)
            }
            next => next,
        };
    }

    /// Opens branches with a node each.
    fn open(&mut self, at: usize, kind: &'static str, from: u32, count: u32, events: &mut Vec<RunEvent>) {
        let (node, first) = (self.nodes[at].0.clone(), self.branches.len() as u32 + 1);
        let of = if kind == "item" { BranchKind::Item } else { BranchKind::Turn };
        events.push(RunEvent::BranchesOpened { node, kind: of, first: BranchId::new(first), from, count });
        for nth in 0..count {
            self.branches.push((kind, at, from + nth, "running"));
            let within = NodeAddress::new(format!("body{at}").parse().unwrap(), BranchId::new(first + nth));
            self.nodes.push((within, State::Pending));
        }
    }

    /// Ends a branch of a node in which everything has ended, if there is one; after the last, the node.
    fn end_a_branch(&mut self, dice: &mut Dice, at: usize, kind: &'static str, events: &mut Vec<RunEvent>) -> State {
        let is_open = |(_, opener, _, status): &Branch| *opener == at && *status == "running";
        let is_done = |branch: BranchId| {
            let mut within = self.nodes.iter().filter(|(node, _)| node.branch() == branch);
            within.all(|(_, state)| matches!(state, State::Over(..)))
        };
        let mut open = self.branches.iter().enumerate().filter(|(_, branch)| is_open(branch));
        let done = open.find(|(place, _)| is_done(BranchId::new(*place as u32 + 1)));
        let Some((place, (_, _, index, _))) = done.map(|(place, branch)| (place, *branch)) else {
            return State::Around(kind);
        };
        let again = kind == "turn" && dice.one_in(2);
        let (status, outcome) = match dice.below(4) {
            _ if kind == "turn" => ("succeeded", BranchOutcome::Turned { again }),
            0 => ("failed", BranchOutcome::Failed { failure: failure(dice, None) }),
            1 => ("cancelled", BranchOutcome::Cancelled {}),
            _ => ("succeeded", BranchOutcome::Succeeded { output: payload(dice), key: None }),
        };
        self.branches[place].3 = status;
        events.push(RunEvent::BranchEnded { branch: BranchId::new(place as u32 + 1), outcome });
        if again {
            self.open(at, kind, index + 1, 1, events);
        } else if kind == "turn" {
            return State::Round;
        } else if !self.branches.iter().any(is_open) {
            let node = self.nodes[at].0.clone();
            events.push(succeeded(dice, node, 1, None));
            return State::Over("succeeded", 1);
        }
        State::Around(kind)
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
                State::Over(..) | State::Round => continue,
                State::Pending | State::Around("turn") => 0,
                State::Awaiting | State::Around(_) => 1,
                State::Queued(attempt)
                | State::Scheduled(attempt)
                | State::Asking(attempt)
                | State::Retrying(attempt) => attempt,
            };
            events.push(RunEvent::NodeCancelled { node: node.clone() });
            *state = State::Over("cancelled", attempt);
        }
        for (number, (_, _, _, status)) in
            (1..).zip(&mut self.branches).filter(|(_, (_, _, _, status))| *status == "running")
        {
            events.push(RunEvent::BranchEnded { branch: BranchId::new(number), outcome: BranchOutcome::Cancelled {} });
            *status = "cancelled";
        }
    }
}

/// Few keys and few values: most are said again, and some to the same effect.
fn described(dice: &mut Dice) -> Description {
    let number = [json!(1), json!(1e2), json!(0.1), json!("1"), json!(true)][dice.below(5) as usize].clone();
    Description {
        name: dice.one_in(3).then(|| format!("called {}", dice.below(3))),
        labels: [(format!("l{}", dice.below(2)), format!("v{}", dice.below(3)))].into(),
        attributes: [(format!("a{}", dice.below(2)), Json::of(&number))].into(),
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
        signals: Vec::new(),
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
        reused: None,
        landed: None,
    }
}
