//! What one process does about the ownership of shards.

use super::assignment::assign;
use super::{Heard, Holder, LeaseRevision, LossReason, Peer, Step, Tenure};
use crate::ShardId;

/// One process's part in the ownership of shards.
///
/// A shard has at most one driver here, and at most one question to the table of leases is open for it. A lease that is
/// ours but was not taken for a driver that runs (the answer was lost, or it landed late) is taken anew where the shard
/// is ours to drive, and released where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seat {
    me: Holder,
    peers: Vec<Peer>,
    pub(super) places: Vec<ShardView>,
    informed: bool,
    silent: bool,
    leaving: bool,
}

/// One shard, as this process knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct ShardView {
    /// The last that is known of the lease.
    pub(super) revision: LeaseRevision,
    pub(super) holder: Option<Holder>,
    pub(super) driver: Option<Driver>,
    question: Question,
    /// The assignment names us.
    ours: bool,
}

/// A driver that has not come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Driver {
    pub(super) tenure: Tenure,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Driving,
    Stopping,
    /// It should have come to rest by now: others may have the lease.
    Overdue,
}

/// What was asked of the table of leases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Question {
    #[default]
    None,
    Taking,
    Releasing,
    /// It came to nothing: not again before something is heard, or some time has passed.
    InVain,
}

impl Seat {
    /// Sits down. Nothing is done before [`Heard::Informed`].
    pub fn new(me: Holder, shards: u16) -> Self {
        let places = vec![ShardView::default(); usize::from(shards)];
        Self { me, peers: Vec::new(), places, informed: false, silent: false, leaving: false }
    }

    /// Takes in what was heard and returns what is to be done now, in this order.
    pub fn hear(&mut self, heard: Heard) -> Vec<Step> {
        let mut steps = Vec::new();
        match heard {
            Heard::Informed => self.informed = true,
            Heard::Members(peers) => self.meet(peers),
            Heard::Lease { shard, revision, holder } => self.learn(shard, revision, holder, &mut steps),
            Heard::Landed { shard, revision } => self.landed(shard, revision, &mut steps),
            Heard::Unclear { shard } => self.place(shard, |place| place.question = Question::InVain),
            Heard::Rested { shard, tenure } => self.place(shard, |place| {
                place.driver.take_if(|driver| driver.tenure == tenure);
            }),
            Heard::Overdue { shard, tenure } => self.place(shard, |place| {
                if let Some(driver) = place.driver.as_mut().filter(|driver| driver.tenure == tenure) {
                    driver.stage = Stage::Overdue;
                }
            }),
            Heard::Silent => self.silent = true,
            Heard::Alive => self.silent = false,
            Heard::Tick => {
                for place in &mut self.places {
                    place.try_again();
                }
            }
            Heard::Leave => self.leaving = true,
        }
        self.conclude(&mut steps);
        steps
    }

