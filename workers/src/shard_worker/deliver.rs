//! How effects leave, each until it is acknowledged. Only then does its bundle count as delivered, and an owner to
//! come does not send it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwater_core::shard::{AssetNotice, Effect, Rejection, ShardMap, Submission, WorkflowKey};
use headwater_core::{DefinitionVersion, Json, Sequence, ShardId};
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::definitions::Definitions;
use headwater_streams::feed::FeedPublisher;
use headwater_streams::{Broker, Disposition};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::shard_client::{ClientError, ShardClient};

/// Counts the effects of one bundle down; the last one confirms the bundle.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    sequence: Sequence,
    left: Arc<AtomicUsize>,
    confirm: mpsc::UnboundedSender<Sequence>,
}

impl Ticket {
    /// One effect has been delivered.
    pub fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The owner may be gone; then nobody needs to know.
            let _ = self.confirm.send(self.sequence);
        }
    }
}

/// What every kind of delivery needs.
#[derive(Clone)]
pub(super) struct Outlets {
    pub broker: Broker,
    pub definitions: Definitions,
    pub client: ShardClient,
    pub map: ShardMap,
}

/// A command for an aggregate of this same shard: it needs no broker.
#[derive(Debug)]
pub(super) struct Local {
    pub submission: Submission,
    pub ticket: Ticket,
}

/// Sends effects on their ways. Dropping it stops whatever has not been delivered.
pub(super) struct Deliverer {
    shard: ShardId,
    outlets: Outlets,
    confirm: mpsc::UnboundedSender<Sequence>,
    local: mpsc::UnboundedSender<Local>,
    notices: mpsc::UnboundedSender<(AssetNotice, Ticket)>,
    definitions: mpsc::UnboundedSender<(Publication, Ticket)>,
    lanes: HashMap<ShardId, mpsc::UnboundedSender<(Submission, Ticket)>>,
    running: JoinSet<()>,
}

impl Deliverer {
    /// Opens the ways. What leaves is bounded by what the owner decides, which waits for confirmations of nobody;
    /// the channels therefore are not, and hold at most what active runs have outstanding.
    pub fn new(
        shard: ShardId,
        outlets: Outlets,
        confirm: mpsc::UnboundedSender<Sequence>,
        local: mpsc::UnboundedSender<Local>,
    ) -> Self {
        let mut running = JoinSet::new();
        let (notices, published) = mpsc::unbounded_channel();
        running.spawn(publish_notices(FeedPublisher::new(&outlets.broker), published));
        let (definitions, made_known) = mpsc::unbounded_channel();
        running.spawn(publish_definitions(outlets.definitions.clone(), made_known));
        let lanes = HashMap::new();
        Self { shard, outlets, confirm, local, notices, definitions, lanes, running }
    }

    /// Sends the effects of one bundle.
    pub fn deliver(&mut self, sequence: Sequence, effects: Vec<Effect>) {
        let left = Arc::new(AtomicUsize::new(effects.len()));
        let ticket = Ticket { sequence, left, confirm: self.confirm.clone() };
        for effect in effects {
            self.send(effect, ticket.clone());
        }
    }

    fn send(&mut self, effect: Effect, ticket: Ticket) {
        let gone = "the ways stay open as long as the deliverer";
        match effect {
            Effect::PublishAsset(notice) => self.notices.send((notice, ticket)).expect(gone),
            Effect::PublishDefinition { workspace, workflow, version, document } => {
                let key = WorkflowKey { workspace, workflow };
                self.definitions.send(((key, version, document), ticket)).expect(gone);
            }
            Effect::CancelTasks { workspace, run, node } => {
                let broker = self.outlets.broker.clone();
                self.running.spawn(async move {
                    // Best effort: the heartbeat carries it too.
                    if let Err(error) = cancel::announce(&broker, &workspace, &CancelNotice { run, node }).await {
                        tracing::debug!(%error, "a cancellation was not announced");
                    }
                    ticket.done();
                });
            }
            Effect::Submit(submission) => match self.outlets.map.shard_of(&submission.command.target()) {
                Some(shard) if shard == self.shard => {
                    // The receiver is the driver that owns this deliverer.
                    let _ = self.local.send(Local { submission, ticket });
                }
                Some(shard) => {
                    let lane = self.lanes.entry(shard).or_insert_with(|| {
                        let (lane, submitted) = mpsc::unbounded_channel();
                        let client = self.outlets.client.clone();
                        self.running.spawn(submit_in_order(shard, client, self.local.clone(), submitted));
                        lane
                    });
                    lane.send((submission, ticket)).expect(gone);
                }
                None => {
                    tracing::error!(target = %submission.command.target(), "no shard decides for it");
                    ticket.done();
                }
            },
        }
    }

