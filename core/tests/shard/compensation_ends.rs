//! A saga that ends at each place, in each way, and whose owner is killed at each commit: what it has done is undone once.

use headwater_core::RunId;
use headwater_core::run::{Budget, ReportOutcome, RunEvent, RunLimits};
use headwater_core::shard::Event;
use serde_json::json;

use crate::checkpoints::{fold, journal, owner, restore};
use crate::compensation::{cancel, saga};
use crate::world::{World, empty, failed, ok};

/// How a story goes.
#[derive(Debug, Clone, Copy, Default)]
struct Story {
    /// The reports that say that the attempt failed, counted from 0.
    fails_at: &'static [usize],
    /// After so many reports the run is cancelled.
    cancelled_at: Option<usize>,
    /// The attempts of what undoes that fail, counted from 0.
    stuck: &'static [usize],
    /// After so many commits another owner folds the journal and goes on.
    killed_at: Option<usize>,
    is_tiny: bool,
}

const TINY: Budget = Budget {
    work: 10_000,
    bytes: 4_000,
    stored: 32 << 20,
    held: usize::MAX,
    work_at_once: 200,
    run: RunLimits::DEFAULT,
};

fn play(story: Story) -> (World, RunId) {
    let mut world = if story.is_tiny { World::bounded(TINY) } else { World::new() };
    world.apply(&saga());
    let run = world.start("saga", json!({}));
    let (mut reports, mut undone) = (0, 0);
    let mut is_killed = false;
    loop {
        let turn = world.go_on();
        if story.killed_at.is_some_and(|at| at <= world.commits.len()) && !is_killed {
            is_killed = true;
            let mut next = empty();
            for bundle in world.bundles(1) {
                let text = serde_json::to_string(&bundle).unwrap();
                assert_eq!(next.fold(&serde_json::from_str(&text).unwrap(), None), []);
            }
            world.shard = next;
            world.name_again();
        }
        if turn.is_some() {
            continue;
        }
        if story.cancelled_at == Some(reports) {
            reports += 1;
            world.decide(cancel(run)).unwrap();
            continue;
        }
        let mut tasks = world.tasks();
        tasks.sort_by(|a, b| (a.node.branch(), a.node.node()).cmp(&(b.node.branch(), b.node.node())));
        if tasks.is_empty() {
            break;
        }
        let task = tasks.remove(0);
        tasks.iter().for_each(|task| world.put_back(task));
        let fails = if task.node.node().undoes().is_some() {
            undone += 1;
            story.stuck.contains(&(undone - 1))
        } else {
            reports += 1;
            story.fails_at.contains(&(reports - 1))
        };
        let outcome: ReportOutcome = if fails { failed("boom") } else { ok(json!(task.node.text())) };
        world.report(&task, outcome).unwrap();
    }
    (world, run)
}

/// What has succeeded and says what undoes it is undone once, the last first; where the run succeeds nothing is.
pub fn check(world: &World, run: RunId) {
    let of_run = |commit: &&headwater_core::shard::Commit| commit.aggregate.to_string().ends_with(&run.to_string());
    let events: Vec<&RunEvent> = world
        .commits
        .iter()
        .filter(of_run)
        .flat_map(|commit| &commit.events)
        .filter_map(|event| if let Event::Run(event) = event { Some(event) } else { None })
        .collect();
    let (mut kept, mut begun, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for event in &events {
        match event {
            RunEvent::CompensationKept { node, .. } => kept.push(format!("{}~undo", node.node())),
            RunEvent::AttemptScheduled { node, attempt, .. }
                if node.node().undoes().is_some() && attempt.get() == 1 =>
            {
                begun.push(node.node().to_string());
            }
            RunEvent::NodeSucceeded { node, .. } | RunEvent::NodeFailed { node, .. }
                if node.node().undoes().is_some() =>
            {
                ended.push(node.node().to_string());
            }
            _ => {}
        }
    }
    kept.reverse();
    let timeline = world.timeline(run);
    match events.last() {
        Some(RunEvent::RunSucceeded { .. }) => assert_eq!((begun.len(), ended.len()), (0, 0), "{timeline}"),
        // Only what runs whatever the end has failed.
        Some(RunEvent::RunFailed { .. }) if timeline.contains("ENDING(succeeded)") => assert_eq!(begun.len(), 0),
        // Nothing more is undone of what is ended at once: it may have been half undone by then.
        Some(RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. }) if timeline.contains(" TERMINATED ") => {
            assert!(kept.starts_with(&begun) && begun.starts_with(&ended), "{timeline}");
        }
        Some(RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. }) => {
            assert_eq!((&begun, &ended), (&kept, &kept), "{timeline}");
        }
        last => panic!("the run has not ended: {last:?} {timeline}"),
    }
}

