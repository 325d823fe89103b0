//! The workers: they take tasks or are handed them, hold them, crash with them, and report once, twice or too late.

use std::collections::BTreeMap;

use headwater_core::protocol::{Held, Task, WorkReply, WorkRequest};
use headwater_core::run::Report;
use headwater_core::{LeaseToken, QueueName, ShardId, WorkerId, WorkspaceId};

use crate::cluster::{Asker, Cluster, Happening, MILLI, SECOND, Wish};
use crate::documents;
use crate::queue::Delivery;

const SLOTS: usize = 4;

pub fn workspace() -> WorkspaceId {
    "default".parse().unwrap()
}

pub fn queues() -> Vec<QueueName> {
    vec!["work".parse().unwrap(), "fragile".parse().unwrap()]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Claiming,
    Running,
    Reported,
}

pub struct Attempt {
    pub task: Task,
    pub receipt: Option<u64>,
    pub stage: Stage,
}

pub struct Worker {
    pub name: WorkerId,
    /// Counts its restarts: what belongs to an earlier life is not heard any more.
    pub life: u32,
    pub is_up: bool,
    pub offset: i64,
    pub frozen_until: u64,
    pub held: BTreeMap<LeaseToken, Attempt>,
}

impl Worker {
    /// Where it is handed tasks.
    pub fn inbox(&self) -> String {
        format!("_INBOX.{}", self.name)
    }
}

impl Cluster {
    pub fn hire(&mut self) {
        let worker = self.workers.len();
        let name = format!("worker-{worker}").parse().unwrap();
        let held = BTreeMap::new();
        self.workers.push(Worker { name, life: 0, is_up: true, offset: 0, frozen_until: 0, held });
        self.at(MILLI, Happening::WorkerTurn { worker, life: 0 });
    }

