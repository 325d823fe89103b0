//! Everything a run, an asset and a workflow can go through, at random, on several shards; with what is true at the end.

use std::collections::BTreeMap;

use headwater_core::action::ActionEvent;
use headwater_core::asset::{AssetEvent, Declaration, InputVersion, RecordAsset, Waiter};
use headwater_core::run::{Ending, RunEvent, RunStatus, Trigger};
use headwater_core::shard::{ActionKey, AggregateId, AssetKey, Event, WorkflowKey};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{Attempt, DefinitionVersion, Json, Revision, RunId, ShardId, Version};
use headwater_streams::journals::MemoryJournals;
use serde_json::json;

use super::actor::{Actor, payload};
use super::{Dice, Shard};

/// What the tables must say of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTruth {
    pub status: &'static str,
    pub revision: u64,
    /// The status and the number of the highest attempt of every node that has one.
    pub nodes: BTreeMap<String, (&'static str, u32)>,
    /// Of every branch by its number: `item` or `turn`, and its status.
    pub branches: BTreeMap<u32, (&'static str, &'static str)>,
}

/// A history and its truth.
#[derive(Debug)]
pub struct Story {
    pub journal: MemoryJournals,
    pub shards: Vec<ShardId>,
    pub runs: BTreeMap<RunId, RunTruth>,
    /// Of each asset (lower case) and partition, the last version.
    pub versions: BTreeMap<(String, String), u64>,
    /// Messages and commits that must end as dead events.
    pub dead: usize,
}

/// Writes a history of about so many commits.
pub fn tell(seed: u64, shard_count: u16, commits: usize) -> Story {
    tell_with(true, seed, shard_count, commits)
}

/// Writes one without branches and pins, as all were before there were any.
pub fn tell_of_before(seed: u64, shard_count: u16, commits: usize) -> Story {
    tell_with(false, seed, shard_count, commits)
}

fn tell_with(is_of_now: bool, seed: u64, shard_count: u16, commits: usize) -> Story {
    let mut dice = Dice::new(seed);
    let mut shards: Vec<Shard> = (0..shard_count).map(Shard::new).collect();
    let mut teller = Teller::new(&shards, is_of_now);
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
    is_of_now: bool,
    actors: Vec<(ShardId, Actor)>,
    assets: BTreeMap<String, (ShardId, Revision)>,
    workflows: BTreeMap<String, (ShardId, Revision, u32)>,
    actions: BTreeMap<String, (ShardId, Revision, u32)>,
}

impl Teller {
    fn new(shards: &[Shard], is_of_now: bool) -> Self {
        let shards = shards.iter().map(|shard| shard.id).collect();
        let story =
            Story { journal: MemoryJournals::new(), shards, runs: BTreeMap::new(), versions: BTreeMap::new(), dead: 0 };
        let (assets, workflows, actions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { story, is_of_now, actors: Vec::new(), assets, workflows, actions }
    }

    fn scene(&mut self, dice: &mut Dice, shard: &mut Shard) {
        match dice.below(20) {
            0..=2 => self.start_run(dice, shard),
            3..=15 => self.step_run(dice, shard),
            16..=17 => self.asset(dice, shard),
            18 => self.workflow(dice, shard),
            _ if self.is_of_now && dice.one_in(2) => self.action(dice, shard),
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
        let mut actor = Actor::new(run, 1 + dice.below(5), self.is_of_now);
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
            targets: Vec::new(),
            continued: None,
        }];
        if dice.one_in(2) {
            actor.step(dice, shard.clock, &mut events);
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
            // That it ends stands in a commit of its own, as where there is much to withdraw.
            let ending = Ending::Cancelled { reason: "enough".to_owned(), keeps: false };
            let ending = vec![Event::Run(RunEvent::RunEnding { ending })];
            shard.commit(dice, AggregateId::Run(actor.run), &mut actor.revision, ending);
            if dice.one_in(2) {
                self.close(dice, shard);
            }
            actor.cancel(&mut events);
        } else {
            for _ in 0..1 + dice.below(2) {
                actor.step(dice, shard.clock, &mut events);
            }
        }
        self.record(dice, shard, actor, events);
    }