/// What happened, without the leases.
fn facts(world: &World, run: RunId) -> (String, String) {
    let ends = world.commits.last().map(|commit| format!("{:?}", commit.events.last()));
    (world.timeline(run), ends.unwrap_or_default())
}

fn stories() -> Vec<Story> {
    // The last two fail both tries of the group.
    let fails: [&[usize]; 8] = [&[0], &[1], &[2], &[3], &[4], &[5], &[3, 4], &[4, 6]];
    let fails = fails.into_iter().map(|fails_at| Story { fails_at, ..Story::default() });
    let cancels = (0..6).map(|at| Story { cancelled_at: Some(at), ..Story::default() });
    let mut all: Vec<Story> = fails.chain(cancels).collect();
    // What undoes fails once, twice, later, and every time.
    all.extend([&[0][..], &[0, 1], &[2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]].map(|stuck| Story {
        cancelled_at: Some(5),
        stuck,
        ..Story::default()
    }));
    all
}

#[test]
fn wherever_it_fails_or_is_cancelled_all_it_has_done_is_undone_once() {
    let mut undone = 0;
    for story in stories() {
        for is_tiny in [false, true] {
            let (world, run) = play(Story { is_tiny, ..story });
            check(&world, run);
            assert_eq!(world.shard.active_runs(), 0, "{story:?}");
            undone += world.timeline(run).matches("~undo@").count();
        }
    }
    assert!(undone > 100, "{undone}");
}

#[test]
fn whenever_its_owner_is_killed_the_next_one_undoes_the_rest() {
    for story in stories() {
        let (whole, run) = play(story);
        for at in 0..=whole.commits.len() {
            let (killed, again) = play(Story { killed_at: Some(at), ..story });
            assert_eq!(facts(&killed, again), facts(&whole, run), "{story:?} killed at {at}");
            check(&killed, again);
        }
    }
}

#[test]
fn a_checkpoint_at_each_commit_holds_what_is_still_to_be_undone() {
    let (world, _) = play(Story { cancelled_at: Some(5), stuck: &[0, 1], is_tiny: true, ..Story::default() });
    let entries = journal(&world.commits, 1);
    let mut whole = owner();
    fold(&mut whole, &entries);
    let mut prefix = owner();
    for cut in 0..=entries.len() {
        fold(&mut prefix, &entries[..cut]);
        let mut restored = restore(&prefix.checkpoint()).unwrap();
        assert_eq!(restored.checkpoint(), prefix.checkpoint(), "at {cut}");
        fold(&mut restored, &entries);
        assert_eq!(restored.checkpoint(), whole.checkpoint(), "at {cut}");
    }
}

#[test]
fn the_task_of_what_undoes_is_its_own_and_the_same_over_its_tries() {
    let (world, run) = play(Story { cancelled_at: Some(2), stuck: &[0], ..Story::default() });
    let timeline = world.timeline(run);
    let tries: Vec<&str> = timeline.split(' ').filter(|word| word.contains("~undo") && word.contains(":try")).collect();
    assert_eq!(tries, ["item~undo@3:try1", "item~undo@3:try2", "a~undo@4:try1"], "{timeline}");
}
