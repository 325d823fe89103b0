//! The cluster: one clock, one agenda, and everything that lives in it. What happens next is the earliest entry.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::rc::Rc;
use std::time::Duration;

use headwater_core::protocol::{ShardReply, WorkReply};
use headwater_core::run::{Budget, RunLimits};
use headwater_core::shard::{Bounds, Shard, ShardMap, WorkflowKey};
use headwater_core::{CommandId, DefinitionVersion, Json, ShardId, Timestamp};

use crate::audit::Audit;
use crate::chance::Chance;
use crate::clients::Clients;
pub use crate::happening::{Ask, Asker, Happening, Said, Wish};
use crate::journal::{Journal, Values};
use crate::pipeline::Pipeline;
use crate::seat::Seat;
use crate::workers::Worker;

/// The chaos lasts this long; then the network heals.
pub const CHAOS: u64 = 45_000_000;
/// Everything must have come to rest by then.
const REST: u64 = CHAOS + 900_000_000;
/// How often a client asks before it gives up, in ten seconds or so: clocks that jump by forty do not let it be forgotten.
const CLIENT_TRIES: u32 = 4;
/// How long an answer is waited for before the same is asked again.
const PATIENCE: u64 = 3_000_000;

/// What shards remember is next to nothing, so that nothing can rest on it.
pub const BOUNDS: Bounds = Bounds {
    granted: 4,
    ended: 4,
    keys: 4,
    kept_for: Duration::from_secs(60),
    graphs: 1,
    decision: DECISION,
    stored_from: 12,
};
/// A decision takes next to nothing, so that most runs go on in many.
const DECISION: Budget = Budget {
    work: 1_500,
    bytes: 4_000,
    stored: 32 << 20,
    held: usize::MAX,
    work_at_once: 100,
    run: RunLimits::DEFAULT,
};

pub const MILLI: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;

pub struct Process {
    /// How far its clock is from the truth, in microseconds.
    pub offset: i64,
    /// Stopped in its tracks until then.
    pub frozen_until: u64,
    /// What is sent to it until then never arrives.
    pub deaf_until: u64,
}

pub struct Cluster {
    pub chance: Chance,
    pub time: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    entries: u64,
    pub map: ShardMap,
    pub journals: Vec<Journal>,
    pub values: Values,
    /// The newest checkpoint of each shard.
    pub checkpoints: Vec<Option<Vec<u8>>>,
    pub seats: Vec<Seat>,
    /// Who owns each shard, as far as the leases say.
    pub current: Vec<Option<usize>>,
    /// Until when each shard has no owner, whatever happens.
    pub orphaned_until: Vec<u64>,
    pub processes: Vec<Process>,
    pub workers: Vec<Worker>,
    pub clients: Clients,
    pub asks: BTreeMap<u64, Ask>,
    next_ask: u64,
    pub definitions: BTreeMap<(WorkflowKey, DefinitionVersion), Json>,
    pub audit: Audit,
    pub timeline: Vec<String>,
    pub healed: bool,
    pub happened: u64,
    /// The only thing that happens, instead of chaos.
    pub pipeline: Option<Pipeline>,
}

