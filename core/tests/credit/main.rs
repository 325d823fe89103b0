//! How a worker lends its free slots to shards, by the books of each side.
//!
//! | file | question |
//! |---|---|
//! | `laws` | `CRD-1`, whatever becomes of the messages between them |
//! | `room` | what a shard may still hand over |
//! | `lender` | to which shard a worker lends, and when it says so |
//! | `hands` | which workers a shard knows, and who comes next |

mod hands;
mod laws;
mod lender;
mod room;
