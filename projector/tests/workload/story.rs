//! Everything a run, an asset and a workflow can go through, at random, on several shards; with what is true at the end.

use std::collections::BTreeMap;

use headwater_core::asset::{AssetEvent, Declaration, InputVersion, RecordAsset, Waiter};
use headwater_core::run::{RunEvent, RunFailure, RunStatus, Trigger};
use headwater_core::shard::{AggregateId, AssetKey, Event, WorkflowKey};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{
    Attempt, DefinitionVersion, Json, LeaseToken, NodeId, Revision, RunId, ShardId, Timestamp, Version,
};
use headwater_projector::MemoryJournal;
use serde_json::json;

use super::{Dice, Shard};

/// What the tables must say of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTruth {
    pub status: &'static str,
    pub revision: u64,
    /// The status and the number of the highest attempt of every node that has one.
    pub nodes: BTreeMap<String, (&'static str, u32)>,
}

/// A history and its truth.
#[derive(Debug)]
pub struct Story {
    pub journal: MemoryJournal,
    pub shards: Vec<ShardId>,
    pub runs: BTreeMap<RunId, RunTruth>,
    /// Of each asset (lower case) and partition, the last version.
    pub versions: BTreeMap<(String, String), u64>,
    /// Messages and commits that must end as dead events.
    pub dead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Awaiting,
    Scheduled(u32),
    Retrying(u32),
    Over(&'static str, u32),
}

struct Actor {
    run: RunId,
    revision: Revision,
    nodes: Vec<(NodeId, State)>,
}

const NUL_FREE: [&str; 3] = ["it broke", "ünwell 💥", "a \"quoted\" reason\nin two lines"];

/// Writes a history of about so many commits.
pub fn tell(seed: u64, shard_count: u16, commits: usize) -> Story {
    let mut dice = Dice::new(seed);
    let mut shards: Vec<Shard> = (0..shard_count).map(Shard::new).collect();
    let mut teller = Teller::new(&shards);
    for _ in 0..commits {
        let at = dice.below(u64::from(shard_count)) as usize;
        teller.scene(&mut dice, &mut shards[at]);
        if dice.one_in(9) {
            teller.close(&mut dice, &mut shards[at]);
        }
    }
    for shard in &mut shards {
        teller.close(&mut dice, shard);
    }
    teller.story
}

struct Teller {
    story: Story,
    actors: Vec<(ShardId, Actor)>,
    assets: BTreeMap<String, (ShardId, Revision)>,
    workflows: BTreeMap<String, (ShardId, Revision, u32)>,
}

impl Teller {
    fn new(shards: &[Shard]) -> Self {
        let shards = shards.iter().map(|shard| shard.id).collect();
        let story =
            Story { journal: MemoryJournal::new(), shards, runs: BTreeMap::new(), versions: BTreeMap::new(), dead: 0 };
        Self { story, actors: Vec::new(), assets: BTreeMap::new(), workflows: BTreeMap::new() }
    }

    fn scene(&mut self, dice: &mut Dice, shard: &mut Shard) {
        match dice.below(20) {
            0..=2 => self.start_run(dice, shard),
            3..=15 => self.step_run(dice, shard),
            16..=17 => self.asset(dice, shard),
            18 => self.workflow(dice, shard),
            _ => adopt(dice, shard),
        }
    }

    fn close(&mut self, dice: &mut Dice, shard: &mut Shard) {
        let message = shard.close(dice);
        let message = if dice.one_in(12) { self.spoil(dice, shard, message) } else { message };
        self.story.journal.append(shard.id, message);
        if dice.one_in(25) {
            let noise = shard.chain(bytes::Bytes::from_static(b"\xff\xfe not a bundle"));
            self.story.journal.append(shard.id, noise);
            self.story.dead += 1;
        }
    }

