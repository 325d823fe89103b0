//! What a decision needs compiled is compiled elsewhere: who waits for it waits in order, and nobody else does.

use std::time::Duration;

use headwater_core::definition::{compilations, compile};
use headwater_core::desk::{Caller, Desk, DeskSettings, Input, LINE_BYTES_MAX, Moment, Output};
use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::{RunCommand, RunEvent, RunLimits, RunRejection, RunStatus, StartRun, Trigger};
use headwater_core::shard::{
    AggregateId, Append, Awaited, Bounds, Bundle, Command, Compiled, Event, Owner, RefoldOrder, Refolding, Rejection,
    ReleaseBy, Shard, ShardMap, Submission,
};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand, WorkflowEvent};
use headwater_core::{
    Attempt, CommandId, DefinitionVersion, Json, LeaseSecret, LeaseToken, RunId, Sequence, Timestamp,
};
use serde_json::{Value, json};

use crate::checkpoints::journal;
use crate::world::{World, chain, key, shard_zero};

type Said = Output<u64, ()>;

/// A desk, with whoever compiles for it in another thread.
struct House {
    desk: Desk<u64, ()>,
    journal: Vec<Vec<u8>>,
    at: Moment,
    ids: u128,
    answers: Vec<(u64, ShardReply)>,
    /// What is to be compiled.
    compiling: Vec<(Awaited, Vec<Json>)>,
    refolding: Vec<RefoldOrder>,
    /// How many documents this thread had compiled before.
    before: u64,
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_900_000_000)
}

/// An owner that has folded a journal and keeps one graph that no run uses.
fn owner(journal: &[Vec<u8>]) -> Owner<Caller<()>> {
    let bounds = Bounds { graphs: 1, ..Bounds::default() };
    let mut owner = Owner::new(Shard::bounded(shard_zero(), ShardMap::even(1).unwrap(), bounds));
    for (sequence, bytes) in (1..).map(Sequence::new).zip(journal) {
        owner.fold(sequence, &Bundle::read(bytes).unwrap(), bytes).unwrap();
    }
    owner.work_out_inherited();
    owner
}

/// A journal that holds versions of these documents, all adopted.
fn adopted(documents: &[Value]) -> Vec<Vec<u8>> {
    let mut world = World::new();
    for document in documents {
        world.apply(document);
    }
    journal(&world.commits, 3)
}

impl House {
    fn new(journal: Vec<Vec<u8>>) -> Self {
        Self::of(owner(&journal), journal)
    }

    fn of(owner: Owner<Caller<()>>, journal: Vec<Vec<u8>>) -> Self {
        let settings = DeskSettings {
            lease_ttl: Duration::from_secs(15),
            requests_waiting_max: 99_999,
            message_bytes_max: 1 << 20,
            run_limits: RunLimits::DEFAULT,
        };
        let at = Moment { wall: now(), steady: Duration::ZERO };
        let mut out = Vec::new();
        let before = compilations();
        let desk = Desk::open(owner, &settings, 1, LeaseSecret::new(2), at, &mut out);
        let (answers, compiling, refolding) = (Vec::new(), Vec::new(), Vec::new());
        let mut house = Self { desk, journal, at, ids: 1 << 64, answers, compiling, refolding, before };
        house.settle(out);
        house
    }

    fn take(&mut self, input: Input<u64, ()>) {
        let mut out = Vec::new();
        self.desk.take(input, self.at, &mut out);
        self.settle(out);
    }

    fn settle(&mut self, mut out: Vec<Said>) {
        loop {
            self.desk.turn(false, self.at, &mut out);
            if out.is_empty() {
                break;
            }
            for output in std::mem::take(&mut out) {
                match output {
                    Output::Append(Append { bytes, expected, .. }) => {
                        self.journal.push(bytes);
                        self.desk.take(Input::Appended(expected.next()), self.at, &mut out);
                    }
                    Output::Answer { reply, bytes } => {
                        let replies: Vec<ShardReply> = serde_json::from_slice(&bytes).unwrap();
                        self.answers.extend(replies.into_iter().map(|said| (reply, said)));
                    }
                    Output::Compile { awaited, documents } => self.compiling.push((awaited, documents)),
                    Output::Refold(order) => self.refolding.push(order),
                    Output::Find(needed) => panic!("{needed:?} was adopted"),
                    Output::Unadoptable(rejection) => panic!("{rejection}"),
                    Output::Hand { .. }
                    | Output::Call { .. }
                    | Output::Deliver { .. }
                    | Output::Done(())
                    | Output::FellSilent { .. } => {}
                }
            }
        }
        assert_eq!(compilations() - self.before, 0, "nothing is compiled where the shard decides");
    }

