//! Laws of runs that go on from others, whatever those came to.

use std::collections::BTreeMap;

use headwater_core::RunId;
use headwater_core::run::Continuation;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::checkpoints::{a_checkpoint_and_the_tail_are_the_whole, journal};
use crate::continued::{go_on_from, positions, recollect};
use crate::laws::{exchange, graphs, play, to_the_end};
use crate::world::World;

/// What is told of a run: where something stood, who has made it or tried to, and whether it was made.
fn told(world: &World, run: RunId, document: &Value) -> BTreeMap<String, (String, bool)> {
    let wanted = positions(Continuation::Retry {});
    let pieces = recollect(world, run, document, wanted, u64::MAX >> 8).pieces().unwrap();
    let all = pieces.iter().flat_map(|piece| piece.to_value().as_array().cloned().unwrap_or_default());
    let one = |recalled: Value| {
        let place = format!("{}{}", recalled["within"], own(&recalled["from"]["node"]));
        (place, (recalled["from"]["run"].as_str().unwrap().to_owned(), !recalled["result"].is_null()))
    };
    all.map(one).collect()
}

fn own(address: &Value) -> String {
    address.as_str().unwrap().split('@').next().unwrap().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever has happened in a run, one that retries it takes all it is told of where it gets there, comes to an end, and folds
    /// to what was decided.
    #[test]
    fn a_retry_goes_on_from_whatever_happened(
        document in graphs(),
        story in proptest::collection::vec(any::<u8>(), 0..40),
        size in 1..9_usize,
    ) {
        let (mut world, runs) = play(&document, &story);
        let first = runs[0];
        let before = told(&world, first, &document);
        let retry = go_on_from(&mut world, first, &document, positions(Continuation::Retry {}), json!({"n": 3}));
        exchange(&mut world);
        let journal = journal(&world.commits, size);
        a_checkpoint_and_the_tail_are_the_whole(&mut world, &journal);
        to_the_end(&mut world, &runs);
        prop_assert!(world.shard.run(retry).is_none(), "{}", world.timeline(retry));
        // What had been made is made by nobody again, and what had been tried goes under the key that it had.
        let after = told(&world, retry, &document);
        for (place, (by, was_made)) in &before {
            let Some((now, is_made)) = after.get(place) else { continue };
            let is_new = *is_made && !was_made;
            prop_assert!(is_new || now == by, "{place}: {}", world.timeline(retry));
        }
    }

    /// A run that has succeeded, forked as it was, succeeds with the same and has nobody do anything.
    #[test]
    fn a_fork_of_the_same_does_nothing_again(document in graphs()) {
        let (mut world, runs) = play(&document, &[]);
        to_the_end(&mut world, &[]);
        let first = runs[0];
        let timeline = world.timeline(first);
        let is_whole = timeline.ends_with("SUCCEEDED") && !timeline.contains("failed") && !timeline.contains("dead");
        prop_assume!(is_whole && !timeline.contains("cancelled") && !timeline.contains("succeeds"));
        let fork = go_on_from(
            &mut world, first, &document, positions(Continuation::Fork { sandbox: false }), json!({"n": 3}));
        to_the_end(&mut world, &[]);
        let again = world.timeline(fork);
        prop_assert!(again.ends_with("SUCCEEDED"), "{timeline}\n{again}");
        // What runs whatever the end runs at each.
        let again = again.split("ENDING").next().unwrap();
        prop_assert!(!again.contains(":try") && !again.contains(":asks"), "{timeline}\n{again}");
    }
}