    /// Returns whether nothing is left to give back, for a process that leaves.
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(|place| {
            let waits = matches!(place.question, Question::Taking | Question::Releasing);
            place.driver.is_none() && !waits && place.holder.as_ref() != Some(&self.me)
        })
    }

    /// Returns the shards whose drivers have not come to rest, with their tenures.
    pub fn driven(&self) -> impl Iterator<Item = (ShardId, Tenure)> {
        let numbered = (0..).zip(&self.places);
        numbered.filter_map(|(number, place)| Some((ShardId::new(number).ok()?, place.driver?.tenure)))
    }

    fn place(&mut self, shard: ShardId, change: impl FnOnce(&mut ShardView)) {
        if let Some(place) = self.places.get_mut(usize::from(shard.number())) {
            change(place);
        }
    }

    fn meet(&mut self, mut peers: Vec<Peer>) {
        peers.sort_by(|a, b| a.id.cmp(&b.id));
        let shards = u16::try_from(self.places.len()).unwrap_or(u16::MAX);
        for (place, assigned) in self.places.iter_mut().zip(assign(&peers, shards)) {
            place.ours = assigned.is_some_and(|peer| peer.id == self.me.member);
        }
        self.peers = peers;
    }

    fn learn(&mut self, shard: ShardId, revision: LeaseRevision, holder: Option<Holder>, steps: &mut Vec<Step>) {
        self.place(shard, |place| {
            if revision <= place.revision {
                return;
            }
            (place.revision, place.holder) = (revision, holder);
            place.try_again();
            // Whatever is newer than what it was taken for was not written for this driver.
            if let Some(driver) = place.driver.filter(|driver| driver.tenure.0 < revision) {
                place.stop(shard, driver, LossReason::Taken, steps);
            }
        });
    }

    fn landed(&mut self, shard: ShardId, revision: LeaseRevision, steps: &mut Vec<Step>) {
        let (me, wanted) = (self.me.clone(), !self.silent && !self.leaving);
        self.place(shard, |place| {
            let question = std::mem::take(&mut place.question);
            // The table has told of a later change already: it is that which holds.
            if revision < place.revision {
                return;
            }
            place.revision = revision;
            match question {
                Question::Taking => {
                    place.holder = Some(me);
                    if wanted && place.ours && place.driver.is_none() {
                        let tenure = Tenure(revision);
                        place.driver = Some(Driver { tenure, stage: Stage::Driving });
                        steps.push(Step::Drive { shard, tenure });
                    }
                }
                Question::Releasing => place.holder = None,
                Question::None | Question::InVain => {}
            }
        });
    }

    /// Finds what is to be done as things stand.
    fn conclude(&mut self, steps: &mut Vec<Step>) {
        let Self { me, peers, places, informed, silent, leaving } = self;
        for (number, place) in (0..).zip(places) {
            let Ok(shard) = ShardId::new(number) else { continue };
            if let Some(driver) = place.driver.filter(|driver| driver.stage == Stage::Driving) {
                let reason = match (*leaving, *silent, place.ours) {
                    (true, _, _) => Some(LossReason::Stopping),
                    (false, true, _) => Some(LossReason::Isolated),
                    (false, false, false) => Some(LossReason::Moved),
                    (false, false, true) => None,
                };
                if let Some(reason) = reason {
                    place.stop(shard, driver, reason, steps);
                }
            }
            if place.question != Question::None || !*informed || *silent {
                continue;
            }
            let (is_mine, expected) = (place.holder.as_ref() == Some(me), place.revision);
            match place.driver.map(|driver| driver.stage) {
                None if place.ours && !*leaving => {
                    if is_free(place.holder.as_ref(), me, peers) {
                        place.question = Question::Taking;
                        steps.push(Step::Take { shard, expected });
                    }
                }
                // No driver runs under it, and none is to: an answer was lost, or it landed late.
                None | Some(Stage::Overdue) if is_mine => {
                    place.question = Question::Releasing;
                    steps.push(Step::Release { shard, expected });
                }
                None | Some(Stage::Driving | Stage::Stopping | Stage::Overdue) => {}
            }
        }
    }
}

impl ShardView {
    fn try_again(&mut self) {
        if self.question == Question::InVain {
            self.question = Question::None;
        }
    }

    fn stop(&mut self, shard: ShardId, driver: Driver, reason: LossReason, steps: &mut Vec<Step>) {
        if driver.stage == Stage::Driving {
            self.driver = Some(Driver { stage: Stage::Stopping, ..driver });
            steps.push(Step::Stop { shard, tenure: driver.tenure, reason });
        }
    }
}

/// Whether nobody who lives holds a lease, or we do: then no driver of ours runs under it, or nobody would ask.
fn is_free(holder: Option<&Holder>, me: &Holder, peers: &[Peer]) -> bool {
    holder.is_none_or(|holder| {
        let lives = |peer: &Peer| peer.id == holder.member && peer.incarnation == holder.incarnation;
        holder.member == me.member || !peers.iter().any(lives)
    })
}
