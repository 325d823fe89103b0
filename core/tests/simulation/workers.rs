//! The workers: they lend what they have free, are handed tasks, hold them, crash with them, and report once, twice or too
//! late.

use std::collections::BTreeMap;

use headwater_core::credit::{Credit, Lender};
use headwater_core::protocol::{Call, Handed, Held, Hello, PROTOCOL, Task, WorkAnswer, WorkReply, WorkRequest};
use headwater_core::run::Report;
use headwater_core::{LeaseToken, QueueName, SessionId, ShardId, WorkerId, WorkspaceId};

use crate::cluster::{Asker, Cluster, Happening, MILLI, SECOND, Wish};
use crate::{documents, pipeline};

const SLOTS: usize = 4;

pub fn workspace() -> WorkspaceId {
    "default".parse().unwrap()
}

pub fn queues() -> Vec<QueueName> {
    vec!["work".parse().unwrap(), "fragile".parse().unwrap()]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has come and not begun.
    Waiting,
    Running,
    Reported,
}

pub struct Attempt {
    pub task: Task,
    pub stage: Stage,
}

pub struct Worker {
    pub name: WorkerId,
    /// Counts its restarts: what belongs to an earlier life is not heard any more.
    pub life: u32,
    pub session: SessionId,
    pub is_up: bool,
    pub offset: i64,
    pub frozen_until: u64,
    pub held: BTreeMap<LeaseToken, Attempt>,
    pub lender: Lender,
}

impl Worker {
    /// The slots that hold nothing; what is reported holds none any more.
    fn free(&self) -> u64 {
        SLOTS.saturating_sub(self.held.values().filter(|attempt| attempt.stage != Stage::Reported).count()) as u64
    }
}

impl Cluster {
    pub fn hire(&mut self) {
        let worker = self.workers.len();
        let session = SessionId::from_bits(self.chance.bits());
        self.workers.push(Worker {
            name: format!("worker-{worker}").parse().unwrap(),
            life: 0,
            session,
            is_up: true,
            offset: 0,
            frozen_until: 0,
            held: BTreeMap::new(),
            lender: Lender::new(SLOTS as u64),
        });
        self.at(MILLI, Happening::WorkerTurn { worker, life: 0 });
    }

    pub fn worker_crashes(&mut self, worker: usize) {
        let session = SessionId::from_bits(self.chance.bits());
        let at = &mut self.workers[worker];
        at.life += 1;
        at.is_up = false;
        at.session = session;
        at.lender = Lender::new(SLOTS as u64);
        let held = std::mem::take(&mut at.held).len();
        self.note(format_args!("worker {worker} crashes with {held} attempts"));
        let delay = self.chance.between(100 * MILLI, 8 * SECOND);
        self.at(delay, Happening::Restarts { worker });
    }

    pub fn worker_restarts(&mut self, worker: usize) {
        let at = &mut self.workers[worker];
        if !std::mem::replace(&mut at.is_up, true) {
            let life = at.life;
            self.at(MILLI, Happening::WorkerTurn { worker, life });
        }
    }

    fn lives(&self, worker: usize, life: u32) -> bool {
        self.workers[worker].is_up && self.workers[worker].life == life
    }

    fn say(&mut self, worker: usize, shard: ShardId, request: impl Into<Option<WorkRequest>>) {
        let at = &mut self.workers[worker];
        let (life, session, credit) = (at.life, at.session, at.lender.credit(shard));
        self.ask(
            Asker::Worker { worker, life },
            shard,
            Wish::Work { worker, session, credit, request: request.into() },
        );
    }

    /// Counts how often it was another shard's turn to be lent to.
    fn turn(&self) -> u64 {
        self.time / (25 * MILLI)
    }

    /// Lends what is free, and tells the shards.
    fn lend(&mut self, worker: usize, freed: &[ShardId]) {
        let turn = self.turn();
        let at = &mut self.workers[worker];
        let free = at.free();
        for shard in at.lender.share(free, freed, turn) {
            self.say(worker, shard, None);
        }
    }

