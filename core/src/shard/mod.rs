//! The Shard: one journal, one owner at a time, many aggregates.
//!
//! | file | question |
//! |---|---|
//! | `bundle` | what one append holds |
//! | `stored` | which values of a commit stand in the store of values |
//! | `held` | how much memory the large values of runs take |
//! | `kinds` | which aggregates there are, and what is peculiar to each |
//! | `shelf` | what is done with an aggregate of whatever kind |
//! | `state` | what a shard knows |
//! | `effect` | what follows outside, and what of it is still wanted |
//! | `consequence` | what follows for the sender of a command from its answer |
//! | `definitions` | which definition versions there are, and which are compiled |
//! | `compiled` | what has to be compiled before a command can be decided |
//! | `decide` | how a command finds its aggregate, and what its commit is |
//! | `lane` | what was heard of other shards, and on which way an effect leaves |
//! | `incarnation` | how a shard begins anew after a hold, and what others send it again |
//! | `fold` | how history becomes state, and what of it is corrupt |
//! | `docket` | what a shard has to do without being asked |
//! | `chains` | which run of a chain goes on now |
//! | `lines` | which runs wait for workers, and whose turn it is |
//! | `turns` | which runs have more to do than one decision took, and whose turn it is |
//! | `memory` | what a shard remembers of what is over |
//! | `window` | which commands and which ended runs are still remembered |
//! | `checkpoint` | how what was folded is kept, so that it need not be folded again |
//! | `reactions` | what follows from commits, where working it out can wait |
//! | `outbox` | which effects may not have been delivered |
//! | `load` | what waits for one append |
//! | `owner` | what may leave before and after an append is acknowledged |
//! | `witness` | what a journal must not contradict, and why a shard is held |
//! | `poison` | what was worked on when something panicked |
//! | `quarantine` | what is set aside, and what is asked of it meanwhile |
//! | `refold`, `release` | how something quarantined comes back, and what that means for the state |
//! | `story` | what is known of a run that cannot be folded |

mod bundle;
mod chains;
mod checkpoint;
mod command;
mod compiled;
mod consequence;
mod decide;
mod definitions;
mod docket;
mod effect;
mod fold;
mod held;
mod incarnation;
mod kinds;
mod lane;
mod lines;
mod load;
mod memory;
mod outbox;
mod owner;
mod poison;
mod quarantine;
mod reactions;
mod refold;
mod release;
mod shelf;
mod state;
mod stored;
mod story;
mod turns;
mod window;
mod witness;

pub use bundle::{Ahead, BUNDLE_FORMAT, Bundle, BundleError, Cause, Commit, EffectPlace, Position, digest};
pub use checkpoint::{CHECKPOINT_FORMAT, CheckpointError, Needed};
pub use command::{Granted, Rejection, Submission};
pub use compiled::{Awaited, Compiled, Compiler, Missing, compiled_by, missing};
pub use decide::{Decided, HandedTasks};
pub use effect::Effect;
pub use fold::{Corrupt, Mismatch};
pub use incarnation::{Replaces, Resending};
pub use kinds::{AggregateId, Command, Event, Record, Shown};
pub use lane::{Lanes, Origin, Way};
pub use lines::{QueueKey, Turn};
pub use load::{Answer, Append, Outcome, Released};
pub use owner::Owner;
pub use poison::{CommitPlace, Poison};
pub use quarantine::{Aside, Quarantine, Release, ReleaseBy, TakenUp, next_released};
pub use refold::{RefoldOrder, Refolding, SKIPPED_MAX};
pub use release::Refolded;
pub use state::Shard;
pub use stored::{Stored, StoredField, Stowed};
pub use window::{Bounds, EndedRun};
pub use witness::{HoldReason, JournalState, Sighting, Standing, Witness};

pub use crate::address::{ActionKey, AssetKey, SLOTS, ShardMap, WorkflowKey};
pub use crate::asset::AssetNotice;
