//! Who hears of what was decided, and how: answers to frames, tasks to workers, a last word when the shard is lost.

use headwater_core::protocol::{ShardReply, Task, WorkReply};
use headwater_core::run::RunRejection;
use headwater_core::shard::{Answer, Effect, Outcome, Rejection};
use headwater_core::{Sequence, WorkerId};
use headwater_streams::direct;
use tokio::time::Instant;

use super::ShardCounters;
use super::drive::{Caller, Driver, WATCH_WAIT};
use super::frames::{Complete, Place};
use super::leases::Lease;

impl Driver {
    pub(super) async fn answer(&mut self, answer: Answer<Caller>) {
        let Answer { caller, outcome } = answer;
        match caller {
            Caller::Work { place, worker } => {
                let reply = match outcome {
                    Ok(Outcome { tasks, .. }) => {
                        self.note_handed(&tasks);
                        let (own, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|(to, _)| *to == worker);
                        self.handed.extend(others);
                        WorkReply::Accepted { next: own.into_iter().map(|(_, task)| task).collect() }
                    }
                    Err(rejection) => {
                        ShardCounters::add(&self.counters.refusals, 1);
                        WorkReply::Refused { rejection }
                    }
                };
                self.reply_work(place, reply).await;
            }
            Caller::Shard(place) => match outcome {
                Ok(Outcome { position, granted, tasks }) => {
                    self.hand_later(tasks);
                    self.reply(place, ShardReply::Done { position, granted }).await;
                }
                Err(rejection) => self.refuse_command(place, rejection).await,
            },
            Caller::Effect { ticket, submission } => {
                let outcome = outcome.map(|granted| self.hand_later(granted.tasks));
                match outcome.err().and_then(|rejection| submission.refused(&rejection)) {
                    Some(submission) => {
                        let caller = Caller::Effect { ticket, submission: Box::new(submission.clone()) };
                        self.submit(caller, submission);
                    }
                    None => ticket.done(),
                }
            }
            Caller::Claim(place) => {
                let rejection = Rejection::Run(RunRejection::StaleAttempt);
                self.reply_work(place, WorkReply::Refused { rejection }).await;
            }
            Caller::Heartbeat { place, cancelled } => self.reply_work(place, WorkReply::Alive { cancelled }).await,
            Caller::Watcher(place) => self.refuse_command(place, Rejection::Run(RunRejection::RunNotFound)).await,
            Caller::Prober(place) => {
                let epoch = self.owner.epoch();
                self.reply(place, ShardReply::Driven { epoch, appending_ms: None }).await;
            }
            Caller::Adoption => {
                if let Err(error) = outcome {
                    tracing::error!(%error, "a stored definition does not compile");
                }
            }
            Caller::Nobody => {
                if let Ok(granted) = outcome {
                    self.hand_later(granted.tasks);
                }
            }
        }
    }

    fn hand_later(&mut self, tasks: Vec<(WorkerId, Task)>) {
        self.note_handed(&tasks);
        self.handed.extend(tasks);
    }

    /// From now on the workers hold these attempts, or lose them by silence.
    fn note_handed(&mut self, tasks: &[(WorkerId, Task)]) {
        for (worker, task) in tasks {
            let (run, node, worker) = (task.run, task.node.clone(), worker.clone());
            let (attempt, token, seen) = (task.attempt, task.lease, Instant::now());
            self.leases.hold(Lease { run, node, attempt, token, worker, seen });
        }
    }

    /// Hands tasks to the workers they were decided for; what cannot be sent goes to the queue instead.
    pub(super) async fn hand_over(&mut self) {
        for (tasks_to, tasks) in self.rooms.deliveries(std::mem::take(&mut self.handed)) {
            let sent = match &tasks_to {
                Some(tasks_to) => direct::hand(&self.outlets.broker, tasks_to, &tasks).await.is_ok(),
                None => false,
            };
            if !sent {
                for task in tasks {
                    self.queue_instead(task);
                }
            }
        }
    }

    /// Puts a task that was handed over on its queue: whoever takes it asks first.
    fn queue_instead(&mut self, task: Task) {
        self.leases.release(task.lease);
        let task = Task { claim_first: true, ..task };
        self.deliverer.deliver(Sequence::ZERO, vec![Effect::OfferTask(task)]);
    }

    pub(super) async fn refuse_command(&mut self, place: Place, rejection: Rejection) {
        ShardCounters::add(&self.counters.refusals, 1);
        self.reply(place, ShardReply::Refused { rejection }).await;
    }

    pub(super) async fn reply(&mut self, place: Place, reply: ShardReply) {
        if let Some(complete) = self.commands.answer(place, reply) {
            complete.send().await;
        }
    }

    pub(super) async fn reply_work(&mut self, place: Place, reply: WorkReply) {
        if let Some(complete) = self.work.answer(place, reply) {
            self.send_work(complete).await;
        }
    }

    async fn send_work(&mut self, complete: Complete<WorkReply>) {
        for task in complete.send(self.outlets.broker.payload_bytes_max()).await {
            // Too much for one answer.
            self.queue_instead(task);
        }
    }

    /// Answers those who have waited for a run's end so long that they have asked again meanwhile.
    pub(super) async fn let_watchers_ask_again(&mut self, now: Instant) {
        let mut old = Vec::new();
        for places in self.awaiting.values_mut() {
            old.extend(places.extract_if(.., |(_, since)| now.duration_since(*since) > WATCH_WAIT));
        }
        self.awaiting.retain(|_, places| !places.is_empty());
        for (place, _) in old {
            self.reply(place, ShardReply::Refused { rejection: Rejection::NotOwner }).await;
        }
    }

    /// Tells every caller to ask the next owner: it knows what became of their commands.
    pub(super) async fn step_down(self) {
        let Self { owner, mut work, mut commands, awaiting, parked, outlets, .. } = self;
        let callers = owner.abandon().into_iter().chain(parked.into_values().flatten().map(|(caller, _)| caller));
        for caller in callers {
            match caller {
                Caller::Work { place, .. } | Caller::Claim(place) | Caller::Heartbeat { place, .. } => {
                    if let Some(complete) = work.answer(place, WorkReply::Refused { rejection: Rejection::NotOwner }) {
                        complete.send(outlets.broker.payload_bytes_max()).await;
                    }
                }
                Caller::Shard(place) | Caller::Watcher(place) | Caller::Prober(place) => {
                    let refused = ShardReply::Refused { rejection: Rejection::NotOwner };
                    if let Some(complete) = commands.answer(place, refused) {
                        complete.send().await;
                    }
                }
                // Not confirmed, so the next owner sends the effect again.
                Caller::Effect { .. } | Caller::Adoption | Caller::Nobody => {}
            }
        }
        for (place, _) in awaiting.into_values().flatten() {
            if let Some(complete) = commands.answer(place, ShardReply::Refused { rejection: Rejection::NotOwner }) {
                complete.send().await;
            }
        }
    }
}
