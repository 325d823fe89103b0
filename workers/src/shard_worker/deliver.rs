//! How effects leave, each until it is acknowledged. Only then does its bundle count as delivered on its way, and an owner
//! to come does not send it again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwater_core::protocol::Granted;
use headwater_core::shard::{AssetNotice, Effect, Rejection, ShardMap, Submission, Way, WorkflowKey};
use headwater_core::{DefinitionVersion, Incarnation, Json, Sequence, ShardId};
use headwater_streams::backoff::Backoff;
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::complaints::Complaints;
use headwater_streams::definitions::{Definitions, Pointer};
use headwater_streams::feed::FeedPublisher;
use headwater_streams::{Broker, Disposition};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::shard_client::{ClientError, ShardClient};

/// That all effects of a bundle on a way have been delivered.
pub(super) type Confirmed = (Way, Sequence);

/// Counts the effects of one bundle on one way down; the last one confirms them.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    of: Confirmed,
    left: Arc<AtomicUsize>,
    confirm: mpsc::UnboundedSender<Confirmed>,
}

impl Ticket {
    /// One effect has been delivered.
    pub fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The owner may be gone; then nobody needs to know.
            let _ = self.confirm.send(self.of);
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
    confirm: mpsc::UnboundedSender<Confirmed>,
    local: mpsc::UnboundedSender<Local>,
    notices: mpsc::UnboundedSender<(AssetNotice, Ticket)>,
    definitions: mpsc::UnboundedSender<(Publication, Ticket)>,
    toward: BTreeMap<ShardId, Incarnation>,
    lanes: HashMap<ShardId, mpsc::UnboundedSender<(Submission, Ticket)>>,
    running: JoinSet<()>,
}

impl Deliverer {
    /// Opens the ways, for the incarnations of other shards that `toward` names; absent: the first.
    /// What leaves is bounded by what the owner decides, which waits for confirmations of nobody;
    /// the channels therefore are not, and hold at most what active runs have outstanding.
    pub fn new(
        shard: ShardId,
        outlets: Outlets,
        confirm: mpsc::UnboundedSender<Confirmed>,
        local: mpsc::UnboundedSender<Local>,
        toward: BTreeMap<ShardId, Incarnation>,
    ) -> Self {
        let mut running = JoinSet::new();
        let (notices, published) = mpsc::unbounded_channel();
        running.spawn(publish_notices(FeedPublisher::new(&outlets.broker), published));
        let (definitions, made_known) = mpsc::unbounded_channel();
        running.spawn(publish_definitions(outlets.definitions.clone(), made_known));
        let lanes = HashMap::new();
        Self { shard, outlets, confirm, local, notices, definitions, toward, lanes, running }
    }

    /// Sends the effects of one bundle.
    pub fn deliver(&mut self, sequence: Sequence, effects: Vec<Effect>) {
        let mut tickets: HashMap<Way, Ticket> = HashMap::new();
        for way in effects.iter().filter_map(|effect| effect.way(&self.outlets.map)) {
            let fresh = || Ticket { of: (way, sequence), left: Arc::default(), confirm: self.confirm.clone() };
            tickets.entry(way).or_insert_with(fresh).left.fetch_add(1, Ordering::AcqRel);
        }
        for effect in effects {
            let ticket = effect.way(&self.outlets.map).and_then(|way| tickets.get(&way)).cloned();
            self.send(effect, ticket);
        }
    }

