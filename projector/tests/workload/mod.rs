//! Histories as a cluster would write them: the same seed gives the same bytes.
//!
//! [`Shard`] cuts commits into chained bundles; [`story`] makes everything a run, an asset and a workflow can go
//! through; [`steady`] makes the one thing there is most of, for measuring.
#![allow(dead_code, reason = "each of the test programs and the benchmark uses its part")]

pub mod actor;
pub mod people;
pub mod steady;
pub mod story;

use bytes::Bytes;
use headwater_core::shard::{AggregateId, Bundle, Cause, Commit, Event};
use headwater_core::{Actor, BundleId, CommandId, Epoch, Revision, Sequence, ShardId, Timestamp};
use headwater_projector::bundle_hash;
use headwater_streams::journals::{Entry, MemoryJournals};

/// Midnight of some day.
pub const DAWN_MICROS: u64 = 1_750_000_000_000_000;

/// Numbers that look random and are not (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn wide(&mut self) -> u128 {
        (u128::from(self.roll()) << 64) | u128::from(self.roll())
    }
}

/// One shard that writes its journal.
#[derive(Debug)]
pub struct Shard {
    pub id: ShardId,
    pub clock: Timestamp,
    previous: String,
    appended: u64,
    commits: Vec<Commit>,
}

impl Shard {
    pub fn new(number: u16) -> Self {
        Self {
            id: ShardId::new(number).unwrap(),
            clock: Timestamp::from_micros(DAWN_MICROS + u64::from(number)),
            previous: String::new(),
            appended: 0,
            commits: Vec::new(),
        }
    }

    /// Lets time pass and adds a commit to the open bundle. Returns how many that has.
    pub fn commit(
        &mut self,
        dice: &mut Dice,
        aggregate: AggregateId,
        revision: &mut Revision,
        events: Vec<Event>,
    ) -> usize {
        self.clock = self.clock.after(std::time::Duration::from_micros(1 + dice.below(900)));
        let id = dice.wide();
        let command = CommandId::from_uuid(uuid::Uuid::from_u128(id));
        // Somebody outside, another shard, or nobody that is named.
        let by = id.is_multiple_of(3).then(|| Box::new(Actor::Claimed(format!("Anna {}", id % 7).parse().unwrap())));
        let cause = (id % 3 == 1).then_some(Cause { shard: self.id, sequence: Sequence::FIRST, index: 2 });
        let next = revision.after(events.len() as u64);
        self.commits.push(Commit {
            aggregate,
            revision: *revision,
            command,
            time: self.clock,
            by,
            cause,
            stored: None,
            events,
        });
        *revision = next;
        self.commits.len()
    }

    /// Closes the open bundle and returns it as a message.
    pub fn close(&mut self, dice: &mut Dice) -> Bytes {
        let bundle = Bundle {
            shard: self.id,
            epoch: Epoch::FIRST,
            id: BundleId::from_uuid(uuid::Uuid::from_u128(dice.wide())),
            previous: std::mem::take(&mut self.previous),
            effects_done: Sequence::new(self.appended),
            replaces: None,
            resends: Vec::new(),
            needs: 1,
            ahead: None,
            heard: Vec::new(),
            aside: None,
            commits: std::mem::take(&mut self.commits),
        };
        self.chain(serde_json::to_vec(&bundle).unwrap().into())
    }

    /// Takes bytes, whatever they are, as the next message.
    pub fn chain(&mut self, bytes: Bytes) -> Bytes {
        self.previous = bundle_hash(&bytes);
        self.appended += 1;
        bytes
    }

    pub fn open_commits(&self) -> usize {
        self.commits.len()
    }
}

/// Returns everything a journal holds.
pub fn entries(journal: &MemoryJournals, shard: ShardId) -> Vec<Entry> {
    journal.entries(shard, Sequence::FIRST, usize::MAX)
}
