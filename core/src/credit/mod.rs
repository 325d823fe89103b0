//! How a worker lends its free slots to shards: what each side keeps, and the law between them.
//!
//! Both sides count, and counts only grow within one [`Term`]: one session of a worker, as one owner of a shard met it.
//!
//! ```text
//! worker ── Credit: tasks you may have handed to me in all ──▶ shard
//! worker ◀── Standing: tasks I have handed to you in all, and whether more wait ── shard
//! ```
//!
//! What may still come is `lent - handed`. A message that is lost, repeated or overtaken changes nothing; a shard that changes
//! hands begins anew at zero under its next epoch, one that had forgotten a session meets it anew, and a worker that is
//! started anew has another session.
//!
//! Messages with tasks are numbered too, and an older one that comes late is not listened to: its tasks come again as long as they are
//! wanted. So a task is taken from one message at most after it was done.
//!
//! The law, `CRD-1`: what a worker has lent and not been handed, over all shards, and what it holds are together
//! never more than its slots.
//!
//! | file | question |
//! |---|---|
//! | `lender` | to which shard a worker lends what is free |
//! | `homes` | to which few first |
//! | `room` | what a shard may still hand to a worker |
//! | `hands` | which workers a shard knows, and who comes next |

mod hands;
mod homes;
mod lender;
mod room;

use serde::{Deserialize, Serialize};

pub use hands::{Hand, Hands, NAMES_MAX, SESSIONS_MAX};
pub use lender::Lender;
pub use room::Room;

use crate::Epoch;

/// Within which counts are comparable; a later one begins at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Term {
    /// Of the shard.
    pub epoch: Epoch,
    /// Numbers the sessions that the owner has met, from 1; zero before it has.
    pub meeting: u64,
}

impl Term {
    /// Before anything was heard of a shard but its epoch.
    pub fn unmet(epoch: Epoch) -> Self {
        Self { epoch, meeting: 0 }
    }
}

/// What a worker lends to a shard, with every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credit {
    /// As the worker last heard.
    pub term: Term,
    /// Numbers what this worker says to this shard: an older word that comes late is not listened to.
    pub word: u64,
    /// How many tasks the shard may have handed over in this term, in all.
    pub lent: u64,
}

/// How a shard stands with a worker, with every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub term: Term,
    /// How many tasks it has handed over in this term, in all.
    pub handed: u64,
    /// Of those, how many the worker has not spoken of and is expected to.
    pub unheard: u64,
    /// Numbers the messages with tasks that it has sent in this term, answers among them: the newest by then.
    pub message: u64,
    /// Whether tasks wait here that this worker could take.
    pub waiting: bool,
}
