//! One process at one shard: what a shard worker does around the owner, message by message.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use headwater_core::WorkerId;
use headwater_core::protocol::{ShardReply, Task, WorkReply, WorkRequest};
use headwater_core::run::{Handover, RunCommand, RunRejection, task_of};
use headwater_core::shard::{Answer, Append, Command, Effect, Owner, Rejection, Shard, Submission, WorkflowKey};
use headwater_core::{Attempt, BundleId, CommandId, DefinitionVersion, LeaseToken, NodeId, RunId, Sequence, ShardId};

use crate::cluster::{Asker, Cluster, Happening, MILLI, SECOND, Said, Wish};
use crate::workers::{self, workspace};

/// How long a silent holder keeps an attempt.
const LEASE: u64 = 4 * SECOND;

/// One effect of the bundle at `sequence`; zero for what nobody has to confirm.
pub type Ticket = Sequence;

/// Who hears of a command's outcome.
#[derive(Debug)]
pub enum Caller {
    Work { ask: u64, worker: WorkerId },
    Shard { ask: u64 },
    Effect { ticket: Ticket },
    Nobody,
}

#[derive(Debug)]
pub enum Asked {
    Command {
        caller: Caller,
        submission: Submission,
    },
    /// The answer is made and waits for the fence (`SHD-4`).
    Held {
        ask: u64,
        said: Said,
    },
}

pub struct Lease {
    pub run: RunId,
    pub node: NodeId,
    pub attempt: Attempt,
    pub worker: WorkerId,
    pub seen: u64,
}

pub struct Seat {
    pub shard: ShardId,
    pub process: usize,
    /// Absent: the process is dead, or has stepped down.
    pub owner: Option<Owner<Asked>>,
    pub serves_from: u64,
    pub appending: Option<Rc<Append>>,
    pub leases: BTreeMap<LeaseToken, Lease>,
    pub hands: Vec<Handover>,
    pub parked: BTreeMap<(WorkflowKey, DefinitionVersion), Vec<(Caller, Submission)>>,
    pub local: VecDeque<(Submission, Ticket)>,
    /// Commands for other shards, in the order the facts happened; the first of each is on its way.
    pub lanes: BTreeMap<ShardId, VecDeque<(Submission, Ticket)>>,
    /// Notices on their way to the feed, one after the other.
    pub notices: VecDeque<(headwater_core::shard::AssetNotice, Ticket)>,
    pub tickets: BTreeMap<Sequence, usize>,
    /// What was outstanding at the take-over, kept back until holders had time to show themselves.
    pub inherited: Option<(u64, Vec<Effect>)>,
    /// Who waits for the end of which run.
    pub awaiting: BTreeMap<RunId, BTreeSet<u64>>,
}

impl Seat {
    pub fn is_alive(&self) -> bool {
        self.owner.is_some()
    }

    pub fn is_serving(&self, time: u64) -> bool {
        self.is_alive() && self.serves_from <= time
    }

    pub fn owner(&mut self) -> &mut Owner<Asked> {
        self.owner.as_mut().expect("asked of the living only")
    }

    fn shard(&self) -> &Shard {
        self.owner.as_ref().expect("asked of the living only").shard()
    }

