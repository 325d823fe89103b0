//! One process at one shard: the real desk, with the simulation's bytes and clocks around it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use headwater_core::desk::{Caller, Desk, DeskSettings, GoesOn, Input, Moment, Needed, Output};
use headwater_core::protocol::{Hello, PROTOCOL, ShardReply, ShardRequest, WorkAnswer, WorkFrame};
use headwater_core::run::RunLimits;
use headwater_core::shard::{Append, AssetNotice, Awaited, Compiled, Owner, Rejection, Submission, Way};
use headwater_core::{Json, LeaseSecret, Sequence, ShardId};

use crate::cluster::{Cluster, Happening, MILLI, SECOND, Said, Wish};
use crate::workers::{self, workspace};

/// How long a silent holder keeps an attempt.
const LEASE: Duration = Duration::from_secs(4);

/// One effect of the bundle at a sequence, on its way.
pub type Ticket = (Way, Sequence);

/// An answer goes to whoever asked, an effect is confirmed by its bundle.
type In = Input<u64, Ticket>;
type Out = Output<u64, Ticket>;

pub struct Seat {
    pub shard: ShardId,
    pub process: usize,
    /// Absent: the process is dead, or has stepped down.
    pub desk: Option<Desk<u64, Ticket>>,
    pub serves_from: u64,
    pub appending: Option<Rc<Append>>,
    pub local: VecDeque<(Submission, Ticket)>,
    /// Commands for other shards, in the order the facts happened.
    pub lanes: BTreeMap<ShardId, Lane>,
    /// Notices on their way to the feed, one after the other.
    pub notices: VecDeque<(AssetNotice, Ticket)>,
    pub tickets: BTreeMap<Ticket, usize>,
    /// Whether it is on the agenda that a run goes on.
    pub goes_on: bool,
}

/// The way to one other shard. Some commands are on their way together; before any other is, all of them have been heard of.
#[derive(Default)]
pub struct Lane {
    pub queue: VecDeque<(Submission, Ticket)>,
    /// What is said of the first of the queue; `None` before it is.
    pub heard: VecDeque<Option<ShardReply>>,
}

impl Seat {
    pub fn is_alive(&self) -> bool {
        self.desk.is_some()
    }

    pub fn is_serving(&self, time: u64) -> bool {
        self.is_alive() && self.serves_from <= time
    }

    pub fn owner(&self) -> &Owner<Caller<Ticket>> {
        self.desk.as_ref().expect("asked of the living only").owner()
    }

    pub fn is_at_rest(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.is_at_rest() && desk.owner().shard().active_runs() == 0)
            && self.local.is_empty()
            && self.lanes.values().all(|lane| lane.queue.is_empty())
            && self.notices.is_empty()
            && self.tickets.is_empty()
    }

    pub fn unrest(&self) -> String {
        let Some(desk) = &self.desk else { return format!("nobody at shard {}", self.shard) };
        let (shard, tickets) = (desk.owner().shard(), &self.tickets);
        let (runs, outstanding) = (shard.active_runs(), shard.outstanding());
        let lines: Vec<_> = shard.queues_waited_for().collect();
        format!("shard {}: {runs} runs, waiting for {outstanding:?} and {lines:?}, tickets {tickets:?}", self.shard)
    }
}

impl Cluster {
    fn moment(&self, seat: usize) -> Moment {
        let wall = self.clock(self.processes[self.seats[seat].process].offset);
        Moment { wall, steady: Duration::from_micros(self.time) }
    }

    /// Puts something on the desk, and does what it says then.
    pub fn put(&mut self, seat: usize, inputs: impl IntoIterator<Item = In>) {
        let at = self.moment(seat);
        let Some(desk) = &mut self.seats[seat].desk else { return };
        let mut said = Vec::new();
        for input in inputs {
            desk.take(input, at, &mut said);
        }
        desk.turn(false, at, &mut said);
        self.act(seat, said);
        self.plan_to_go_on(seat);
    }

    fn plan_to_go_on(&mut self, seat: usize) {
        let goes_on = self.seats[seat].desk.as_ref().map_or(GoesOn::Not, Desk::goes_on);
        let delay = match goes_on {
            GoesOn::Not => return,
            GoesOn::Now => 1,
            GoesOn::WhenIdle => self.chance.between(1, 20 * MILLI),
        };
        if !std::mem::replace(&mut self.seats[seat].goes_on, true) {
            self.at(delay, Happening::GoesOn { seat });
        }
    }

