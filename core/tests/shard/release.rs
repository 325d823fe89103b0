//! Quarantine as a fact of the journal, what is asked meanwhile, and the ways out of it.

use headwater_core::asset::AssetCommand;
use headwater_core::credit::Hands;
use headwater_core::run::{ReportOutcome, RunCommand, RunStatus};
use headwater_core::shard::{
    AggregateId, AssetKey, Bundle, Command, CommitPlace, Effect, EffectPlace, Event, Origin, Owner, RefoldOrder,
    Refolding, Rejection, ReleaseBy, Released, ShardMap, Submission,
};
use headwater_core::{BundleId, CommandId, Incarnation, Revision, RunId, Sequence, ShardId, Timestamp};
use serde_json::{Value, json};

use crate::checkpoints::{journal, restore};
use crate::world::{World, chain, empty, key, ok, shard_zero};

/// A journal, and owners of its shard one after the other.
struct House {
    world: World,
    journal: Vec<Vec<u8>>,
    names: u128,
}

impl House {
    fn of(world: World) -> Self {
        Self { journal: journal(&world.commits, 1), world, names: 1 << 64 }
    }

    fn bundles(&self) -> impl Iterator<Item = (Sequence, Bundle)> {
        (1..).map(Sequence::new).zip(self.journal.iter().map(|bytes| Bundle::read(bytes).unwrap()))
    }

    /// Where the commits of an aggregate stand, from the one with that revision on.
    fn place(&self, aggregate: &AggregateId, revision: u64) -> CommitPlace {
        let found = self.bundles().find_map(|(sequence, bundle)| {
            let at = bundle.commits.iter().position(|c| c.aggregate == *aggregate && c.revision.get() == revision)?;
            Some((sequence, at))
        });
        found.unwrap()
    }

    /// The next owner: of a release that panics at these commits.
    fn take_over(&self, panics_at: &[CommitPlace]) -> Owner<u32> {
        let mut owner = Owner::new(empty());
        panics_at.iter().for_each(|place| owner.spare(*place, "it panics".to_owned()));
        for ((sequence, bundle), bytes) in self.bundles().zip(&self.journal) {
            owner.fold(sequence, &bundle, bytes).unwrap();
        }
        owner
    }

    /// Appends what there is to append.
    fn append(&mut self, owner: &mut Owner<u32>) -> (Bundle, Released<u32>) {
        self.names += 1;
        let append = owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(self.names))).unwrap();
        self.journal.push(append.bytes.clone());
        (Bundle::read(&append.bytes).unwrap(), owner.appended(append.expected.next()))
    }

    fn submit(&mut self, owner: &mut Owner<u32>, submission: Submission) -> (Bundle, Result<(), Rejection>) {
        owner.submit(0, submission, self.world.now, &mut Hands::default());
        let (bundle, mut released) = self.append(owner);
        (bundle, released.answers.remove(0).outcome.map(|_| ()))
    }

    fn fresh(&mut self) -> CommandId {
        self.names += 1;
        CommandId::from_uuid(uuid::Uuid::from_u128(self.names))
    }

    /// Releases an aggregate as a desk does, and takes up what waited.
    fn release(
        &mut self,
        owner: &mut Owner<u32>,
        aggregate: &AggregateId,
        by: ReleaseBy,
    ) -> Result<(Bundle, Released<u32>), String> {
        let quarantine = owner.shard().quarantine(aggregate).unwrap();
        let order = RefoldOrder { aggregate: aggregate.clone(), by, at: quarantine.at, through: owner.last() };
        let mut refolding = Refolding::new(order, shard_zero(), ShardMap::even(1).unwrap())?;
        self.bundles().for_each(|(sequence, bundle)| refolding.fold(sequence, &bundle));
        let refolded = refolding.finish()?;
        let id = self.fresh();
        owner.release(1, id, None, refolded, self.world.now);
        while owner.take_up(|| 2, Default::default(), self.world.now, &mut Hands::default()) {}
        let (bundle, released) = self.append(owner);
        if let Some(Err(Rejection::NotReleased { reason })) = released.answers.first().map(|answer| &answer.outcome) {
            return Err(reason.clone());
        }
        Ok((bundle, released))
    }

    /// Every way to the state that an owner has: the journal, the journal of a release that panics, a checkpoint of any place.
    fn assert_folds_alike(&self, panics_at: &[CommitPlace], wanted: &str) {
        for panics_at in [&[][..], panics_at] {
            let mut owner = Owner::<u32>::new(empty());
            panics_at.iter().for_each(|place| owner.spare(*place, "it panics".to_owned()));
            for ((sequence, bundle), bytes) in self.bundles().zip(&self.journal) {
                owner.fold(sequence, &bundle, bytes).unwrap();
                let checkpoint = owner.checkpoint();
                owner = restore(&checkpoint).unwrap();
                panics_at.iter().for_each(|place| owner.spare(*place, "it panics".to_owned()));
            }
            assert_eq!(told(&owner), wanted);
        }
    }
}

