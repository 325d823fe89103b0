//! The fleet of Headwater: what drives shards, what executes nodes, and what worker programs are written with.
//!
//! | module | question it answers |
//! |---|---|
//! | [`shard_worker`] | who drives a shard, and what happens next in it |
//! | [`shard_client`] | how a command gets to its shard |
//! | [`sdk`] | what worker programs are written with |
//! | [`connection`] | how a worker program finds its engine |
//! | `task_worker` | how tasks become reports: the loop behind every worker |
//! | `unique` | how ids are made in the hot loops |
//! | [`actions`] | what nodes can do without a worker program |

pub mod actions;
pub mod connection;
pub mod sdk;
pub mod shard_client;
pub mod shard_worker;
mod task_worker;
mod unique;
