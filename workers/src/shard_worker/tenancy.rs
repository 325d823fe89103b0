//! One shard for as long as its lease is held: recovered and driven, again and again.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use headwater_core::shard::{Poison, Resending};
use headwater_core::{CommandId, Incarnation, ShardId};
use headwater_streams::ExchangeError;
use headwater_streams::backoff::Backoff;
use headwater_streams::duty::Duty;
use headwater_streams::holds::{self, Hold};
use headwater_streams::ownership::Unfit;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::append::Lost;
use super::begin::Beginning;
use super::checkpoint::Tally;
use super::deliver::Outlets;
use super::drive::{Caller, Driver, Stopped};
use super::heard;
use super::held::{self, Holds, Refusing};
use super::poisons::Poisons;
use super::recover::{RecoverError, Recovered, recover};
use super::release::{self, ReleaseError};
use super::resend;
use super::{ShardCounters, ShardSettings};

/// How long a shard is left alone that was lost, or whose broker is away.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long until a journal that contradicts what was seen of it is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(250);
/// After how many failures in a row that are not the broker's another process may try.
const UNFIT_AFTER: u32 = 5;
/// A driver that lasted this long was not a failure.
const LASTED: Duration = Duration::from_secs(30);

/// What driving one shard needs.
#[derive(Clone)]
pub(super) struct Tenancy {
    pub shard: ShardId,
    pub outlets: Outlets,
    pub settings: ShardSettings,
    pub counters: Arc<ShardCounters>,
    pub due: mpsc::Sender<ShardId>,
    pub poisons: Poisons,
    pub unfit: Unfit,
    pub holds: watch::Receiver<Holds>,
    pub incarnations: watch::Receiver<Vec<Incarnation>>,
}

/// How one try ended.
enum Ended {
    Asked,
    /// Another owner, or a broker that is away: nothing is wrong with the shard here.
    Passing,
    /// The journal says more than was folded of it: to be taken over again.
    Anew,
    /// What the journal holds cannot be gone on from here.
    Failed,
    /// The journal contradicts what was seen of it.
    Held(Hold),
    /// What the journal holds is of a later release: only a process of that one can go on.
    Outgrown,
}

