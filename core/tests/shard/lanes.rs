//! What is heard of other shards: each once and in order, whatever is remembered of commands and of runs that have ended.

use headwater_core::asset::{AssetCommand, ConsumerDeclaration, Declaration};
use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, RunRejection, RunStatus, StartRun, Trigger};
use headwater_core::shard::{
    Ahead, AssetKey, Bounds, Bundle, Command, EffectPlace, Origin, Owner, Rejection, Released, Shard, ShardMap,
    Submission, Way,
};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Incarnation, Json, RunId, Sequence, ShardId, Timestamp};
use serde_json::json;

use crate::world::{World, chain, empty, key, ok, shard_zero};

pub fn sender() -> ShardId {
    ShardId::new(7).unwrap()
}

pub fn place(sequence: u64, index: u32) -> EffectPlace {
    EffectPlace { sequence: Sequence::new(sequence), index }
}

fn id(number: u64) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(u128::from(number)))
}

pub fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000)
}

/// A declaration that changes the asset each time, under the id and from the place of its number.
pub fn declare(number: u64, place: EffectPlace, after: Option<EffectPlace>) -> Submission {
    let consumer = ConsumerDeclaration {
        node: format!("n{number}").parse().unwrap(),
        name: None,
        kind: "job".into(),
        schema: None,
        freshness: None,
        partitioning: None,
        auto_materialize: None,
    };
    let declaration = Declaration {
        paused: false,
        workflow: "w".parse().unwrap(),
        version: DefinitionVersion::FIRST,
        producers: Vec::new(),
        consumers: vec![consumer],
    };
    let key = AssetKey { workspace: "default".parse().unwrap(), asset: "a.b".parse().unwrap() };
    let command = Command::Asset { key, command: AssetCommand::DeclareAsset(declaration) };
    Submission {
        from: Some(Origin { shard: sender(), place, after, toward: Incarnation::FIRST }),
        ..Submission::new(id(number), command)
    }
}

/// Decides and appends; returns what was answered and the bundle.
pub fn go(owner: &mut Owner<()>, submission: Submission) -> (Result<(), Rejection>, Bundle) {
    owner.submit((), submission, now(), &mut Hands::default());
    let number = u128::from(owner.last().get()) + 1;
    let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(number))).unwrap();
    let Released { mut answers, .. } = owner.appended(append.expected.next());
    let answer = answers.remove(0).outcome.map(|_| ());
    (answer, Bundle::read(&append.bytes).unwrap())
}

#[test]
fn what_was_heard_changes_nothing_again_however_much_came_since() {
    let mut owner = Owner::new(empty());
    for number in 1..20 {
        let (answer, bundle) = go(&mut owner, declare(number, place(number, 0), None));
        assert_eq!((answer, bundle.commits.len()), (Ok(()), 1));
        assert_eq!((bundle.heard, bundle.needs), (vec![(sender(), place(number, 0))], 2));
    }
    for number in 1..20 {
        let (answer, bundle) = go(&mut owner, declare(number, place(number, 0), None));
        assert_eq!((answer, bundle.commits.len()), (Ok(()), 0), "{number}");
    }
}

#[test]
fn what_changes_nothing_is_heard_durably_too_and_the_next_owner_knows() {
    let mut owner = Owner::new(empty());
    let mut journal = Vec::new();
    for (number, at) in [(1, place(5, 0)), (1, place(5, 1)), (2, place(9, 3))] {
        owner.submit((), declare(number, at, None), now(), &mut Hands::default());
        let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(journal.len() as u128))).unwrap();
        owner.appended(append.expected.next());
        journal.push(append.bytes);
    }
    assert_eq!(Bundle::read(&journal[1]).unwrap().commits, [], "the second said nothing new");
    let mut next = Owner::<()>::new(empty());
    for (at, bytes) in (1..).zip(&journal) {
        assert_eq!(next.shard().heard(sender()), [None, Some(place(5, 0)), Some(place(5, 1))][at - 1]);
        next.fold(Sequence::new(at as u64), &Bundle::read(bytes).unwrap(), bytes).unwrap();
    }
    let restored = Owner::<()>::restore(empty(), &next.checkpoint()).unwrap();
    for owner in [next, restored] {
        assert_eq!(owner.shard().heard(sender()), Some(place(9, 3)));
        assert_eq!(owner.shard().heard(shard_zero()), None);
    }
}

#[test]
fn what_comes_too_early_is_refused_with_what_was_heard_and_changes_nothing() {
    let mut owner = Owner::new(empty());
    let (answer, bundle) = go(&mut owner, declare(2, place(2, 0), Some(place(1, 0))));
    assert_eq!((answer, bundle.commits.len()), (Err(Rejection::Gap { heard: None }), 0));
    assert_eq!((bundle.heard, bundle.needs), (Vec::new(), 1));
    go(&mut owner, declare(1, place(1, 0), None)).0.unwrap();
    let gap = go(&mut owner, declare(3, place(2, 1), Some(place(2, 0)))).0;
    assert_eq!(gap, Err(Rejection::Gap { heard: Some(place(1, 0)) }));
    for (number, at, after) in [(2, place(2, 0), place(1, 0)), (3, place(2, 1), place(2, 0))] {
        go(&mut owner, declare(number, at, Some(after))).0.unwrap();
    }
    assert_eq!(owner.shard().heard(sender()), Some(place(2, 1)));
    // Other shards are heard by themselves.
    let mut other = declare(4, place(1, 0), None);
    other.from = other.from.map(|from| Origin { shard: shard_zero(), ..from });
    assert_eq!(go(&mut owner, other).1.commits.len(), 1);
}