    fn ask(&mut self, reply: u64, request: ShardRequest) {
        self.take(Input::Commands { requests: vec![request], reply });
    }

    fn submit(&mut self, reply: u64, command: Command) {
        self.ids += 1;
        let id = CommandId::from_uuid(uuid::Uuid::from_u128(self.ids));
        self.ask(reply, ShardRequest::Submit(Box::new(Submission::new(id, command))));
    }

    /// Has the compilation that was asked for at this place done.
    fn compile(&mut self, place: usize) {
        let (awaited, documents) = self.compiling.remove(place);
        let compile = move || documents.iter().map(Compiled::of).collect();
        let compiled = std::thread::spawn(compile).join().unwrap();
        self.take(Input::Compiled { awaited, compiled });
    }

    fn said(&self, reply: u64) -> Vec<&ShardReply> {
        self.answers.iter().filter(|(to, _)| *to == reply).map(|(_, said)| said).collect()
    }

    fn is_done(&self, reply: u64) -> bool {
        matches!(self.said(reply)[..], [ShardReply::Done { .. }])
    }

    /// What the journal says of an aggregate, in order.
    fn events_of(&self, aggregate: &AggregateId) -> Vec<Event> {
        let bundles = self.journal.iter().map(|bytes| Bundle::read(bytes).unwrap());
        let commits = bundles.flat_map(|bundle| bundle.commits).filter(|commit| commit.aggregate == *aggregate);
        commits.flat_map(|commit| commit.events).collect()
    }
}

fn run(number: u128) -> RunId {
    RunId::new(shard_zero(), now(), number << 12)
}

fn start_as(number: u128, workflow: &str, trigger: Trigger) -> Command {
    let start = StartRun {
        workspace: "default".parse().unwrap(),
        workflow: workflow.parse().unwrap(),
        version: DefinitionVersion::FIRST,
        input: Json::empty_object(),
        trigger,
        keyed: false,
        wishes: None,
    };
    Command::Run { run: run(number), command: RunCommand::StartRun(start) }
}

fn start(number: u128, workflow: &str) -> Command {
    start_as(number, workflow, Trigger::Manual {})
}

fn cancel(number: u128) -> Command {
    Command::Run {
        run: run(number),
        command: RunCommand::CancelRun { workspace: None, reason: String::new(), grace_ms: 0 },
    }
}

fn named(slug: &str) -> Value {
    let mut document = chain(&["a", "b"]);
    document["slug"] = json!(slug);
    document
}

fn refused(reply: &[&ShardReply]) -> Rejection {
    let [ShardReply::Refused { rejection }] = reply else { panic!("{reply:?}") };
    rejection.clone()
}

#[test]
fn whoever_needs_what_is_not_compiled_waits_and_everybody_else_goes_on() {
    let mut house = House::new(adopted(&[named("one"), named("two"), named("three")]));
    house.submit(1, start(1, "one"));
    house.submit(2, start(2, "two"));
    house.submit(3, start(3, "one"));
    assert_eq!((house.answers.len(), house.compiling.len()), (0, 2), "each is compiled once");
    house.compile(1);
    assert!(house.is_done(2) && house.answers.len() == 1, "{:?}", house.answers);
    house.submit(4, start(4, "two"));
    assert!(house.is_done(4), "what is compiled is decided at once");
    house.submit(5, cancel(2));
    assert!(house.is_done(5));
    house.compile(0);
    assert!(house.is_done(1) && house.is_done(3));
    // One graph that no run uses is kept; those that runs use are all there.
    for (reply, workflow) in [(6, "one"), (7, "two")] {
        house.submit(reply, start(u128::from(reply), workflow));
        assert!(house.is_done(reply));
    }
    for number in [4, 7] {
        house.submit(10 + u64::try_from(number).unwrap(), cancel(number));
    }
    house.submit(20, start(20, "three"));
    house.compile(0);
    house.submit(21, start(21, "two"));
    assert!(house.is_done(20) && house.said(21).is_empty(), "nobody runs it, and another was needed since");
    house.compile(0);
    assert!(house.is_done(21));
}

