//! What is still wanted of effects some time later, and what follows when one is refused.

use headwater_core::asset::{AssetCommand, ProducerEnd};
use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, RunRejection};
use headwater_core::shard::{Cause, Command, Commit, Effect, EffectPlace, Origin, Rejection, Submission};
use headwater_core::{Actor, CommandId, Incarnation, Sequence, ShardId};
use serde_json::{Value, json};

use crate::world::World;

fn consumer() -> Value {
    json!({"slug": "w", "steps": [
        {"id": "use", "jobSlug": "use", "consumes": [{"assetId": "a.report", "onMiss": "wait"}]},
    ]})
}

fn maker() -> Value {
    json!({"slug": "maker", "steps": [{"id": "make", "jobSlug": "make", "produces": [{"assetId": "a.report"}]}]})
}

/// Returns the one command of a kind that is on its way.
fn submitted(world: &World, is_it: impl Fn(&Command) -> bool) -> Submission {
    let asked =
        world.effects.iter().filter_map(|effect| if let Effect::Submit(asked) = effect { Some(asked) } else { None });
    let found: Vec<_> = asked.filter(|asked| is_it(&asked.command)).collect();
    let [one] = found.as_slice() else { panic!("one of a kind: {found:?}") };
    Submission::clone(one)
}

#[test]
fn a_question_is_asked_again_until_it_is_answered_or_its_run_is_over() {
    let mut world = World::with(&consumer());
    let run = world.start("w", json!({}));
    let before = world.shard.outstanding();
    assert!(matches!(before.as_slice(), [Effect::Submit(_)]), "one question: {before:?}");
    assert_eq!(world.shard.still_outstanding(before.clone()), before);
    world
        .decide(Command::Run {
            run,
            command: RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 },
        })
        .unwrap();
    assert_eq!(world.shard.still_outstanding(before), [], "nobody would let it be forgotten");
}

#[test]
fn a_producer_that_cannot_start_has_failed_for_those_who_wait() {
    let mut world = World::with(&maker());
    let mut materializing = consumer();
    materializing["steps"][0]["consumes"][0]["onMiss"] = json!("materialize");
    world.apply(&materializing);
    world.deliver_submissions();
    world.start("w", json!({}));
    let resolve = submitted(&world, |command| matches!(command, Command::Asset { .. }));
    world.decide_as(resolve, &mut Hands::default()).unwrap();
    let start = submitted(&world, |command| matches!(command, Command::Run { .. }));
    let Command::Run { run, .. } = &start.command else { unreachable!() };

    let rejection = Rejection::Run(RunRejection::RunNotFound);
    let follows = start.refused(&rejection).expect("somebody waits");
    assert_eq!(start.refused(&rejection).unwrap().id, follows.id, "however often it is refused");
    let Command::Asset { key, command: AssetCommand::EndProducer { run: ended, end } } = &follows.command else {
        panic!("the asset hears: {follows:?}")
    };
    assert_eq!((key.asset.as_str(), ended), ("a.report", run));
    assert!(matches!(end, ProducerEnd::Failed { failure } if failure.code == "producer_not_started"), "{end:?}");
    assert_eq!(follows.refused(&rejection), None, "nothing follows from any other refusal");
}

#[test]
fn a_commit_says_who_asked_and_what_it_follows_from() {
    let mut world = World::with(&consumer());
    let run = world.start("w", json!({}));
    let mut question = submitted(&world, |command| matches!(command, Command::Asset { .. }));
    let (sequence, index) = (Sequence::new(7), 2);
    let shard = ShardId::new(1).unwrap();
    question.from =
        Some(Origin { shard, place: EffectPlace { sequence, index }, after: None, toward: Incarnation::FIRST });
    world.decide_as(question, &mut Hands::default()).unwrap();
    let of_asset = world.commits.last().unwrap();
    assert_eq!((&of_asset.by, of_asset.cause), (&None, Some(Cause { shard, sequence, index })));

    let anna = Actor::Claimed("anna@example.org".parse().unwrap());
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    let id = CommandId::from_uuid(uuid::Uuid::from_u128(77));
    let asked = Submission::of(Some(anna.clone()), id, Command::Run { run, command: cancel });
    world.decide_as(asked, &mut Hands::default()).unwrap();
    let of_run = world.commits.last().unwrap();
    assert_eq!((of_run.by.as_deref(), of_run.cause), (Some(&anna), None));
    let text = serde_json::to_string(of_run).unwrap();
    assert!(text.contains(r#""by":{"claimed":"anna@example.org"}"#), "{text}");
    assert_eq!(serde_json::from_str::<Commit>(&text).unwrap(), *of_run);
}
