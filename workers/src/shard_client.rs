//! How the engine's processes give commands to shards: framed per shard, in order, until answered. One frame per shard is in
//! flight; what comes meanwhile fills the next. A command is sent again under its own id until its shard answers or its deadline
//! passes, so an answer is as good as the first one would have been.

mod actions;
mod quarantine;
mod queue;
mod replies;
mod runs;
mod stalled;
mod updates;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::asset::Declaration;
use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::run::RunStatus;
use headwater_core::shard::{AssetKey, Position, Rejection, Submission};
use headwater_core::{Epoch, RunId, ShardId};
use headwater_streams::backoff::Backoff;
use headwater_streams::complaints::Complaints;
use headwater_streams::duty::{self, Duty};
use headwater_streams::requests::{self, RequestError};
use headwater_streams::{Broker, subject};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub use actions::DescribedAction;
pub use queue::QueueDepth;
use replies::{End, Ends, ends, is_passing, named_epoch};
pub use runs::{ActiveRuns, DescribedRun};
pub use stalled::STORES_NOTHING_MIN;
use stalled::Stalls;

/// Says why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The shard said no.
    #[error("the command was refused")]
    Refused(#[source] Rejection),
    /// No process served the shard all the while, or the broker was away. It did not happen.
    #[error("nobody serves shard {shard}")]
    Unavailable { shard: ShardId },
    /// Nobody answered in time. It may have happened; asking again under the same id is safe.
    #[error("shard {shard} did not answer in time")]
    Indeterminate { shard: ShardId },
    /// Its owner answers, and has an append that does not land: the broker cannot store it, or the journal is gone. A command was
    /// not sent.
    #[error("shard {shard} has been trying to append for {millis} ms")]
    Stalled { shard: ShardId, millis: u64 },
    /// Too many commands wait already, here or at the shard.
    #[error("shard {shard} has as many commands waiting as it takes")]
    Overloaded { shard: ShardId },
    /// The answer is not one.
    #[error("the answer of shard {shard} is malformed")]
    Malformed { shard: ShardId, source: serde_json::Error },
    /// The answer is to another question.
    #[error("shard {shard} answered another question")]
    OtherAnswer { shard: ShardId },
    /// One frame cannot carry it.
    #[error("the command is larger than the broker takes")]
    TooLarge,
}

/// Gives commands to shards. Cheap to clone; the tasks behind it end with the last clone.
#[derive(Debug, Clone)]
pub struct ShardClient {
    broker: Broker,
    lanes: Arc<[mpsc::Sender<Pending>]>,
    stalls: Stalls,
}

#[derive(Debug)]
struct Pending {
    request: ShardRequest,
    deadline: Instant,
    /// Somebody may have got it: a frame that carried it was answered, or neither answered nor turned back.
    heard: bool,
    answer: oneshot::Sender<Result<ShardReply, ClientError>>,
}

/// How many commands wait for the next frame of a shard before callers are refused.
const LANE_CAPACITY: usize = 8_192;
/// How many commands one frame carries.
const FRAME_COMMANDS_MAX: usize = 512;
/// How long one frame waits for its answer before it is sent again.
const FRAME_WAIT: Duration = Duration::from_secs(5);

impl ShardClient {
    /// Opens a lane to each of `shards` shards.
    pub fn new(broker: &Broker, shards: u16) -> Self {
        let lane = |number| {
            let shard = ShardId::new(number).expect("a shard map has at most 1,024 shards");
            let (sender, receiver) = mpsc::channel(LANE_CAPACITY);
            tokio::spawn(Lane { broker: broker.clone(), shard }.keep(receiver));
            sender
        };
        Self { broker: broker.clone(), lanes: (0..shards).map(lane).collect(), stalls: Stalls::new(shards) }
    }

