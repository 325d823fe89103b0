//! The rules of Headwater: definitions, expressions, the aggregates Run, Asset and Workflow, and the Shard they live in.
//!
//! Wishes are commands, facts are events, what follows from facts are effects. `decide`, `evolve` and `react` hold
//! all the rules. This crate is *not*: async, a clock, a source of randomness, a logger, or any kind of I/O; times,
//! ids and randomness are arguments.
//!
//! | module | question it answers |
//! |---|---|
//! | [`address`] | what long-lived aggregates are called, and where they live |
//! | [`definition`] | what a workflow is, and everything that is wrong with a document |
//! | [`expr`] | what `${{ … }}` means |
//! | [`task`] | what a worker is given |
//! | [`dialogue`] | what aggregates say to each other |
//! | [`run`] | what a run may do next |
//! | [`asset`] | which version a consumer gets, and who makes one |
//! | [`workflow`] | which version of a definition is current |
//! | [`memo`] | which results there are, and who makes one |
//! | [`action`] | which version of a reusable action is |
//! | [`shard`] | who owns what, what one append holds, what is due |
//! | [`credit`] | to whom a worker lends its free slots |
//! | [`desk`] | who gets what when: an owner around its I/O, without it |
//! | [`ownership`] | which process drives which shard |
//! | [`protocol`] | what crosses the broker between processes |
//!
//! # Invariants
//! * `ID-1` A name that becomes a subject token holds no dot, wildcard or white space of its own.
//! * `ID-2` The ten lowest bits of a run id are its shard.
//! * `JSN-1` What a [`Json`] holds every parser takes.
//! * `RUN-1` A run that has ended never changes again.
//! * `RUN-2` Folding the events of a decision gives the state the decision left behind.
//! * `RUN-3` At most one attempt of a node is current; only its lease can report on it.
//! * `AST-1` Versions of an asset and partition are contiguous from 1.
//! * `AST-2` At most one producer run is in flight per asset and partition on behalf of waiters, until
//!   it has ended; then nobody waits for it any more.
//! * `CRD-1` What a worker has lent and not been handed, over all shards, and what it holds are together never more than
//!   its slots.
//! * `SHD-1` Revisions of an aggregate are contiguous across bundles.
//! * `SHD-2` Commit times never go backwards within a shard.
//! * `SHD-3` A command id that was granted is not decided again.
//! * `SHD-4` Nothing negative, and nothing that changes nothing, leaves a shard before an append that was sent after
//!   the decision is acknowledged.
//! * `SHD-5` A checkpoint and the entries behind it give the state that the whole journal gives.
//! * `SHD-6` What one shard sends another is decided once and in order, however long ago it was sent first.
//! * `SHD-7` A run that was forgotten does not start again.
//! * `SHD-8` Nothing of a quarantined aggregate is folded or decided until its release, by any release of the program; what it
//!   was sent is decided then, once and in order.

pub mod action;
mod actor;
pub mod address;
pub mod asset;
pub mod credit;
pub mod definition;
pub mod desk;
pub mod dialogue;
pub mod expr;
mod failure;
mod id;
mod json;
pub mod memo;
pub mod ownership;
mod position;
pub mod protocol;
pub mod run;
pub mod shard;
pub mod task;
mod time;
mod value;
pub mod workflow;

pub use actor::Actor;
pub use failure::RunFailure;
pub use id::{
    ActorName, AssetId, BranchId, BundleId, CommandId, InvalidName, JobSlug, LeaseSecret, LeaseToken, MemberId,
    NodeAddress, NodeId, PartitionKey, QueueName, RunId, SessionId, ShardId, SignalKey, SignalName, Slug, WorkerId,
    WorkspaceId,
};
pub use json::{Flaw, InvalidJson, Json};
pub use position::{Attempt, DefinitionVersion, Epoch, Incarnation, Revision, Sequence, Version};
pub use time::{InvalidTimestamp, Timestamp};
pub use value::{STORED_FROM, StoredValue, VALUE_BYTES_MAX, ValueDigest};