    /// Adds commits that cannot be projected to a bundle, between and behind those that can.
    fn spoil(&mut self, dice: &mut Dice, shard: &mut Shard, message: bytes::Bytes) -> bytes::Bytes {
        let mut bundle: serde_json::Value = serde_json::from_slice(&message).unwrap();
        let commits = bundle["commits"].as_array_mut().unwrap();
        let stranger = RunId::new(shard.id, shard.clock, dice.wide());
        let commit = |aggregate: String, events: serde_json::Value| json!({"aggregate": aggregate, "revision": 1, "command": stranger, "time": shard.clock.as_micros(), "events": events});
        let foreign = commit(format!("run/{stranger}"), json!([{"run": {"runAscended": {}}}]));
        let misplaced = commit(format!("run/{stranger}"), json!([{"workflow": {"versionSelected": {"version": 1}}}]));
        let nul = commit(
            format!("workflow/default/nul-{}", dice.roll()),
            json!([{"workflow": {"workflowApplied": {"version": 1, "contentHash": "x", "document": {"name": "\0"}}}}]),
        );
        let bad = [foreign, misplaced, nul];
        let mut added = 0;
        for commit in bad {
            if dice.one_in(2) {
                commits.insert(dice.below(commits.len() as u64 + 1) as usize, commit);
                added += 1;
            }
        }
        // A revision that is there already: what a broken owner would write.
        if let Some(run) =
            commits.iter().find(|commit| commit["revision"] == 1 && !commit["events"][0]["run"]["runStarted"].is_null())
        {
            let again = run.clone();
            commits.push(again);
            added += 1;
        }
        self.story.dead += added;
        shard.chain(serde_json::to_vec(&bundle).unwrap().into())
    }

    fn start_run(&mut self, dice: &mut Dice, shard: &mut Shard) {
        let run = RunId::new(shard.id, shard.clock, dice.wide());
        let count = 1 + dice.below(5);
        let nodes = (0..count).map(|n| (format!("n{n}").parse().unwrap(), State::Pending)).collect();
        let mut actor = Actor { run, revision: Revision::FIRST, nodes };
        let trigger = if dice.one_in(3) {
            Trigger::Materialize { asset: "some.asset".parse().unwrap(), partition: None, requested_by: run }
        } else {
            Trigger::Manual {}
        };
        let mut events = vec![RunEvent::RunStarted {
            workspace: "default".parse().unwrap(),
            workflow: format!("flow-{}", dice.below(3)).parse().unwrap(),
            version: DefinitionVersion::FIRST,
            input: payload(dice),
            trigger,
            keyed: dice.one_in(4),
        }];
        if dice.one_in(2) {
            actor.advance(dice, shard.clock, 0, &mut events);
        }
        self.record(dice, shard, actor, events);
    }

    fn step_run(&mut self, dice: &mut Dice, shard: &mut Shard) {
        let here: Vec<usize> = (0..self.actors.len()).filter(|&at| self.actors[at].0 == shard.id).collect();
        if here.is_empty() {
            return self.start_run(dice, shard);
        }
        let (_, mut actor) = self.actors.remove(here[dice.below(here.len() as u64) as usize]);
        let mut events = Vec::new();
        if dice.one_in(40) {
            events.push(RunEvent::RunCancelled { reason: NUL_FREE[0].to_owned() });
            actor.cancel_rest(&mut events);
        } else {
            for _ in 0..1 + dice.below(2) {
                let open: Vec<usize> = (0..actor.nodes.len()).filter(|&at| !actor.is_over(at)).collect();
                if let Some(&at) = open.get(dice.below(open.len().max(1) as u64) as usize) {
                    if actor.advance(dice, shard.clock, at, &mut events) {
                        break;
                    }
                }
            }
        }
        self.record(dice, shard, actor, events);
    }

    /// Commits a run's events and keeps the run unless it has ended.
    fn record(&mut self, dice: &mut Dice, shard: &mut Shard, mut actor: Actor, mut events: Vec<RunEvent>) {
        let ended = |events: &[RunEvent]| {
            events.iter().find_map(|event| match event {
                RunEvent::RunSucceeded { .. } => Some(RunStatus::Succeeded),
                RunEvent::RunFailed { .. } => Some(RunStatus::Failed),
                RunEvent::RunCancelled { .. } => Some(RunStatus::Cancelled),
                _ => None,
            })
        };
        if ended(&events).is_none() && (0..actor.nodes.len()).all(|at| actor.is_over(at)) {
            events.push(RunEvent::RunSucceeded { output: payload(dice) });
        }
        let end = ended(&events);
        let events: Vec<Event> = events.into_iter().map(Event::Run).collect();
        shard.commit(dice, AggregateId::Run(actor.run), &mut actor.revision, events);
        let nodes = actor.nodes.iter().filter_map(|(node, state)| Some((node.to_string(), shown(*state)?))).collect();
        let status = end.map_or("running", RunStatus::as_str);
        let truth = RunTruth { status, revision: actor.revision.get() - 1, nodes };
        self.story.runs.insert(actor.run, truth);
        if end.is_none() {
            self.actors.push((shard.id, actor));
        }
    }

