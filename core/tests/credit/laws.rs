//! `CRD-1`, whatever becomes of the messages between a worker and its shards: lost, repeated, late, and shards that change hands
//! or forget.

use std::collections::{BTreeMap, VecDeque};

use headwater_core::credit::{Credit, Lender, Room, Standing, Term};
use headwater_core::{Epoch, ShardId};
use proptest::prelude::*;

const SHARDS: u16 = 3;
const SLOTS: u64 = 5;

/// A shard and everything on its way to and from it.
struct Shard {
    room: Room,
    meeting: u64,
    /// Tasks that wait there.
    waiting: u64,
    frames: VecDeque<Credit>,
    answers: VecDeque<(Credit, Standing)>,
    /// Tasks handed over and not arrived: they come in order, if at all.
    tasks: VecDeque<(Standing, u64)>,
}

struct World {
    lender: Lender,
    shards: BTreeMap<ShardId, Shard>,
    /// Tasks that run, by shard.
    held: Vec<ShardId>,
    turn: u64,
}

fn shard(number: u16) -> ShardId {
    ShardId::new(number % SHARDS).unwrap()
}

impl World {
    fn new() -> Self {
        let new = |number| {
            let room = Room::new(Term { epoch: Epoch::FIRST, meeting: 1 });
            let (frames, answers, tasks) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
            (shard(number), Shard { room, meeting: 1, waiting: 0, frames, answers, tasks })
        };
        let shards: BTreeMap<_, _> = (0..SHARDS).map(new).collect();
        let mut lender = Lender::new(SLOTS);
        for (shard, at) in &shards {
            lender.hear(*shard, at.room.standing(false));
        }
        Self { lender, shards, held: Vec::new(), turn: 0 }
    }

    fn share(&mut self, freed: &[ShardId]) {
        let free = SLOTS - self.held.len() as u64;
        self.turn += 1;
        for shard in self.lender.share(free, freed, self.turn) {
            let credit = self.lender.credit(shard);
            self.shards.get_mut(&shard).unwrap().frames.push_back(credit);
        }
    }

    fn standing(&self, shard: ShardId) -> Standing {
        let at = &self.shards[&shard];
        at.room.standing(at.waiting > 0)
    }

    /// One thing happens. `what` chooses, `whom` says where.
    fn step(&mut self, what: u8, whom: u16) {
        let id = shard(whom);
        match what % 10 {
            // More to do.
            0 => {
                self.shards.get_mut(&id).unwrap().waiting += u64::from(whom % 4);
                self.lender.called(id, Epoch::FIRST);
            }
            // A frame arrives; or it is lost, or comes again later.
            1 | 2 => {
                let at = self.shards.get_mut(&id).unwrap();
                let Some(credit) = at.frames.pop_front() else { return };
                if whom.is_multiple_of(7) {
                    at.frames.push_back(credit);
                }
                if !whom.is_multiple_of(5) {
                    at.room.hear(credit);
                    let standing = self.standing(id);
                    self.shards.get_mut(&id).unwrap().answers.push_back((credit, standing));
                }
            }
            // An answer arrives, or does not.
            3 => {
                let Some((credit, standing)) = self.shards.get_mut(&id).unwrap().answers.pop_front() else { return };
                if !whom.is_multiple_of(5) {
                    self.lender.answered(id, credit, standing);
                }
            }
            // The shard hands over what it may.
            4 | 5 => {
                let at = self.shards.get_mut(&id).unwrap();
                let count = u64::from(at.room.free()).min(at.waiting);
                if count > 0 {
                    at.room.hand(count as u32);
                    at.room.number();
                    at.waiting -= count;
                    let standing = self.standing(id);
                    self.shards.get_mut(&id).unwrap().tasks.push_back((standing, count));
                }
            }
            // Tasks arrive, or the shard gives them up before they do.
            6 | 7 => {
                let at = self.shards.get_mut(&id).unwrap();
                let Some((standing, count)) = at.tasks.pop_front() else { return };
                (0..count).for_each(|_| at.room.heard());
                if !whom.is_multiple_of(6) && self.lender.is_news(id, standing) {
                    self.lender.hear(id, standing);
                    for _ in 0..count {
                        self.lender.took(id);
                        self.held.push(id);
                    }
                }
            }
            // A task ends.
            8 => {
                if !self.held.is_empty() {
                    let from = self.held.swap_remove(usize::from(whom) % self.held.len());
                    self.lender.let_go(from);
                    self.share(&[from]);
                }
            }
            // The shard forgets the session and meets it again; what was on its way comes all the same.
            _ => {
                if whom.is_multiple_of(3) {
                    let at = self.shards.get_mut(&id).unwrap();
                    at.meeting += 1;
                    at.room = Room::new(Term { epoch: Epoch::FIRST, meeting: at.meeting });
                    at.tasks.clear();
                    let standing = self.standing(id);
                    self.lender.hear(id, standing);
                }
                self.lender.doubt();
            }
        }
        self.share(&[]);
    }

    /// What may still come or is held, by the shards' own books.
    fn exposed(&self) -> u64 {
        let coming: u64 = self.shards.values().map(|at| at.tasks.iter().map(|(_, count)| count).sum::<u64>()).sum();
        let free: u64 = self.shards.values().map(|at| u64::from(at.room.free())).sum();
        self.held.len() as u64 + coming + free
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// CRD-1 at every step.
    #[test]
    fn no_slot_is_lent_twice(story in proptest::collection::vec((any::<u8>(), any::<u16>()), 0..300)) {
        let mut world = World::new();
        world.share(&[]);
        for (what, whom) in story {
            world.step(what, whom);
            prop_assert!(world.exposed() <= SLOTS, "{} of {SLOTS} after {what} {whom}", world.exposed());
        }
    }

    /// Whatever happened: once messages arrive, everything that waits is handed over and done.
    #[test]
    fn what_waits_gets_its_turn(story in proptest::collection::vec((any::<u8>(), any::<u16>()), 0..200)) {
        let mut world = World::new();
        world.share(&[]);
        for (what, whom) in story {
            world.step(what, whom);
        }
        for round in 0..400 {
            for number in 0..SHARDS {
                let id = shard(number);
                // 1 leaves no remainder by 5, 6 or 7.
                let at = &world.shards[&id];
                if at.waiting > 0 && round % 10 == 0 {
                    world.lender.called(id, Epoch::FIRST);
                }
                for what in [1, 3, 4, 6] {
                    for whom in [number + 3 * 4, number + 3 * 6, number + 3 * 12] {
                        world.step(what, whom);
                    }
                }
            }
            if let Some(from) = world.held.pop() {
                world.lender.let_go(from);
                world.share(&[from]);
            }
            if round % 10 == 9 {
                world.lender.doubt();
                world.share(&[]);
            }
        }
        let waiting: u64 = world.shards.values().map(|at| at.waiting).sum();
        prop_assert_eq!((waiting, world.held.len()), (0, 0), "{:#?}", world.lender);
    }
}
