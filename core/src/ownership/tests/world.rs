//! The world around the seats: the tables, the messages on their way, the drivers, and what can go wrong.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::ownership::*;

pub(super) const PROCESSES: usize = 3;
pub(super) const SHARDS: usize = 2;

/// What is wired wrongly, as it once was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    None,
    /// A lease that landed after its answer was given up for lost is not released.
    KeepsStrayLeases,
    /// A driver whose lease was taken, or whose process was cut off, is forgotten before it has come to rest; when it
    /// rests, whatever tenure there is then is ended.
    ForgetsWhoRests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    expected: LeaseRevision,
    takes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Driver {
    tenure: Tenure,
    stopping: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    seat: Seat,
    drivers: [Vec<Driver>; SHARDS],
    /// On its way to the table, and answered.
    asked: [Option<Question>; SHARDS],
    /// Given up, and still on its way.
    late: [Option<Question>; SHARDS],
    /// Which members it knows to live.
    view: u8,
    leaving: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    table: [(LeaseRevision, Option<usize>); SHARDS],
    processes: [Option<Process>; PROCESSES],
    /// Which members the broker hears.
    alive: u8,
    left: Faults,
}

/// How much may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// Answers that are lost or late, drivers that are slow to rest.
    pub(super) delays: u8,
    /// Members that are cut off, stop, or die. Who is cut off may come back.
    pub(super) losses: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Free,
    Delay,
    Loss,
}

fn shard(number: usize) -> ShardId {
    ShardId::new(number as u16).unwrap()
}

fn holder(process: usize) -> Holder {
    Holder { member: format!("m{process}").parse().unwrap(), incarnation: "1".to_owned() }
}

impl World {
    /// Every shard has its owner.
    pub(super) fn new(faults: Faults, mutant: Mutant) -> Self {
        let process = |number| Process {
            seat: Seat::new(holder(number), SHARDS as u16),
            drivers: Default::default(),
            asked: [None; SHARDS],
            late: [None; SHARDS],
            view: 0,
            leaving: false,
        };
        let processes = std::array::from_fn(|number| Some(process(number)));
        let mut world = Self { table: [(0, None); SHARDS], processes, alive: 0b111, left: faults };
        for number in 0..PROCESSES {
            world.meet(number, mutant);
            world.tell(number, Heard::Informed, mutant);
        }
        (0..SHARDS).for_each(|place| world.follow(place, mutant));
        world.normalize();
        world
    }

    fn process(&mut self, number: usize) -> &mut Process {
        self.processes[number].as_mut().unwrap()
    }

    fn meet(&mut self, number: usize, mutant: Mutant) {
        let alive = self.alive;
        let peer = |other: usize| {
            let Holder { member: id, incarnation } = holder(other);
            let leaving = self.processes[other].as_ref().is_some_and(|process| process.leaving);
            Peer { id, incarnation, leaving, unfit: BTreeSet::new() }
        };
        let peers = (0..PROCESSES).filter(|other| alive & (1 << other) != 0).map(peer).collect();
        self.process(number).view = self.seen();
        self.tell(number, Heard::Members(peers), mutant);
    }

    /// The table of members, as one number.
    fn seen(&self) -> u8 {
        let leaving = (0..PROCESSES).filter(|n| self.processes[*n].as_ref().is_some_and(|process| process.leaving));
        self.alive | leaving.fold(0, |sum, n| sum | (8 << n))
    }

    fn tell(&mut self, number: usize, heard: Heard, mutant: Mutant) {
        let steps = self.process(number).seat.hear(heard);
        for step in steps {
            self.carry_out(number, step, mutant);
        }
    }

