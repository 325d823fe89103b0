//! What is kept of a run by its definition's policy; and by what two foldings of a run are told apart.

use std::sync::Arc;

use headwater_core::definition::{Definition, SnapshotPolicy, compile};
use headwater_core::run::{DIGESTED_BYTES_MAX, History, RunEvent, SNAPSHOT_BYTES_MAX, Snapshots, digest_of};
use headwater_core::shard::{AggregateId, Event};
use headwater_core::{BranchId, Json, Revision, RunId, Sequence, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::laws::{graphs, play};
use crate::world::{World, chain, ok};

type Told = (Revision, Timestamp, Vec<RunEvent>);

/// The commits of a run.
fn told(world: &World, run: RunId) -> Vec<Told> {
    let commits = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let own = |event: &Event| if let Event::Run(event) = event { Some(event.clone()) } else { None };
    commits.map(|commit| (commit.revision, commit.time, commit.events.iter().filter_map(own).collect())).collect()
}

fn with(policy: &Value, mut document: Value) -> Value {
    document["snapshotPolicy"] = policy.clone();
    document
}

fn compiled(document: &Value) -> Arc<Definition> {
    Arc::new(compile(document).unwrap().0)
}

/// Each snapshot of a run, by the revision it is after.
fn taken(run: RunId, definition: &Arc<Definition>, commits: &[Told]) -> Vec<(u64, Value)> {
    let mut snapshots = Snapshots::of(run, definition.clone()).unwrap();
    let mut all = Vec::new();
    for (first, time, events) in commits {
        if snapshots.learn(*first, *time, events).unwrap() {
            let taken = snapshots.take(Sequence::new(7)).unwrap().to_json();
            all.push((snapshots.revision().get(), taken.to_value()));
        }
    }
    all
}

fn revisions(of: &[(u64, Value)]) -> Vec<u64> {
    of.iter().map(|(revision, _)| *revision).collect()
}

/// A chain of jobs, each reported ten seconds after the last.
fn worked(document: &Value) -> (World, RunId) {
    let mut world = World::with(document);
    let run = world.start(document["slug"].as_str().unwrap(), json!({"n": 1}));
    loop {
        world.settle();
        let tasks = world.tasks();
        let Some(task) = tasks.first() else { break };
        tasks[1..].iter().for_each(|task| world.put_back(task));
        world.pass(10);
        world.report(task, ok(json!(task.node.text()))).unwrap();
    }
    (world, run)
}

#[test]
fn one_is_taken_at_the_end_of_the_commit_that_makes_so_many_events() {
    let document = with(&json!({"everyEvents": 4}), chain(&["a", "b", "c", "d", "e"]));
    let (world, run) = worked(&document);
    let commits = told(&world, run);
    let (mut due, mut last) = (Vec::new(), 0);
    for (first, _, events) in &commits {
        let end = first.get() - 1 + events.len() as u64;
        if end - last >= 4 {
            last = end;
            due.push(end);
        }
    }
    assert!(due.len() > 1, "{due:?}");
    assert_eq!(revisions(&taken(run, &compiled(&document), &commits)), due);
}

#[test]
fn one_is_taken_when_so_many_seconds_have_passed_by_the_times_of_commits() {
    let document = with(&json!({"everySeconds": 25}), chain(&["a", "b", "c", "d", "e", "f"]));
    let (world, run) = worked(&document);
    let commits = told(&world, run);
    let taken = taken(run, &compiled(&document), &commits);
    let at = |revision: u64| {
        commits.iter().rev().find(|(first, ..)| first.get() <= revision).map(|(_, time, _)| *time).unwrap()
    };
    let span = |from: Timestamp, to: Timestamp| (to.as_micros() - from.as_micros()) / 1_000_000;
    let times: Vec<Timestamp> = [commits[0].1].into_iter().chain(taken.iter().map(|(r, _)| at(*r))).collect();
    assert_eq!(times.windows(2).map(|two| span(two[0], two[1])).collect::<Vec<_>>(), [30, 30]);
}

#[test]
fn one_is_taken_where_several_ways_and_where_items_come_together() {
    let document = with(
        &json!({"onJoin": true}),
        json!({"slug": "joins", "steps": [
            {"id": "a", "jobSlug": "work"}, {"id": "b", "jobSlug": "work"},
            {"id": "both", "jobSlug": "work", "dependsOn": ["a", "b"]},
            {"id": "each", "dependsOn": ["both"], "forEach": {"items": [1, 2], "body": {"id": "one", "jobSlug": "work"}}},
            {"id": "last", "jobSlug": "work", "dependsOn": ["each"]}]}),
    );
    let (world, run) = worked(&document);
    let taken = taken(run, &compiled(&document), &told(&world, run));
    let nodes = |of: &Value| of["tokens"]["nodes"].as_array().unwrap().clone();
    let [(_, joined), (_, merged)] = &taken[..] else { panic!("{taken:#?}") };
    assert_eq!(nodes(joined), [json!({"node": "both", "status": "queued", "attempt": 1})]);
    assert_eq!(nodes(merged), [json!({"node": "last", "status": "queued", "attempt": 1})]);
    assert_eq!((&joined["context"]["nodes"]["a"]["output"], &joined["tokens"]["branches"]), (&json!("a"), &json!([])));
    assert_eq!((&merged["afterSequenceNumber"], &merged["afterRevision"]), (&json!(7), &json!(taken[1].0)));
}

#[test]
fn what_is_more_than_is_kept_says_how_much_it_is() {
    let document = with(&json!({"everyEvents": 1}), chain(&["a"]));
    let mut world = World::with(&document);
    let run = world.start("chain", json!({"n": "x".repeat(SNAPSHOT_BYTES_MAX)}));
    let (_, large) = taken(run, &compiled(&document), &told(&world, run)).remove(0);
    assert!(large["tooLarge"]["bytes"].as_u64().unwrap() > SNAPSHOT_BYTES_MAX as u64, "{large}");
    assert_eq!((&large["context"], &large["tokens"]), (&Value::Null, &Value::Null));
}

#[test]
fn so_much_of_a_run_is_hashed_by_its_shard_and_all_of_its_history() {
    let document = chain(&["a", "b"]);
    let mut world = World::with(&document);
    let half = "x".repeat(DIGESTED_BYTES_MAX / 2);
    let run = world.start("chain", json!({"n": half}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(half))).unwrap();
    let mut history = History::of(run, compiled(&document));
    for (_, time, events) in told(&world, run) {
        events.iter().for_each(|event| history.learn(event, time).unwrap());
    }
    let of_shard = digest_of(world.shard.run(run).unwrap());
    assert_eq!((of_shard.digest, of_shard.revision), (None, history.digest().unwrap().revision));
    assert!(history.digest().unwrap().digest.is_some());
}

#[test]
fn what_does_not_follow_is_refused_and_a_definition_without_a_policy_has_none() {
    let document = with(&json!({"everyEvents": 1}), chain(&["a", "b"]));
    let (world, run) = worked(&document);
    let commits = told(&world, run);
    let mut snapshots = Snapshots::of(run, compiled(&document)).unwrap();
    let (first, time, events) = &commits[1];
    assert!(snapshots.learn(*first, *time, events).is_err(), "its start is missing");
    assert!(Snapshots::of(run, compiled(&chain(&["a"]))).is_none());
}

#[test]
fn the_policy_is_read_off_a_canonical_document_without_compiling_it() {
    let policy = json!({"everyEvents": 3, "everySeconds": 60, "onJoin": true});
    let source = &compiled(&with(&policy, chain(&["a"]))).source;
    let said = SnapshotPolicy { every_events: Some(3), every_seconds: Some(60), on_join: true };
    assert_eq!(SnapshotPolicy::of_document(source), Some(said));
    let elsewhere = json!({"slug": "w", "defaults": {"snapshotPolicy": {"everyEvents": 1}}, "nodes": [{"id": "a", "action": "noop"}]});
    assert_eq!(SnapshotPolicy::of_document(&compiled(&elsewhere).source), None);
    assert_eq!(SnapshotPolicy::of_document(&Json::of(&"\"snapshotPolicy\":")), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Each snapshot is the fold of all that happened before; and a run that goes on is, in its shard, what its history gives.
    #[test]
    fn a_snapshot_is_the_fold_of_what_happened_before_it(
        document in graphs(),
        story in proptest::collection::vec(any::<u8>(), 0..60),
        every in 1..6_u32,
    ) {
        let document = with(&json!({"everyEvents": every, "everySeconds": 3, "onJoin": true}), document);
        let definition = compiled(&document);
        let (world, runs) = play(&document, &story);
        for run in runs {
            let commits = told(&world, run);
            let taken = taken(run, &definition, &commits);
            let mut history = History::of(run, definition.clone());
            let mut next = taken.iter();
            for (first, time, events) in &commits {
                events.iter().for_each(|event| history.learn(event, *time).unwrap());
                let end = first.get() - 1 + events.len() as u64;
                if let Some((_, snapshot)) = next.clone().next().filter(|(revision, _)| *revision == end) {
                    let seen = serde_json::to_value(history.seen_in(BranchId::ROOT).unwrap()).unwrap();
                    prop_assert_eq!(&snapshot["context"], &seen);
                    next.next();
                }
            }
            prop_assert_eq!(next.count(), 0);
            // What is said to be followed by another is.
            if let Some((last, time, events)) = commits.last() {
                let end = Revision::new(last.get() - 1 + events.len() as u64);
                let mut snapshots = Snapshots::of(run, definition.clone()).unwrap();
                for (first, at, events) in &commits {
                    let is_taken = snapshots.learn(*first, *at, events).unwrap();
                    if is_taken && snapshots.is_followed(end, *time) {
                        let here = snapshots.revision().get();
                        prop_assert!(taken.iter().any(|(revision, _)| *revision > here), "none behind {}", here);
                    }
                }
            }
            if let Some(live) = world.shard.run(run) {
                prop_assert_eq!(history.digest(), Some(digest_of(live)));
            }
            let restored = history.set_down().unwrap();
            prop_assert_eq!(restored.digest(), history.digest(), "what a checkpoint holds is all there is");
            if let Some((first, ..)) = commits.get(commits.len() / 2) {
                // From there on its tail gives what all of it gives.
                let (mut half, mut whole) = (History::of(run, definition.clone()), None);
                for (revision, time, events) in &commits {
                    if revision == first {
                        whole = Some(half.set_down().unwrap());
                    }
                    for event in events {
                        half.learn(event, *time).unwrap();
                        whole.iter_mut().for_each(|tail| tail.learn(event, *time).unwrap());
                    }
                }
                prop_assert_eq!(whole.unwrap().digest(), history.digest());
            }
        }
    }
}
