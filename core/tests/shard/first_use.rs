//! Definitions are compiled when a run needs them: a take-over costs what is active, and what does not compile any more shows
//! at its first use.

use headwater_core::credit::Hands;
use headwater_core::definition::{compilations, compile};
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{
    AggregateId, Bundle, Command, Effect, Owner, RefoldOrder, Refolding, Rejection, ReleaseBy, Released, ShardMap,
    Submission,
};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Json, RunId, Sequence, Timestamp};
use serde_json::{Value, json};

use crate::checkpoints::{fold, owner, restore};
use crate::world::{empty, key, shard_zero};

const VERSIONS: u32 = 300;

/// An owner that writes a journal; its effects are delivered as the test says.
struct House {
    owner: Owner<u32>,
    journal: Vec<Vec<u8>>,
    id: u128,
}

impl House {
    fn new() -> Self {
        Self::of(owner(), Vec::new())
    }

    fn of(owner: Owner<u32>, journal: Vec<Vec<u8>>) -> Self {
        let id = 1_000_000 * (1 + journal.len() as u128);
        Self { owner, journal, id }
    }

    fn id(&mut self) -> u128 {
        self.id += 1;
        self.id
    }

    fn submit(&mut self, command: Command) {
        let id = CommandId::from_uuid(uuid::Uuid::from_u128(self.id()));
        self.owner.submit(0, Submission::new(id, command), now(), &mut Hands::default());
    }

    fn append(&mut self) -> Released<u32> {
        let id = BundleId::from_uuid(uuid::Uuid::from_u128(self.id()));
        let append = self.owner.next_append(id).unwrap();
        self.journal.push(append.bytes);
        self.owner.appended(append.expected.next())
    }

    fn decide(&mut self, command: Command) -> Result<Released<u32>, Rejection> {
        self.submit(command);
        let mut released = self.append();
        match released.answers.remove(0).outcome {
            Ok(_) => Ok(released),
            Err(rejection) => Err(rejection),
        }
    }

    fn deliver(&mut self, released: &Released<u32>) {
        for way in released.effects.iter().filter_map(|effect| effect.way(&ShardMap::even(1).unwrap())) {
            self.owner.effects_delivered(way, released.sequence.unwrap());
        }
    }

    /// Applies and adopts versions 1 to `count`; what follows is delivered.
    fn with_versions(count: u32) -> Self {
        let mut house = Self::new();
        for number in 1..=count {
            let released = house.decide(apply(number)).unwrap();
            house.deliver(&released);
            house.decide(adopt(number)).unwrap();
        }
        house
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000)
}

fn document(number: u32) -> Value {
    json!({"slug": "chain", "name": format!("version {number}"), "steps": [{"id": "a", "jobSlug": "work",
        "produces": [{"assetId": format!("x.y{}", number % 3)}]}]})
}

fn apply(number: u32) -> Command {
    let (definition, _) = compile(&document(number)).unwrap();
    let command = ApplyWorkflow { document: definition.source, content_hash: definition.content_hash };
    Command::Workflow { key: key("chain"), command: WorkflowCommand::ApplyWorkflow(command) }
}

fn adopt(number: u32) -> Command {
    let (definition, _) = compile(&document(number)).unwrap();
    Command::AdoptDefinition { key: key("chain"), version: DefinitionVersion::new(number), document: definition.source }
}

fn start(number: u128, version: u32, trigger: Trigger) -> Command {
    let run = RunId::new(shard_zero(), now(), number << 12);
    let start = StartRun {
        workspace: "default".parse().unwrap(),
        workflow: "chain".parse().unwrap(),
        version: DefinitionVersion::new(version),
        input: Json::empty_object(),
        trigger,
        keyed: false,
        wishes: None,
    };
    Command::Run { run, command: RunCommand::StartRun(start) }
}

/// Does something, and says how many documents that compiled.
fn compiled<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = compilations();
    let done = work();
    (done, compilations() - before)
}

/// Folds a journal from its first entry, and makes the next owner ready to decide.
fn take_over(journal: &[Vec<u8>]) -> Owner<u32> {
    let mut next = owner();
    fold(&mut next, journal);
    next
}

#[test]
fn a_take_over_of_hundreds_of_versions_without_a_run_compiles_nothing() {
    let house = House::with_versions(VERSIONS);
    let (next, count) = compiled(|| take_over(&house.journal));
    assert_eq!(count, 0, "folding the journal");
    let (checkpoint, count) = compiled(|| next.checkpoint());
    assert_eq!(count, 0, "writing a checkpoint");
    let (mut next, count) = compiled(|| restore(&checkpoint).unwrap());
    assert_eq!(count, 0, "going on from the checkpoint");
    assert_eq!(next.checkpoint(), checkpoint);
    let (inherited, count) = compiled(|| next.inherit());
    assert_eq!((inherited.iter().map(|(_, effects)| effects.len()).sum::<usize>(), count), (0, 0));
}

