//! Folds the journals into Postgres.

mod batch;
mod columns;
mod database;
pub mod fold;
mod jetstream;
mod journal;
pub mod parse;
pub mod queries;
pub mod rebuild;
pub mod rows;
pub mod server;
mod tail;
mod write;

pub use batch::{Batch, Cursor, Discontinuity, bundle_hash};
pub use database::{Database, DatabaseError};
pub use jetstream::{JetStreamJournal, JetStreamReader};
pub use journal::{Journal, JournalEntry, JournalError, JournalReader, MemoryJournal, MemoryReader};
pub use tail::{BatchLimits, Lag, Progress, Projector, ShardState, WaitError};
