//! Values too large for the journal: its entries name them, whoever folds gets them, and what is lost keeps to its own run.

use std::collections::BTreeMap;

use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, RunStatus, StartRun, Trigger};
use headwater_core::shard::{Bounds, Bundle, Command, Owner, Shard, ShardMap, Stowed, Submission};
use headwater_core::{
    BundleId, CommandId, DefinitionVersion, Json, RunId, STORED_FROM, Sequence, StoredValue, Timestamp, ValueDigest,
    WorkspaceId,
};
use serde_json::{Value, json};

use crate::world::{World, key, shard_zero};

type Store = BTreeMap<(WorkspaceId, ValueDigest), Json>;

/// An owner with a journal and a store of values.
struct House {
    owner: Owner<u32>,
    journal: Vec<Vec<u8>>,
    store: Store,
    /// How often each value was to be stored.
    stored: BTreeMap<ValueDigest, usize>,
    next: u128,
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000)
}

fn owner(stored_from: usize) -> Owner<u32> {
    let bounds = Bounds { stored_from, ..Bounds::default() };
    Owner::new(Shard::bounded(shard_zero(), ShardMap::even(1).unwrap(), bounds))
}

impl House {
    fn with(stored_from: usize, document: &Value) -> Self {
        let (definition, _) = headwater_core::definition::compile(document).unwrap_or_else(|p| panic!("{p:?}"));
        let mut house = Self {
            owner: owner(stored_from),
            journal: Vec::new(),
            store: Store::new(),
            stored: BTreeMap::new(),
            next: 0,
        };
        let (key, version) = (key(definition.slug.as_str()), DefinitionVersion::FIRST);
        house.submit(Command::AdoptDefinition { key, version, document: definition.source });
        house
    }

    fn submit(&mut self, command: Command) {
        self.next += 1;
        let id = CommandId::from_uuid(uuid::Uuid::from_u128(self.next));
        self.owner.submit(0, Submission::new(id, command), now(), &mut Hands::default());
    }

    fn start(&mut self, workflow: &str, input: Value) -> RunId {
        let run = RunId::new(shard_zero(), now(), (self.next + 1) << 12);
        let start = StartRun {
            workspace: "default".parse().unwrap(),
            workflow: workflow.parse().unwrap(),
            version: DefinitionVersion::FIRST,
            input: Json::of(&input),
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: None,
        };
        self.submit(Command::Run { run, command: RunCommand::StartRun(start) });
        run
    }

    /// Lets every run go on, and appends what was decided: a bundle for each turn.
    fn settle(&mut self) {
        self.append();
        while let Some(run) = self.owner.next_unfinished() {
            self.submit(Command::Run { run, command: RunCommand::Continue {} });
            self.append();
        }
    }

    fn append(&mut self) {
        let id = BundleId::from_uuid(uuid::Uuid::from_u128(self.journal.len() as u128));
        let append = self.owner.next_append(id).unwrap();
        for Stowed { workspace, stored, value } in append.values {
            assert_eq!(Some(stored), StoredValue::of(value.as_str().as_bytes()));
            *self.stored.entry(stored.digest).or_default() += 1;
            self.store.insert((workspace, stored.digest), value);
        }
        self.journal.push(append.bytes);
        let released = self.owner.appended(append.expected.next());
        assert!(released.answers.iter().all(|answer| answer.outcome.is_ok()), "{:?}", released.answers);
    }

    fn bundles(&self) -> Vec<Bundle> {
        self.journal.iter().map(|bytes| Bundle::read(bytes).unwrap()).collect()
    }

    /// Folds the journal with what is in the store; returns who folded, and what is quarantined, with the reasons.
    fn folded(&self) -> (Owner<u32>, Vec<String>) {
        let (mut next, mut corrupt) = (owner(STORED_FROM), Vec::new());
        for ((number, mut bundle), bytes) in (1..).zip(self.bundles()).zip(&self.journal) {
            bundle.fill(|workspace, value| self.store.get(&(workspace.clone(), value.digest)).cloned());
            let found = next.fold(Sequence::new(number), &bundle, bytes).unwrap();
            corrupt.extend(found.iter().map(ToString::to_string));
        }
        (next, corrupt)
    }
}

