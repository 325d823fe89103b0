//! What workers and the engine's processes ask of a shard, and what each question means for it.

use std::time::Duration;

use headwater_core::CommandId;
use headwater_core::RunId;
use headwater_core::asset::Asset;
use headwater_core::protocol::{ShardReply, ShardRequest, Task, WorkFrame, WorkReply, WorkRequest};
use headwater_core::run::{RunCommand, task_of};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_streams::requests::{ReplyTo, Request};
use tokio::time::Instant;

use super::ShardCounters;
use super::drive::{Caller, Driver};
use super::frames::{Frames, Place};
use super::leases::Lease;

/// How long an append that landed proves that the next one would.
const PROOF_LASTS: Duration = Duration::from_secs(1);
/// An append that has been on its way for so long is not only slow.
const STALLED_AFTER: Duration = Duration::from_millis(1500);

impl Driver {
    pub(super) async fn take_commands(&mut self, request: Request) {
        let requests: Vec<ShardRequest> = match serde_json::from_slice(&request.payload) {
            Ok(requests) => requests,
            Err(error) => return tracing::warn!(shard = %self.shard, %error, "a frame that is none"),
        };
        ShardCounters::add(&self.counters.requests, requests.len() as u64);
        let Some(frame) = open(&mut self.commands, request.reply, requests.len()) else { return };
        let overloaded = self.is_overloaded();
        for (index, request) in requests.into_iter().enumerate() {
            let place = Place { frame, index };
            match request {
                _ if overloaded => self.refuse_command(place, Rejection::Overloaded).await,
                ShardRequest::Submit(submission) => self.submit(Caller::Shard(place), *submission),
                ShardRequest::AwaitRun { run } => self.await_run(place, run).await,
                ShardRequest::DescribeAsset { key } => {
                    let asset = self.owner.shard().asset(&key);
                    let declarations = asset.into_iter().flat_map(Asset::declarations).cloned().collect();
                    self.reply(place, ShardReply::Asset { declarations }).await;
                }
                ShardRequest::NameEpoch { prove } => self.name_epoch(place, prove).await,
            }
        }
    }

    /// Answers at once, or, to who wants proof that the shard can append, when an append has landed: one a second at most.
    async fn name_epoch(&mut self, place: Place, prove: bool) {
        let epoch = self.owner.epoch();
        let pending = self.owner.is_appending().then(|| self.append_began.elapsed());
        let proven = self.appended_at.is_some_and(|at| at.elapsed() < PROOF_LASTS);
        match pending {
            Some(pending) if pending >= STALLED_AFTER => {
                let appending_ms = u64::try_from(pending.as_millis()).ok();
                self.reply(place, ShardReply::Driven { epoch, appending_ms }).await;
            }
            _ if prove && !proven => self.owner.hold(Caller::Prober(place)),
            _ => self.reply(place, ShardReply::Driven { epoch, appending_ms: None }).await,
        }
    }

    async fn await_run(&mut self, place: Place, run: RunId) {
        if self.owner.shard().run(run).is_some() {
            return self.awaiting.entry(run).or_default().push((place, Instant::now()));
        }
        match self.owner.ended_run(run) {
            // It ended in a bundle that is not durable yet; its release answers.
            Some((_, None)) => self.awaiting.entry(run).or_default().push((place, Instant::now())),
            Some((status, Some(position))) => self.reply(place, ShardReply::Ended { status, position }).await,
            None => self.owner.hold(Caller::Watcher(place)),
        }
    }

    pub(super) async fn take_work(&mut self, request: Request) {
        let frame: WorkFrame = match serde_json::from_slice(&request.payload) {
            Ok(frame) => frame,
            Err(error) => return tracing::warn!(shard = %self.shard, %error, "a worker's frame that is none"),
        };
        let WorkFrame { worker, workspace, queues, free_slots, requests } = frame;
        ShardCounters::add(&self.counters.requests, requests.len() as u64);
        let Some(frame) = open(&mut self.work, request.reply, requests.len()) else { return };
        let overloaded = self.is_overloaded();
        // Each report frees the slot its attempt had.
        let reports = requests.iter().filter(|request| matches!(request, WorkRequest::Report { .. })).count();
        self.rooms.prefer(&worker, &workspace, &queues, free_slots.saturating_add(reports as u32));
        for (index, request) in requests.into_iter().enumerate() {
            let place = Place { frame, index };
            match request {
                _ if overloaded => {
                    self.reply_work(place, WorkReply::Refused { rejection: Rejection::Overloaded }).await;
                }
                WorkRequest::Report { id, run, report } => {
                    self.leases.release(report.lease);
                    let command = Command::Run { run, command: RunCommand::ReportAttempt(report) };
                    let caller = Caller::Work { place, worker: worker.clone() };
                    self.submit(caller, Submission { id, command });
                }
                WorkRequest::Started { run, node, attempt, lease, started_at } => {
                    let token = lease;
                    self.hold(Lease {
                        run,
                        node: node.clone(),
                        attempt,
                        token,
                        worker: worker.clone(),
                        seen: Instant::now(),
                    });
                    let id = CommandId::derived(&[b"started", run.as_uuid().as_bytes(), &lease.bits().to_be_bytes()]);
                    let worker = worker.clone();
                    let caller = Caller::Work { place, worker: worker.clone() };
                    let command = RunCommand::StartAttempt { node, attempt, lease, worker, started_at };
                    self.submit(caller, Submission { id, command: Command::Run { run, command } });
                }
                WorkRequest::Claim { run, node, attempt, lease } => {
                    let held = Lease { run, node, attempt, token: lease, worker: worker.clone(), seen: Instant::now() };
                    match self.claim(held) {
                        Some(task) => self.reply_work(place, WorkReply::Granted { task }).await,
                        None => self.owner.hold(Caller::Claim(place)),
                    }
                }
                WorkRequest::Heartbeat { held } => {
                    let mut cancelled = Vec::new();
                    for held in held {
                        let token = held.lease;
                        let (run, node, attempt) = (held.run, held.node, held.attempt);
                        let lease = Lease { run, node, attempt, token, worker: worker.clone(), seen: Instant::now() };
                        if !self.hold(lease) {
                            cancelled.push(token);
                        }
                    }
                    if cancelled.is_empty() {
                        self.reply_work(place, WorkReply::Alive { cancelled }).await;
                    } else {
                        self.owner.hold(Caller::Heartbeat { place, cancelled });
                    }
                }
            }
        }
        self.rooms.settle(&worker, free_slots);
    }

    /// Notes who holds an attempt; says no when the attempt is not current (any more).
    fn hold(&mut self, lease: Lease) -> bool {
        let run = self.owner.shard().run(lease.run);
        let current = run.and_then(|run| run.current_lease(&lease.node)) == Some((lease.attempt, lease.token));
        if current {
            self.leases.hold(lease);
        }
        current
    }

    /// Grants an attempt to the first who asks; the holder itself may ask again.
    fn claim(&mut self, lease: Lease) -> Option<Task> {
        let task = self.owner.shard().run(lease.run).and_then(|run| task_of(run, &lease.node));
        let free = self.leases.holder(lease.token).is_none_or(|holder| *holder == lease.worker);
        task.filter(|_| free && self.hold(lease))
    }
}

/// Opens a frame; one without requests is not answered.
fn open<R>(frames: &mut Frames<R>, reply: ReplyTo, count: usize) -> Option<u64> {
    (count > 0).then(|| frames.open(reply, count))
}