    /// Says what is held, and introduces itself.
    pub fn worker_turn(&mut self, worker: usize, life: u32) {
        if !self.lives(worker, life) {
            return;
        }
        let mut held: BTreeMap<ShardId, Vec<Held>> = BTreeMap::new();
        for (lease, attempt) in &self.workers[worker].held {
            let (run, node, attempt) = (attempt.task.run, attempt.task.node.clone(), attempt.task.attempt);
            held.entry(run.shard()).or_default().push(Held { run, node, attempt, lease: *lease, progress: None });
        }
        for (shard, held) in held {
            self.say(worker, shard, WorkRequest::Heartbeat { held });
        }
        let Worker { name, session, .. } = &self.workers[worker];
        let hello =
            Hello { protocol: PROTOCOL, worker: name.clone(), session: *session, queues: queues(), leaving: false };
        for seat in 0..self.seats.len() {
            if self.seats[seat].is_alive() && !self.mishap(10) {
                self.later(Happening::Hello { seat, hello: hello.clone() });
            }
        }
        self.workers[worker].lender.doubt();
        self.lend(worker, &[]);
        self.at(400 * MILLI, Happening::WorkerTurn { worker, life });
    }

    pub fn called(&mut self, worker: usize, call: &Call) {
        if self.workers[worker].is_up {
            self.workers[worker].lender.called(call.shard, call.epoch);
            self.lend(worker, &[]);
        }
    }

    pub fn handed(&mut self, worker: usize, session: SessionId, handed: Handed) {
        let at = &mut self.workers[worker];
        if !at.is_up || at.session != session {
            return;
        }
        let is_news = at.lender.is_news(handed.shard, handed.standing);
        if at.lender.hear(handed.shard, handed.standing) {
            for task in handed.tasks.into_iter().filter(|_| is_news) {
                self.accept(worker, task);
            }
            self.lend(worker, &[]);
        }
    }

    fn accept(&mut self, worker: usize, task: Task) {
        let (lease, life) = (task.lease, self.workers[worker].life);
        if let Some(attempt) = self.workers[worker].held.get(&lease) {
            // It was not heard of: say that it is here.
            let Task { run, node, attempt, .. } = attempt.task.clone();
            let held = vec![Held { run, node, attempt, lease, progress: None }];
            return self.say(worker, run.shard(), WorkRequest::Heartbeat { held });
        }
        self.workers[worker].lender.took(task.run.shard());
        self.workers[worker].held.insert(lease, Attempt { task, stage: Stage::Waiting });
        if self.pipeline.is_some() {
            return self.attempt_begins(worker, life, lease);
        }
        match self.chance.below(100) {
            // It stops before it begins, and gives back.
            0..4 => self.give_back(worker, lease),
            // It waits for a slot; meanwhile it may be cancelled.
            4..14 => {
                let delay = self.chance.between(MILLI, 3 * SECOND);
                self.at(delay, Happening::Begins { worker, life, lease });
            }
            _ => self.attempt_begins(worker, life, lease),
        }
    }

    fn give_back(&mut self, worker: usize, lease: LeaseToken) {
        let id = self.command_id();
        let Some(attempt) = self.workers[worker].held.get_mut(&lease) else { return };
        attempt.stage = Stage::Reported;
        let (run, node, attempt) = (attempt.task.run, attempt.task.node.clone(), attempt.task.attempt);
        self.say(worker, run.shard(), WorkRequest::Return { id, run, node, attempt, lease });
    }

    pub fn attempt_begins(&mut self, worker: usize, life: u32, lease: LeaseToken) {
        if !self.lives(worker, life) {
            return;
        }
        // It may have been given up, handed over again and begun meanwhile.
        let waiting = self.workers[worker].held.get_mut(&lease).filter(|attempt| attempt.stage == Stage::Waiting);
        let Some(attempt) = waiting else { return };
        attempt.stage = Stage::Running;
        let task = attempt.task.clone();
        self.audit.begins(&task);
        self.note(format_args!("worker {worker} runs {} {} try {}", short(&task), task.node, task.attempt));
        let takes = match (&self.pipeline, self.chance.below(100)) {
            (Some(_), _) => pipeline::takes(&task),
            (None, 0..60) => self.chance.between(MILLI, 100 * MILLI),
            (None, 60..93) => self.chance.between(100 * MILLI, 2 * SECOND),
            (None, _) => self.chance.between(2 * SECOND, 6 * SECOND),
        };
        if takes > 250 * MILLI {
            self.at(250 * MILLI, Happening::Runs { worker, life, lease });
        }
        self.at(takes, Happening::Ends { worker, life, lease });
    }

    pub fn attempt_runs(&mut self, worker: usize, life: u32, lease: LeaseToken) {
        let started_at = self.clock(self.workers[worker].offset);
        let Some(attempt) = self.lives(worker, life).then(|| self.workers[worker].held.get(&lease)).flatten() else {
            return;
        };
        let (run, node, attempt) = (attempt.task.run, attempt.task.node.clone(), attempt.task.attempt);
        self.say(worker, run.shard(), WorkRequest::Started { run, node, attempt, lease, started_at });
    }