#[test]
fn a_take_over_compiles_what_active_runs_use_and_a_start_what_it_needs() {
    let mut house = House::with_versions(20);
    for number in 1..=3 {
        house.decide(start(number, 7, Trigger::Manual {})).unwrap();
    }
    let (next, count) = compiled(|| take_over(&house.journal));
    assert_eq!(count, 1);
    let checkpoint = next.checkpoint();
    let (restored, count) = compiled(|| restore(&checkpoint).unwrap());
    assert_eq!((restored.shard().active_runs(), count), (3, 1));
    let mut next = House::of(restored, house.journal);
    let ((), count) = compiled(|| {
        for (number, version) in [(4, 7), (5, 8), (6, 8)] {
            next.decide(start(number, version, Trigger::Manual {})).unwrap();
        }
    });
    assert_eq!((next.owner.shard().active_runs(), count), (6, 1));
}

#[test]
fn what_is_not_delivered_of_new_versions_is_inherited_as_it_was_sent() {
    let mut house = House::with_versions(6);
    // Two versions in one bundle, and a third; of the first bundle the publication is delivered, the declarations are not.
    house.submit(apply(7));
    house.submit(apply(8));
    let first = house.append();
    let published = first.effects.iter().find(|effect| matches!(effect, Effect::PublishDefinition { .. })).unwrap();
    let way = published.way(&ShardMap::even(1).unwrap()).unwrap();
    house.owner.effects_delivered(way, first.sequence.unwrap());
    let second = house.decide(apply(9)).unwrap();
    let submits = first.effects.iter().filter(|effect| matches!(effect, Effect::Submit(_)));
    let wanted: Vec<Effect> = submits.chain(&second.effects).cloned().collect();

    let mut next = take_over(&house.journal);
    let mut restored = restore(&next.checkpoint()).unwrap();
    for owner in [&mut next, &mut restored] {
        let inherited: Vec<Effect> = owner.inherit().into_iter().flat_map(|(_, effects)| effects).collect();
        let text = |effects: &[Effect]| {
            let mut texts: Vec<_> = effects.iter().map(|effect| serde_json::to_string(effect).unwrap()).collect();
            texts.sort();
            texts
        };
        assert_eq!(text(&inherited), text(&wanted));
    }
}

/// A journal whose only definition was taken by a release that understood it.
fn broken() -> Vec<Vec<u8>> {
    let mut house = House::new();
    house.decide(adopt(1)).unwrap();
    let text = String::from_utf8(house.journal.remove(0)).unwrap();
    vec![text.replace("\"steps\":", "\"stages\":").into_bytes()]
}

#[test]
fn a_definition_that_does_not_compile_any_more_is_quarantined_at_its_first_use() {
    let mut house = House::of(take_over(&broken()), broken());
    assert_eq!(house.owner.shard().quarantined().len(), 0);
    house.append();
    let definition = AggregateId::Definition(key("chain"), DefinitionVersion::FIRST);
    let refusal = house.decide(start(1, 1, Trigger::Manual {})).unwrap_err();
    assert!(
        matches!(&refusal, Rejection::Quarantined { reason } if reason.contains("does not compile any more")),
        "{refusal}"
    );
    let said = Bundle::read(house.journal.last().unwrap()).unwrap().aside.unwrap().quarantined;
    assert_eq!(said.iter().map(|(aggregate, _)| aggregate).collect::<Vec<_>>(), [&definition]);

    // An asset that asks for a run waits, and is compiled for no second time.
    let requested_by = RunId::new(shard_zero(), now(), 77 << 12);
    let trigger = json!({"materialize": {"asset": "x.y", "requestedBy": requested_by}});
    let ask = start(2, 1, serde_json::from_value(trigger).unwrap());
    let (outcome, count) = compiled(|| house.decide(ask).map(drop));
    assert_eq!((outcome.is_ok(), count), (true, 0));

    // The next owner knows, from its journal and from a checkpoint.
    let next = take_over(&house.journal);
    for next in [restore(&next.checkpoint()).unwrap(), next] {
        assert_eq!(next.shard().quarantined().map(|(aggregate, _)| aggregate).collect::<Vec<_>>(), [&definition]);
        assert_eq!(next.shard().parked_for(&definition), 1);
    }

    // What is still broken is not released.
    let through = Sequence::new(house.journal.len() as u64);
    let order = RefoldOrder { aggregate: definition, by: ReleaseBy::Refold {}, at: None, through };
    let mut refolding = Refolding::new(order, shard_zero(), ShardMap::even(1).unwrap()).unwrap();
    for (number, bytes) in (1..).zip(&house.journal) {
        refolding.fold(Sequence::new(number), &Bundle::read(bytes).unwrap());
    }
    let refused = refolding.finish().unwrap_err();
    assert!(refused.contains("does not compile"), "{refused}");
}