    fn asset(&mut self, dice: &mut Dice, shard: &mut Shard) {
        let name = ["directory.insights.report", "Directory.Scan", "a:b_c", "plain"][dice.below(4) as usize];
        let key = AssetKey { workspace: "default".parse().unwrap(), asset: name.parse().unwrap() };
        // Whoever comes first owns it.
        let entry = self.assets.entry(name.to_ascii_lowercase()).or_insert((shard.id, Revision::FIRST));
        if entry.0 != shard.id {
            return;
        }
        let run = RunId::new(shard.id, shard.clock, dice.wide());
        let waiter = Waiter { run, node: "n0".parse().unwrap() };
        let mut events = Vec::new();
        for _ in 0..1 + dice.below(3) {
            events.push(match dice.below(4) {
                0 => AssetEvent::AssetDeclared(Declaration {
                    workflow: "flow-0".parse().unwrap(),
                    version: DefinitionVersion::FIRST,
                    producers: Vec::new(),
                    consumers: Vec::new(),
                }),
                1 => AssetEvent::ConsumptionGranted { waiter: waiter.clone(), partition: None, version: None },
                _ => {
                    let partition = (!dice.one_in(3)).then(|| format!("2026-0{}", 1 + dice.below(3)));
                    let slot = (name.to_ascii_lowercase(), partition.clone().unwrap_or_default());
                    let version = self.story.versions.entry(slot).or_insert(0);
                    *version += 1;
                    let inputs = (0..dice.below(3)).map(|n| InputVersion {
                        asset: "Upstream.One".parse().unwrap(),
                        partition: None,
                        version: Version::new(n + 1),
                    });
                    let record = RecordAsset {
                        run,
                        workflow: "flow-0".parse().unwrap(),
                        definition: DefinitionVersion::FIRST,
                        node: "n0".parse().unwrap(),
                        attempt: Attempt::FIRST,
                        partition: partition.map(|text| text.parse().unwrap()),
                        payload: payload(dice),
                        schema: dice.one_in(2).then(|| Json::of(&json!({"type": "object"}))),
                        freshness: None,
                        produced_at: shard.clock,
                        run_started_at: shard.clock,
                        run_input: Json::empty_object(),
                        inputs: inputs.collect(),
                    };
                    AssetEvent::AssetMaterialized { version: Version::new(*version), record }
                }
            });
        }
        let events = events.into_iter().map(Event::Asset).collect();
        shard.commit(dice, AggregateId::Asset(key), &mut entry.1, events);
    }

    fn workflow(&mut self, dice: &mut Dice, shard: &mut Shard) {
        let slug = format!("flow-{}", dice.below(3));
        let key = WorkflowKey { workspace: "default".parse().unwrap(), workflow: slug.parse().unwrap() };
        let entry = self.workflows.entry(slug).or_insert((shard.id, Revision::FIRST, 0));
        if entry.0 != shard.id {
            return;
        }
        let event = if entry.2 == 0 || dice.one_in(2) {
            entry.2 += 1;
            let document = json!({"slug": key.workflow, "name": "Flow", "steps": [
                {"id": "n0", "jobSlug": "scan", "name": format!("Scan {}", entry.2),
                 "produces": [{"assetId": "directory.insights.report", "schema": {"type": "object"}}]},
                {"id": "n1", "jobSlug": "report", "dependsOn": ["n0"], "consumes": [{"assetId": "Directory.Scan"}]}]});
            let version = DefinitionVersion::new(entry.2);
            WorkflowEvent::WorkflowApplied {
                version,
                content_hash: format!("hash {}", entry.2),
                document: Json::of(&document),
            }
        } else {
            WorkflowEvent::VersionSelected {
                version: DefinitionVersion::new(1 + dice.below(u64::from(entry.2)) as u32),
            }
        };
        shard.commit(dice, AggregateId::Workflow(key), &mut entry.1, vec![Event::Workflow(event)]);
    }
}

/// Every shard adopts the definitions it uses: the same aggregate on many shards. Each at most once.
fn adopt(dice: &mut Dice, shard: &mut Shard) {
    let key =
        WorkflowKey { workspace: "default".parse().unwrap(), workflow: format!("w-{}", dice.roll()).parse().unwrap() };
    let aggregate = AggregateId::Definition(key, DefinitionVersion::FIRST);
    let event = Event::DefinitionAdopted { document: Json::empty_object() };
    shard.commit(dice, aggregate, &mut Revision::new(1), vec![event]);
}

fn shown(state: State) -> Option<(&'static str, u32)> {
    match state {
        State::Pending => None,
        State::Awaiting => Some(("waiting", 1)),
        State::Scheduled(attempt) => Some(("running", attempt)),
        State::Retrying(attempt) => Some(("waiting", attempt)),
        State::Over(status, attempt) => Some((status, attempt)),
    }
}

impl Actor {
    fn is_over(&self, at: usize) -> bool {
        matches!(self.nodes[at].1, State::Over(..))
    }