    /// Gives a command to a shard and waits until its decision is durable. While its owner is known to append in vain, it is not
    /// sent.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(
        &self,
        shard: ShardId,
        submission: Submission,
        within: Duration,
    ) -> Result<(Position, Option<headwater_core::protocol::Granted>), ClientError> {
        self.refuse_stalled(shard)?;
        let request = ShardRequest::Submit(Box::new(submission));
        let reply = tokio::select! {
            reply = self.ask(shard, request, within) => reply?,
            never = self.look_for_stall(shard) => never,
        };
        match reply {
            ShardReply::Done { position, granted } => Ok((position, granted)),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Ended { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Asset { .. }
            | ShardReply::Action { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }

    /// Asks the shard of an asset who declares it, by workflow. It may be about to change: for advice only.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn describe_asset(
        &self,
        shard: ShardId,
        key: AssetKey,
        within: Duration,
    ) -> Result<Vec<Declaration>, ClientError> {
        match self.ask(shard, ShardRequest::DescribeAsset { key }, within).await? {
            ShardReply::Asset { declarations } => Ok(declarations),
            ShardReply::Refused { rejection } => Err(ClientError::Refused(rejection)),
            ShardReply::Done { .. }
            | ShardReply::Ended { .. }
            | ShardReply::Replied { .. }
            | ShardReply::Action { .. }
            | ShardReply::Run { .. }
            | ShardReply::Runs { .. }
            | ShardReply::Queue { .. }
            | ShardReply::Quarantine { .. }
            | ShardReply::Heard { .. }
            | ShardReply::Digest { .. }
            | ShardReply::Driven { .. } => Err(ClientError::OtherAnswer { shard }),
        }
    }

    async fn ask(&self, shard: ShardId, request: ShardRequest, within: Duration) -> Result<ShardReply, ClientError> {
        let lane = self.lanes.get(usize::from(shard.number())).ok_or(ClientError::Unavailable { shard })?;
        let (answer, answered) = oneshot::channel();
        let waiting = Pending { request, deadline: Instant::now() + within, heard: false, answer };
        lane.try_send(waiting).map_err(|_| ClientError::Overloaded { shard })?;
        answered.await.unwrap_or(Err(ClientError::Indeterminate { shard }))
    }

    /// Waits until a run has ended, at most `within`.
    ///
    /// # Errors
    /// [`ClientError::Indeterminate`] when it has not ended by then; [`ClientError::Refused`] for an unknown run.
    pub async fn await_run(&self, run: RunId, within: Duration) -> Result<(RunStatus, Position), ClientError> {
        let ends = self.await_on_shard(run.shard(), &[run], within).await?;
        ends.into_iter()
            .next()
            .map(|end| (end.status, end.position))
            .ok_or_else(|| ClientError::Indeterminate { shard: run.shard() })
    }

    /// Waits until a run has ended and no other goes on from it, at most `within` for all of them; returns the last of the chain.
    ///
    /// # Errors
    /// As [`Self::await_run`].
    pub async fn await_chain(
        &self,
        mut run: RunId,
        within: Duration,
    ) -> Result<(RunId, RunStatus, Position), ClientError> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = self.await_on_shard(run.shard(), &[run], left).await?.into_iter().next();
            match ended.ok_or_else(|| ClientError::Indeterminate { shard: run.shard() })? {
                End { successor: Some(successor), .. } => run = successor,
                End { status, position, .. } => return Ok((run, status, position)),
            }
        }
    }

    /// Waits until all of these runs have ended, at most `within`; one frame to each shard.
    ///
    /// # Errors
    /// As [`Self::await_run`], for the first that has not ended or is unknown.
    pub async fn await_runs(&self, runs: &[RunId], within: Duration) -> Result<Vec<(RunId, RunStatus)>, ClientError> {
        let mut by_shard: BTreeMap<ShardId, Vec<RunId>> = BTreeMap::new();
        for run in runs {
            by_shard.entry(run.shard()).or_default().push(*run);
        }
        let waits = by_shard.iter().map(|(shard, runs)| self.await_on_shard(*shard, runs, within));
        let ends = futures_util::future::try_join_all(waits).await?;
        Ok(ends.into_iter().flatten().map(|end| (end.run, end.status)).collect())
    }

    /// Returns the epoch that a shard's owner writes, if anybody answers `within`. Costs the shard nothing; an owner
    /// that has lost the shard and does not know may answer too.
    ///
    /// # Errors
    /// [`ClientError::Indeterminate`] when nobody answers by then.
    pub async fn epoch_of(&self, shard: ShardId, within: Duration) -> Result<Epoch, ClientError> {
        self.told_epoch(shard, false, within).await.map(|(epoch, _)| epoch)
    }

    /// Asks the owner of a shard to show that it can append, within `within`. Costs an empty bundle a second at most.
    ///
    /// # Errors
    /// [`ClientError::Indeterminate`] when nobody answers by then; [`ClientError::Stalled`] when somebody does whose
    /// append does not land.
    pub async fn prove(&self, shard: ShardId, within: Duration) -> Result<Epoch, ClientError> {
        match self.told_epoch(shard, true, within).await? {
            (epoch, None) => Ok(epoch),
            (_, Some(millis)) => Err(ClientError::Stalled { shard, millis }),
        }
    }

    /// Returns the epoch, and for how many milliseconds an append has been stalled.
    async fn told_epoch(
        &self,
        shard: ShardId,
        prove: bool,
        within: Duration,
    ) -> Result<(Epoch, Option<u64>), ClientError> {
        self.ask_until_answered(shard, &[ShardRequest::NameEpoch { prove }], within, named_epoch).await
    }

    async fn await_on_shard(&self, shard: ShardId, runs: &[RunId], within: Duration) -> Result<Ends, ClientError> {
        let requests: Vec<_> = runs.iter().map(|run| ShardRequest::AwaitRun { run: *run }).collect();
        self.ask_until_answered(shard, &requests, within, |replies| ends(runs, replies)).await
    }

    /// Asks the same until `read` finds an answer in the replies.
    async fn ask_until_answered<T>(
        &self,
        shard: ShardId,
        requests: &[ShardRequest],
        within: Duration,
        read: impl Fn(Vec<ShardReply>) -> Result<Option<T>, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + within;
        let frame = bytes::Bytes::from(serde_json::to_vec(requests).expect("requests have text keys only"));
        let subject = subject::cmd_subject(shard);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::Indeterminate { shard });
            }
            // A new owner knows nothing of who waited, so the question is asked again now and then.
            let wait = left.min(Duration::from_secs(10));
            match requests::request(&self.broker, &subject, frame.clone(), wait).await {
                Ok(bytes) => {
                    let replies: Vec<ShardReply> =
                        serde_json::from_slice(&bytes).map_err(|source| ClientError::Malformed { shard, source })?;
                    if let Some(answer) = read(replies)? {
                        return Ok(answer);
                    }
                }
                Err(RequestError::TooLarge { .. }) => return Err(ClientError::TooLarge),
                Err(RequestError::Unavailable { .. } | RequestError::Indeterminate { .. }) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

struct Lane {
    broker: Broker,
    shard: ShardId,
}

impl Lane {
    /// Runs until nobody can send commands any more. Who waits while it panics is told that nobody knows.
    async fn keep(self, mut commands: mpsc::Receiver<Pending>) {
        let mut backoff = Backoff::of_duty();
        loop {
            let began = Instant::now();
            if duty::attempt(Duty::CommandLane, self.run(&mut commands)).await.is_ok() {
                return;
            }
            tokio::time::sleep(backoff.after(began.elapsed())).await;
        }
    }

    async fn run(&self, commands: &mut mpsc::Receiver<Pending>) {
        let mut frame = Vec::new();
        let mut backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        loop {
            if frame.is_empty() {
                match commands.recv().await {
                    Some(waiting) => frame.push(waiting),
                    None => return,
                }
            }
            while frame.len() < FRAME_COMMANDS_MAX
                && let Ok(waiting) = commands.try_recv()
            {
                frame.push(waiting);
            }
            frame = self.exchange(frame).await;
            // Whoever is left was not heard: wait a little longer each time, and ask again.
            if frame.is_empty() {
                backoff.reset();
            } else {
                backoff.wait().await;
                frame = self.give_up_late(frame);
            }
        }
    }

    /// Sends one frame; returns the commands that must be sent again.
    async fn exchange(&self, mut frame: Vec<Pending>) -> Vec<Pending> {
        let requests: Vec<&ShardRequest> = frame.iter().map(|waiting| &waiting.request).collect();
        let bytes = serde_json::to_vec(&requests).expect("requests have text keys only");
        let subject = subject::cmd_subject(self.shard);
        let replies: Vec<ShardReply> = match requests::request(&self.broker, &subject, bytes.into(), FRAME_WAIT).await {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(replies) => replies,
                Err(error) => {
                    static MALFORMED: Complaints = Complaints::new();
                    if let Some(count) = MALFORMED.due() {
                        tracing::warn!(shard = %self.shard, %error, count, "a malformed answer");
                    }
                    frame.iter_mut().for_each(|waiting| waiting.heard = true);
                    return frame;
                }
            },
            Err(RequestError::TooLarge { .. }) if frame.len() == 1 => {
                for waiting in frame {
                    let _ = waiting.answer.send(Err(ClientError::TooLarge));
                }
                return Vec::new();
            }
            Err(RequestError::TooLarge { .. }) => return self.exchange_one_by_one(frame).await,
            Err(RequestError::Unavailable { .. }) => return frame,
            Err(RequestError::Indeterminate { .. }) => {
                frame.iter_mut().for_each(|waiting| waiting.heard = true);
                return frame;
            }
        };
        let mut again = Vec::new();
        for (waiting, reply) in frame.into_iter().zip(replies) {
            match reply {
                // An owner that loses its shard says so also of what it may have appended.
                ShardReply::Refused { rejection } if is_passing(&rejection) => {
                    again.push(Pending { heard: true, ..waiting });
                }
                reply => {
                    // The caller may have gone; the decision stands all the same.
                    let _ = waiting.answer.send(Ok(reply));
                }
            }
        }
        again
    }

    async fn exchange_one_by_one(&self, frame: Vec<Pending>) -> Vec<Pending> {
        let mut again = Vec::new();
        for waiting in frame {
            again.extend(Box::pin(self.exchange(vec![waiting])).await);
        }
        again
    }

    fn give_up_late(&self, frame: Vec<Pending>) -> Vec<Pending> {
        let now = Instant::now();
        let (late, left) = frame.into_iter().partition::<Vec<_>, _>(|waiting| waiting.deadline <= now);
        for waiting in late {
            let shard = self.shard;
            let error =
                if waiting.heard { ClientError::Indeterminate { shard } } else { ClientError::Unavailable { shard } };
            let _ = waiting.answer.send(Err(error));
        }
        left
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);
