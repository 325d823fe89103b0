//! The fleet of Headwater: what drives shards, what executes nodes, and what worker programs are written with.
//!
//! | module | question it answers |
//! |---|---|
//! | [`shard_worker`] | who drives a shard, and what happens next in it |
//! | [`shard_client`] | how a command gets to its shard |
//! | [`connection`] | how a worker program finds its engine |

pub mod connection;
pub mod shard_client;
pub mod shard_worker;
