//! The golden checkpoint: a journal and the checkpoint that folding it gave when the format was new. What this release
//! writes under the same format number is the same, byte for byte.
//!
//! A failure means that checkpoints hold something else than before, or that folding means something else by an event:
//! raise `CHECKPOINT_FORMAT`, and write the files of the new format with `UPDATE_GOLDEN=1 cargo test -p headwater-core
//! --test shard golden`. Files that are there are never changed.

use std::path::PathBuf;

use headwater_core::shard::CHECKPOINT_FORMAT;

use crate::checkpoints::{fold, journal, owner, restore};
use crate::everything;

fn file(format: u32, what: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/shard/golden/{what}.v{format}.jsonl"))
}

fn golden(format: u32) -> (Vec<Vec<u8>>, Vec<u8>) {
    let journal = std::fs::read_to_string(file(format, "journal")).unwrap();
    let checkpoint = std::fs::read(file(format, "checkpoint")).unwrap();
    (journal.lines().map(|line| line.as_bytes().to_vec()).collect(), checkpoint)
}

fn write_missing() {
    if file(CHECKPOINT_FORMAT, "journal").exists() || std::env::var_os("UPDATE_GOLDEN").is_none() {
        return;
    }
    let journal = journal(&everything::world().commits, 3);
    let mut owner = owner();
    fold(&mut owner, &journal);
    let lines: Vec<u8> = journal.iter().flat_map(|entry| entry.iter().copied().chain([b'\n'])).collect();
    std::fs::write(file(CHECKPOINT_FORMAT, "journal"), lines).unwrap();
    std::fs::write(file(CHECKPOINT_FORMAT, "checkpoint"), owner.checkpoint()).unwrap();
}

#[test]
fn a_checkpoint_is_written_as_its_format_says() {
    write_missing();
    let (journal, checkpoint) = golden(CHECKPOINT_FORMAT);
    let mut owner = owner();
    fold(&mut owner, &journal);
    let (written, golden) = (String::from_utf8(owner.checkpoint()), String::from_utf8(checkpoint));
    assert!(written == golden, "raise CHECKPOINT_FORMAT: {written:?}");
}

#[test]
fn a_checkpoint_of_this_format_and_of_the_one_before_is_read() {
    write_missing();
    for format in CHECKPOINT_FORMAT - 1..=CHECKPOINT_FORMAT {
        let (journal, checkpoint) = golden(format);
        let restored = restore(&checkpoint).unwrap_or_else(|refusal| panic!("format {format}: {refusal}"));
        assert!(restored.stands_on(journal.last().unwrap()), "format {format}");
        assert_eq!(restored.checkpoint() == checkpoint, format == CHECKPOINT_FORMAT, "format {format}");
    }
}