#[test]
fn what_is_for_a_run_whose_start_waits_waits_behind_it() {
    let mut house = House::new(adopted(&[named("one")]));
    house.submit(1, start(1, "one"));
    house.ask(2, ShardRequest::AwaitRun { run: run(1) });
    house.submit(3, cancel(1));
    let command = RunCommand::ReturnAttempt {
        node: "a".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(7),
    };
    house.submit(4, Command::Run { run: run(1), command });
    house.submit(5, start(1, "one"));
    house.submit(6, cancel(77));
    // The clocks go on meanwhile.
    house.at.wall = house.at.wall.after(Duration::from_secs(1));
    house.take(Input::Due);
    house.take(Input::Sweep);
    assert_eq!((house.answers.len(), house.compiling.len()), (1, 1), "{:?}", house.answers);
    assert_eq!(refused(&house.said(6)), Rejection::Run(RunRejection::RunNotFound), "it is of another run");
    house.compile(0);
    let order: Vec<_> = house.answers.iter().map(|(reply, _)| *reply).skip(1).collect();
    assert_eq!(order, [1, 3, 4, 5, 2], "who waits for the end hears of it after those who are answered");
    assert!(house.is_done(1) && house.is_done(3) && house.is_done(5));
    assert!(matches!(refused(&house.said(4)), Rejection::Run(RunRejection::RunClosed { .. })));
    assert!(matches!(house.said(2)[..], [ShardReply::Ended { status: RunStatus::Cancelled, .. }]));
    let events = house.events_of(&AggregateId::Run(run(1)));
    assert!(matches!(events.first(), Some(Event::Run(RunEvent::RunStarted { .. }))));
    assert!(matches!(events.last(), Some(Event::Run(RunEvent::RunCancelled { .. }))));
}

#[test]
fn what_does_not_compile_sets_aside_what_needs_it_and_nothing_else() {
    let journal = adopted(&[named("bad"), named("good")]);
    for failure in ["the compiler panicked: what a bad document", "no"] {
        let mut house = House::new(journal.clone());
        house.submit(1, start(1, "good"));
        house.compile(0);
        house.submit(2, start(2, "bad"));
        house.submit(3, cancel(2));
        house.submit(4, start(3, "bad"));
        house.submit(5, start(4, "good"));
        let (awaited, documents) = house.compiling.remove(0);
        let failed = |document: &Json| Compiled::failed(document.clone(), failure.to_owned());
        house.take(Input::Compiled { awaited, compiled: documents.iter().map(failed).collect() });
        for reply in [2, 4] {
            let Rejection::Quarantined { reason } = refused(&house.said(reply)) else { panic!("{:?}", house.answers) };
            assert!(reason.contains(failure), "{reason}");
        }
        assert_eq!(refused(&house.said(3)), Rejection::Run(RunRejection::RunNotFound));
        assert!(house.is_done(1) && house.is_done(5), "{:?}", house.answers);
        let shard = house.desk.owner().shard();
        let set_aside: Vec<_> = shard.quarantined().map(|(aggregate, _)| aggregate.clone()).collect();
        assert_eq!(set_aside, [AggregateId::Definition(key("bad"), DefinitionVersion::FIRST)]);
        assert_eq!((shard.active_runs(), house.compiling.len()), (2, 0));
    }
}

fn apply(document: &Value) -> Command {
    let (definition, _) = compile(document).unwrap();
    let command = ApplyWorkflow { document: definition.source, content_hash: definition.content_hash };
    Command::Workflow { key: key(document["slug"].as_str().unwrap()), command: WorkflowCommand::ApplyWorkflow(command) }
}