    pub fn is_at_rest(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| !owner.is_appending() && owner.shard().active_runs() == 0)
            && self.parked.is_empty()
            && self.local.is_empty()
            && self.lanes.values().all(VecDeque::is_empty)
            && self.notices.is_empty()
            && self.tickets.is_empty()
            && self.inherited.is_none()
    }

    pub fn unrest(&self) -> String {
        let Some(owner) = &self.owner else { return format!("nobody at shard {}", self.shard) };
        let (runs, tickets) = (owner.shard().active_runs(), &self.tickets);
        format!("shard {}: {runs} runs, waiting for {:?}, tickets {tickets:?}", self.shard, owner.shard().outstanding())
    }

    /// Notes who holds an attempt; says no when the attempt is not current (any more).
    fn hold(&mut self, token: LeaseToken, lease: Lease) -> bool {
        let run = self.shard().run(lease.run);
        let current = run.and_then(|run| run.current_lease(&lease.node)) == Some((lease.attempt, token));
        if current {
            self.leases.insert(token, lease);
        }
        current
    }

    fn claim(&mut self, token: LeaseToken, lease: Lease) -> WorkReply {
        let task = self.shard().run(lease.run).and_then(|run| task_of(run, &lease.node));
        let free = self.leases.get(&token).is_none_or(|held| held.worker == lease.worker);
        match task.filter(|_| free && self.hold(token, lease)) {
            Some(task) => WorkReply::Granted { task },
            None => WorkReply::Refused { rejection: Rejection::Run(RunRejection::StaleAttempt) },
        }
    }

    /// Learns how much room a worker has.
    fn give_room(&mut self, worker: &WorkerId, slots: u32) -> usize {
        let place = self.hands.iter().position(|hand| hand.worker == *worker).unwrap_or_else(|| {
            self.hands.push(Handover {
                worker: worker.clone(),
                workspace: workspace(),
                queues: workers::queues(),
                slots: 0,
            });
            self.hands.len() - 1
        });
        self.hands[place].slots = slots;
        place
    }
}

impl Cluster {
    pub fn seat_now(&self, seat: usize) -> headwater_core::Timestamp {
        self.clock(self.processes[self.seats[seat].process].offset)
    }

    pub fn taken(&mut self, seat: usize, ask: u64, wish: &Wish) {
        if !self.seats[seat].is_alive() {
            return;
        }
        match wish {
            Wish::Submit(submission) => {
                if self.mishap(2) {
                    return self.reply(ask, refused_command(Rejection::Overloaded));
                }
                self.submit(seat, Caller::Shard { ask }, submission.clone());
            }
            Wish::Await(run) => self.await_run(seat, ask, *run),
            Wish::Work { worker, free_slots, request } => {
                if self.mishap(2) {
                    return self.reply(ask, refused_work(Rejection::Overloaded));
                }
                self.take_work(seat, ask, *worker, *free_slots, request);
            }
        }
        self.begin_append(seat);
    }

    fn await_run(&mut self, seat: usize, ask: u64, run: RunId) {
        let at = &mut self.seats[seat];
        let is_active = at.shard().run(run).is_some();
        match (is_active, at.owner().ended_run(run)) {
            // It ended in a bundle that is not durable yet; its release answers.
            (true, _) | (false, Some((_, None))) => {
                at.awaiting.entry(run).or_default().insert(ask);
            }
            (false, Some((status, Some(position)))) => {
                self.reply(ask, Said::Shard(ShardReply::Ended { status, position }));
            }
            (false, None) => self.hold(seat, ask, refused_command(Rejection::Run(RunRejection::RunNotFound))),
        }
    }

