//! Which shards a worker lends to first: so few that what it says to one of them carries several reports.
//!
//! What a report costs is mostly what a message costs. A worker that spreads sixteen slots over eight shards says everything
//! in messages of one or two; one that lends them to one shard, in messages of ten.

use std::collections::BTreeMap;

use crate::ShardId;

/// How many slots one shard is lent before another is lent many.
pub(super) const CHUNK: u64 = 16;

/// The order in which a worker turns to shards: each worker begins with another, so that together they lend to all alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Homes {
    slots: u64,
    /// By their numbers, each with the meeting that this worker was to it first.
    known: BTreeMap<ShardId, u64>,
}

impl Homes {
    pub fn new(slots: u64) -> Self {
        Self { slots, known: BTreeMap::new() }
    }

    /// Learns of a shard, and as which meeting it first counted this worker: zero where it has not said so.
    pub fn know(&mut self, shard: ShardId, meeting: u64) {
        let first = self.known.entry(shard).or_insert(meeting);
        if *first == 0 {
            *first = meeting;
        }
    }

    /// Returns the shards to lend to, of those that are `meant`. Every shard comes first once in as many turns as there are
    /// shards.
    pub fn first(&self, turn: u64, meant: impl Fn(ShardId) -> bool) -> impl Iterator<Item = ShardId> {
        // Workers that come one after another are met one after another, and so begin with different shards.
        let met = self.known.values().find(|meeting| **meeting > 0).copied().unwrap_or(0);
        let ahead = (met.wrapping_add(turn) % self.known.len().max(1) as u64) as usize;
        let order = self.known.keys().skip(ahead).chain(self.known.keys().take(ahead));
        order.copied().filter(move |shard| meant(*shard)).take(self.count())
    }

    /// Returns whether there are slots enough for each shard to be lent one, so that what begins there finds it.
    pub fn can_reserve(&self) -> bool {
        self.slots >= 2 * self.known.len() as u64
    }

    fn count(&self) -> usize {
        usize::try_from((self.slots / CHUNK).max(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u16) -> Vec<ShardId> {
        (0..count).map(|shard| ShardId::new(shard).unwrap()).collect()
    }

    /// A worker that every shard has met as the same one.
    fn homes(meeting: u64, slots: u64, count: u16) -> Homes {
        let mut homes = Homes::new(slots);
        shards(count).into_iter().for_each(|shard| homes.know(shard, meeting));
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
    fn workers_that_come_one_after_another_turn_to_all_shards_alike() {
        let mut met = [0_u32; 4];
        for meeting in 1..=32 {
            for shard in homes(meeting, 16, 4).first(0, |_| true) {
                met[usize::from(shard.number())] += 1;
            }
        }
        assert_eq!(met, [8; 4]);
    }

    #[test]
    fn a_worker_keeps_to_where_it_began_when_an_owner_meets_it_anew() {
        let mut homes = homes(2, 16, 4);
        homes.know(shards(1)[0], 9);
        assert_eq!(homes.first(0, |_| true).collect::<Vec<_>>(), [shards(4)[2]]);
    }

    #[test]
    fn where_it_begins_is_said_by_the_first_shard_that_has_met_it() {
        let mut homes = Homes::new(16);
        for (shard, meeting) in shards(4).into_iter().zip([0, 2, 3, 0]) {
            homes.know(shard, meeting);
        }
        assert_eq!(homes.first(0, |_| true).collect::<Vec<_>>(), [shards(4)[2]]);
    }
}