    pub fn attempt_ends(&mut self, worker: usize, life: u32, lease: LeaseToken) {
        if !self.lives(worker, life) {
            return;
        }
        let (id, started_at) = (self.command_id(), self.clock(self.workers[worker].offset));
        let Worker { name, held, .. } = &mut self.workers[worker];
        let Some(attempt) = held.get_mut(&lease).filter(|attempt| attempt.stage == Stage::Running) else { return };
        attempt.stage = Stage::Reported;
        let outcome = match &self.pipeline {
            Some(_) => pipeline::outcome(&attempt.task),
            None => documents::outcome(&attempt.task, &mut self.chance),
        };
        let (run, node, attempt) = (attempt.task.run, attempt.task.node.clone(), attempt.task.attempt);
        let report = Report { node, attempt, lease, worker: name.clone(), started_at, outcome };
        // What it frees goes with the report.
        let turn = self.turn();
        let at = &mut self.workers[worker];
        let (free, shard) = (at.free(), run.shard());
        let told = at.lender.share(free, &[shard], turn);
        self.say(worker, shard, WorkRequest::Report { id, run, report });
        for other in told.into_iter().filter(|told| *told != shard) {
            self.say(worker, other, None);
        }
    }

    pub fn worker_hears(&mut self, worker: usize, wish: &Wish, answer: WorkAnswer) {
        let Wish::Work { request, session, credit, .. } = wish else { panic!("workers ask for work") };
        if self.workers[worker].session != *session {
            return;
        }
        let WorkAnswer { shard, standing, replies, malformed } = answer;
        assert_eq!(malformed, None);
        let is_news = standing.is_some_and(|standing| self.workers[worker].lender.is_news(shard, standing));
        for (request, reply) in request.iter().zip(replies) {
            let reply = match reply {
                WorkReply::Accepted { .. } if !is_news => WorkReply::Accepted { next: Vec::new() },
                reply => reply,
            };
            self.hears(worker, *session, *credit, request, reply);
        }
        if let Some(standing) = standing {
            self.workers[worker].lender.answered(shard, *credit, standing);
        }
        self.lend(worker, &[]);
    }

    fn hears(&mut self, worker: usize, session: SessionId, credit: Credit, request: &WorkRequest, reply: WorkReply) {
        match (request, reply) {
            (
                WorkRequest::Report { report: Report { lease, .. }, .. } | WorkRequest::Return { lease, .. },
                WorkReply::Accepted { next },
            ) => {
                self.settle(worker, *lease);
                self.say_again(worker, session, credit, request);
                for task in next {
                    self.accept(worker, task);
                }
            }
            (WorkRequest::Report { run, report, .. }, WorkReply::Refused { rejection }) => {
                self.note(format_args!("worker {worker} hears of {run} {}: {rejection}", report.node));
                self.settle(worker, report.lease);
            }
            (WorkRequest::Return { lease, .. }, WorkReply::Refused { .. }) => self.settle(worker, *lease),
            (WorkRequest::Heartbeat { .. }, WorkReply::Alive { cancelled, .. }) => {
                for lease in cancelled {
                    let reported = |attempt: &Attempt| attempt.stage == Stage::Reported;
                    if !self.workers[worker].held.get(&lease).is_some_and(reported) {
                        self.settle(worker, lease);
                    }
                }
            }
            (WorkRequest::Started { .. }, WorkReply::Accepted { .. } | WorkReply::Refused { .. }) => {}
            (request, reply) => panic!("{request:?} is answered with {reply:?}"),
        }
    }

    /// A confused worker reports what it has reported, under another id: too late with a lease that is gone.
    fn say_again(&mut self, worker: usize, session: SessionId, credit: Credit, request: &WorkRequest) {
        let WorkRequest::Report { run, report, .. } = request else { return };
        if self.mishap(10) {
            let (id, run, report) = (self.command_id(), *run, report.clone());
            let request = Some(WorkRequest::Report { id, run, report });
            self.ask(Asker::Nobody, run.shard(), Wish::Work { worker, session, credit, request });
        }
    }

    fn settle(&mut self, worker: usize, lease: LeaseToken) {
        if let Some(attempt) = self.workers[worker].held.remove(&lease) {
            self.workers[worker].lender.let_go(attempt.task.run.shard());
        }
    }
}

/// The end of a run's id, for the timeline.
fn short(task: &Task) -> String {
    let id = task.run.to_string();
    format!("{}/{}", task.workflow, &id[id.len() - 8..])
}