impl Cluster {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let shards = chance.between(1, 4) as u16;
        let processes = chance.between(2, 3);
        let mut cluster = Self::built(chance, shards, processes);
        for shard in cluster.shards() {
            cluster.at(1, Happening::TakeOver { shard });
        }
        for _ in 0..cluster.chance.between(1, 3) {
            cluster.hire();
        }
        cluster.open_for_clients();
        cluster.at(2 * SECOND, Happening::Fault);
        cluster.at(CHAOS, Happening::Heals);
        cluster
    }

    /// One in which nothing happens yet.
    pub fn built(chance: Chance, shards: u16, processes: u64) -> Self {
        let map = ShardMap::even(shards).unwrap();
        let processes = (0..processes).map(|_| Process { offset: 0, frozen_until: 0, deaf_until: 0 }).collect();
        Self {
            chance,
            time: 0,
            agenda: BTreeMap::new(),
            entries: 0,
            journals: (0..shards).map(|_| Journal::default()).collect(),
            values: Values::default(),
            checkpoints: vec![None; usize::from(shards)],
            seats: Vec::new(),
            current: vec![None; usize::from(shards)],
            orphaned_until: vec![0; usize::from(shards)],
            processes,
            workers: Vec::new(),
            clients: Clients::default(),
            asks: BTreeMap::new(),
            next_ask: 0,
            definitions: BTreeMap::new(),
            audit: Audit::new(&map),
            map,
            timeline: Vec::new(),
            healed: false,
            happened: 0,
            pipeline: None,
        }
    }

    /// Lives through the chaos, until everything is at rest.
    pub fn live(&mut self) {
        while !(self.healed && self.is_at_rest()) {
            assert!(self.time < REST, "did not come to rest: {}", self.unrest());
            self.next();
        }
        self.audit.rest();
        self.compare_owners();
    }

    /// Lets the next thing happen.
    pub fn next(&mut self) {
        let ((time, _), happening) = self.agenda.pop_first().expect("turns come back");
        self.time = time;
        if let Some(thawed) = self.frozen(&happening) {
            return self.at(thawed - time + 1, happening);
        }
        self.happened += 1;
        self.happens(happening);
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives { ask, shard, wish } => self.arrives(ask, shard, &wish),
            Happening::Taken { seat, ask, wish } => self.taken(seat, ask, &wish),
            Happening::Answered { ask, said } => self.answered(ask, said),
            Happening::AskedAgain { ask } => self.ask_again(ask),
            Happening::AppendArrives { seat, append, heard } => self.append_arrives(seat, &append, heard),
            Happening::AppendAnswered { seat, bundle, stored } => self.append_answered(seat, bundle, stored),
            Happening::AppendUnclear { seat, bundle } => self.read_back(seat, bundle),
            Happening::Local { seat } => self.take_local(seat),
            Happening::NoticeArrives { seat, notice, ticket } => self.notice_arrives(seat, notice, ticket),
            Happening::DefinitionArrives { seat, key, version, document, ticket } => {
                self.definitions.insert((key, version), document);
                self.later(Happening::Delivered { seat, ticket });
            }
            Happening::Delivered { seat, ticket } => self.delivered(seat, ticket),
            Happening::Found { seat, needed } => self.found(seat, needed),
            Happening::Compiled { seat, awaited, documents } => self.compiled(seat, awaited, &documents),
            Happening::Hello { seat, hello } => self.hello(seat, hello),
            Happening::SeatTurn { seat } => self.seat_turn(seat),
            Happening::GoesOn { seat } => self.go_on(seat),
            Happening::Dismissed { seat } => self.step_down(seat, "dismissed"),
            Happening::TakeOver { shard } => self.take_over(shard),
            Happening::Handed { worker, session, handed } => self.handed(worker, session, handed),
            Happening::Called { worker, call } => self.called(worker, &call),
            Happening::WorkerTurn { worker, life } => self.worker_turn(worker, life),
            Happening::Begins { worker, life, lease } => self.attempt_begins(worker, life, lease),
            Happening::Ends { worker, life, lease } => self.attempt_ends(worker, life, lease),
            Happening::Runs { worker, life, lease } => self.attempt_runs(worker, life, lease),
            Happening::Restarts { worker } => self.worker_restarts(worker),
            Happening::ClientTurn => self.client_turn(),
            Happening::Fault => self.fault(),
            Happening::Heals => self.heal(),
        }
    }

    /// When the one it happens to moves again, if that one is stopped in its tracks.
    fn frozen(&self, happening: &Happening) -> Option<u64> {
        let until = match happening {
            Happening::Taken { seat, .. }
            | Happening::AppendAnswered { seat, .. }
            | Happening::AppendUnclear { seat, .. }
            | Happening::Local { seat }
            | Happening::Delivered { seat, .. }
            | Happening::Found { seat, .. }
            | Happening::Compiled { seat, .. }
            | Happening::Hello { seat, .. }
            | Happening::SeatTurn { seat }
            | Happening::GoesOn { seat }
            | Happening::Dismissed { seat } => self.processes[self.seats[*seat].process].frozen_until,
            Happening::Handed { worker, .. }
            | Happening::Called { worker, .. }
            | Happening::WorkerTurn { worker, .. }
            | Happening::Begins { worker, .. }
            | Happening::Runs { worker, .. }
            | Happening::Ends { worker, .. } => self.workers[*worker].frozen_until,
            Happening::Answered { ask, .. } | Happening::AskedAgain { ask } => match self.asks.get(ask)?.asker {
                Asker::Worker { worker, .. } => self.workers[worker].frozen_until,
                Asker::Effect { seat, .. } => self.processes[self.seats[seat].process].frozen_until,
                Asker::Client { .. } | Asker::Nobody => 0,
            },
            Happening::Arrives { .. }
            | Happening::AppendArrives { .. }
            | Happening::NoticeArrives { .. }
            | Happening::DefinitionArrives { .. }
            | Happening::TakeOver { .. }
            | Happening::Restarts { .. }
            | Happening::ClientTurn
            | Happening::Fault
            | Happening::Heals => 0,
        };
        (until > self.time).then_some(until)
    }

    pub fn at(&mut self, delay: u64, happening: Happening) {
        self.entries += 1;
        self.agenda.insert((self.time + delay, self.entries), happening);
    }

    /// After a message's time on its way.
    pub fn later(&mut self, happening: Happening) {
        let delay = self.latency();
        self.at(delay, happening);
    }

    pub fn latency(&mut self) -> u64 {
        match self.healed {
            true => self.chance.between(MILLI, 5 * MILLI),
            false if self.chance.percent(8) => self.chance.between(100 * MILLI, 4 * SECOND),
            false => self.chance.between(MILLI, 40 * MILLI),
        }
    }

    /// A misfortune that the healed network does not know.
    pub fn mishap(&mut self, percent: u64) -> bool {
        !self.healed && self.chance.percent(percent)
    }

    pub fn note(&mut self, line: Arguments<'_>) {
        self.timeline.push(format!("{:>11.6} {line}", self.time as f64 / 1e6));
    }

    pub fn shards(&self) -> Vec<ShardId> {
        (0..self.map.shards).map(|number| ShardId::new(number).unwrap()).collect()
    }

    /// The time by a clock that is `offset` away from the truth.
    pub fn clock(&self, offset: i64) -> Timestamp {
        Timestamp::from_micros(1_750_000_000_000_000)
            .after(Duration::from_micros((self.time + 600 * SECOND).saturating_add_signed(offset)))
    }

    /// A shard with an empty journal.
    pub fn empty(&self, shard: ShardId) -> Shard {
        Shard::bounded(shard, self.map.clone(), BOUNDS)
    }

    pub fn command_id(&mut self) -> CommandId {
        CommandId::from_uuid(self.chance.uuid())
    }

    /// Asks a shard until it answers.
    pub fn ask(&mut self, asker: Asker, shard: ShardId, wish: Wish) -> u64 {
        self.next_ask += 1;
        let (ask, wish) = (self.next_ask, Rc::new(wish));
        self.asks.insert(ask, Ask { asker, shard, wish, tries: 0 });
        self.ask_again(ask);
        ask
    }

    fn ask_again(&mut self, ask: u64) {
        if !self.is_asked(ask) {
            self.asks.remove(&ask);
            return;
        }
        let Some(Ask { shard, wish, asker, tries }) = self.asks.get_mut(&ask) else { return };
        *tries += 1;
        let is_command = matches!(**wish, Wish::Submit(_));
        if let Asker::Client { errand } = *asker
            && is_command
            && *tries > CLIENT_TRIES
        {
            self.asks.remove(&ask);
            return self.client_gives_up(errand);
        }
        // An effect keeps its lane's order: it is asked for again only when its answer is overdue.
        let (shard, wish, in_order) = (*shard, wish.clone(), matches!(asker, Asker::Effect { .. }));
        for copy in 0..2 {
            if copy == 1 && !self.mishap(6) || self.mishap(6) {
                continue;
            }
            let delay = if in_order && copy == 0 { MILLI + self.latency() / 16 } else { self.latency() };
            self.at(delay, Happening::Arrives { ask, shard, wish: wish.clone() });
        }
        self.at(PATIENCE, Happening::AskedAgain { ask });
    }

    /// Whether the one who asked still waits.
    fn is_asked(&self, ask: u64) -> bool {
        match self.asks.get(&ask).map(|ask| ask.asker) {
            None => false,
            Some(Asker::Client { .. }) => true,
            Some(Asker::Effect { seat, .. }) => self.seats[seat].is_alive(),
            Some(Asker::Worker { worker, life }) => self.workers[worker].life == life,
            Some(Asker::Nobody) => self.asks[&ask].tries == 0,
        }
    }

    /// Every process that serves the shard gets every request, and the first answer counts.
    fn arrives(&mut self, ask: u64, shard: ShardId, wish: &Rc<Wish>) {
        for seat in 0..self.seats.len() {
            let is_deaf = self.processes[self.seats[seat].process].deaf_until > self.time;
            if self.seats[seat].shard == shard && self.seats[seat].is_serving(self.time) && !is_deaf {
                let delay = self.chance.below(MILLI);
                self.at(delay, Happening::Taken { seat, ask, wish: wish.clone() });
            }
        }
    }

    pub fn reply(&mut self, ask: u64, said: Said) {
        let Some(Ask { wish, .. }) = self.asks.get(&ask) else { return };
        self.audit.said(wish, &said, &self.journals);
        if !self.mishap(6) {
            self.later(Happening::Answered { ask, said });
        }
    }

    fn answered(&mut self, ask: u64, said: Said) {
        use headwater_core::shard::Rejection::{NotOwner, Overloaded};
        if !self.is_asked(ask) {
            return;
        }
        let is_put_off = match &said {
            Said::Shard(reply) => matches!(reply, ShardReply::Refused { rejection: NotOwner | Overloaded }),
            Said::Work(answer) => {
                answer.replies.iter().any(|r| matches!(r, WorkReply::Refused { rejection: NotOwner | Overloaded }))
            }
        };
        if is_put_off {
            // The patience ends some time; then the same is asked again.
            return;
        }
        let Ask { asker, wish, .. } = self.asks.remove(&ask).expect("it is asked");
        match (asker, said) {
            (Asker::Client { errand }, Said::Shard(reply)) => self.client_hears(errand, &wish, reply),
            (Asker::Effect { seat, lane, number }, Said::Shard(reply)) => self.lane_hears(seat, lane, number, reply),
            (Asker::Worker { worker, .. }, Said::Work(answer)) => self.worker_hears(worker, &wish, answer),
            (Asker::Nobody, _) => {}
            (asker, said) => panic!("{asker:?} is told {said:?}"),
        }
    }

    pub fn is_at_rest(&self) -> bool {
        let seated = self.current.iter().all(|seat| seat.is_some_and(|seat| self.seats[seat].is_at_rest()));
        seated && self.asks.is_empty() && self.workers.iter().all(|w| w.held.is_empty()) && self.clients.is_at_rest()
    }

    pub fn unrest(&self) -> String {
        let seats: Vec<_> = self.current.iter().flatten().map(|seat| self.seats[*seat].unrest()).collect();
        let asks: Vec<_> = self.asks.values().map(|ask| format!("{:?} asks {:?}", ask.asker, ask.wish)).collect();
        let held: usize = self.workers.iter().map(|worker| worker.held.len()).sum();
        let lent: Vec<_> =
            self.workers.iter().map(|worker| format!("{:?} {:?}", worker.session, worker.lender)).collect();
        format!("{held} held, asks {asks:#?}, seats {seats:#?}, lent {lent:#?}")
    }
}
