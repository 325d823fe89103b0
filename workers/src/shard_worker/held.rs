//! A shard on hold: whoever asks it hears so at once, and nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::protocol::{self, ShardReply, ShardRequest};
use headwater_core::shard::{HoldReason, Rejection};
use headwater_core::{CommandId, Incarnation, ShardId};
use headwater_streams::backoff::Backoff;
use headwater_streams::holds::{self, Hold, HoldRevision};
use headwater_streams::journal::Journal;
use headwater_streams::requests::{self, Request};
use headwater_streams::{Broker, ExchangeError, subject};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{ShardCounters, now};

/// How often the journal of a shard on hold is looked at again.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one look at the table of holds waits.
const WATCH_WAIT: Duration = Duration::from_millis(500);

/// The shards on hold, as the table says.
pub(super) type Holds = BTreeMap<ShardId, Hold>;

/// Follows the table of holds until nobody listens any more.
pub(super) async fn follow(broker: Broker, tell: watch::Sender<Holds>) {
    let (mut watch, mut holds) = (holds::watch(&broker), Holds::new());
    while !tell.is_closed() {
        // Out of reach: nothing to say.
        match watch.apply(WATCH_WAIT, &mut holds).await {
            Ok(true) => drop(tell.send_replace(holds.clone())),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "which shards are on hold cannot be heard now"),
        }
    }
}

/// Waits until the table says of a shard that it is on hold, by another hold than the one that was known `before`.
pub(super) async fn raised(shard: ShardId, before: Option<Hold>, holds: &mut watch::Receiver<Holds>) {
    let is_new = |holds: &Holds| holds.get(&shard).is_some_and(|hold| Some(hold) != before.as_ref());
    if holds.wait_for(is_new).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until a release of a shard is ordered, other than the one that was `tried`.
pub(super) async fn ordered(shard: ShardId, tried: Option<CommandId>, mut holds: watch::Receiver<Holds>) {
    let order = |holds: &Holds| holds.get(&shard)?.release.as_ref().map(|order| order.id);
    if holds.wait_for(|holds| order(holds).is_some_and(|id| Some(id) != tried)).await.is_err() {
        std::future::pending().await
    }
}

/// Returns why a shard stays on hold although its journal agrees with the map and its checkpoint: the hold names what somebody
/// has seen, and the journal does not show it. A hold whose reason is gone is lifted.
///
/// # Errors
/// See [`ExchangeError`]; ask again.
pub(super) async fn still_held(
    broker: &Broker,
    journal: &Journal,
    incarnation: Incarnation,
) -> Result<Option<HoldReason>, ExchangeError> {
    let shard = journal.shard();
    let Some((hold, revision)) = holds::of(broker, shard).await? else { return Ok(None) };
    // What was seen of an incarnation that was given up says nothing of this one.
    if let Some(saw) = hold.saw.as_ref().filter(|saw| saw.at.incarnation() >= incarnation) {
        let info = journal.info().await?;
        let entry = journal.entry(saw.at).await?;
        if let Some(reason) = saw.contradiction(info.last, entry.as_ref().map(|entry| &entry.bytes[..])) {
            return Ok(Some(reason));
        }
    }
    lift(broker, shard, &hold, revision).await?;
    Ok(None)
}

async fn lift(broker: &Broker, shard: ShardId, hold: &Hold, revision: HoldRevision) -> Result<(), ExchangeError> {
    tracing::warn!(%shard, reason = %hold.reason, "the journal shows again what was seen of it: the hold is lifted");
    holds::lift(broker, shard, revision).await
}

/// Tells everybody who asks a shard that it is on hold, for as long as it is.
pub(super) struct Refusing {
    broker: Broker,
    shard: ShardId,
    counters: Arc<ShardCounters>,
    reason: Option<HoldReason>,
    /// A set ends its tasks when it is dropped.
    task: JoinSet<()>,
}

impl Refusing {
    pub fn new(broker: &Broker, shard: ShardId, counters: &Arc<ShardCounters>) -> Self {
        let (broker, counters) = (broker.clone(), counters.clone());
        Self { broker, shard, counters, reason: None, task: JoinSet::new() }
    }

    /// Puts the shard on hold, and begins to say so.
    pub fn begin(&mut self, hold: &Hold) {
        let (shard, reason) = (self.shard, &hold.reason);
        if self.reason.as_ref() == Some(reason) {
            return;
        }
        tracing::error!(%shard, %reason, remedy = reason.remedy(), "the shard is on hold, and nothing is written to it");
        if self.reason.replace(reason.clone()).is_none() {
            ShardCounters::add(&self.counters.shards_held, 1);
        }
        self.task = JoinSet::new();
        let (broker, hold) = (self.broker.clone(), hold.clone());
        self.task.spawn(async move {
            tokio::join!(raise(&broker, shard, &hold), refuse(&broker, shard, &hold.reason));
        });
    }

    /// Says nothing any more: somebody drives the shard.
    pub async fn end(&mut self) {
        self.task.shutdown().await;
        self.forget();
    }

    fn forget(&mut self) {
        if self.reason.take().is_some() {
            self.counters.shards_held.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Puts a shard on hold, however long it takes.
pub(super) async fn raise(broker: &Broker, shard: ShardId, hold: &Hold) {
    let mut backoff = Backoff::of_exchange();
    while let Err(error) = holds::restate(broker, shard, hold).await {
        tracing::warn!(%shard, %error, "that the shard is on hold cannot be told yet");
        backoff.wait().await;
    }
}

/// Makes the hold of a reason that was found now.
pub(super) fn hold_for(reason: HoldReason) -> Hold {
    Hold::of(reason, None, now())
}

/// Refuses whatever comes, until it is dropped.
async fn refuse(broker: &Broker, shard: ShardId, reason: &HoldReason) {
    loop {
        match requests::serve(broker, &subject::cmd_subject(shard)).await {
            Ok(mut commands) => {
                while let Some(request) = commands.next().await {
                    refuse_frame(request, reason).await;
                }
            }
            Err(error) => tracing::debug!(%shard, %error, "nobody can be told yet that the shard is on hold"),
        }
        tokio::time::sleep(WATCH_WAIT).await;
    }
}

async fn refuse_frame(request: Request, reason: &HoldReason) {
    let Ok(asked) = protocol::read_requests::<ShardRequest>(&request.payload) else { return };
    let refused = || ShardReply::Refused { rejection: Rejection::Held { reason: reason.clone() } };
    let replies: Vec<_> = asked.iter().map(|_| refused()).collect();
    let bytes = serde_json::to_vec(&replies).expect("replies have text keys only");
    if let Err(error) = request.reply.send(bytes.into()).await {
        tracing::debug!(%error, "an answer could not be sent; whoever asked will ask again");
    }
}
