//! The Asset: the single writer of its versions, per workspace and asset id, partitions inside.
//!
//! | file | question |
//! |---|---|
//! | `decide` | which version a consumer gets, and whether a producer is started |
//! | `evolve` | what an event means for the state |
//! | `react` | who hears about it |

mod command;
mod decide;
mod event;
mod evolve;
mod producer;
mod react;
mod state;

pub use command::{AssetCommand, ConsumerDeclaration, Declaration, ProducerDeclaration, RecordAsset};
pub use command::{ProducerEnd, ResolveConsumption};
pub use decide::{Ground, decide};
pub use event::{AssetEvent, InputVersion, Waiter};
pub(crate) use evolve::evolve;
pub use react::react;
pub use state::{Asset, VERSIONS_KEPT_MAX};