    /// Waits until a way breaks: what was on it would never be delivered, so whoever drives the shard begins anew.
    ///
    /// # Panics
    /// With what the way panicked with; it never returns.
    pub async fn broken(&mut self) {
        loop {
            match self.running.join_next().await {
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // A cancellation that was announced.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Takes everything that is waiting, at least one.
async fn take<T>(from: &mut mpsc::UnboundedReceiver<T>, count_max: usize) -> Option<Vec<T>> {
    let mut taken = Vec::new();
    (from.recv_many(&mut taken, count_max).await > 0).then_some(taken)
}

async fn publish_notices(mut feed: FeedPublisher, mut published: mpsc::UnboundedReceiver<(AssetNotice, Ticket)>) {
    while let Some((notice, ticket)) = published.recv().await {
        let mut pause = Pause::new();
        while let Err(error) = feed.publish(&notice).await {
            if error.disposition() == Disposition::Rejection {
                tracing::error!(%error, asset = %notice.asset, version = %notice.version, "not on the feed");
                break;
            }
            tracing::warn!(%error, asset = %notice.asset, "a notice is not on the feed yet, trying again");
            pause.wait().await;
        }
        ticket.done();
    }
}

type Publication = (WorkflowKey, DefinitionVersion, Json);

async fn publish_definitions(definitions: Definitions, mut made_known: mpsc::UnboundedReceiver<(Publication, Ticket)>) {
    while let Some(((key, version, document), ticket)) = made_known.recv().await {
        let mut pause = Pause::new();
        while let Err(error) = definitions.publish(&key, version, &document).await {
            if matches!(error.disposition(), Disposition::Rejection | Disposition::Conflict) {
                tracing::error!(%error, workflow = %key.workflow, %version, "the definition cannot be made known");
                break;
            }
            tracing::warn!(%error, workflow = %key.workflow, "a definition is not published yet, trying again");
            pause.wait().await;
        }
        ticket.done();
    }
}

/// Submits to one other shard, in the order the facts happened.
async fn submit_in_order(
    shard: ShardId,
    client: ShardClient,
    local: mpsc::UnboundedSender<Local>,
    mut submitted: mpsc::UnboundedReceiver<(Submission, Ticket)>,
) {
    while let Some(batch) = take(&mut submitted, 256).await {
        // The client's lane keeps the order in which they are first polled, which is that of the batch.
        let answers = batch.iter().map(|(submission, _)| submit_until_answered(shard, &client, submission));
        let answers = futures_util::future::join_all(answers).await;
        for ((submission, ticket), refusal) in batch.into_iter().zip(answers) {
            match refusal.and_then(|rejection| submission.refused(&rejection)) {
                // The bundle is delivered only when the consequence is durable too.
                Some(submission) => drop(local.send(Local { submission, ticket })),
                None => ticket.done(),
            }
        }
    }
}

async fn submit_until_answered(shard: ShardId, client: &ShardClient, submission: &Submission) -> Option<Rejection> {
    let mut pause = Pause::new();
    loop {
        match client.submit(shard, submission.clone(), Duration::from_secs(30)).await {
            Ok(_) => return None,
            Err(ClientError::Refused(rejection)) => return Some(rejection),
            Err(error @ ClientError::TooLarge) => {
                tracing::error!(%error, %shard, "a command cannot be delivered");
                return None;
            }
            Err(error) => {
                tracing::debug!(%error, %shard, "a command is not answered yet, trying again");
                pause.wait().await;
            }
        }
    }
}

/// Waits a little longer each time.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(Duration::from_millis(20))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(2));
    }
}