    fn take_work(&mut self, seat: usize, ask: u64, worker: usize, free_slots: u32, request: &WorkRequest) {
        let (worker, time) = (self.workers[worker].name.clone(), self.time);
        let lease = |run: RunId, node: &NodeId, attempt: Attempt| Lease {
            run,
            node: node.clone(),
            attempt,
            worker: worker.clone(),
            seen: time,
        };
        match request {
            WorkRequest::Report { id, run, report } => {
                let at = &mut self.seats[seat];
                let place = at.give_room(&worker, free_slots + 1);
                at.hands.swap(0, place);
                at.leases.remove(&report.lease);
                let command = Command::Run { run: *run, command: RunCommand::ReportAttempt(report.clone()) };
                let caller = Caller::Work { ask, worker: worker.clone() };
                self.submit(seat, caller, Submission { id: *id, command });
                if let Some(hand) = self.seats[seat].hands.iter_mut().find(|hand| hand.worker == worker) {
                    hand.slots = hand.slots.min(free_slots);
                }
            }
            WorkRequest::Started { run, node, attempt, lease: token, started_at } => {
                self.seats[seat].hold(*token, lease(*run, node, *attempt));
                let id = CommandId::derived(&[b"started", run.as_uuid().as_bytes(), &token.bits().to_be_bytes()]);
                let caller = Caller::Work { ask, worker: worker.clone() };
                let command = RunCommand::StartAttempt {
                    node: node.clone(),
                    attempt: *attempt,
                    lease: *token,
                    worker: worker.clone(),
                    started_at: *started_at,
                };
                let submission = Submission { id, command: Command::Run { run: *run, command } };
                self.submit(seat, caller, submission);
            }
            WorkRequest::Claim { run, node, attempt, lease: token } => {
                let reply = self.seats[seat].claim(*token, lease(*run, node, *attempt));
                match reply {
                    WorkReply::Granted { .. } => self.reply(ask, Said::Work(reply)),
                    reply => self.hold(seat, ask, Said::Work(reply)),
                }
            }
            WorkRequest::Heartbeat { held } => {
                let at = &mut self.seats[seat];
                let stale = held.iter().filter(|h| !at.hold(h.lease, lease(h.run, &h.node, h.attempt)));
                let cancelled: Vec<_> = stale.map(|h| h.lease).collect();
                match cancelled.is_empty() {
                    true => self.reply(ask, Said::Work(WorkReply::Alive { cancelled })),
                    false => self.hold(seat, ask, Said::Work(WorkReply::Alive { cancelled })),
                }
            }
        }
    }

    /// Decides a command, once the definition it needs is here.
    pub fn submit(&mut self, seat: usize, caller: Caller, submission: Submission) {
        if let Command::Run { command: RunCommand::StartRun(start), .. } = &submission.command {
            let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
            if self.seats[seat].shard().definition(&key, start.version).is_none() {
                let version = start.version;
                let parked = self.seats[seat].parked.entry((key.clone(), version)).or_default();
                parked.push((caller, submission));
                if parked.len() == 1 {
                    self.later(Happening::Fetched { seat, key, version });
                }
                return;
            }
        }
        self.decide(seat, caller, submission);
    }

    fn decide(&mut self, seat: usize, caller: Caller, submission: Submission) {
        let now = self.seat_now(seat);
        let Seat { owner, hands, .. } = &mut self.seats[seat];
        let owner = owner.as_mut().expect("asked of the living only");
        let asked = Asked::Command { caller, submission: submission.clone() };
        owner.submit(asked, submission, now, hands);
    }

    /// Lets an answer that needs no command leave when the next bundle has landed.
    fn hold(&mut self, seat: usize, ask: u64, said: Said) {
        self.seats[seat].owner().hold(Asked::Held { ask, said });
    }

    /// A definition has been looked up, or not found.
    pub fn fetched(&mut self, seat: usize, key: WorkflowKey, version: DefinitionVersion) {
        if !self.seats[seat].is_alive() {
            return;
        }
        let parked = self.seats[seat].parked.remove(&(key.clone(), version)).unwrap_or_default();
        if let Some(document) = self.definitions.get(&(key.clone(), version)).cloned() {
            let command = Command::AdoptDefinition { key, version, document };
            self.decide_alone(seat, command);
        }
        for (caller, submission) in parked {
            self.decide(seat, caller, submission);
        }
        self.begin_append(seat);
    }

    fn decide_alone(&mut self, seat: usize, command: Command) {
        let submission = Submission { id: self.command_id(), command };
        self.decide(seat, Caller::Nobody, submission);
    }

