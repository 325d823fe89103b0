//! The golden checkpoints: a journal and the checkpoint that folding it gave, one pair for each time a format was new. What
//! this release writes is the newest, byte for byte; what it reads is all of them.
//!
//! A failure means that checkpoints hold something else than before, or that folding means something else by an event: give
//! the section a new format, and write the next pair with `UPDATE_GOLDEN=1 cargo test -p headwater-core --test shard golden`.
//! Files that are there are never changed.

use std::path::PathBuf;

use headwater_core::BundleId;
use headwater_core::asset::{AssetCommand, Waiter};
use headwater_core::credit::Hands;
use headwater_core::shard::{AggregateId, AssetKey, Command, Owner, Shard, ShardMap, Submission};

use crate::checkpoints::fold;
use crate::everything;
use crate::world::World;

/// A shard as it is outside of tests.
fn empty() -> Shard {
    Shard::new(crate::world::shard_zero(), ShardMap::even(1).unwrap())
}

fn owner() -> Owner<u32> {
    Owner::new(empty())
}

fn file(number: u32, what: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/shard/golden/{what}.v{number}.jsonl"))
}

fn newest() -> u32 {
    (1..).take_while(|number| file(*number, "checkpoint").exists()).last().unwrap()
}

/// A journal, and its checkpoint as text.
fn golden(number: u32) -> (Vec<Vec<u8>>, String) {
    let journal = std::fs::read_to_string(file(number, "journal")).unwrap();
    let checkpoint = std::fs::read_to_string(file(number, "checkpoint")).unwrap();
    (journal.lines().map(|line| line.as_bytes().to_vec()).collect(), checkpoint)
}

/// What this release writes of a journal; the release's own name is left out.
fn written(journal: &[Vec<u8>]) -> String {
    let mut owner = owner();
    fold(&mut owner, journal);
    without_release(&String::from_utf8(owner.checkpoint()).unwrap())
}

fn without_release(checkpoint: &str) -> String {
    let (head, rest) = checkpoint.split_once('\n').unwrap();
    let mut head: serde_json::Value = serde_json::from_str(head).unwrap();
    head["release"] = "".into();
    format!("{head}\n{rest}")
}

/// The formats of a checkpoint and of its sections.
fn formats(checkpoint: &str) -> Vec<(String, u64)> {
    let heads = checkpoint.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    heads.filter_map(|head| Some((head.get("kind").map(ToString::to_string)?, head.get("format")?.as_u64()?))).collect()
}

#[test]
fn a_checkpoint_is_written_as_its_formats_say() {
    let (journal, checkpoint) = golden(newest());
    let found = written(&journal);
    if found == without_release(&checkpoint) {
        return;
    }
    assert!(formats(&found) != formats(&checkpoint), "give the section that has changed a new format: {found}");
    assert!(std::env::var_os("UPDATE_GOLDEN").is_some(), "write the next pair with UPDATE_GOLDEN=1");
    let next = newest() + 1;
    let mut world = everything::world();
    let mut journal = crate::checkpoints::journal(&world.commits, 3);
    append_what_is_quarantined(&mut world, &mut journal);
    let mut owner = owner();
    fold(&mut owner, &journal);
    let lines: Vec<u8> = journal.iter().flat_map(|entry| entry.iter().copied().chain([b'\n'])).collect();
    std::fs::write(file(next, "journal"), lines).unwrap();
    std::fs::write(file(next, "checkpoint"), owner.checkpoint()).unwrap();
}

/// Lets an owner say what is quarantined, and park what is asked of it.
fn append_what_is_quarantined(world: &mut World, journal: &mut Vec<Vec<u8>>) {
    let mut owner = owner();
    fold(&mut owner, journal);
    let key = AssetKey { workspace: "default".parse().unwrap(), asset: "site.archive".parse().unwrap() };
    assert!(owner.shard().quarantine(&AggregateId::Asset(key.clone())).is_some());
    let run = owner.shard().active().map(|run| run.id()).min().unwrap();
    let command = AssetCommand::ForgetWaiter { waiter: Waiter { run, node: "pack".parse().unwrap() } };
    let wish = Submission::new(world.fresh_id(), Command::Asset { key, command });
    owner.submit(0, wish, world.now, &mut Hands::default());
    journal.push(owner.next_append(BundleId::from_uuid(uuid::Uuid::from_u128(0))).unwrap().bytes);
}

/// Going on from a checkpoint of any release is having folded its journal today.
#[test]
fn every_checkpoint_that_was_ever_written_is_read() {
    for number in 1..=newest() {
        let (journal, checkpoint) = golden(number);
        let restored = Owner::<u32>::restore(empty(), checkpoint.as_bytes())
            .unwrap_or_else(|refusal| panic!("pair {number}: {refusal}"));
        assert!(restored.stands_on(journal.last().unwrap()), "pair {number}");
        let found = without_release(&String::from_utf8(restored.checkpoint()).unwrap());
        let less = |text: &str| match number {
            ..4 => without_places(&without_commands(text)),
            4 => without_places(text),
            5.. => text.to_owned(),
        };
        assert_eq!(less(&found), less(&written(&journal)), "pair {number}");
    }
}

/// Leaves out which commands were granted: until pair 4 those of workflows were among the others.
fn without_commands(checkpoint: &str) -> String {
    let mut is_kept = true;
    let kept = checkpoint.lines().filter(|line| {
        if line.contains(r#""kind""#) && line.contains(r#""records""#) {
            is_kept = !line.contains(r#"{"kind":"granted"#);
        }
        is_kept
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// Leaves out where a history is broken: until pair 5 it was not known.
fn without_places(checkpoint: &str) -> String {
    let kept = checkpoint.lines().map(|line| match line.rsplit_once(",\"at\":") {
        Some((before, _)) if line.contains(r#","last":"#) => before,
        Some(_) | None => line,
    });
    kept.collect::<Vec<_>>().join("\n")
}
