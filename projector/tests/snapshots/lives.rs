//! Random lives of runs under the rules, and the snapshots that their histories give.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use headwater_core::definition::{Definition, StoredDocument, compile};
use headwater_core::protocol::Task;
use headwater_core::run::{RunCommand, RunEvent, Snapshots};
use headwater_core::shard::{AggregateId, Command, Commit, Event, Stored, StoredField};
use headwater_core::{Attempt, BundleId, Json, RunId, Sequence, StoredValue};
use headwater_projector::bundle_hash;
use headwater_streams::journals::MemoryJournals;
use serde_json::{Value, json};

use crate::workload::Dice;
use crate::world::{World, failed, ok};

/// From how many bytes on a value leaves the journal.
const STORED_FROM: usize = 64 << 10;

fn documents() -> Vec<Value> {
    let retry = json!({"maxAttempts": 2, "backoff": "fixed", "delay": "2s"});
    let job = |id: &str, after: Value| json!({"id": id, "jobSlug": "work", "dependsOn": after, "retry": retry});
    vec![
        json!({"slug": "w0", "steps": [job("a", json!([])), job("b", json!(["a"])), job("c", json!(["b"]))]}),
        json!({"slug": "w1", "snapshotPolicy": {"everyEvents": 1}, "steps": [
            job("a", json!([])), job("b", json!(["a"])), job("c", json!(["b"]))]}),
        json!({"slug": "w2", "snapshotPolicy": {"onJoin": true}, "steps": [
            job("a", json!([])), job("b", json!([])), job("c", json!(["a", "b"])), job("d", json!(["c"]))]}),
        json!({"slug": "w3", "snapshotPolicy": {"everySeconds": 5}, "steps": [
            job("a", json!([])), {"id": "nap", "dependsOn": ["a"], "action": {"kind": "sleep", "duration": "4s"}},
            job("c", json!(["nap"]))]}),
        json!({"slug": "w4", "snapshotPolicy": {"everyEvents": 7, "onJoin": true}, "steps": [
            {"id": "list", "jobSlug": "work", "storeResultAs": "kept"},
            {"id": "all", "dependsOn": ["list"], "forEach": {"items": "${{ input.items }}", "maxConcurrency": 2,
                "onItemFailure": "continue", "body": {"steps": [job("one", json!([])), job("two", json!(["one"]))]}}},
            job("last", json!(["all"]))]}),
        json!({"slug": "w5", "snapshotPolicy": {"everyEvents": 5, "everySeconds": 30}, "nodes": [
            {"id": "turn", "jobSlug": "work", "storeResultAs": "turned"}, {"id": "out", "jobSlug": "work"}],
            "transitions": [{"from": "turn", "to": "out"}, {"from": "turn", "to": "turn", "maxIterations": 3}]}),
    ]
}

/// Lives of runs, in the order in which everything was decided.
pub struct Lives {
    commits: Vec<Commit>,
    definitions: BTreeMap<String, Arc<Definition>>,
}

impl Lives {
    /// Tells of so many runs.
    pub fn tell(dice: &mut Dice, count: usize) -> Self {
        let (mut world, mut runs, mut tasks) = (World::new(), Vec::new(), Vec::<Task>::new());
        let documents = documents();
        for document in &documents {
            world.apply(document);
        }
        while runs.len() < count || (dice.below(40) != 0 && !tasks.is_empty()) {
            if tasks.len() < 8 || dice.one_in(30) {
                tasks.extend(world.tasks());
            }
            match dice.below(12) {
                0..=1 if runs.len() < count => {
                    let workflow = format!("w{}", dice.below(documents.len() as u64));
                    let large = dice.one_in(25);
                    let items: Vec<Value> = (0..dice.below(4)).map(|n| output(large, n)).collect();
                    let input = if dice.one_in(40) { output(true, 0) } else { json!(dice.below(9)) };
                    runs.push(world.start(&workflow, json!({"items": items, "n": input})));
                }
                2 => {
                    world.pass(1 + dice.below(3));
                    while world.shard.next_due().is_some_and(|due| due <= world.now) {
                        world.fire_timers();
                    }
                }
                3 if dice.one_in(6) && !runs.is_empty() => {
                    let run = runs[dice.below(runs.len() as u64) as usize];
                    let command = RunCommand::CancelRun { workspace: None, reason: "chance".into(), grace_ms: 0 };
                    let _may_be_over = world.decide(Command::Run { run, command });
                }
                _ if tasks.is_empty() => {}
                kind => {
                    let task = tasks.swap_remove(dice.below(tasks.len() as u64) as usize);
                    let outcome = if kind == 4 { failed("chance") } else { ok(output(dice.one_in(30), kind)) };
                    let _may_be_stale = world.report(&task, outcome);
                }
            }
            world.settle();
        }
        let compiled = |document: &Value| Arc::new(compile(document).unwrap().0);
        let named = |document: &Value| (document["slug"].as_str().unwrap().to_owned(), compiled(document));
        Self { commits: world.commits, definitions: documents.iter().map(named).collect() }
    }

