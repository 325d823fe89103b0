//! One shard for as long as its lease is held: recovered and driven, again and again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use headwater_core::ShardId;
use headwater_core::shard::Poison;
use headwater_streams::duty::{Backoff, Duty};
use headwater_streams::ownership::Unfit;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::Tally;
use super::deliver::Outlets;
use super::drive::{Driver, Stopped};
use super::poisons::Poisons;
use super::recover::{Recovered, recover};
use super::{ShardCounters, ShardSettings};

/// How long a shard is left alone that was lost, or whose broker is away.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
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
}

/// How one try ended.
enum Ended {
    Asked,
    /// Another owner, or a broker that is away: nothing is wrong with the shard here.
    Passing,
    /// What the journal holds cannot be gone on from here.
    Failed,
    /// What the journal holds is of a later release: only a process of that one can go on.
    Outgrown,
}

impl Tenancy {
    /// Recovers and drives the shard until `stop`. A panic drops the driver and begins anew; what panicked is left alone
    /// then. Where that does not help either, the shard is left to another process, if there is one.
    pub async fn run(self, stop: CancellationToken) {
        let (mut backoff, mut failures) = (Backoff::new(), 0);
        while !stop.is_cancelled() {
            let began = Instant::now();
            let pause = match AssertUnwindSafe(self.once(&stop)).catch_unwind().await {
                Ok(Ended::Asked) => return,
                Ok(Ended::Passing) => RETRY_PAUSE,
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
            }
        }
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

    async fn once(&self, stop: &CancellationToken) -> Ended {
        let Self { shard, outlets, settings, counters, due, poisons, .. } = self;
        let recovered = tokio::select! {
            () = stop.cancelled() => return Ended::Asked,
            recovered = recover(&outlets.broker, *shard, &outlets.map) => recovered,
        };
        let Recovered { journal, mut owner, checkpoint, folded } = match recovered {
            Ok(recovered) => recovered,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%shard, %error, cause, "the shard cannot be taken over, trying again");
                return match error {
                    _ if error.is_of_a_later_release() => Ended::Outgrown,
                    _ if error.is_of_the_broker() => Ended::Passing,
                    _ => Ended::Failed,
                };
            }
        };
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
        let driver = Driver::new(journal, owner, settings.clone(), counters.clone(), outlets.clone(), tally);
        match driver.run(stop.clone()).await {
            Stopped::Asked => Ended::Asked,
            stopped @ (Stopped::Lost(_) | Stopped::Serve(_)) => {
                tracing::warn!(%shard, reason = %stopped, "stepped down");
                Ended::Passing
            }
        }
    }
}