    fn send(&mut self, effect: Effect, ticket: Option<Ticket>) {
        let gone = "the ways stay open as long as the deliverer";
        match (effect, ticket) {
            (Effect::PublishAsset(notice), Some(ticket)) => self.notices.send((notice, ticket)).expect(gone),
            (Effect::PublishDefinition { workspace, workflow, version, document, starts, paused }, Some(ticket)) => {
                let key = WorkflowKey { workspace, workflow };
                let starts = starts.then_some(Pointer { version, paused });
                self.definitions.send(((key, version, document, starts), ticket)).expect(gone);
            }
            (Effect::CancelTasks { workspace, run, node }, _) => {
                let broker = self.outlets.broker.clone();
                self.running.spawn(async move {
                    // Best effort: the heartbeat carries it too.
                    if let Err(error) = cancel::announce(&broker, &workspace, &CancelNotice { run, node }).await {
                        tracing::debug!(%error, "a cancellation was not announced");
                    }
                });
            }
            (Effect::Submit(submission), Some(ticket)) => match ticket.of.0 {
                Way::Lane(shard) if shard != self.shard => {
                    let lane = self.lanes.entry(shard).or_insert_with(|| {
                        let (lane, submitted) = mpsc::unbounded_channel();
                        let client = self.outlets.client.clone();
                        let receiver = (shard, self.toward.get(&shard).copied().unwrap_or_default());
                        self.running.spawn(submit_in_order(receiver, client, self.local.clone(), submitted));
                        lane
                    });
                    lane.send((*submission, ticket)).expect(gone);
                }
                // The receiver is the driver that owns this deliverer.
                Way::Lane(_) | Way::Feed | Way::Definitions => {
                    drop(self.local.send(Local { submission: *submission, ticket }))
                }
            },
            (Effect::Submit(submission), None) => {
                static NOWHERE: Complaints = Complaints::new();
                if let Some(count) = NOWHERE.due() {
                    tracing::error!(target = %submission.command.target(), count, "no shard decides for it");
                }
            }
            (Effect::PublishAsset(_) | Effect::PublishDefinition { .. }, None) => {
                unreachable!("what is published has a way")
            }
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

async fn publish_notices(mut feed: FeedPublisher, mut published: mpsc::UnboundedReceiver<(AssetNotice, Ticket)>) {
    while let Some((notice, ticket)) = published.recv().await {
        let mut backoff = DELIVERY;
        while let Err(error) = feed.publish(&notice).await {
            if error.disposition() == Disposition::Rejection {
                static REFUSED: Complaints = Complaints::new();
                if let Some(count) = REFUSED.due() {
                    tracing::error!(%error, asset = %notice.asset, version = %notice.version, count, "not on the feed");
                }
                break;
            }
            tracing::warn!(%error, asset = %notice.asset, "a notice is not on the feed yet, trying again");
            backoff.wait().await;
        }
        ticket.done();
    }
}

/// A version, and what starts where none is named, if that is new.
type Publication = (WorkflowKey, DefinitionVersion, Json, Option<Pointer>);

async fn publish_definitions(definitions: Definitions, mut made_known: mpsc::UnboundedReceiver<(Publication, Ticket)>) {
    while let Some(((key, version, document, starts), ticket)) = made_known.recv().await {
        let mut backoff = DELIVERY;
        let publish = async || match starts {
            Some(pointer) => definitions.publish_as(&key, pointer, &document).await,
            None => definitions.store(&key, version, &document).await,
        };
        while let Err(error) = publish().await {
            if matches!(error.disposition(), Disposition::Rejection | Disposition::Conflict) {
                static REFUSED: Complaints = Complaints::new();
                if let Some(count) = REFUSED.due() {
                    let workflow = &key.workflow;
                    tracing::error!(%error, %workflow, %version, count, "the definition cannot be made known");
                }
                break;
            }
            tracing::warn!(%error, workflow = %key.workflow, "a definition is not published yet, trying again");
            backoff.wait().await;
        }
        ticket.done();
    }
}

/// How many commands are on their way to one shard at once.
const LANE_BURST: usize = 256;
/// The pauses before something is delivered again.
const DELIVERY: Backoff = Backoff::between(Duration::from_millis(20), Duration::from_secs(2));

/// Submits to one other shard, strictly in the order the facts happened: what is not answered is sent again before what
/// comes behind it, and the shard refuses what comes too early (ADR 14).
async fn submit_in_order(
    (shard, toward): (ShardId, Incarnation),
    client: ShardClient,
    local: mpsc::UnboundedSender<Local>,
    mut submitted: mpsc::UnboundedReceiver<(Submission, Ticket)>,
) {
    let mut unanswered: VecDeque<(Submission, Ticket)> = VecDeque::new();
    let mut backoff = DELIVERY;
    loop {
        let room = LANE_BURST - unanswered.len();
        if unanswered.is_empty() {
            let mut taken = Vec::new();
            if submitted.recv_many(&mut taken, room).await == 0 {
                return;
            }
            unanswered.extend(taken);
        } else {
            unanswered.extend(std::iter::from_fn(|| submitted.try_recv().ok()).take(room));
        }
        // The client's lane keeps the order in which they are first polled, which is that of the batch.
        let batch = linked(toward, unanswered.iter().map(|(submission, _)| submission));
        let answers = batch.into_iter().map(|submission| submit(shard, &client, submission));
        let answers = futures_util::future::join_all(answers).await;
        let answered: Vec<_> = answers.into_iter().map_while(|answer| answer).collect();
        if !answered.is_empty() {
            backoff.reset();
        }
        let done = unanswered.drain(..answered.len());
        for (outcome, (submission, ticket)) in answered.into_iter().zip(done) {
            let follows = match &outcome {
                Ok(granted) => granted.as_ref().and_then(|granted| submission.granted(granted)),
                Err(rejection) => submission.refused(rejection),
            };
            match follows {
                // The bundle is delivered only when the consequence is durable too.
                Some(submission) => drop(local.send(Local { submission, ticket })),
                None => ticket.done(),
            }
        }
        if !unanswered.is_empty() {
            backoff.wait().await;
        }
    }
}

/// Says of each command for whom it is, and which one of the batch it comes after. Before the first all has been answered.
fn linked<'s>(toward: Incarnation, batch: impl Iterator<Item = &'s Submission>) -> Vec<Submission> {
    let mut before = None;
    let linked = batch.map(|submission| {
        let mut submission = submission.clone();
        if let Some(from) = &mut submission.from {
            from.after = before.replace(from.place);
            from.toward = toward;
        }
        submission
    });
    linked.collect()
}

/// Gives a command to a shard. `None`: there is no answer yet, and it must be sent again.
async fn submit(
    shard: ShardId,
    client: &ShardClient,
    submission: Submission,
) -> Option<Result<Option<Granted>, Rejection>> {
    match client.submit(shard, submission, Duration::from_secs(30)).await {
        Ok((_, granted)) => Some(Ok(granted)),
        Err(ClientError::Refused(Rejection::Gap { heard })) => {
            tracing::debug!(%shard, ?heard, "a command came too early, sending again in order");
            None
        }
        Err(ClientError::Refused(Rejection::Held { reason })) => {
            tracing::debug!(%shard, %reason, "a command waits for a shard that is on hold");
            None
        }
        Err(ClientError::Refused(rejection)) => Some(Err(rejection)),
        Err(error @ ClientError::TooLarge) => {
            static TOO_LARGE: Complaints = Complaints::new();
            if let Some(count) = TOO_LARGE.due() {
                tracing::error!(%error, %shard, count, "a command cannot be delivered");
            }
            Some(Ok(None))
        }
        Err(error) => {
            tracing::debug!(%error, %shard, "a command is not answered yet, trying again");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::run::RunCommand;
    use headwater_core::shard::{Command, EffectPlace, Origin};
    use headwater_core::{CommandId, RunId, Timestamp};

    use super::*;

    #[test]
    fn each_command_says_what_it_comes_after_and_the_first_that_all_before_was_answered() {
        let shard = ShardId::new(3).unwrap();
        let place = |index| EffectPlace { sequence: Sequence::new(8), index };
        let sent = |from| {
            let run = RunId::new(shard, Timestamp::default(), 1 << 20);
            let command = Command::Run { run, command: RunCommand::FireTimers {} };
            Submission { from, ..Submission::new(CommandId::from_uuid(uuid::Uuid::new_v4()), command) }
        };
        let of = |index| {
            sent(Some(Origin { shard, place: place(index), after: Some(place(77)), toward: Incarnation::FIRST }))
        };
        // One of a release before is among them.
        let batch = [of(1), of(4), sent(None), of(5)];
        let after = |batch: &[Submission]| {
            let linked = linked(Incarnation::FIRST, batch.iter());
            linked.iter().map(|submission| submission.from.map(|from| from.after)).collect::<Vec<_>>()
        };
        assert_eq!(after(&batch), [Some(None), Some(Some(place(1))), None, Some(Some(place(4)))]);
        assert_eq!(after(&batch[1..]), [Some(None), None, Some(Some(place(4)))], "when the first is answered");
    }
}
