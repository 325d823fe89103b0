//! Quarantine as a fact of the journal, what is asked meanwhile, and the ways out of it.

use headwater_core::run::{RunCommand, RunStatus};
use headwater_core::shard::{
    AggregateId, Command, Event, Owner, RefoldOrder, Refolding, Rejection, ReleaseBy, ShardMap, Shown, Submission,
};
use headwater_core::{Revision, RunId, Sequence, Timestamp};
use serde_json::{Value, json};

use crate::checkpoints::journal;
use crate::succession::{House, left, run_world};
use crate::world::{World, chain, key, ok, shard_zero};

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
    let cancel =
        Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason: String::new(), grace_ms: 0 } };
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

#[test]
fn a_release_says_which_branches_are_open() {
    let mut world = World::with(&json!({"slug": "wide", "nodes": [
        {"id": "turn", "jobSlug": "turn"},
        {"id": "each", "forEach": {"items": 3, "body": {"id": "one", "jobSlug": "one"}}}],
        "transitions": [{"from": "turn", "to": "turn", "maxIterations": 5}]}));
    let run = world.start("wide", json!({}));
    // A turn is over, and an item; two go on.
    for task in &world.tasks()[..2] {
        world.report(task, ok(json!(1))).unwrap();
        world.settle();
    }
    let mut house = House::of(world);
    let aggregate = AggregateId::Run(run);
    let mut owner = house.take_over(&[house.place(&aggregate, 1)]);
    house.append(&mut owner);
    let (bundle, _) = house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    let Some(Event::Released(release)) = bundle.commits[0].events.first() else { panic!("{:?}", bundle.commits) };
    let Shown::Run(standing) = release.record.shown().unwrap() else { panic!("it goes on") };
    let open = standing.branches.iter();
    let open: Vec<_> =
        open.map(|b| (b.branch.get(), b.opener.to_string(), b.kind.as_str() == "item", b.position)).collect();
    let each = || "each".to_owned();
    assert_eq!(open, [(3, each(), true, 1), (4, each(), true, 2), (5, "turn".to_owned(), false, 1)]);
    assert_eq!(standing.next_branch.get(), 6);
    let nodes: Vec<_> = standing.nodes.iter().map(|node| node.node.to_string()).collect();
    assert_eq!(nodes, ["each", "one@3", "one@4", "turn@5"], "the node that stands for the loop has its turns");
}