    /// Lets a node take its next step. Returns whether that ended the run.
    fn advance(&mut self, dice: &mut Dice, now: Timestamp, at: usize, events: &mut Vec<RunEvent>) -> bool {
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
                _ => {
                    events.push(scheduled(dice, self.run, node, 1));
                    State::Scheduled(1)
                }
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
                    events.push(scheduled(dice, self.run, node, 1));
                    State::Scheduled(1)
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
            State::Retrying(attempt) => {
                events.push(scheduled(dice, self.run, node, attempt));
                State::Scheduled(attempt)
            }
            State::Over(..) => state,
        };
        self.nodes[at].1 = next;
        false
    }

    /// Fails a node for good, and (unless it has a way on) the run with it.
    fn fail(&mut self, node: NodeId, at: usize, attempt: u32, events: &mut Vec<RunEvent>, failure: RunFailure) -> bool {
        self.nodes[at].1 = State::Over("failed", attempt);
        let goes_on = failure.message.len() % 2 == 0;
        let taken = if goes_on { vec![0] } else { Vec::new() };
        events.push(RunEvent::NodeFailed { node, failure: failure.clone(), taken });
        if !goes_on {
            events.push(RunEvent::RunFailed { failure });
            self.cancel_rest(events);
        }
        !goes_on
    }

    fn cancel_rest(&mut self, events: &mut Vec<RunEvent>) {
        for (node, state) in &mut self.nodes {
            let attempt = match *state {
                State::Over(..) => continue,
                State::Pending => 0,
                State::Awaiting => 1,
                State::Scheduled(attempt) | State::Retrying(attempt) => attempt,
            };
            events.push(RunEvent::NodeCancelled { node: node.clone() });
            *state = State::Over("cancelled", attempt);
        }
    }
}

fn payload(dice: &mut Dice) -> Json {
    // Some beyond what a row holds in its own page, some with what a database might trip over.
    let size = if dice.one_in(20) { 9_000 } else { dice.below(200) as usize };
    let noise: String = (0..size).map(|_| char::from(b'a' + dice.below(26) as u8)).collect();
    Json::of(&json!({"noise": noise, "text": "ü \u{1F980} \\u0000 \" \n", "n": dice.roll(), "nul": "\0"}))
}

fn failure(dice: &mut Dice, at: Option<(&NodeId, u32)>) -> RunFailure {
    let message = if dice.one_in(5) { "a nul \0 in it" } else { NUL_FREE[dice.below(3) as usize] };
    let failure = RunFailure::new("broken", message);
    match at {
        Some((node, attempt)) => failure.at(node, Some(Attempt::new(attempt))),
        None => failure,
    }
}

fn scheduled(dice: &mut Dice, run: RunId, node: NodeId, attempt: u32) -> RunEvent {
    let lease = LeaseToken::derived(&[run.as_uuid().as_bytes(), node.as_str().as_bytes(), &attempt.to_be_bytes()]);
    let handed_to = dice.one_in(2).then(|| "w.2".parse().unwrap());
    RunEvent::AttemptScheduled {
        node,
        attempt: Attempt::new(attempt),
        lease,
        input: dice.one_in(2).then(|| payload(dice)),
        wakes_at: None,
        handed_to,
    }
}

fn succeeded(dice: &mut Dice, node: NodeId, attempt: u32, started_at: Option<Timestamp>) -> RunEvent {
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
