//! The projector: folds the journals into Postgres, and reads it back for the API.
//!
//! Everything in the read models follows from the journals and can be dropped and made anew. This crate is *not*: a
//! place where anything is decided (the core does), a source of truth (the journals are), or a broker's client: what it
//! folds comes through [`Journals`](headwater_streams::journals::Journals). `tokio_postgres` stays inside.
//!
//! | module | question it answers |
//! |---|---|
//! | [`server`] | where a Postgres for development and tests comes from |
//! | [`Database`] | which schema, through which connections; its migrations |
//! | `fault` | what an error of the database means: it passes, rows are to blame, or its operator has to act |
//! | [`parse`] | what is in a message, and what cannot be read of it |
//! | [`Documents`] | definitions that the journal names by digest |
//! | [`fold`] | what commits mean for the tables |
//! | `snapshots` | what is kept of a run by its definition's policy |
//! | `terms` | by what runs are found |
//! | [`tables`] | what a table holds, and how it is written |
//! | `write` | how a batch gets into the tables exactly once |
//! | [`Projector`] | when a batch is cut, and what happens when the database is away |
//! | [`rebuild`] | whether the tables are what the journals say, and how they are replaced |
//! | [`Observer`] | how far the projector of another process is |
//! | [`queries`] | what users see |
//! | [`live`] | who is told of what happens, when |
//!
//! # Invariants
//! * `PRJ-1` A cursor moves in the transaction that writes the rows it stands for, from exactly where they begin: every
//!   bundle is applied once, whoever applies it and however often it is delivered.
//! * `PRJ-2` Folding in pieces and writing each leaves the same rows as folding at once.
//! * `PRJ-3` No column depends on anything but the journals: a rebuild equals what is live, byte for byte.
//! * `PRJ-4` What cannot be projected is kept in `dead_events` with a reason, and nothing else waits for it.
//! * `PRJ-5` A bundle is applied only where its predecessor is the last one that was.

mod batch;
mod columns;
mod database;
mod documents;
mod fault;
pub mod fold;
mod journal;
pub mod live;
pub mod parse;
pub mod queries;
pub mod rebuild;
pub mod server;
mod snapshots;
pub mod tables;
mod tail;
mod terms;
mod write;

pub use batch::{Batch, Cursor, Discontinuity, bundle_hash};
pub use database::{Database, DatabaseError};
pub use documents::Documents;
pub use fault::Unfit;
pub use journal::JournalError;
pub use snapshots::SnapshotLimits;
pub use tail::{BatchLimits, Lag, Observer, Progress, Projector, ShardState, WaitError};
pub use terms::{INPUT_KEYS_MAX, INPUT_VALUE_BYTES_MAX, is_found};
