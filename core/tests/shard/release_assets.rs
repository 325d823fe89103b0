//! What a release means for what assets and runs say to each other.

use headwater_core::asset::AssetCommand;
use headwater_core::credit::Hands;
use headwater_core::run::{ReportOutcome, RunCommand, RunStatus};
use headwater_core::shard::{
    AggregateId, AssetKey, Command, Effect, EffectPlace, Origin, Rejection, ReleaseBy, Released, Submission,
};
use headwater_core::{Incarnation, Revision, RunId, Sequence, ShardId, Timestamp};
use serde_json::{Value, json};

use crate::succession::{House, left, run_world};
use crate::world::{World, chain, ok, shard_zero};

fn making() -> [Value; 2] {
    [
        json!({"slug": "make", "steps": [{"id": "m", "jobSlug": "work", "produces": [{"assetId": "x.y"}]}]}),
        json!({"slug": "use", "steps": [{"id": "u", "jobSlug": "work", "consumes": [{"assetId": "x.y"}]}]}),
    ]
}

fn asset() -> AssetKey {
    AssetKey { workspace: "default".parse().unwrap(), asset: "x.y".parse().unwrap() }
}

/// A run that waits for an asset, and the run that makes it.
fn made_world() -> (World, RunId, RunId) {
    let mut world = World::new();
    for document in making() {
        world.apply(&document);
    }
    let user = world.start("use", json!({}));
    world.deliver_submissions();
    let maker = world.tasks().remove(0).run;
    assert_ne!(user, maker);
    (world, user, maker)
}

/// The wishes among effects that are for an asset.
fn to_assets(effects: &[Effect]) -> Vec<&AssetCommand> {
    let commands = effects.iter().filter_map(|effect| match effect {
        Effect::Submit(wish) => match &wish.command {
            Command::Asset { command, .. } => Some(command),
            _ => None,
        },
        _ => None,
    });
    commands.collect()
}

#[test]
fn a_producer_that_is_ended_has_failed_and_its_waiters_hear_of_it() {
    let (world, user, maker) = made_world();
    let mut house = House::of(world);
    let aggregate = AggregateId::Run(maker);
    let mut owner = house.take_over(&[house.place(&aggregate, 1)]);
    house.append(&mut owner);
    let (bundle, mut released) = house.release(&mut owner, &aggregate, ReleaseBy::End {}).unwrap();
    assert_eq!(released.ended[0].1, RunStatus::Failed);
    let events: Vec<_> = bundle.commits[0].events.iter().skip(1).map(|event| format!("{event:?}")).collect();
    assert!(events[0].contains("NodeCancelled") && events[1].contains("quarantined"), "{events:?}");
    assert!(matches!(to_assets(&released.effects)[..], [AssetCommand::EndProducer { run, .. }] if *run == maker));
    house.assert_folds_alike(&[], &left(&house));
    // Until nothing follows any more.
    while let Some(effect) = released.effects.pop() {
        let Effect::Submit(wish) = effect else { continue };
        owner.submit(0, *wish, house.world.now, &mut Hands::default());
        let (_, next) = house.append(&mut owner);
        released.effects.extend(next.effects);
    }
    assert_eq!(owner.shard().ended_run(user).unwrap().status, RunStatus::Failed);
    // What comes late for it is late news.
    let cancel = RunCommand::CancelRun { workspace: None, reason: String::new(), grace_ms: 0 };
    let cancel = Submission::new(house.fresh(), Command::Run { run: maker, command: cancel });
    assert!(matches!(house.submit(&mut owner, cancel).1, Err(Rejection::Run(_))));
}

#[test]
fn a_waiter_that_is_ended_waits_no_longer() {
    let (world, user, _) = made_world();
    let mut house = House::of(world);
    let aggregate = AggregateId::Run(user);
    let mut owner = house.take_over(&[house.place(&aggregate, 1)]);
    house.append(&mut owner);
    let (_, released) = house.release(&mut owner, &aggregate, ReleaseBy::End {}).unwrap();
    assert!(matches!(to_assets(&released.effects)[..], [AssetCommand::ForgetWaiter { waiter }] if waiter.run == user));
    let cancels = released.effects.iter().filter(|effect| matches!(effect, Effect::CancelTasks { .. })).count();
    assert_eq!(cancels, 1);
}