#[test]
fn versions_that_are_applied_while_others_are_compiled_keep_their_order() {
    let version = |name: &str| {
        let mut document = named("one");
        (document["name"], document["steps"]) =
            (json!(name), json!([{"id": "a", "jobSlug": "work", "produces": [{"assetId": format!("x.{name}")}]}]));
        document
    };
    let applied: Vec<_> = ["first", "second", "third"].map(|name| apply(&version(name))).into();
    let (other, again) = (apply(&named("other")), apply(&version("first")));
    let mut house = House::new(Vec::new());
    for (reply, command) in (1..).zip(applied) {
        house.submit(reply, command);
    }
    house.submit(4, other);
    house.submit(5, again);
    assert_eq!((house.answers.len(), house.compiling.len()), (0, 2));
    house.compile(1);
    assert!(house.is_done(4) && house.answers.len() == 1, "another workflow waits for nobody");
    while !house.compiling.is_empty() {
        assert_eq!(house.compiling.len(), 1, "one after the other");
        house.compile(0);
    }
    let order: Vec<_> = house.answers.iter().map(|(reply, _)| *reply).collect();
    assert_eq!(order, [4, 1, 2, 3, 5]);
    let said = house.events_of(&AggregateId::Workflow(key("one")));
    let versions: Vec<_> = said
        .iter()
        .map(|event| match event {
            Event::Workflow(WorkflowEvent::WorkflowApplied { version, .. }) => ("new", version.get()),
            Event::Workflow(WorkflowEvent::VersionSelected { version }) => ("again", version.get()),
            Event::Workflow(WorkflowEvent::VersionPinned { .. }) => ("pinned", 0),
            Event::Workflow(WorkflowEvent::StartsPaused { .. }) => ("paused", 0),
            Event::Workflow(WorkflowEvent::StartsResumed { .. }) => ("resumed", 0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(versions, [("new", 1), ("new", 2), ("new", 3), ("again", 1)]);
}

#[test]
fn a_run_that_is_released_brings_its_graph_and_what_waited_for_a_definition_has_it_compiled() {
    let mut world = World::with(&named("one"));
    world.start("one", json!({}));
    let journal = journal(&world.commits, 1);
    let run_id = world.shard.active().next().unwrap().id();
    let definition = AggregateId::Definition(key("one"), DefinitionVersion::FIRST);

    let evicting = apply(&named("evicts"));
    // The run is set aside by hand, and nothing has its graph.
    let mut owner = owner(&journal);
    owner.set_aside(&AggregateId::Run(run_id), "by hand".to_owned());
    let mut house = House::of(owner, journal.clone());
    house.submit(9, evicting);
    house.compile(0);
    release(&mut house, 1, AggregateId::Run(run_id));
    assert!(house.is_done(1), "{:?}", house.answers);
    assert!(house.desk.owner().shard().run(run_id).is_some());

    // The definition is; an asset asks for a run meanwhile.
    let journal = adopted(&[named("one")]);
    let mut owner = self::owner(&journal);
    owner.set_aside(&definition, "by hand".to_owned());
    let mut house = House::of(owner, journal);
    let trigger = json!({"materialize": {"asset": "x.y", "requestedBy": run(99)}});
    house.submit(1, start_as(2, "one", serde_json::from_value(trigger).unwrap()));
    assert!(house.is_done(1) && house.desk.owner().shard().parked_for(&definition) == 1);
    release(&mut house, 2, definition.clone());
    assert!(house.is_done(2), "{:?}", house.answers);
    assert!(house.desk.owner().shard().run(run(2)).is_none(), "it is compiled first");
    house.compile(0);
    assert!(house.desk.owner().shard().run(run(2)).is_some());
    assert!(house.compiling.is_empty());
}

/// Releases an aggregate; its history is folded in another thread.
fn release(house: &mut House, reply: u64, aggregate: AggregateId) {
    house.ids += 1;
    let id = CommandId::from_uuid(uuid::Uuid::from_u128(house.ids));
    house.ask(reply, ShardRequest::Release { id, aggregate, actor: None, by: ReleaseBy::Refold {} });
    let order = house.refolding.remove(0);
    let (given, journal) = (order.clone(), house.journal.clone());
    let refold = move || {
        let mut refolding = Refolding::new(given, shard_zero(), ShardMap::even(1).unwrap()).unwrap();
        for (sequence, bytes) in (1..).map(Sequence::new).zip(&journal) {
            refolding.fold(sequence, &Bundle::read(bytes).unwrap());
        }
        refolding.finish()
    };
    let outcome = std::thread::spawn(refold).join().unwrap();
    house.take(Input::Refolded { order, outcome });
}

#[test]
fn what_waits_is_bounded_and_whoever_steps_down_answers_it() {
    let mut house = House::new(adopted(&[named("one")]));
    let large = Json::of(&json!({"text": "x".repeat(1 << 20)}));
    let mut count = 0;
    while house.answers.is_empty() {
        count += 1;
        assert!(count * large.len_bytes() <= LINE_BYTES_MAX + (2 << 20), "without end");
        let Command::Run { run, command: RunCommand::StartRun(start) } = start(count as u128, "one") else { panic!() };
        let start = StartRun { input: large.clone(), ..start };
        house.submit(count as u64, Command::Run { run, command: RunCommand::StartRun(start) });
    }
    assert_eq!(refused(&house.said(count as u64)), Rejection::Overloaded);
    let mut out = Vec::new();
    house.desk.step_down(&mut out);
    assert_eq!(out.len(), count - 1);
}