    pub fn worker_crashes(&mut self, worker: usize) {
        let at = &mut self.workers[worker];
        at.life += 1;
        at.is_up = false;
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

    fn free(&self, worker: usize) -> usize {
        SLOTS.saturating_sub(self.workers[worker].held.len())
    }

    fn say(&mut self, worker: usize, shard: ShardId, request: WorkRequest) {
        let life = self.workers[worker].life;
        let free_slots = (self.free(worker) / 2) as u32;
        self.ask(Asker::Worker { worker, life }, shard, Wish::Work { worker, free_slots, request });
    }

    /// Says what is held, introduces itself, and takes what there is room for.
    pub fn worker_turn(&mut self, worker: usize, life: u32) {
        if !self.lives(worker, life) {
            return;
        }
        let mut held: BTreeMap<ShardId, Vec<Held>> = BTreeMap::new();
        for (lease, attempt) in &self.workers[worker].held {
            if let Some(receipt) = attempt.receipt {
                self.queue.progress(receipt, self.time);
            }
            if attempt.stage != Stage::Claiming {
                let (run, node, attempt) = (attempt.task.run, attempt.task.node.clone(), attempt.task.attempt);
                let held = held.entry(run.shard()).or_default();
                held.push(Held { run, node, attempt, lease: *lease, progress: None });
            }
        }
        for (shard, held) in held {
            self.say(worker, shard, WorkRequest::Heartbeat { held });
        }
        let free_slots = (self.free(worker) / 2) as u32;
        for seat in 0..self.seats.len() {
            if self.seats[seat].is_alive() && !self.mishap(10) {
                self.later(Happening::Hello { seat, worker, free_slots });
            }
        }
        for _ in 0..self.free(worker).div_ceil(2) {
            let Some(delivery) = self.queue.take(self.time, &mut self.chance) else { break };
            self.take_delivery(worker, delivery);
        }
        self.at(400 * MILLI, Happening::WorkerTurn { worker, life });
    }

    fn take_delivery(&mut self, worker: usize, delivery: Delivery) {
        let Delivery { receipt, task, redelivered } = delivery;
        if let Some(attempt) = self.workers[worker].held.get_mut(&task.lease) {
            attempt.receipt = Some(receipt);
        } else if redelivered || task.claim_first {
            self.claim(worker, task, Some(receipt));
        } else {
            self.accept(worker, task, Some(receipt));
        }
    }

    fn claim(&mut self, worker: usize, task: Task, receipt: Option<u64>) {
        let (run, node, attempt, lease) = (task.run, task.node.clone(), task.attempt, task.lease);
        self.workers[worker].held.insert(lease, Attempt { task, receipt, stage: Stage::Claiming });
        self.say(worker, run.shard(), WorkRequest::Claim { run, node, attempt, lease });
    }

    pub fn handed(&mut self, worker: usize, tasks: Vec<Task>) {
        if self.workers[worker].is_up {
            for task in tasks {
                self.accept(worker, task, None);
            }
        }
    }

    fn accept(&mut self, worker: usize, task: Task, receipt: Option<u64>) {
        let (lease, life) = (task.lease, self.workers[worker].life);
        if let Some(attempt) = self.workers[worker].held.get_mut(&lease) {
            attempt.receipt = receipt.or(attempt.receipt);
            return;
        }
        self.audit.taken(lease);
        self.note(format_args!("worker {worker} runs {} {} try {}", short(&task), task.node, task.attempt));
        self.workers[worker].held.insert(lease, Attempt { task, receipt, stage: Stage::Running });
        let takes = match self.chance.below(100) {
            0..60 => self.chance.between(MILLI, 100 * MILLI),
            60..93 => self.chance.between(100 * MILLI, 2 * SECOND),
            _ => self.chance.between(2 * SECOND, 6 * SECOND),
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
        let outcome = documents::outcome(&attempt.task, &mut self.chance);
        let (run, node, attempt) = (attempt.task.run, attempt.task.node.clone(), attempt.task.attempt);
        let report = Report { node, attempt, lease, worker: name.clone(), started_at, outcome };
        self.say(worker, run.shard(), WorkRequest::Report { id, run, report });
    }

    pub fn worker_hears(&mut self, worker: usize, wish: &Wish, reply: WorkReply) {
        let Wish::Work { request, .. } = wish else { panic!("workers ask for work") };
        match (request, reply) {
            (WorkRequest::Report { report, .. }, WorkReply::Accepted { next }) => {
                self.settle(worker, report.lease);
                self.say_again(worker, request);
                for task in next {
                    match task.claim_first {
                        true => self.claim(worker, task, None),
                        false => self.accept(worker, task, None),
                    }
                }
            }
            (WorkRequest::Report { run, report, .. }, WorkReply::Refused { rejection }) => {
                self.note(format_args!("worker {worker} hears of {run} {}: {rejection}", report.node));
                self.settle(worker, report.lease);
            }
            (WorkRequest::Claim { lease, .. }, WorkReply::Granted { task }) => {
                if let Some(attempt) = self.workers[worker].held.remove(lease) {
                    self.accept(worker, task, attempt.receipt);
                }
            }
            (WorkRequest::Claim { lease, .. }, WorkReply::Refused { .. }) => self.settle(worker, *lease),
            (WorkRequest::Heartbeat { .. }, WorkReply::Alive { cancelled }) => {
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
    fn say_again(&mut self, worker: usize, request: &WorkRequest) {
        let WorkRequest::Report { run, report, .. } = request else { return };
        if self.mishap(10) {
            let (run, report) = (*run, report.clone());
            let request = WorkRequest::Report { id: self.command_id(), run, report };
            self.ask(Asker::Nobody, run.shard(), Wish::Work { worker, free_slots: 0, request });
        }
    }

    fn settle(&mut self, worker: usize, lease: LeaseToken) {
        let attempt = self.workers[worker].held.remove(&lease);
        // An acknowledgement is a message like any other: without it the task comes again.
        if let Some(receipt) = attempt.and_then(|attempt| attempt.receipt)
            && !self.mishap(8)
        {
            self.queue.acknowledge(receipt);
        }
    }
}

/// The end of a run's id, for the timeline.
fn short(task: &Task) -> String {
    let id = task.run.to_string();
    format!("{}/{}", task.workflow, &id[id.len() - 8..])
}