    /// Has something happen to a run of the middle that cannot be, and returns it.
    pub fn poison(&mut self) -> RunId {
        let is_of = |commit: &Commit| matches!(&commit.events[0], Event::Run(RunEvent::RunStarted { workflow, .. }) if workflow.as_str() == "w1");
        let start = self.commits.iter().position(is_of).unwrap();
        let aggregate = self.commits[start].aggregate.clone();
        let mut own = (start..self.commits.len()).filter(|at| self.commits[*at].aggregate == aggregate);
        let at = own.nth(1).unwrap();
        let made = RunEvent::AttemptStarted {
            node: "nobody".parse().unwrap(),
            attempt: Attempt::FIRST,
            worker: "w".parse().unwrap(),
            started_at: self.commits[at].time,
        };
        self.commits[at].events = vec![Event::Run(made); self.commits[at].events.len()];
        let AggregateId::Run(run) = aggregate else { unreachable!() };
        run
    }

    /// Returns what is to be kept of each run, by its whole history.
    pub fn snapshots(&self) -> BTreeMap<RunId, Option<String>> {
        let mut folds: BTreeMap<RunId, (Option<Snapshots>, Option<String>)> = BTreeMap::new();
        for (at, commit) in self.commits.iter().enumerate() {
            let AggregateId::Run(run) = commit.aggregate else { continue };
            let Stowed { folded: events, .. } = stowed(commit.clone());
            let (folded, kept) = folds.entry(run).or_insert_with(|| {
                let RunEvent::RunStarted { workflow, .. } = &events[0] else { panic!("{events:?}") };
                (Snapshots::of(run, self.definitions[workflow.as_str()].clone()), None)
            });
            let Some(fold) = folded else { continue };
            match fold.learn(commit.revision, commit.time, &events) {
                Ok(true) => {
                    let bundle = Sequence::new((at / COMMITS + 1) as u64);
                    *kept = Some(fold.take(bundle).unwrap().to_json().as_str().to_owned());
                }
                Ok(false) => {}
                Err(_) => *folded = None,
            }
        }
        folds.into_iter().map(|(run, (_, kept))| (run, kept)).collect()
    }

    /// Returns the journal, message by message; what stands elsewhere is kept for `journal`.
    pub fn messages(&self, dice: &mut Dice, journal: &MemoryJournals) -> Vec<Bytes> {
        let mut shell = World::with(&documents()[0]).bundles(1).remove(0);
        let bundle = |commits: &[Commit]| {
            shell.commits.clear();
            for commit in commits {
                let Stowed { journaled, values, .. } = stowed(commit.clone());
                shell.commits.push(journaled);
                for (StoredValue { digest, size_bytes }, value) in values {
                    let workspace = "default".parse().unwrap();
                    journal.keep(StoredDocument { workspace, digest, size_bytes }, value);
                }
            }
            (shell.id, shell.needs) = (BundleId::from_uuid(uuid::Uuid::from_u128(dice.wide())), 5);
            let message = Bytes::from(serde_json::to_vec(&shell).unwrap());
            shell.previous = bundle_hash(&message);
            message
        };
        self.commits.chunks(COMMITS).map(bundle).collect()
    }
}

/// How many commits stand in a bundle.
const COMMITS: usize = 3;

fn output(large: bool, n: u64) -> Value {
    if large { json!({"text": "x".repeat(STORED_FROM), "n": n}) } else { json!(n) }
}

/// A commit whose large values stand elsewhere.
struct Stowed {
    journaled: Commit,
    values: Vec<(StoredValue, Json)>,
    /// What is folded of it: but for lists of items, values say where they stand.
    folded: Vec<RunEvent>,
}

/// The value of an event that may stand elsewhere.
fn value(event: &Event) -> Option<&Json> {
    match event {
        Event::Run(RunEvent::RunStarted { input, .. }) => Some(input),
        Event::Run(RunEvent::AttemptScheduled { input, .. }) => input.as_ref(),
        Event::Run(RunEvent::ItemsListed { items, .. }) => Some(items),
        Event::Run(RunEvent::NodeSucceeded { output, .. } | RunEvent::RunSucceeded { output, .. }) => Some(output),
        _ => None,
    }
}

/// Takes the large values of a commit out, as its shard does before it appends.
fn stowed(mut commit: Commit) -> Stowed {
    let (mut values, mut fields, mut folded) = (Vec::new(), Vec::new(), commit.events.clone());
    for (number, event) in commit.events.iter_mut().enumerate() {
        let Some(large) = value(event).filter(|value| value.len_bytes() >= STORED_FROM).cloned() else { continue };
        let stored = StoredValue::of(large.as_str().as_bytes()).unwrap();
        if !matches!(event, Event::Run(RunEvent::ItemsListed { .. })) {
            folded[number].put_back(Json::of(&json!({"stored": stored})));
        }
        event.put_back(Json::null());
        fields.push(StoredField { event: number as u32, value: stored });
        values.push((stored, large));
    }
    if !fields.is_empty() {
        commit.stored = Some(Box::new(Stored { workspace: "default".parse().unwrap(), values: fields }));
    }
    let own = |event: Event| if let Event::Run(event) = event { Some(event) } else { None };
    Stowed { journaled: commit, values, folded: folded.into_iter().filter_map(own).collect() }
}