    pub fn go_on(&mut self, seat: usize) {
        self.seats[seat].goes_on = false;
        self.put(seat, [Input::Continue]);
    }

    fn act(&mut self, seat: usize, said: Vec<Out>) {
        for output in said {
            match output {
                Output::Append(append) => {
                    self.values.put(&append.values);
                    self.seats[seat].appending = Some(Rc::new(append));
                    self.send_append(seat);
                }
                Output::Answer { reply: ask, bytes } => self.answer(ask, &bytes),
                Output::Hand { worker, session, handed, .. } => {
                    handed.tasks.iter().for_each(|task| self.audit.task(task));
                    let worker = self.workers.iter().position(|known| known.name == worker);
                    let worker = worker.expect("only workers are handed tasks");
                    for _ in 0..if self.mishap(4) { 2 } else { 1 } {
                        if !self.mishap(10) {
                            self.later(Happening::Handed { worker, session, handed: handed.clone() });
                        }
                    }
                }
                Output::Call { call, .. } => {
                    for worker in 0..self.workers.len() {
                        if !self.mishap(10) {
                            self.later(Happening::Called { worker, call: call.clone() });
                        }
                    }
                }
                Output::Deliver { sequence, effects } => self.deliver(seat, sequence, effects),
                Output::Done(ticket) => self.effect_done(seat, ticket),
                Output::Find(needed) => self.later(Happening::Found { seat, needed }),
                Output::Compile { awaited, documents } => {
                    self.later(Happening::Compiled { seat, awaited, documents });
                }
                Output::FellSilent { run, node, worker, .. } => {
                    self.note(format_args!("seat {seat} misses {worker} at {node} of {run}"));
                }
                Output::Refold(order) => panic!("nothing is quarantined: {order:?}"),
                Output::Unadoptable(rejection) => panic!("every definition compiles: {rejection}"),
            }
        }
    }

    fn answer(&mut self, ask: u64, bytes: &[u8]) {
        let Some(wish) = self.asks.get(&ask).map(|ask| ask.wish.clone()) else { return };
        let said = match *wish {
            Wish::Submit(_) | Wish::Await(_) => {
                let mut replies: Vec<ShardReply> = serde_json::from_slice(bytes).expect("an answer is JSON");
                Said::Shard(replies.swap_remove(0))
            }
            Wish::Work { .. } => {
                let mut answer: WorkAnswer = serde_json::from_slice(bytes).expect("an answer is JSON");
                // Said again in the same frame, it is answered the same.
                answer.replies.truncate(1);
                Said::Work(answer)
            }
        };
        self.reply(ask, said);
    }

    pub fn taken(&mut self, seat: usize, ask: u64, wish: &Wish) {
        if !self.seats[seat].is_alive() {
            return;
        }
        let input = match wish {
            Wish::Submit(_) if self.mishap(2) => {
                return self.reply(ask, Said::Shard(ShardReply::Refused { rejection: Rejection::Overloaded }));
            }
            Wish::Submit(submission) => {
                let requests = vec![ShardRequest::Submit(Box::new(submission.clone())); self.times()];
                Input::Commands { requests, reply: ask }
            }
            Wish::Await(run) => Input::Commands { requests: vec![ShardRequest::AwaitRun { run: *run }], reply: ask },
            Wish::Work { worker, session, credit, request } => {
                let times = self.times();
                let frame = WorkFrame {
                    protocol: PROTOCOL,
                    worker: self.workers[*worker].name.clone(),
                    session: *session,
                    queues: workers::queues(),
                    credit: *credit,
                    requests: request.iter().flat_map(|request| vec![request.clone(); times]).collect(),
                };
                Input::Work { workspace: workspace(), frame: frame.into(), reply: ask }
            }
        };
        self.put(seat, [input]);
    }

    /// How often a request stands in its frame: a frame is taken apart, and a crash comes between its parts.
    fn times(&mut self) -> usize {
        if self.mishap(20) { 3 } else { 1 }
    }

