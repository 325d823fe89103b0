//! A whole cluster on one thread from one seed: journals, owners, effects, workers, queues and clocks, and everything
//! that goes wrong with them. After the chaos the network heals, and everything must come to rest.
//!
//! | file | question |
//! |---|---|
//! | `cluster` | what happens next |
//! | `seat` | what a process does at a shard |
//! | `recovery` | what the next owner of a shard learns, and from where |
//! | `delivery` | how bundles reach the journal and effects their targets |
//! | `workers`, `clients` | who works, who asks |
//! | `faults` | what goes wrong |
//! | `audit` | what must hold (the numbers stand in `core/src/lib.rs`) |
//! | `documents` | which workflows run |
//! | `pipeline` | one run without chaos, whose owner dies at every append in turn |
//!
//! A failure prints its seed and the end of its timeline. `HEADWATER_SEED=… cargo test -p headwater-core --test
//! simulation` plays exactly that story again; `HEADWATER_SEEDS=…` plays more stories than usual, as `make test` does.

mod audit;
mod chance;
mod clients;
mod cluster;
mod delivery;
mod documents;
mod faults;
mod hands;
mod happening;
mod journal;
mod pipeline;
mod recovery;
mod seat;
mod timeline;
mod workers;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use chance::Chance;
use cluster::Cluster;

/// All seeds of the normal run derive from it.
const BASE: u64 = 0x4865_6164_7761_7465;
const SEEDS: u64 = 300;
/// How much of the timeline a failure shows.
const TAIL: usize = 150;

/// Lives through one story; a failure tells it.
fn play(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed);
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| cluster.live())) {
        let lines = if asked_seed().is_some() { usize::MAX } else { TAIL };
        let tail = cluster.timeline.len().saturating_sub(lines);
        eprintln!("the timeline to the failure, in seconds:\n{}", cluster.timeline[tail..].join("\n"));
        eprintln!("replay: HEADWATER_SEED={seed} cargo test -p headwater-core --test simulation");
        resume_unwind(failure);
    }
    cluster
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

fn asked_seed() -> Option<u64> {
    number("HEADWATER_SEED")
}

/// Every second seed from the first of this half: two threads share the work.
fn play_half(half: u64) {
    if let Some(seed) = asked_seed() {
        if half == 0 {
            play(seed);
        }
        return;
    }
    let mut seeds = Chance::new(BASE);
    let (mut happened, mut bundles, mut runs, mut stories) = (0, 0, 0, 0);
    let (mut calls, mut values, mut reused, mut offered, mut taken) = (0, 0, 0, 0, 0);
    let (mut undone, mut pauses, mut went_on, mut inherited) = (0, 0, 0, 0);
    for number in 0..number("HEADWATER_SEEDS").unwrap_or(SEEDS) {
        let seed = seeds.bits();
        if number % 2 == half {
            let cluster = play(seed);
            happened += cluster.happened;
            bundles += cluster.audit.bundles;
            runs += cluster.audit.runs();
            calls += cluster.audit.calls.ends_heard;
            values += cluster.values.len();
            reused += cluster.audit.memos.reused;
            offered += cluster.audit.memos.offered;
            taken += cluster.audit.signals.taken;
            pauses += cluster.audit.hands.pauses;
            went_on += cluster.audit.chains.went_on.len();
            inherited += cluster.audit.chains.inherited;
            undone += cluster.audit.undone();
            stories += 1;
        }
    }
    println!(
        "{stories} stories: {happened} happenings, {bundles} bundles, {runs} runs, {calls} calls, {values} values, {reused} reused with {offered} versions, {taken} signals taken, {undone} undone, {pauses} pauses, {went_on} runs went on as others with {inherited} signals"
    );
}

#[test]
fn whatever_happens_the_invariants_hold() {
    play_half(0);
}

#[test]
fn whatever_else_happens_the_invariants_hold() {
    play_half(1);
}

#[test]
fn a_story_nobody_has_heard_holds_too() {
    if asked_seed().is_none() {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        println!("HEADWATER_SEED={seed}");
        play(seed);
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let seed = asked_seed().unwrap_or(BASE);
    let tell = || {
        let mut cluster = Cluster::new(seed);
        // It may fail, as long as it fails alike; that it does not is for the others to say.
        let _failure = catch_unwind(AssertUnwindSafe(|| cluster.live()));
        cluster.timeline
    };
    assert_eq!(tell(), tell());
}
