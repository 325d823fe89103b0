//! The Shard: one journal, one owner at a time, many aggregates.

mod address;
mod bundle;
mod command;
mod effect;

pub use address::{AggregateId, AssetKey, SLOTS, ShardMap, WorkflowKey};
pub use bundle::{Bundle, Commit, Event, Position};
pub use command::{Command, Rejection, Submission};
pub use effect::{AssetNotice, Effect, EffectId};