    pub fn answer(&mut self, seat: usize, answer: Answer<Asked>) {
        let Answer { caller: asked, outcome } = answer;
        let (caller, submission) = match asked {
            Asked::Command { caller, submission } => (caller, submission),
            Asked::Held { ask, said } => return self.reply(ask, said),
        };
        self.audit.answered(self.seats[seat].shard, &submission, &outcome, &self.journals);
        let (position, granted, tasks) = match outcome {
            Ok(outcome) => (outcome.position, outcome.granted, outcome.tasks),
            Err(rejection) => return self.refuse(seat, caller, &submission, rejection),
        };
        let own = match &caller {
            Caller::Work { worker, .. } => Some(worker.clone()),
            Caller::Shard { .. } | Caller::Effect { .. } | Caller::Nobody => None,
        };
        let (mut next, mut others): (Vec<Task>, BTreeMap<WorkerId, Vec<Task>>) = (Vec::new(), BTreeMap::new());
        for (worker, task) in tasks {
            self.audit.task(&task);
            let (run, node, attempt, seen) = (task.run, task.node.clone(), task.attempt, self.time);
            let lease = Lease { run, node, attempt, worker: worker.clone(), seen };
            self.seats[seat].leases.insert(task.lease, lease);
            match own.as_ref() == Some(&worker) {
                true => next.push(task),
                false => others.entry(worker).or_default().push(task),
            }
        }
        for (worker, tasks) in others {
            let worker = self.workers.iter().position(|w| w.name == worker).expect("only workers are handed tasks");
            if !self.mishap(10) {
                self.later(Happening::Handed { worker, tasks });
            }
        }
        match caller {
            Caller::Work { ask, .. } => self.reply(ask, Said::Work(WorkReply::Accepted { next })),
            Caller::Shard { ask } => self.reply(ask, Said::Shard(ShardReply::Done { position, granted })),
            Caller::Effect { ticket } => self.effect_done(seat, ticket),
            Caller::Nobody => {}
        }
    }

    fn refuse(&mut self, seat: usize, caller: Caller, submission: &Submission, rejection: Rejection) {
        match caller {
            Caller::Work { ask, .. } => self.reply(ask, refused_work(rejection)),
            Caller::Shard { ask } => self.reply(ask, refused_command(rejection)),
            Caller::Effect { ticket } => match submission.refused(&rejection) {
                Some(submission) => self.submit(seat, Caller::Effect { ticket }, submission),
                None => self.effect_done(seat, ticket),
            },
            Caller::Nobody => {}
        }
    }

    pub fn hello(&mut self, seat: usize, worker: usize, free_slots: u32) {
        if self.seats[seat].is_serving(self.time) {
            let worker = self.workers[worker].name.clone();
            self.seats[seat].give_room(&worker, free_slots / u32::from(self.map.shards));
            self.seats[seat].hands.rotate_left(1);
        }
    }

    /// Takes the next command that this shard's own effects gave it.
    pub fn take_local(&mut self, seat: usize) {
        if !self.seats[seat].is_alive() {
            return;
        }
        if let Some((submission, ticket)) = self.seats[seat].local.pop_front() {
            self.submit(seat, Caller::Effect { ticket }, submission);
            self.begin_append(seat);
        }
    }

    /// Fires timers, finds silent holders, offers again what nobody showed up for.
    pub fn seat_turn(&mut self, seat: usize) {
        if !self.seats[seat].is_alive() {
            return;
        }
        let (now, time) = (self.seat_now(seat), self.time);
        for run in self.seats[seat].shard().due_runs(now, 256) {
            self.decide_alone(seat, Command::Run { run, command: RunCommand::FireTimers {} });
        }
        let silent: Vec<_> =
            self.seats[seat].leases.iter().filter(|(_, l)| time - l.seen > LEASE).map(|(token, _)| *token).collect();
        for token in silent {
            let lost = self.seats[seat].leases.remove(&token).expect("it was just there");
            self.seats[seat].hands.retain(|hand| hand.worker != lost.worker);
            let Lease { run, node, attempt, .. } = lost;
            let command = RunCommand::LoseAttempt { node, attempt, lease: token };
            self.decide_alone(seat, Command::Run { run, command });
        }
        if self.seats[seat].inherited.as_ref().is_some_and(|(at, _)| *at <= time) {
            let (_, before) = self.seats[seat].inherited.take().expect("it was just there");
            let at = &self.seats[seat];
            let effects = at.shard().still_outstanding(before, |task| at.leases.contains_key(&task.lease));
            self.deliver(seat, Sequence::ZERO, effects);
        }
        self.begin_append(seat);
        self.at(300 * MILLI, Happening::SeatTurn { seat });
    }