/// What an owner knows, without the head.
fn known(owner: &Owner<u32>) -> String {
    String::from_utf8(owner.checkpoint()).unwrap().split_once('\n').unwrap().1.to_owned()
}

fn transforms(outputs: &[&str]) -> Value {
    let node = |(at, output): (usize, &&str)| json!({"id": format!("t{at}"), "action": {"kind": "transform", "output": output}});
    json!({"slug": "made", "nodes": outputs.iter().enumerate().map(node).collect::<Vec<_>>()})
}

#[test]
fn what_is_large_is_named_in_the_journal_and_whoever_folds_gets_it() {
    let document = transforms(&["${{ input.s }}", "${{ input.s }}", "small"]);
    let mut house = House::with(STORED_FROM, &document);
    let large = "x".repeat(200_000);
    house.start("made", json!({"s": large}));
    house.settle();
    assert!(house.journal.iter().map(Vec::len).sum::<usize>() < 20_000);
    // The input, the output that two nodes have, and that of the run.
    assert_eq!(house.store.len(), 3);
    let bundles = house.bundles();
    let named = bundles.iter().filter(|bundle| bundle.wanted().next().is_some());
    assert!(named.clone().count() > 0 && named.clone().all(|bundle| bundle.needs == 5));
    let (folded, corrupt) = house.folded();
    assert_eq!(corrupt, Vec::<String>::new());
    let mut inline = House::with(usize::MAX, &document);
    inline.start("made", json!({"s": large}));
    inline.settle();
    assert_eq!(inline.store.len(), 0);
    assert_eq!(known(&folded), known(&inline.folded().0));
}

#[test]
fn a_value_is_stored_before_a_bundle_once_and_as_it_is() {
    let mut house = House::with(1_000, &transforms(&["${{ input }}", "${{ input }}"]));
    let input = json!({"stored": {"workspace": "other", "values": [{"event": 0}]}, "pad": "y".repeat(2_000)});
    house.start("made", input.clone());
    house.settle();
    let text = Json::of(&input);
    assert_eq!(house.store.values().filter(|value| **value == text).count(), 1);
    assert!(house.stored[&ValueDigest::of(text.as_str().as_bytes())] <= house.journal.len());
    for mut bundle in house.bundles() {
        bundle.fill(|workspace, value| house.store.get(&(workspace.clone(), value.digest)).cloned());
        assert_eq!(bundle.wanted().count(), 0);
        let outputs = serde_json::to_value(&bundle).unwrap();
        for event in
            outputs["commits"].as_array().unwrap().iter().flat_map(|commit| commit["events"].as_array().unwrap())
        {
            let output = &event["run"]["nodeSucceeded"]["output"];
            assert!(output.is_null() || *output == input, "{output}");
        }
    }
}

#[test]
fn a_value_that_is_lost_quarantines_its_run_and_nothing_else() {
    let mut house = House::with(STORED_FROM, &transforms(&["${{ input.s + input.s }}"]));
    let (lost, kept) =
        (house.start("made", json!({"s": "x".repeat(40_000)})), house.start("made", json!({"s": "y".repeat(40_000)})));
    house.settle();
    let twice = Json::of(&"x".repeat(80_000));
    let digest = ValueDigest::of(twice.as_str().as_bytes());
    assert_eq!(house.store.remove(&("default".parse().unwrap(), digest)), Some(twice));
    let (folded, corrupt) = house.folded();
    let [reason] = corrupt.as_slice() else { panic!("{corrupt:?}") };
    for said in [lost.to_string(), "of the node t0".into(), digest.to_string(), "the workspace default".into()] {
        assert!(reason.contains(&said), "{said}: {reason}");
    }
    assert_eq!(folded.shard().ended_run(kept).unwrap().status, RunStatus::Succeeded);
    assert_eq!(folded.shard().ended_run(lost), None);
}