    fn carry_out(&mut self, number: usize, step: Step, mutant: Mutant) {
        match step {
            Step::Take { shard: at, expected } => {
                let asked = Some(Question { expected, takes: true });
                self.process(number).asked[usize::from(at.number())] = asked;
            }
            Step::Release { shard: at, expected } => {
                let place = usize::from(at.number());
                if mutant == Mutant::KeepsStrayLeases {
                    return self.tell(number, Heard::Unclear { shard: at }, mutant);
                }
                self.process(number).asked[place] = Some(Question { expected, takes: false });
            }
            Step::Drive { shard: at, tenure } => {
                self.process(number).drivers[usize::from(at.number())].push(Driver { tenure, stopping: false });
            }
            Step::Stop { shard: at, tenure, reason } => {
                let drivers = &mut self.process(number).drivers[usize::from(at.number())];
                drivers.iter_mut().filter(|driver| driver.tenure == tenure).for_each(|driver| driver.stopping = true);
                let forgets = matches!(reason, LossReason::Taken | LossReason::Isolated);
                if mutant == Mutant::ForgetsWhoRests && forgets {
                    self.tell(number, Heard::Rested { shard: at, tenure }, mutant);
                }
            }
        }
    }

    /// Lets the table decide; returns the revision if it landed.
    fn land(&mut self, number: usize, place: usize, Question { expected, takes }: Question) -> Option<LeaseRevision> {
        let (revision, held_by) = &mut self.table[place];
        (*revision == expected).then(|| {
            *held_by = takes.then_some(number);
            *revision += 1;
            *revision
        })
    }

    /// Lets everything of a shard happen that needs no fault.
    fn follow(&mut self, place: usize, mutant: Mutant) {
        let at = shard(place);
        let mut quiet = 0;
        for number in (0..PROCESSES).cycle() {
            quiet += 1;
            if quiet > PROCESSES {
                return;
            }
            let (revision, held_by) = self.table[place];
            let Some(process) = &mut self.processes[number] else { continue };
            let stopping = process.drivers[place].iter().find(|driver| driver.stopping).cloned();
            let heard = if process.seat.places[place].revision < revision {
                Heard::Lease { shard: at, revision, holder: held_by.map(holder) }
            } else if let Some(question) = process.asked[place].take() {
                match self.land(number, place, question) {
                    Some(revision) => Heard::Landed { shard: at, revision },
                    None => Heard::Unclear { shard: at },
                }
            } else if let Some(Driver { tenure, .. }) = stopping {
                process.drivers[place].retain(|driver| driver.tenure != tenure);
                Heard::Rested { shard: at, tenure }
            } else {
                continue;
            };
            self.tell(number, heard, mutant);
            quiet = 0;
        }
    }

