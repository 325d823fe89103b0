//! The Asset: the single writer of its versions, per workspace and asset id, partitions inside.

mod command;
mod event;

pub use command::{AssetCommand, AssetRejection, ConsumerDeclaration, Declaration, ProducerDeclaration, RecordAsset};
pub use command::{ProducerEnd, ResolveConsumption};
pub use event::{AssetEvent, InputVersion, Waiter};