fn start(run: RunId, trigger: Trigger, input: serde_json::Value) -> Command {
    let start = StartRun {
        workspace: "default".parse().unwrap(),
        workflow: "chain".parse().unwrap(),
        version: DefinitionVersion::FIRST,
        input: Json::of(&input),
        trigger,
        keyed: false,
        wishes: None,
    };
    Command::Run { run, command: RunCommand::StartRun(start) }
}

fn materialize() -> Trigger {
    let requested_by = RunId::new(shard_zero(), now(), 1 << 12);
    Trigger::Materialize { asset: "a.b".parse().unwrap(), partition: None, requested_by }
}

/// A world in which many runs have come and gone, and are forgotten; and the first of them.
fn long_ago() -> (World, RunId) {
    let mut world = World::with(&chain(&["a"]));
    let first = world.start("chain", json!({}));
    for _ in 0..6 {
        for task in world.tasks() {
            world.report(&task, ok(json!(1))).unwrap();
        }
        world.pass(100);
        world.start("chain", json!({}));
    }
    assert_eq!(world.shard.ended_run(first), None, "it is forgotten");
    (world, first)
}

#[test]
fn a_run_is_forgotten_when_time_has_passed_and_never_because_there_are_many() {
    let mut world = World::with(&chain(&["a"]));
    let runs: Vec<_> = (0..20).map(|_| world.start("chain", json!({}))).collect();
    for task in world.tasks() {
        world.report(&task, ok(json!(1))).unwrap();
    }
    let known = |world: &World| runs.iter().filter(|run| world.shard.ended_run(**run).is_some()).count();
    assert_eq!(known(&world), 20);
    world.pass(Bounds::default().kept_for.as_secs() + 1);
    world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert_eq!(known(&world), 3, "and one that has just ended");
}

#[test]
fn a_start_that_may_have_come_before_is_refused_as_unclear_and_a_new_one_is_not() {
    let (mut world, first) = long_ago();
    let refusal = world.try_start(first, "chain", json!({})).unwrap_err();
    assert_eq!(refusal, Rejection::Run(RunRejection::StartUnclear));
    // Nobody says that it came before; nobody can say that it did not.
    let as_old = RunId::new(shard_zero(), first.time(), 1 << 60);
    assert_eq!(world.try_start(as_old, "chain", json!({})).unwrap_err(), refusal);
    world.start("chain", json!({}));
}

#[test]
fn an_id_of_a_clock_that_is_far_ahead_keeps_nobody_from_starting() {
    let mut world = World::with(&chain(&["a"]));
    let ahead = RunId::new(shard_zero(), world.now.after(std::time::Duration::from_secs(1 << 30)), 1 << 60);
    world.try_start(ahead, "chain", json!({})).unwrap();
    for _ in 0..8 {
        for task in world.tasks() {
            world.report(&task, ok(json!(1))).unwrap();
        }
        world.pass(300);
        world.start("chain", json!({}));
    }
    assert_eq!(world.shard.ended_run(ahead), None, "it is forgotten as others are");
}

#[test]
fn a_start_on_a_lane_goes_by_what_was_heard_and_not_by_its_age() {
    let (mut world, first) = long_ago();
    let from =
        |sequence| Some(Origin { shard: sender(), place: place(sequence, 0), after: None, toward: Incarnation::FIRST });
    let late = RunId::new(shard_zero(), first.time(), 1 << 60);
    let submission =
        Submission { from: from(3), ..Submission::new(id(1 << 50), start(late, materialize(), json!({}))) };
    let decided = world.decide_as(submission.clone(), &mut Hands::default()).unwrap();
    assert!(decided.commit.is_some(), "its sender had no owner for long");
    let task = world.tasks().into_iter().find(|task| task.run == late).unwrap();
    world.report(&task, ok(json!(1))).unwrap();
    assert_eq!(world.shard.ended_run(late).unwrap().status, RunStatus::Succeeded);
    for _ in 0..8 {
        world.pass(200);
        let run = world.start("chain", json!({}));
        let task = world.tasks().into_iter().find(|task| task.run == run).unwrap();
        world.report(&task, ok(json!(1))).unwrap();
    }
    assert_eq!(world.shard.ended_run(late), None, "it is forgotten");
    let decided = world.decide_as(submission, &mut Hands::default()).unwrap();
    assert!(decided.commit.is_none(), "RUN-1: it does not start again");
}