    /// A definition has been looked up, or not found.
    pub fn found(&mut self, seat: usize, needed: Needed) {
        let document = self.definitions.get(&needed).cloned();
        self.put(seat, [Input::Found { needed, document }]);
    }

    /// What was to be compiled is.
    pub fn compiled(&mut self, seat: usize, awaited: Awaited, documents: &[Json]) {
        let compiled = documents.iter().map(Compiled::of).collect();
        self.put(seat, [Input::Compiled { awaited, compiled }]);
    }

    pub fn hello(&mut self, seat: usize, hello: Hello) {
        if self.seats[seat].is_serving(self.time) {
            self.put(seat, [Input::Hello { workspace: workspace(), hello }]);
        }
    }

    /// Takes the next command that this shard's own effects gave it.
    pub fn take_local(&mut self, seat: usize) {
        if self.seats[seat].is_alive()
            && let Some((submission, ticket)) = self.seats[seat].local.pop_front()
        {
            self.put(seat, [Input::Follows { submission, ticket }]);
        }
    }

    pub fn seat_turn(&mut self, seat: usize) {
        if self.seats[seat].is_alive() {
            self.put(seat, [Input::Due, Input::Sweep]);
            self.at(300 * MILLI, Happening::SeatTurn { seat });
        }
    }

    /// Tells every caller to ask the next owner.
    pub fn step_down(&mut self, seat: usize, why: &str) {
        let Some(desk) = self.seats[seat].desk.take() else { return };
        let (shard, epoch) = (self.seats[seat].shard, desk.owner().epoch());
        self.note(format_args!("seat {seat} of shard {shard} epoch {epoch} steps down: {why}"));
        let mut said = Vec::new();
        desk.step_down(&mut said);
        self.act(seat, said);
        self.vacate(seat);
    }

    /// Looks for the next owner, if this one was the last.
    pub fn vacate(&mut self, seat: usize) {
        let shard = self.seats[seat].shard;
        if self.current[usize::from(shard.number())] == Some(seat) {
            self.current[usize::from(shard.number())] = None;
            let delay = self.chance.between(50 * MILLI, 2 * SECOND);
            self.at(delay, Happening::TakeOver { shard });
        }
        self.forget_effects_of(seat);
    }

    /// Recovers the shard and takes the end of its journal, in one process or another.
    pub fn take_over(&mut self, shard: ShardId) {
        let number = usize::from(shard.number());
        if self.current[number].is_some_and(|seat| self.seats[seat].is_alive()) {
            return;
        }
        if self.orphaned_until[number] > self.time {
            return self.at(self.orphaned_until[number] - self.time, Happening::TakeOver { shard });
        }
        let awake: Vec<_> =
            (0..self.processes.len()).filter(|process| self.processes[*process].frozen_until <= self.time).collect();
        if awake.is_empty() {
            return self.at(SECOND, Happening::TakeOver { shard });
        }
        let process = *self.chance.pick(&awake);
        let owner = self.recover(shard);
        let seat = self.seats.len();
        let (epoch, end) = (owner.epoch(), self.journals[number].end());
        self.note(format_args!("seat {seat} takes shard {shard} over at {end} on process {process} in epoch {epoch}"));
        let serves_from = self.time + self.chance.between(MILLI, 30 * MILLI);
        self.seats.push(Seat {
            shard,
            process,
            desk: None,
            serves_from,
            appending: None,
            local: VecDeque::new(),
            lanes: BTreeMap::new(),
            notices: VecDeque::new(),
            tickets: BTreeMap::new(),
            goes_on: false,
        });
        self.current[number] = Some(seat);
        let settings = DeskSettings {
            lease_ttl: LEASE,
            requests_waiting_max: 16_384,
            message_bytes_max: 1 << 20,
            run_limits: RunLimits::DEFAULT,
        };
        let mut said = Vec::new();
        let (seed, at) = (self.chance.bits(), self.moment(seat));
        let secret = LeaseSecret::new(u128::from(self.chance.bits()));
        self.seats[seat].desk = Some(Desk::open(owner, &settings, seed, secret, at, &mut said));
        self.act(seat, said);
        self.at(100 * MILLI, Happening::SeatTurn { seat });
    }
}