    pub fn begin_append(&mut self, seat: usize) {
        let id = BundleId::from_uuid(self.chance.uuid());
        if let Some(owner) = &mut self.seats[seat].owner
            && let Some(append) = owner.next_append(id)
        {
            self.seats[seat].appending = Some(Rc::new(append));
            self.send_append(seat);
        }
    }

    /// Tells every caller to ask the next owner.
    pub fn step_down(&mut self, seat: usize, why: &str) {
        let Some(owner) = self.seats[seat].owner.take() else { return };
        let (shard, epoch) = (self.seats[seat].shard, owner.epoch());
        self.note(format_args!("seat {seat} of shard {shard} epoch {epoch} steps down: {why}"));
        for ask in std::mem::take(&mut self.seats[seat].awaiting).into_values().flatten() {
            self.reply(ask, refused_command(Rejection::NotOwner));
        }
        let parked = std::mem::take(&mut self.seats[seat].parked).into_values().flatten();
        let parked = parked.map(|(caller, submission)| Asked::Command { caller, submission });
        for asked in owner.abandon().into_iter().chain(parked) {
            match asked {
                Asked::Command { caller: Caller::Work { ask, .. }, .. } | Asked::Held { ask, said: Said::Work(_) } => {
                    self.reply(ask, refused_work(Rejection::NotOwner));
                }
                Asked::Command { caller: Caller::Shard { ask }, .. } | Asked::Held { ask, said: Said::Shard(_) } => {
                    self.reply(ask, refused_command(Rejection::NotOwner));
                }
                // Not confirmed, so the next owner sends the effect again.
                Asked::Command { caller: Caller::Effect { .. } | Caller::Nobody, .. } => {}
            }
        }
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
        self.asks.retain(|_, ask| !matches!(ask.asker, Asker::Effect { seat: asker, .. } if asker == seat));
    }

    /// Recovers the shard and takes the end of its journal, in one process or another.
    pub fn take_over(&mut self, shard: ShardId) {
        let number = usize::from(shard.number());
        if self.current[number].is_some_and(|seat| self.seats[seat].is_alive()) {
            return;
        }
        let awake: Vec<_> =
            (0..self.processes.len()).filter(|process| self.processes[*process].frozen_until <= self.time).collect();
        if awake.is_empty() {
            return self.at(SECOND, Happening::TakeOver { shard });
        }
        let process = *self.chance.pick(&awake);
        let mut owner = self.recover(shard);
        let seat = self.seats.len();
        let (epoch, end) = (owner.epoch(), self.journals[number].end());
        self.note(format_args!("seat {seat} takes shard {shard} over at {end} on process {process} in epoch {epoch}"));
        let inherited = owner.inherit();
        let serves_from = self.time + self.chance.between(MILLI, 30 * MILLI);
        self.seats.push(Seat {
            shard,
            process,
            owner: Some(owner),
            serves_from,
            appending: None,
            leases: BTreeMap::new(),
            hands: Vec::new(),
            parked: BTreeMap::new(),
            local: VecDeque::new(),
            lanes: BTreeMap::new(),
            notices: VecDeque::new(),
            tickets: BTreeMap::new(),
            inherited: None,
            awaiting: BTreeMap::new(),
        });
        self.current[number] = Some(seat);
        for (sequence, effects) in inherited {
            if sequence == Sequence::ZERO {
                self.seats[seat].inherited = Some((self.time + LEASE, effects));
            } else {
                // The owner before may have offered these tasks: whoever takes one asks first.
                let claimed = |effect| match effect {
                    Effect::OfferTask(task) => Effect::OfferTask(Task { claim_first: true, ..task }),
                    other => other,
                };
                self.deliver(seat, sequence, effects.into_iter().map(claimed).collect());
            }
        }
        self.begin_append(seat);
        self.at(100 * MILLI, Happening::SeatTurn { seat });
    }
}

fn refused_command(rejection: Rejection) -> Said {
    Said::Shard(ShardReply::Refused { rejection })
}

fn refused_work(rejection: Rejection) -> Said {
    Said::Work(WorkReply::Refused { rejection })
}