/// What matters of a shard, as text.
fn told(owner: &Owner<u32>) -> String {
    let checkpoint = String::from_utf8(owner.checkpoint()).unwrap();
    let kinds =
        ["\"runs\"", "\"assets\"", "\"workflows\"", "\"quarantine\"", "\"parked\"", "\"heard\"", "\"definitions\""];
    let mut is_kept = false;
    let kept = checkpoint.lines().filter(|line| {
        if line.starts_with("{\"kind\"") {
            is_kept = kinds.iter().any(|kind| line.contains(kind));
        }
        is_kept
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// As an owner that is about to go leaves it to the next.
fn left(house: &House) -> String {
    told(&house.take_over(&[]))
}

fn run_world() -> (House, AggregateId, RunId) {
    let mut world = World::with(&chain(&["a", "b"]));
    let run = world.start("chain", json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    (House::of(world), AggregateId::Run(run), run)
}

#[test]
fn the_bundle_that_opens_an_epoch_says_what_is_quarantined_and_nobody_finds_it_out_again() {
    let (mut house, aggregate, run) = run_world();
    let place = house.place(&aggregate, 3);
    let mut owner = house.take_over(&[place]);
    assert!(owner.shard().quarantine(&aggregate).unwrap().since.is_none());
    let (bundle, _) = house.append(&mut owner);
    assert_eq!(bundle.needs, 3, "an older process gives the shard up");
    let said = &bundle.aside.unwrap().quarantined;
    assert_eq!((said.len(), &said[0].0), (1, &aggregate));
    assert_eq!((said[0].1.at, said[0].1.since), (Some(place.0), None));
    assert_eq!(owner.shard().quarantine(&aggregate).unwrap().since, Some(owner.last()));

    // It could fold it, and does not.
    let mut next = house.take_over(&[]);
    let quarantine = next.shard().quarantine(&aggregate).unwrap();
    assert_eq!((quarantine.reason.as_str(), quarantine.since), ("it panics", Some(next.last())));
    assert_eq!(quarantine.last, Revision::new(4));
    assert!(next.shard().run(run).is_none() && next.shard().next_due().is_none());
    let (bundle, _) = house.append(&mut next);
    assert_eq!((bundle.aside, bundle.needs), (None, 1), "once is enough");
    house.assert_folds_alike(&[place], &left(&house));
}

#[test]
fn more_is_quarantined_than_one_bundle_says() {
    let mut world = World::with(&chain(&["a"]));
    let runs: Vec<_> = (0..1_500).map(|_| world.start("chain", json!({}))).collect();
    let mut house = House::of(world);
    let places: Vec<_> = runs.iter().map(|run| house.place(&AggregateId::Run(*run), 1)).collect();
    let mut owner = house.take_over(&places);
    let said: Vec<_> = (0..2).map(|_| house.append(&mut owner).0.aside.unwrap().quarantined.len()).collect();
    assert_eq!(said, [1_000, 500]);
    assert!(owner.shard().quarantined().all(|(_, quarantine)| quarantine.since.is_some()));
}

#[test]
fn a_run_that_is_folded_anew_goes_on_with_what_was_reported_meanwhile() {
    let (mut house, aggregate, run) = run_world();
    let place = house.place(&aggregate, 3);
    let wanted = house.world.shard.run(run).unwrap().clone();
    let mut owner = house.take_over(&[place]);
    house.append(&mut owner);

    // A report is taken, and taken again, and changes nothing yet.
    let task = house.world.tasks().remove(0);
    let report = Submission::new(house.fresh(), house.world.report_of(&task, ok(json!(2))));
    let (bundle, answer) = house.submit(&mut owner, report.clone());
    assert_eq!((answer, bundle.needs, bundle.commits.len()), (Ok(()), 3, 0));
    let (bundle, answer) = house.submit(&mut owner, report);
    assert_eq!((answer, bundle.aside), (Ok(()), None), "it is parked once");
    // Who asks from outside is told, and asks again.
    let cancel = Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason: String::new() } };
    let cancel = Submission::new(house.fresh(), cancel);
    let (_, answer) = house.submit(&mut owner, cancel);
    assert_eq!(answer, Err(Rejection::Quarantined { reason: "it panics".to_owned() }));
    house.assert_folds_alike(&[place], &left(&house));

    // The owner of a better release.
    let mut next = house.take_over(&[]);
    house.append(&mut next);
    assert_eq!(next.shard().parked_for(&aggregate), 1);
    let (bundle, released) = house.release(&mut next, &aggregate, ReleaseBy::Refold {}).unwrap();
    assert_eq!(bundle.needs, 3);
    let [release, reported] = &bundle.commits[..] else { panic!("{:?}", bundle.commits) };
    assert_eq!((release.revision, reported.revision), (Revision::new(5), Revision::new(6)));
    assert!(matches!(&release.events[..], [Event::Released(_)]));
    assert_eq!(released.ended, [(run, RunStatus::Succeeded, released.answers[0].outcome.as_ref().unwrap().position)]);
    assert_eq!(wanted.status(), RunStatus::Running);
    assert_eq!(next.shard().ended_run(run).unwrap().status, RunStatus::Succeeded);
    assert_eq!((next.shard().quarantined().len(), next.shard().parked_for(&aggregate)), (0, 0));
    house.assert_folds_alike(&[place], &left(&house));
}

#[test]
fn what_is_released_stands_as_if_it_had_never_been_quarantined() {
    let (mut house, aggregate, run) = run_world();
    let place = house.place(&aggregate, 3);
    let wanted = house.world.shard.run(run).unwrap().clone();
    let mut owner = house.take_over(&[place]);
    house.append(&mut owner);
    house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    let found = owner.shard().run(run).unwrap();
    for node in ["a", "b"].map(|node| node.parse().unwrap()) {
        assert_eq!(found.node_status(&node), wanted.node_status(&node));
        assert_eq!(found.current_lease(&node), wanted.current_lease(&node));
    }
    let waiting = |run: &headwater_core::run::Run| run.waiting_for(&"work".parse().unwrap(), 9);
    assert_eq!(waiting(found), waiting(&wanted));
    assert_eq!(owner.shard().waiting_for(&"default".parse().unwrap(), &"work".parse().unwrap()), 1);
    // And what is asked of it next goes behind the release.
    let task = house.world.tasks().remove(0);
    let report = Submission::new(house.fresh(), house.world.report_of(&task, ok(json!(2))));
    let (bundle, answer) = house.submit(&mut owner, report);
    assert_eq!((answer, bundle.commits[0].revision, bundle.needs), (Ok(()), Revision::new(6), 1));
    // Once more, in the same life: it is the release that counts, not what is before it.
    let mut again = house.take_over(&[house.place(&aggregate, 6)]);
    house.append(&mut again);
    house.release(&mut again, &aggregate, ReleaseBy::Refold {}).unwrap();
    assert_eq!(again.shard().ended_run(run).unwrap().status, RunStatus::Succeeded);
}

#[test]
fn a_release_says_why_it_is_none_and_changes_nothing() {
    let (mut house, aggregate, _) = run_world();
    let mut hole = house.world.commits.last().unwrap().clone();
    hole.revision = Revision::new(90);
    house.world.commits.push(hole);
    house.journal = journal(&house.world.commits, 1);
    let mut owner = house.take_over(&[]);
    house.append(&mut owner);
    let reason = house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap_err();
    assert!(reason.contains("revision 90 follows 4"), "{reason}");
    let none = ReleaseBy::Skip { revisions: vec![Revision::new(1_000)] };
    assert!(house.release(&mut owner, &aggregate, none).is_err());
    let nothing = ReleaseBy::Skip { revisions: Vec::new() };
    assert!(house.release(&mut owner, &aggregate, nothing).unwrap_err().contains("1 to 64"));
    assert!(owner.shard().quarantine(&aggregate).is_some());
    assert!(left(&house).contains("revision 90"), "and the next owner knows it quarantined");
}

#[test]
fn an_event_that_breaks_a_history_can_be_skipped() {
    let (mut house, aggregate, run) = run_world();
    let mut hole = house.world.commits.last().unwrap().clone();
    hole.revision = Revision::new(90);
    let events = hole.events.len() as u64;
    house.world.commits.push(hole);
    house.journal = journal(&house.world.commits, 1);
    let mut owner = house.take_over(&[]);
    house.append(&mut owner);
    let skip = ReleaseBy::Skip { revisions: (90..90 + events).map(Revision::new).collect() };
    let (bundle, _) = house.release(&mut owner, &aggregate, skip).unwrap();
    assert_eq!(bundle.commits[0].revision, Revision::new(90 + events), "behind all that the journal holds");
    let (found, wanted) = (owner.shard().run(run).unwrap(), house.world.shard.run(run).unwrap());
    assert_eq!(found.current_lease(&"b".parse().unwrap()), wanted.current_lease(&"b".parse().unwrap()));
    house.assert_folds_alike(&[], &left(&house));
}

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
    let cancel = RunCommand::CancelRun { workspace: None, reason: String::new() };
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
fn a_workflow_and_a_definition_are_released_too() {
    let (mut house, _, run) = run_world();
    let definition: AggregateId = "definition/default/chain/1".parse().unwrap();
    let workflow = AggregateId::Workflow(key("chain"));
    let places = [house.place(&definition, 1), house.place(&workflow, 1)];
    let mut owner = house.take_over(&places);
    house.append(&mut owner);
    let names = |owner: &Owner<u32>| {
        let mut names: Vec<_> = owner.shard().quarantined().map(|(aggregate, _)| aggregate.to_string()).collect();
        names.sort();
        names
    };
    let run = AggregateId::Run(run);
    assert_eq!(names(&owner), ["definition/default/chain/1".to_owned(), run.to_string(), workflow.to_string()]);
    let refused = house.release(&mut owner, &workflow, ReleaseBy::End {}).unwrap_err();
    assert!(refused.contains("does not end"), "{refused}");
    let refused = house.release(&mut owner, &run, ReleaseBy::Refold {}).unwrap_err();
    assert!(refused.contains("release it first"), "{refused}");

    // Who would start a run is told; who has another shard behind him waits.
    let id = RunId::new(shard_zero(), Timestamp::from_micros(1_750_000_000_000_001), 99 << 12);
    let start = house.world.commits.iter().find_map(|commit| match &commit.events[0] {
        Event::Run(headwater_core::run::RunEvent::RunStarted { workflow, input, .. }) => {
            Some(json!({"workspace": "default", "workflow": workflow, "version": 1, "input": input, "keyed": false}))
        }
        _ => None,
    });
    let start = |trigger: Value| {
        let mut start = start.clone().unwrap();
        start["trigger"] = trigger;
        let command = RunCommand::StartRun(serde_json::from_value(start).unwrap());
        Command::Run { run: id, command }
    };
    let manual = Submission::new(house.fresh(), start(json!({"manual": {}})));
    assert!(matches!(house.submit(&mut owner, manual).1, Err(Rejection::Quarantined { .. })));
    let materialize = start(json!({"materialize": {"asset": "x.y", "requestedBy": id}}));
    let materialize = Submission::new(house.fresh(), materialize);
    house.submit(&mut owner, materialize).1.unwrap();
    house.assert_folds_alike(&places, &left(&house));

    house.release(&mut owner, &workflow, ReleaseBy::Refold {}).unwrap();
    assert_eq!(owner.shard().workflow(&key("chain")).unwrap().current().map(|version| version.get()), Some(1));
    let (bundle, _) = house.release(&mut owner, &definition, ReleaseBy::Refold {}).unwrap();
    assert_eq!(bundle.commits.len(), 2, "the start that waited is among them");
    assert!(owner.shard().run(id).is_some());
    house.release(&mut owner, &run, ReleaseBy::Refold {}).unwrap();
    assert!(names(&owner).is_empty());
    house.assert_folds_alike(&places, &left(&house));
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

#[test]
fn a_release_that_is_asked_for_twice_happens_once() {
    let (mut house, aggregate, _) = run_world();
    let mut owner = house.take_over(&[house.place(&aggregate, 1)]);
    house.append(&mut owner);
    let before = house.journal.clone();
    house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    let order =
        RefoldOrder { aggregate, by: ReleaseBy::Refold {}, at: None, through: Sequence::new(before.len() as u64) };
    let mut refolding = Refolding::new(order, shard_zero(), ShardMap::even(1).unwrap()).unwrap();
    house.bundles().for_each(|(sequence, bundle)| refolding.fold(sequence, &bundle));
    let id = house.fresh();
    owner.release(1, id, None, refolding.finish().unwrap(), house.world.now);
    let (bundle, mut released) = house.append(&mut owner);
    assert_eq!(released.answers.remove(0).outcome.unwrap_err(), Rejection::NotQuarantined);
    assert!(bundle.commits.is_empty());
}
