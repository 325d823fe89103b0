//! The Asset: the single writer of its versions, per workspace and asset id, partitions inside.
//!
//! A run that waits for a producer which waits for that run would wait for ever. It is refused (`asset_cycle`) as far as
//! this asset's own waiters tell: the run is the producer itself, or the producer waits for other partitions of this asset
//! that the run makes. *Not* detected: circles through other assets (an apply warns of them, see `circle`), circles with a node that waits (`onMiss: wait`), and
//! versions that another node of the waiting run itself would make later. Runs that can meet them need a `timeout`.
//!
//! | file | question |
//! |---|---|
//! | `decide` | which version a consumer gets, and whether a producer is started |
//! | `evolve` | what an event means for the state |
//! | `circle` | whether first versions would wait for each other |
//! | `contract` | whether what workflows declare of it goes together |
//! | `react` | who hears about it |

mod circle;
mod contract;
mod decide;
mod event;
mod evolve;
mod producer;
mod react;
mod state;

pub use circle::{Maker, awaited, circle};
pub use contract::{Clash, ClashKind, clashes};
pub use decide::decide;
pub use event::AssetEvent;
pub(crate) use evolve::evolve;
pub use react::{AssetEffect, AssetNotice, react};
pub use state::{Asset, VERSIONS_KEPT_MAX};

pub use crate::dialogue::{
    AssetCommand, ConsumerDeclaration, Declaration, InputVersion, ProducerDeclaration, ProducerEnd, RecordAsset,
    ResolveConsumption, Waiter,
};
use crate::{ShardId, Timestamp};

/// What a decision stands on besides the state.
pub struct Ground<'a> {
    /// The shard's clock.
    pub now: Timestamp,
    /// Where a run that has to be started will live, from 64 bits that differ for every start.
    pub shard_for: &'a dyn Fn(u64) -> ShardId,
}