    /// Every world that can come next for a shard, and whether it takes a fault.
    pub(super) fn nexts(&self, place: usize, mutant: Mutant) -> Vec<(Self, bool)> {
        let (at, mut nexts) = (shard(place), Vec::new());
        let mut add = |kind: Kind, change: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            let left = match kind {
                Kind::Free => Some(()),
                Kind::Delay => next.left.delays.checked_sub(1).map(|left| next.left.delays = left),
                Kind::Loss => next.left.losses.checked_sub(1).map(|left| next.left.losses = left),
            };
            if left.is_none() {
                return;
            }
            change(&mut next);
            next.follow((place + 1) % SHARDS, mutant);
            next.normalize();
            if next != *self {
                nexts.push((next, kind != Kind::Free));
            }
        };
        for (number, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { continue };
            let is_heard = self.alive & (1 << number) != 0;
            {
                if let Some(question) = process.asked[place] {
                    let answer = |world: &mut Self, answered: bool| {
                        world.process(number).asked[place] = None;
                        let landed = world.land(number, place, question).filter(|_| answered);
                        let heard = match landed {
                            Some(revision) => Heard::Landed { shard: at, revision },
                            None => Heard::Unclear { shard: at },
                        };
                        world.tell(number, heard, mutant);
                    };
                    add(Kind::Free, &|world| answer(world, true));
                    if self.table[place].0 == question.expected {
                        add(Kind::Delay, &|world| answer(world, false));
                        add(Kind::Delay, &|world| {
                            world.process(number).asked[place] = None;
                            world.process(number).late[place] = Some(question);
                            world.tell(number, Heard::Unclear { shard: at }, mutant);
                        });
                    }
                }
                if let Some(question) = process.late[place] {
                    // It lands now, or never.
                    add(Kind::Free, &|world| {
                        world.process(number).late[place] = None;
                        world.land(number, place, question);
                    });
                    add(Kind::Free, &|world| world.process(number).late[place] = None);
                }
                let (revision, held_by) = self.table[place];
                if process.seat.places[place].revision < revision {
                    add(Kind::Free, &|world| {
                        let heard = Heard::Lease { shard: at, revision, holder: held_by.map(holder) };
                        world.tell(number, heard, mutant);
                    });
                }
                for driver in process.drivers[place].iter().filter(|driver| driver.stopping) {
                    let tenure = driver.tenure;
                    add(Kind::Free, &|world| {
                        world.process(number).drivers[place].retain(|driver| driver.tenure != tenure);
                        let current = world.process(number).seat.driven().find(|(of, _)| *of == at);
                        let ended = match (mutant, current) {
                            (Mutant::ForgetsWhoRests, Some((_, current))) => current,
                            (_, _) => tenure,
                        };
                        world.tell(number, Heard::Rested { shard: at, tenure: ended }, mutant);
                    });
                    add(Kind::Delay, &|world| world.tell(number, Heard::Overdue { shard: at, tenure }, mutant));
                }
            }
            if process.view != self.seen() {
                add(Kind::Free, &|world| world.meet(number, mutant));
            }
            add(Kind::Free, &|world| world.tell(number, Heard::Tick, mutant));
            if process.leaving {
                if process.seat.is_empty() {
                    add(Kind::Free, &|world| world.lose(number));
                }
                continue;
            }
            if is_heard {
                add(Kind::Loss, &|world| {
                    world.alive &= !(1 << number);
                    world.tell(number, Heard::Silent, mutant);
                });
                add(Kind::Loss, &|world| {
                    world.process(number).leaving = true;
                    world.tell(number, Heard::Leave, mutant);
                });
            } else {
                add(Kind::Free, &|world| {
                    world.alive |= 1 << number;
                    world.tell(number, Heard::Alive, mutant);
                });
            }
            add(Kind::Loss, &|world| world.lose(number));
        }
        nexts
    }

    /// A process is gone; what it had sent may still land.
    fn lose(&mut self, number: usize) {
        self.processes[number] = None;
        self.alive &= !(1 << number);
    }

    pub(super) fn runs_two_drivers(&self) -> bool {
        self.processes.iter().flatten().any(|process| process.drivers.iter().any(|drivers| drivers.len() > 1))
    }

    /// Every shard has one driver, that of its lease, or there is no process left to have one.
    pub(super) fn is_settled(&self) -> bool {
        let is_driven = |place: usize| {
            let drivers = |number: usize| self.processes[number].iter().flat_map(move |it| &it.drivers[place]);
            let (revision, held_by) = self.table[place];
            let all = (0..PROCESSES).map(|number| drivers(number).count()).sum::<usize>();
            let expected = Driver { tenure: Tenure(revision), stopping: false };
            all == 1 && held_by.is_some_and(|number| drivers(number).any(|driver| *driver == expected))
        };
        let gone = self.processes.iter().all(Option::is_none);
        gone || (self.processes.iter().flatten().all(|process| !process.leaving) && (0..SHARDS).all(is_driven))
    }

    /// Numbers the revisions anew: only their order and equality matter.
    fn normalize(&mut self) {
        for place in 0..SHARDS {
            let mut all = BTreeSet::new();
            self.each_revision(place, &mut |revision| {
                all.insert(*revision);
            });
            self.each_revision(place, &mut |revision| *revision = all.range(..*revision).count() as LeaseRevision);
        }
    }

    fn each_revision(&mut self, place: usize, visit: &mut dyn FnMut(&mut LeaseRevision)) {
        visit(&mut self.table[place].0);
        for process in self.processes.iter_mut().flatten() {
            let known = &mut process.seat.places[place];
            visit(&mut known.revision);
            known.driver.iter_mut().for_each(|driver| visit(&mut driver.tenure.0));
            process.drivers[place].iter_mut().for_each(|driver| visit(&mut driver.tenure.0));
            let asked = process.asked[place].iter_mut().chain(&mut process.late[place]);
            asked.for_each(|question| visit(&mut question.expected));
        }
    }

    /// What tells it from other worlds.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