#[test]
fn a_start_that_was_refused_is_refused_again_because_its_sender_acts_on_that() {
    let mut world = World::with(&chain(&["a"]));
    let run = RunId::new(shard_zero(), world.now, 1 << 60);
    let Command::Run { command: RunCommand::StartRun(start), .. } = start(run, materialize(), json!({})) else {
        unreachable!()
    };
    let start = StartRun { version: DefinitionVersion::new(9), ..start };
    let command = Command::Run { run, command: RunCommand::StartRun(start) };
    let from = Some(Origin { shard: sender(), place: place(3, 0), after: None, toward: Incarnation::FIRST });
    let submission = Submission { from, ..Submission::new(id(1 << 50), command) };
    let refusal = world.decide_as(submission.clone(), &mut Hands::default()).unwrap_err();
    assert!(matches!(refusal, Rejection::Run(RunRejection::DefinitionNotFound { .. })), "{refusal}");
    assert_eq!(world.shard.heard(sender()), Some(place(3, 0)));
    assert_eq!(world.decide_as(submission, &mut Hands::default()).unwrap_err(), refusal);
}

/// An owner of one of many shards: what it declares goes to others, each on a lane of its own.
pub fn many() -> Owner<()> {
    Owner::new(Shard::new(shard_zero(), ShardMap::even(8).unwrap()))
}

pub fn apply(number: u64) -> Submission {
    let step = |asset: usize| json!({"id": format!("s{asset}"), "jobSlug": "work", "produces": [{"assetId": format!("asset.n{asset}")}]});
    let document =
        json!({"slug": "w", "description": format!("{number}"), "steps": (0..12).map(step).collect::<Vec<_>>()});
    let (definition, _) = headwater_core::definition::compile(&document).unwrap();
    let apply =
        headwater_core::workflow::ApplyWorkflow { document: definition.source, content_hash: definition.content_hash };
    let command = headwater_core::workflow::WorkflowCommand::ApplyWorkflow(apply);
    Submission::new(id(number), Command::Workflow { key: key("w"), command })
}

#[test]
fn a_shard_that_nobody_owns_holds_up_what_is_meant_for_it_and_nothing_else() {
    let mut owner = many();
    let mut journal = Vec::new();
    let mut stuck = None;
    for number in 1..=5 {
        owner.submit((), apply(number), now(), &mut Hands::default());
        let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(u128::from(number)))).unwrap();
        let released = owner.appended(append.expected.next());
        journal.push(append.bytes);
        let map = ShardMap::even(8).unwrap();
        let mut ways: Vec<_> = released.effects.iter().filter_map(|effect| effect.way(&map)).collect();
        ways.sort_unstable();
        ways.dedup();
        assert!(ways.len() > 3, "{ways:?}");
        let is_lane = |way: &&Way| matches!(way, Way::Lane(_));
        let stuck = *stuck.get_or_insert(*ways.iter().find(is_lane).unwrap());
        let delivered = ways.into_iter().filter(|way| *way != stuck);
        delivered.for_each(|way| owner.effects_delivered(way, released.sequence.unwrap()));
    }
    let stuck = stuck.unwrap();
    let last = Bundle::read(journal.last().unwrap()).unwrap();
    assert_eq!(last.effects_done, Sequence::ZERO, "a release before knows one mark only");
    let expected = Ahead { done: Sequence::new(4), behind: vec![(stuck, Sequence::ZERO)] };
    assert_eq!((last.ahead, last.needs), (Some(expected), 1));

    let mut next = many();
    for (at, bytes) in (1..).zip(&journal) {
        next.fold(Sequence::new(at), &Bundle::read(bytes).unwrap(), bytes).unwrap();
    }
    let mut restored: Owner<()> =
        Owner::restore(Shard::new(shard_zero(), ShardMap::even(8).unwrap()), &next.checkpoint()).unwrap();
    assert_eq!(restored.checkpoint(), next.checkpoint());
    let map = ShardMap::even(8).unwrap();
    let inherited = next.inherit();
    assert_eq!(restored.inherit(), inherited);
    for (sequence, effects) in &inherited[..4] {
        let is_stuck = effects.iter().all(|effect| effect.way(&map) == Some(stuck));
        assert!(is_stuck && !effects.is_empty(), "of {sequence} only what is stuck is sent again");
    }
    assert!(inherited[4].1.len() > 3, "the last bundle is not known to be delivered on any way");
}

#[test]
fn a_command_of_a_release_before_says_nothing_of_where_it_comes_from() {
    let sent = declare(1, place(1, 2), None);
    let text = serde_json::to_value(&sent).unwrap();
    assert_eq!(text["from"], json!({"shard": 7, "place": {"sequence": 1, "index": 2}}));
    assert_eq!(serde_json::from_value::<Submission>(text.clone()).unwrap(), sent);
    let mut before = text;
    before.as_object_mut().unwrap().remove("from");
    let read: Submission = serde_json::from_value(before.clone()).unwrap();
    assert_eq!(read, Submission::new(sent.id, sent.command));
    assert_eq!(serde_json::to_value(&read).unwrap(), before);
}