#[test]
fn a_run_whose_definition_does_not_compile_any_more_is_quarantined_alone() {
    let mut house = House::new();
    house.submit(adopt(1));
    house.submit(adopt(2));
    house.submit(start(1, 1, Trigger::Manual {}));
    house.submit(start(2, 2, Trigger::Manual {}));
    house.append();
    let text = String::from_utf8(house.journal.remove(0)).unwrap();
    let bytes = text.replacen("\"steps\":", "\"stages\":", 1).into_bytes();
    let mut next = Owner::<u32>::new(empty());
    let corrupt = next.fold(Sequence::new(1), &Bundle::read(&bytes).unwrap(), &bytes).unwrap();
    let [corrupt] = &corrupt[..] else { panic!("{corrupt:?}") };
    assert!(matches!(corrupt.aggregate, AggregateId::Run(_)), "{corrupt}");
    assert!(corrupt.reason.contains("does not compile any more"), "{corrupt}");
    assert_eq!(next.shard().active_runs(), 1);
}

/// How many bytes this process has in memory.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// As large as those of a generator are: job nodes with inputs, conditions and contracts.
fn large(number: usize) -> Value {
    let step = |at: usize| {
        let before: Vec<_> = (at.saturating_sub(1)..at).map(|at| format!("step-{at}")).collect();
        json!({"id": format!("step-{at}"), "jobSlug": "work", "dependsOn": before,
            "input": {"customer": "${{ input.customer + '-' + string(input.count + 1) }}", "text": "x".repeat(200),
                "rows": "${{ input.rows.filter(row, row.price > 10.0).map(row, row.name) }}"}})
    };
    json!({"slug": format!("large-{number}"), "steps": (0..260).map(step).collect::<Vec<_>>()})
}

#[test]
#[ignore = "prints figures"]
fn how_much_memory_hundreds_of_large_definitions_take() {
    const COUNT: usize = 571;
    let began = resident_bytes();
    let documents: Vec<_> = (0..COUNT).map(|number| Json::of(&large(number))).collect();
    let bytes: usize = documents.iter().map(Json::len_bytes).sum();
    let say = |what: &str| println!("{what}: {} MB", (resident_bytes() - began) / 1_000_000);
    println!("{COUNT} definitions of together {} MB", bytes / 1_000_000);
    let mut house = House::new();
    for (number, document) in documents.into_iter().enumerate() {
        let key = key(&format!("large-{number}"));
        house.decide(Command::AdoptDefinition { key, version: DefinitionVersion::FIRST, document }).unwrap();
    }
    let mut next = take_over(&std::mem::take(&mut house.journal));
    drop(house);
    say("taken over, nothing compiled");
    let start = |number: usize| {
        let run = RunId::new(shard_zero(), now(), (number as u128 + 1) << 12);
        let start = StartRun {
            workspace: "default".parse().unwrap(),
            workflow: format!("large-{number}").parse().unwrap(),
            version: DefinitionVersion::FIRST,
            input: Json::of(&json!({"customer": "c", "count": 1, "rows": []})),
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: None,
        };
        (run, RunCommand::StartRun(start))
    };
    for (keeps, what) in [(false, "a run of each has been"), (true, "a run of each is active")] {
        for number in 0..COUNT {
            let (run, command) = start(number);
            let run = if keeps { RunId::new(shard_zero(), now(), (number as u128 + 10_000) << 12) } else { run };
            let mut commands = vec![command];
            if !keeps {
                commands.push(RunCommand::CancelRun { workspace: None, reason: String::new(), grace_ms: 0 });
            }
            for command in commands {
                let id = CommandId::from_uuid(uuid::Uuid::new_v4());
                next.submit(0, Submission::new(id, Command::Run { run, command }), now(), &mut Hands::default());
                let append = next.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())).unwrap();
                next.appended(append.expected.next());
            }
        }
        say(what);
    }
}