#[test]
fn a_run_that_had_ended_keeps_its_end() {
    let mut world = World::with(&chain(&["a"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    let mut again = world.commits.last().unwrap().clone();
    again.revision = Revision::new(40);
    world.commits.push(again);
    let mut house = House::of(world);
    let aggregate = AggregateId::Run(run);
    let mut owner = house.take_over(&[]);
    house.append(&mut owner);
    assert!(house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap_err().contains("has ended"));
    let (bundle, _) = house.release(&mut owner, &aggregate, ReleaseBy::End {}).unwrap();
    assert_eq!(bundle.commits[0].events.len(), 1, "nothing ends twice");
    assert_eq!(owner.shard().ended_run(run).unwrap().status, RunStatus::Succeeded);
}

fn sender() -> ShardId {
    ShardId::new(7).unwrap()
}

#[test]
fn a_lane_goes_on_past_a_quarantined_asset_and_what_it_was_told_is_decided_after_its_release() {
    let (mut world, _, maker) = made_world();
    world.name_again();
    let task = world.tasks().remove(0);
    assert_eq!(task.run, maker);
    let made = r#"{"succeeded":{"output":null,"assets":[{"assetId":"x.y","payload":1}]}}"#;
    let made: ReportOutcome = serde_json::from_str(made).unwrap();
    let mut house = House::of(world);
    house.world.report(&task, made).unwrap();
    let Some(Effect::Submit(record)) = house.world.effects.pop() else { panic!() };
    let aggregate = AggregateId::Asset(asset());
    let place = house.place(&aggregate, 1);
    let mut owner = house.take_over(&[place]);
    house.append(&mut owner);

    let from = |sequence| {
        let place = EffectPlace { sequence: Sequence::new(sequence), index: 0 };
        Some(Origin { shard: sender(), place, after: None, toward: Incarnation::FIRST })
    };
    let record = Submission { from: from(5), ..*record };
    for _ in 0..2 {
        let (bundle, answer) = house.submit(&mut owner, record.clone());
        assert_eq!((answer, bundle.commits.len()), (Ok(()), 0));
    }
    assert_eq!(owner.shard().parked_for(&aggregate), 1);
    assert_eq!(owner.shard().heard(sender()), Some(from(5).unwrap().place), "what comes behind it is decided");
    house.assert_folds_alike(&[place], &left(&house));

    let mut next = house.take_over(&[]);
    house.append(&mut next);
    let refused = house.release(&mut next, &aggregate, ReleaseBy::End {}).unwrap_err();
    assert!(refused.contains("does not end"), "{refused}");
    let (bundle, released) = house.release(&mut next, &aggregate, ReleaseBy::Refold {}).unwrap();
    assert_eq!(bundle.commits.len(), 2);
    assert_eq!(bundle.commits[1].command, record.id);
    assert!(next.shard().asset(&asset()).unwrap().latest(&None).is_some());
    let publishes = released.effects.iter().filter(|effect| matches!(effect, Effect::PublishAsset(_))).count();
    assert_eq!(publishes, 1);
    house.assert_folds_alike(&[place], &left(&house));
}

#[test]
fn what_an_asset_started_is_not_started_again_once_it_has_said_that_it_ended() {
    let (world, _, maker) = made_world();
    let mut house = House::of(world);
    let aggregate = AggregateId::Asset(asset());
    let place = house.place(&aggregate, 1);
    let starts = |released: &Released<u32>| {
        let starts = released.effects.iter().filter(|effect| {
            let Effect::Submit(wish) = effect else { return false };
            matches!(wish.command, Command::Run { command: RunCommand::StartRun(_), .. })
        });
        starts.count()
    };
    let journal = house.journal.clone();
    let mut owner = house.take_over(&[place]);
    house.append(&mut owner);
    let (_, released) = house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    assert_eq!(starts(&released), 1, "it may never have been told to start");

    house.journal = journal;
    let mut owner = house.take_over(&[place]);
    house.append(&mut owner);
    let end = AssetCommand::EndProducer { run: maker, end: headwater_core::asset::ProducerEnd::Succeeded };
    let end = Submission::new(house.fresh(), Command::Asset { key: asset(), command: end });
    house.submit(&mut owner, end).1.unwrap();
    let (_, released) = house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    assert_eq!(starts(&released), 0);
}

#[test]
fn a_parked_wish_that_is_refused_tells_its_sender_even_when_its_owner_dies() {
    let (mut house, _, run) = run_world();
    let definition: AggregateId = "definition/default/chain/1".parse().unwrap();
    let mut owner = house.take_over(&[house.place(&definition, 1)]);
    house.append(&mut owner);
    let id = RunId::new(shard_zero(), Timestamp::from_micros(1_750_000_000_000_001), 99 << 12);
    let start = json!({"workspace": "default", "workflow": "chain", "version": 1, "input": {}, "keyed": false,
        "trigger": {"materialize": {"asset": "x.y", "requestedBy": run}}});
    let command = RunCommand::StartRun(serde_json::from_value(start).unwrap());
    let wish = Submission::new(house.fresh(), Command::Run { run: id, command });
    house.submit(&mut owner, wish).1.unwrap();
    // It is forgotten, and nobody has adopted it anew yet.
    let (bundle, released) = house.release(&mut owner, &definition, ReleaseBy::End {}).unwrap();
    assert_eq!((bundle.commits.len(), bundle.aside.unwrap().taken_up.len()), (1, 1));
    assert!(matches!(to_assets(&released.effects)[..], [AssetCommand::EndProducer { run, .. }] if *run == id));
    let mut next = house.take_over(&[]);
    let inherited: Vec<_> = next.inherit().into_iter().flat_map(|(_, effects)| effects).collect();
    let again = to_assets(&inherited);
    assert!(again.iter().any(|c| matches!(c, AssetCommand::EndProducer { run, .. } if *run == id)), "{again:?}");
}