#[test]
fn what_a_bundle_names_that_has_no_place_for_it_is_not_folded() {
    let mut house = House::with(STORED_FROM, &transforms(&["${{ input.s }}"]));
    house.start("made", json!({"s": "x".repeat(100_000)}));
    house.settle();
    let text = String::from_utf8(house.journal[0].clone()).unwrap();
    assert!(text.contains("\"stored\":{\"workspace\":\"default\",\"values\":[{\"event\":0,"), "{text}");
    for place in ["7", "4294967295"] {
        let mut bundle =
            Bundle::read(text.replace("[{\"event\":0,", &format!("[{{\"event\":{place},")).as_bytes()).unwrap();
        bundle.fill(|workspace, value| house.store.get(&(workspace.clone(), value.digest)).cloned());
        assert_eq!(bundle.wanted().count(), 1);
    }
}

#[test]
fn ten_thousand_items_of_a_kibibyte_go_there_and_back() {
    let document = json!({"slug": "wide",
        "nodes": [
            {"id": "list", "action": {"kind": "transform", "output": "${{ lists.range(input.count).map(i, input.pad) }}"}},
            {"id": "each", "forEach": {"items": "${{ nodes.list.output }}", "maxItems": 10_000,
                "body": {"id": "one", "action": {"kind": "transform", "output": "${{ item }}"}}}}],
        "transitions": [{"from": "list", "to": "each"}],
        "output": "${{ nodes.each.output }}"});
    let mut house = House::with(STORED_FROM, &document);
    let run = house.start("wide", json!({"count": 10_000, "pad": "x".repeat(1022)}));
    let began = std::time::Instant::now();
    house.settle();
    println!("{:?} with the digests, {} bundles", began.elapsed(), house.journal.len());
    assert_eq!(house.owner.shard().ended_run(run).unwrap().status, RunStatus::Succeeded);
    let all = format!("[{}]", vec![format!("{:?}", "x".repeat(1022)); 10_000].join(","));
    let stored: Vec<_> = house.store.values().map(Json::len_bytes).collect();
    assert_eq!(stored, [all.len()], "the list, the items, what they made and what the run returns are one value");
    assert!(house.journal.iter().all(|bytes| bytes.len() < 4 << 20));
    let (folded, corrupt) = house.folded();
    assert_eq!(corrupt, Vec::<String>::new());
    assert_eq!(folded.shard().ended_run(run).unwrap().status, RunStatus::Succeeded);
}

/// A list of twelve MB, made of an input of one.
fn large() -> String {
    format!("${{{{ [{}] }}}}", ["input.s"; 12].join(", "))
}

#[test]
fn a_node_makes_no_value_that_there_is_no_memory_for() {
    let nodes: Vec<_> = (0..24)
        .map(|at| json!({"id": format!("t{at:02}"), "action": {"kind": "transform", "output": large()}, "allowFailure": at == 22}))
        .collect();
    let mut world = World::with(&json!({"slug": "made", "nodes": nodes, "output": {"done": true}}));
    let run = world.start("made", json!({"s": "x".repeat(1_000_000)}));
    world.settle();
    let timeline = world.timeline(run);
    // 22 of them, and the input, leave no room for one more.
    assert!(timeline.contains("t21:ok t22:tolerated(too_many_values) t23:dead(too_many_values)"), "{timeline}");
    // It has ended, and holds nothing any more.
    let run = world.start("made", json!({"s": "x"}));
    world.settle();
    assert!(world.timeline(run).ends_with("SUCCEEDED"), "{}", world.timeline(run));
}

#[test]
fn what_a_run_has_given_up_is_no_memory_that_others_lack() {
    let mut world = World::with(&json!({"slug": "made", "nodes": [
        {"id": "one", "action": {"kind": "transform", "output": large()}},
        {"id": "turn", "action": {"kind": "transform", "output": "${{ nodes.one.output }}"}}, {"id": "done", "action": "noop"}],
        "transitions": [{"from": "one", "to": "turn"}, {"from": "turn", "to": "turn", "maxIterations": 40},
            {"from": "turn", "to": "done", "priority": 1}],
        "output": {"done": true}}));
    let run = world.start("made", json!({"s": "x".repeat(1_000_000)}));
    world.settle();
    let timeline = world.timeline(run);
    assert!(timeline.ends_with("SUCCEEDED") && timeline.matches("turn").count() > 40, "{timeline}");
}
