//! Which shards a worker lends to first: so few that what it says to one of them carries several reports.
//!
//! What a report costs is mostly what a message costs. A worker that spreads sixteen slots over eight shards says everything
//! in messages of one or two; one that lends them to one shard, in messages of ten.

use crate::{SessionId, ShardId};

/// How many slots one shard is lent before another is lent many.
const CHUNK: u64 = 16;

/// The order in which a worker turns to shards: each worker has its own, so that together they lend to all alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Homes {
    seed: u64,
    slots: u64,
    order: Vec<ShardId>,
}

impl Homes {
    pub fn new(session: SessionId, slots: u64) -> Self {
        Self { seed: session.bits(), slots, order: Vec::new() }
    }

    /// Learns of a shard.
    pub fn know(&mut self, shard: ShardId) {
        if !self.order.contains(&shard) {
            self.order.push(shard);
            let seed = self.seed;
            self.order.sort_unstable_by_key(|shard| mixed(seed, *shard));
        }
    }

    /// Returns the shards to lend to, of those that are `meant`. Every shard comes first once in as many turns as there are
    /// shards.
    pub fn first(&self, turn: u64, meant: impl Fn(ShardId) -> bool) -> impl Iterator<Item = ShardId> {
        let known = self.order.len().max(1);
        let ahead = (turn % known as u64) as usize;
        let order = self.order[ahead.min(self.order.len())..].iter().chain(&self.order[..ahead.min(self.order.len())]);
        order.copied().filter(move |shard| meant(*shard)).take(self.count())
    }

    /// Returns whether there are slots enough for each shard to be lent one, so that what begins there finds it.
    pub fn can_reserve(&self) -> bool {
        self.slots >= 2 * self.order.len() as u64
    }

    fn count(&self) -> usize {
        usize::try_from((self.slots / CHUNK).max(1)).unwrap_or(usize::MAX)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): one bit of difference changes half of the result.
fn mixed(seed: u64, shard: ShardId) -> u64 {
    let mut bits = seed ^ u64::from(shard.number()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u16) -> Vec<ShardId> {
        (0..count).map(|shard| ShardId::new(shard).unwrap()).collect()
    }

    fn homes(session: u64, slots: u64, count: u16) -> Homes {
        let mut homes = Homes::new(SessionId::from_bits(session), slots);
        shards(count).into_iter().for_each(|shard| homes.know(shard));
        homes
    }

    #[test]
    fn every_shard_comes_first_once_in_as_many_turns_as_there_are_shards() {
        let homes = homes(7, 16, 5);
        let mut first: Vec<_> = (0..5).flat_map(|turn| homes.first(turn, |_| true)).collect();
        first.sort_unstable();
        assert_eq!(first, shards(5));
        let other = shards(5)[3];
        assert_eq!(homes.first(0, |shard| shard == other).collect::<Vec<_>>(), [other]);
        assert_eq!(Homes::default().first(3, |_| true).count(), 0);
    }

    #[test]
    fn the_more_slots_the_more_shards() {
        for (slots, count) in [(1, 1), (16, 1), (31, 1), (32, 2), (64, 4), (512, 8)] {
            assert_eq!(homes(1, slots, 8).first(0, |_| true).count(), count, "{slots}");
        }
    }

    #[test]
    fn many_workers_turn_to_all_shards_alike() {
        let mut met = [0_u32; 4];
        for session in 0..400 {
            for shard in homes(session, 16, 4).first(0, |_| true) {
                met[usize::from(shard.number())] += 1;
            }
        }
        assert!(met.iter().all(|count| (70..=130).contains(count)), "{met:?}");
    }
}