    /// Commits a run's events and keeps the run unless it has ended.
    fn record(&mut self, dice: &mut Dice, shard: &mut Shard, mut actor: Actor, events: Vec<RunEvent>) {
        let events: Vec<Event> = events.into_iter().map(Event::Run).collect();
        // A node may wait for its branches.
        if !events.is_empty() {
            shard.commit(dice, AggregateId::Run(actor.run), &mut actor.revision, events);
        }
        let status = actor.end().map_or("running", RunStatus::as_str);
        let truth =
            RunTruth { status, revision: actor.revision.get() - 1, nodes: actor.nodes(), branches: actor.branches() };
        self.story.runs.insert(actor.run, truth);
        if actor.end().is_none() {
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
                    paused: false,
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
                    AssetEvent::AssetMaterialized { version: Version::new(*version), record: Box::new(record) }
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
            let used = ["Directory.Scan", "plain", "elsewhere.made"][entry.2 as usize % 3];
            let mut document = json!({"slug": key.workflow, "name": "Flow", "steps": [
                {"id": "n0", "jobSlug": "scan", "name": format!("Scan {}", entry.2),
                 "produces": [{"assetId": "directory.insights.report", "schema": {"type": "object"}}]},
                {"id": "n1", "jobSlug": "report", "ref": "fetch-1@2", "dependsOn": ["n0"], "consumes": [{"assetId": used}]}]});
            if self.is_of_now && entry.2 % 2 == 1 {
                document["snapshotPolicy"] = json!({"everyEvents": 3});
            }
            let version = DefinitionVersion::new(entry.2);
            WorkflowEvent::WorkflowApplied {
                version,
                content_hash: format!("hash {}", entry.2),
                document: Json::of(&document),
            }
        } else if self.is_of_now && dice.one_in(2) {
            let version = DefinitionVersion::new(1 + dice.below(u64::from(entry.2)) as u32);
            WorkflowEvent::VersionPinned { version: Some(version).filter(|_| !dice.one_in(3)) }
        } else {
            WorkflowEvent::VersionSelected {
                version: DefinitionVersion::new(1 + dice.below(u64::from(entry.2)) as u32),
            }
        };
        shard.commit(dice, AggregateId::Workflow(key), &mut entry.1, vec![Event::Workflow(event)]);
    }
}

impl Teller {
    fn action(&mut self, dice: &mut Dice, shard: &mut Shard) {
        let slug = format!("fetch-{}", dice.below(3));
        let key = ActionKey { workspace: "default".parse().unwrap(), action: slug.parse().unwrap() };
        let entry = self.actions.entry(slug).or_insert((shard.id, Revision::FIRST, 0));
        if entry.0 != shard.id {
            return;
        }
        let event = if entry.2 == 0 || dice.one_in(2) {
            entry.2 += 1;
            let document = json!({"kind": "action", "slug": key.action, "name": format!("Fetch {}", entry.2)});
            let (version, content_hash) = (DefinitionVersion::new(entry.2), format!("hash {}", entry.2));
            ActionEvent::ActionApplied { version, content_hash, document: Json::of(&document) }
        } else {
            ActionEvent::ActionSelected { version: DefinitionVersion::new(1 + dice.below(u64::from(entry.2)) as u32) }
        };
        shard.commit(dice, AggregateId::Action(key), &mut entry.1, vec![Event::Action(event)]);
    }
}

/// Every shard adopts the definitions it uses: the same aggregate on many shards. Each at most once.
fn adopt(dice: &mut Dice, shard: &mut Shard) {
    let key =
        WorkflowKey { workspace: "default".parse().unwrap(), workflow: format!("w-{}", dice.roll()).parse().unwrap() };
    let aggregate = AggregateId::Definition(key, DefinitionVersion::FIRST);
    let document = Json::of(&json!({"snapshotPolicy": {"onJoin": true}}));
    let event = Event::DefinitionAdopted { document };
    shard.commit(dice, aggregate, &mut Revision::new(1), vec![event]);
}
