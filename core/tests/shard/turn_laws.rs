//! Turns, whatever the graph and the story: where decisions are cut changes nothing of what happens.

use std::collections::BTreeMap;

use headwater_core::run::{Budget, RunEvent, RunLimits};
use headwater_core::shard::Event;
use headwater_core::{Json, Sequence};
use proptest::prelude::*;
use serde_json::Value;

use crate::checkpoints::{fold, journal, owner, restore};
use crate::laws::{graphs, play_within};
use crate::world::{World, empty};

/// Takes next to nothing.
fn tiny(bytes: usize) -> Budget {
    Budget { work: 10_000, bytes, stored: 32 << 20, held: usize::MAX, work_at_once: 200, run: RunLimits::DEFAULT }
}

/// The events of the runs, without what differs by the number of commits: leases, and that an end was certain before.
fn facts(world: &World) -> BTreeMap<String, Vec<String>> {
    let events = world.commits.iter().flat_map(|commit| commit.events.iter().map(move |event| (commit, event)));
    let kept = events.filter_map(|(commit, event)| {
        let Event::Run(event) = event else { return None };
        let said = match event {
            RunEvent::RunEnding { .. } => return None,
            RunEvent::AttemptScheduled { node, attempt, input, .. } => format!("{node} {attempt} {input:?}"),
            event => Json::of(event).as_str().to_owned(),
        };
        Some((commit, said))
    });
    let mut facts = BTreeMap::<_, Vec<_>>::new();
    kept.for_each(|(commit, said)| facts.entry(commit.aggregate.to_string()).or_default().push(said));
    facts
}

/// Which of several runs asks a memo first depends on where decisions are cut, and who makes what with it; and so does when a run
/// inherits the signals of the one before.
fn within_one_run(mut document: Value) -> Value {
    for node in document["nodes"].as_array_mut().unwrap() {
        node.as_object_mut().unwrap().remove("reuse");
        if node["action"]["kind"] == "continue_as" {
            node["action"] = "noop".into();
        }
    }
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Where decisions are cut changes nothing of what happens, and not its order.
    #[test]
    fn a_run_does_the_same_in_many_turns_as_in_one(
        document in graphs().prop_map(within_one_run),
        story in proptest::collection::vec(any::<u8>(), 0..40),
        bytes in 2_000..6_000_usize,
    ) {
        let (whole, _) = play_within(Budget::default(), &document, &story);
        let (cut, _) = play_within(tiny(bytes), &document, &story);
        prop_assert_eq!(facts(&whole), facts(&cut));
    }

    /// RUN-2 and SHD-5 in the middle of everything: folding is deciding wherever the journal ends, checkpoints in between.
    #[test]
    fn folding_is_deciding_at_every_cut(
        document in graphs(),
        story in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let (world, runs) = play_within(tiny(2_000), &document, &story);
        let mut shard = empty();
        for bundle in world.bundles(1) {
            let text = serde_json::to_string(&bundle).unwrap();
            prop_assert_eq!(shard.fold(&serde_json::from_str(&text).unwrap(), None), []);
        }
        for run in runs {
            prop_assert_eq!(world.shard.run(run), shard.run(run));
        }
        let entries = journal(&world.commits, 1);
        let mut whole = owner();
        fold(&mut whole, &entries);
        let mut prefix = owner();
        for cut in 0..=entries.len() {
            fold(&mut prefix, &entries[..cut]);
            let mut restored = restore(&prefix.checkpoint()).unwrap();
            prop_assert_eq!(restored.last(), Sequence::new(cut as u64));
            fold(&mut restored, &entries);
            prop_assert_eq!(restored.checkpoint(), whole.checkpoint());
        }
    }
}