impl Tenancy {
    /// Recovers and drives the shard until `stop`. A panic drops the driver and begins anew; what panicked is left alone
    /// then. Where that does not help either, the shard is left to another process, if there is one.
    pub async fn run(self, stop: CancellationToken) {
        let (mut backoff, mut failures) = (Backoff::of_duty(), 0);
        let mut suspected = None;
        let mut refusing = Refusing::new(&self.outlets.broker, self.shard, &self.counters);
        let mut tried = None;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let ended = AssertUnwindSafe(self.once(&stop, &mut refusing, &mut tried)).catch_unwind().await;
            let suspicion = std::mem::take(&mut suspected);
            let pause = match ended {
                Ok(Ended::Asked) => return,
                Ok(Ended::Passing) => RETRY_PAUSE,
                Ok(Ended::Anew) => Duration::ZERO,
                Ok(Ended::Held(hold)) => {
                    // Not on the first word: who has just become the stream's leader may be behind for a moment.
                    let is_sure = suspicion.as_ref() == Some(&hold.reason);
                    if is_sure {
                        refusing.begin(&hold);
                    }
                    suspected = Some(hold.reason);
                    if is_sure { held::LOOK_EVERY } else { SECOND_LOOK }
                }
                Ok(Ended::Failed) => {
                    failures += 1;
                    backoff.after(began.elapsed())
                }
                Ok(Ended::Outgrown) => {
                    failures = UNFIT_AFTER;
                    backoff.after(began.elapsed())
                }
                Err(panic) => {
                    failures += u32::from(!self.learns_from(panic));
                    backoff.after(began.elapsed())
                }
            };
            if began.elapsed() >= LASTED && failures < UNFIT_AFTER {
                failures = 0;
            }
            if failures >= UNFIT_AFTER {
                failures = 0;
                self.unfit.report(self.shard);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = held::ordered(self.shard, tried, self.holds.clone()) => {}
            }
        }
    }

    /// Carries out the release of this shard that is ordered, if one is. Returns how the try ends where it is not to go on.
    async fn release(&self, tried: &mut Option<CommandId>) -> Result<(), Ended> {
        let Self { shard, outlets, .. } = self;
        let unsaid = |error: ExchangeError| {
            tracing::warn!(%shard, %error, "whether the shard is on hold is not known, trying again");
            Ended::Passing
        };
        let Some((hold, revision)) = holds::of(&outlets.broker, *shard).await.map_err(unsaid)? else { return Ok(()) };
        let Some(order) = &hold.release else { return Ok(()) };
        *tried = Some(order.id);
        release::carry_out(outlets, *shard, &hold, order, revision).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%shard, %error, cause, "the shard is not released from hold");
            match error {
                ReleaseError::Refused(_) => Ended::Held(Hold { release: None, ..hold.clone() }),
                ReleaseError::Recover(error) if error.is_of_a_later_release() => Ended::Outgrown,
                ReleaseError::Recover(_) | ReleaseError::Exchange(_) | ReleaseError::Lost(_) => Ended::Passing,
            }
        })
    }

    /// Counts a panic; returns whether the next driver knows what to leave alone.
    fn learns_from(&self, panic: Box<dyn std::any::Any + Send>) -> bool {
        match Poison::of(panic) {
            Ok(poison) => {
                if let Poison::Command { id, aggregate, said, .. } = &poison {
                    let shard = self.shard;
                    tracing::error!(%shard, %aggregate, command = %id, said, "a command made the shard's driver panic");
                    Duty::ShardDriver.note_panic(said);
                }
                self.poisons.remember(self.shard, poison);
                true
            }
            Err(said) => {
                Duty::ShardDriver.note_panic(&said);
                false
            }
        }
    }

    async fn once(&self, stop: &CancellationToken, refusing: &mut Refusing, tried: &mut Option<CommandId>) -> Ended {
        let taking_over = async {
            self.release(tried).await?;
            let recovered = self.recovered().await?;
            let known = self.holds.borrow().get(&self.shard).cloned();
            self.is_free(&recovered).await?;
            Ok((recovered, known))
        };
        let taken_over = tokio::select! {
            () = stop.cancelled() => return Ended::Asked,
            taken_over = taking_over => taken_over,
        };
        match taken_over {
            Ok((recovered, known)) => {
                refusing.end().await;
                self.drive(recovered, known, stop).await
            }
            Err(ended) => ended,
        }
    }

    async fn recovered(&self) -> Result<Recovered<Caller>, Ended> {
        let Self { shard, outlets, .. } = self;
        match recover(&outlets.broker, *shard, &outlets.map).await {
            Ok(recovered) => Ok(recovered),
            Err(RecoverError::Held { reason, because }) => {
                let because = because.map(|unusable| unusable.to_string());
                tracing::debug!(%shard, %reason, because, "the journal contradicts what was seen of it");
                Err(Ended::Held(held::hold_for(reason)))
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%shard, %error, cause, "the shard cannot be taken over, trying again");
                Err(match error {
                    _ if error.is_of_a_later_release() => Ended::Outgrown,
                    _ if error.is_of_the_broker() => Ended::Passing,
                    _ => Ended::Failed,
                })
            }
        }
    }

    /// Holds what was folded against what others have seen.
    async fn is_free(&self, recovered: &Recovered<Caller>) -> Result<(), Ended> {
        let Self { shard, outlets, .. } = self;
        let Recovered { journal, owner, .. } = recovered;
        if let Some(hold) = heard::contradiction(&outlets.broker, *shard, outlets.map.shards, owner.last()).await {
            return Err(Ended::Held(hold));
        }
        match held::still_held(&outlets.broker, journal, owner.shard().lanes().incarnation()).await {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(Ended::Held(held::hold_for(reason))),
            Err(error) => {
                tracing::warn!(%shard, %error, "whether the shard is on hold is not known, trying again");
                Err(Ended::Passing)
            }
        }
    }

    /// Drives the shard until it is lost, somebody else puts it on hold, or more is to be sent than was folded.
    async fn drive(&self, recovered: Recovered<Caller>, known: Option<Hold>, stop: &CancellationToken) -> Ended {
        let Self { shard, outlets, settings, counters, due, poisons, .. } = self;
        let Recovered { journal, made_at, state, mut owner, checkpoint, folded } = recovered;
        let mut holds = self.holds.clone();
        poisons.brief(*shard, &mut owner);
        let (runs, checkpoint) = (owner.shard().active_runs(), checkpoint.map(|sequence| sequence.get()));
        let folded_bundles = folded.bundles;
        tracing::info!(%shard, epoch = %owner.epoch(), runs, checkpoint, folded_bundles, "driving the shard");
        for (aggregate, quarantine) in owner.shard().quarantined() {
            tracing::error!(%shard, %aggregate, reason = quarantine.reason, "quarantined");
        }
        ShardCounters::add(&counters.take_overs, 1);
        ShardCounters::add(&counters.bundles_folded, folded_bundles);
        let tally = Tally::new(*shard, folded, settings.clone(), due.clone());
        let begins = Beginning { state, made_at, incarnation: owner.shard().lanes().incarnation() };
        let toward: BTreeMap<ShardId, Incarnation> = owner.shard().lanes().toward_others().collect();
        let toward = |other| toward.get(&other).copied().unwrap_or_default();
        let needed = resend::needed(outlets, *shard, toward, self.incarnations.clone());
        let driver = Driver::new(journal, begins, owner, settings.clone(), counters.clone(), outlets.clone(), tally);
        let stop_driving = stop.child_token();
        let mut driving = std::pin::pin!(driver.run(stop_driving.clone()));
        let mut resends = Vec::new();
        let stopped = tokio::select! {
            stopped = &mut driving => stopped,
            () = held::raised(*shard, known, &mut holds) => {
                tracing::error!(%shard, "somebody has put the shard on hold");
                stop_driving.cancel();
                driving.await
            }
            needed = needed => {
                resends = needed;
                stop_driving.cancel();
                driving.await
            }
        };
        self.stopped(stopped, resends, stop).await
    }

    async fn stopped(&self, stopped: Stopped, resends: Vec<Resending>, stop: &CancellationToken) -> Ended {
        let Self { shard, outlets, .. } = self;
        match stopped {
            Stopped::Asked if stop.is_cancelled() => Ended::Asked,
            Stopped::Asked if resends.is_empty() => Ended::Passing,
            Stopped::Asked => match resend::say(outlets, *shard, resends).await {
                Ok(()) => Ended::Anew,
                Err(error) => {
                    tracing::warn!(%shard, %error, "what is to be sent again is not written yet");
                    Ended::Passing
                }
            },
            Stopped::Lost(Lost::Gone { reason, saw }) => {
                tracing::error!(%shard, %reason, "stepped down");
                let hold = Hold { saw: Some(saw), ..held::hold_for(reason) };
                // What this owner knows is told before it is forgotten.
                tokio::select! {
                    () = stop.cancelled() => Ended::Asked,
                    () = held::raise(&outlets.broker, *shard, &hold) => Ended::Held(hold),
                }
            }
            stopped @ (Stopped::Lost(_) | Stopped::Serve(_)) => {
                tracing::warn!(%shard, reason = %stopped, "stepped down");
                Ended::Passing
            }
        }
    }
}
