//! JetStream and nothing but: where the journals, the asset feed and the shared tables live, and how processes find and ask
//! each other.
//!
//! This crate is *not* a place for rules: it moves the bytes that `headwater-core` decides on. It is the only crate
//! that names the broker's client, and no type of that client stands in a public signature.
//!
//! | module | question it answers |
//! |---|---|
//! | [`broker`] | how to reach the broker, and whether it is good enough |
//! | [`topology`] | which streams and buckets there are |
//! | [`journal`] | what a shard appended, and how to append next |
//! | [`journals`] | what all of them hold, for whoever folds them |
//! | [`ownership`] | which process drives which shard |
//! | [`shard_map`] | which shard decides for which aggregate |
//! | [`holds`] | which shards are on hold, and why |
//! | [`requests`] | how processes ask each other |
//! | [`cancel`] | how workers hear of cancellation before their next heartbeat |
//! | [`work`] | how workers and shards speak with each other |
//! | [`feed`] | what changed in the assets |
//! | [`definitions`] | which definition versions there are |
//! | [`values`] | values too large for a journal's message |
//! | [`checkpoints`] | where a shard's recovery starts |
//! | [`yardstick`] | what the bare broker costs, for benchmarks |
//! | [`duty`] | what becomes of a task that panics |
//! | [`complaints`] | how often the same may be said in the log |
//! | [`server`] | how to run a broker of one's own |
//!
//! # Invariants
//! * `STR-1` The second token of every subject is its kind; what users name comes after it.
//! * `STR-2` An append lands only directly behind the sequence it expects.
//! * `STR-3` A reader returns a journal's entries in order, each once, or says that some are gone.
//! * `STR-4` Whatever decides is read from the stream's leader, never from a replica.
//! * `STR-5` Applying a topology never loses anything that is stored.
//! * `STR-6` A journal is made once: one that has begun and is not there is missed.

mod acked;
mod answerable;
pub mod backoff;
pub mod broker;
mod bucket;
pub mod cancel;
pub mod checkpoints;
pub mod clock;
pub mod complaints;
pub mod definitions;
mod disposition;
pub mod duty;
pub mod feed;
pub mod holds;
mod inlet;
pub mod journal;
pub mod journals;
pub mod ownership;
pub mod requests;
pub mod server;
pub mod shard_map;
mod storing;
pub mod subject;
mod tail;
pub mod topology;
pub mod values;
pub mod work;
pub mod yardstick;

pub use answerable::NotAnInbox;
pub use broker::{Broker, BrokerConfig, ConnectError, Credentials};
pub use disposition::{Cause, Disposition, ExchangeError};
