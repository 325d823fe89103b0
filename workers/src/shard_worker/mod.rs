//! The shard worker: drives the desk of one shard. It moves bytes and keeps time; every rule is in `headwater-core`.
//!
//! | file | question |
//! |---|---|
//! | `recover` | what the journal says before anything is decided |
//! | `checkpoint` | when a checkpoint is due, and how one is made |
//! | `drive` | what comes to the desk next, and doing what it says |
//! | `append` | whether an append landed, also when the broker did not say |
//! | `values` | how the values that bundles name are stored, and found again |
//! | `begin` | how the shard map hears that a journal has begun |
//! | `heard` | what other shards have heard of a journal |
//! | `held` | what becomes of a shard whose journal contradicts what was seen of it |
//! | `release` | how a release from hold is carried out |
//! | `resend` | what is sent again to a shard that began anew |
//! | `compile` | how definitions are compiled beside the shards that need them |
//! | `library` | where their documents are that the journal names by digest |
//! | `deliver` | how effects leave, each until it is acknowledged |
//! | `supervise` | which shards this process drives |
//! | `tenancy` | what becomes of a driver that fails or panics |
//! | `refold` | the history that a release is made of |
//! | `poisons` | what is left alone because it made a driver panic |

mod append;
mod begin;
mod checkpoint;
mod compile;
mod deliver;
mod drive;
mod heard;
mod held;
mod library;
mod poisons;
mod recover;
mod refold;
mod release;
mod resend;
mod supervise;
mod tenancy;
mod values;

use headwater_core::run::RunLimits;
use headwater_streams::clock::now;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use supervise::ShardSupervisor;

/// How a shard worker behaves.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// How long the holder of an attempt may be silent before the attempt is lost. Three heartbeats or more.
    pub lease_ttl: Duration,
    /// How many requests wait for their bundle before further ones are refused with `Overloaded`.
    pub requests_waiting_max: usize,
    /// After how many bundles of its journal a shard gets a new checkpoint.
    pub checkpoint_bundles: u64,
    /// After how many bytes of its journal it gets one, if that comes first.
    pub checkpoint_bytes: u64,
    /// How long runs may go on.
    pub run_limits: RunLimits,
}

impl ShardSettings {
    /// About how many bundles a take-over then has to fold at most: a second or two.
    pub const CHECKPOINT_BUNDLES: u64 = 100_000;
    /// About how many bytes.
    pub const CHECKPOINT_BYTES: u64 = 64 << 20;
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(15),
            requests_waiting_max: 16_384,
            checkpoint_bundles: Self::CHECKPOINT_BUNDLES,
            checkpoint_bytes: Self::CHECKPOINT_BYTES,
            run_limits: RunLimits::DEFAULT,
        }
    }
}

/// What the shard workers of this process have done since it started; for metrics.
#[derive(Debug, Default)]
pub struct ShardCounters {
    pub bundles: AtomicU64,
    pub commits: AtomicU64,
    pub bytes: AtomicU64,
    pub requests: AtomicU64,
    pub refusals: AtomicU64,
    /// What workers said and nobody could read.
    pub malformed: AtomicU64,
    pub attempts_lost: AtomicU64,
    pub effects: AtomicU64,
    pub take_overs: AtomicU64,
    /// Bundles folded at take-overs: what no checkpoint held.
    pub bundles_folded: AtomicU64,
    /// Checkpoints written.
    pub checkpoints: AtomicU64,
    /// Sum of the times appends took, in microseconds.
    pub append_micros: AtomicU64,
    pub shards_owned: AtomicU64,
    /// Shards this process would drive, and holds.
    pub shards_held: AtomicU64,
    pub active_runs: AtomicU64,
    /// Aggregates that are quarantined in the shards this process drives.
    pub quarantined: AtomicU64,
}

impl ShardCounters {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// How many aggregates one driver has quarantined, as part of the gauge of the process for as long as it lives.
struct QuarantineGauge {
    counters: std::sync::Arc<ShardCounters>,
    count: u64,
}

impl QuarantineGauge {
    fn set(&mut self, count: u64) {
        let before = std::mem::replace(&mut self.count, count);
        self.counters.quarantined.fetch_add(count.wrapping_sub(before), Ordering::Relaxed);
    }
}

impl Drop for QuarantineGauge {
    fn drop(&mut self) {
        self.set(0);
    }
}
