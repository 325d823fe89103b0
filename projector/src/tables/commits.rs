//! `commits`: every commit with its events, as the journal has them.

use bytes::Bytes;
use deadpool_postgres::Transaction;
use headwater_core::shard::{AggregateId, Cause};
use headwater_core::{CommandId, Json, Revision, Sequence, ShardId, Timestamp};

use super::{Kind, Table};
use crate::columns::{bigint, smallint};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "commits",
    columns: &[
        Kind::Uuid.maybe("run_id"),
        Kind::Bigint.named("sequence"),
        Kind::Bigint.named("revision"),
        Kind::Time.named("time"),
        Kind::Integer.named("ordinal"),
        Kind::Integer.named("event_count"),
        Kind::Smallint.named("shard"),
        Kind::Uuid.named("command_id"),
        Kind::Text.maybe("aggregate"),
        Kind::Text.maybe("actor"),
        Kind::Text.maybe("cause"),
        Kind::Text.named("events"),
        Kind::Text.maybe("stored"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitRow {
    pub aggregate: AggregateId,
    pub revision: Revision,
    pub event_count: i32,
    pub shard: ShardId,
    pub sequence: Sequence,
    /// In its bundle, from 0.
    pub ordinal: i32,
    pub command: CommandId,
    pub time: Timestamp,
    /// An [`headwater_core::Actor`].
    pub by: Option<Json>,
    pub cause: Option<Cause>,
    /// The events as the journal has them.
    pub events: Bytes,
    /// Which of them have a value that stands in the store of values.
    pub stored: Option<Json>,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, commits: &[CommitRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, commits.iter().map(|commit| commit.events.len() + 160).sum());
    for commit in commits {
        let row = rows.row();
        match &commit.aggregate {
            AggregateId::Run(run) => row.uuid(run.as_uuid()),
            AggregateId::Asset(_)
            | AggregateId::Workflow(_)
            | AggregateId::Action(_)
            | AggregateId::Memo(_)
            | AggregateId::Definition(..) => row.null(),
        };
        row.bigint(bigint(commit.sequence.get()))
            .bigint(bigint(commit.revision.get()))
            .time(commit.time)
            .integer(commit.ordinal)
            .integer(commit.event_count)
            .smallint(smallint(commit.shard))
            .uuid(commit.command.as_uuid());
        match &commit.aggregate {
            AggregateId::Run(_) => row.null(),
            other @ (AggregateId::Asset(_)
            | AggregateId::Workflow(_)
            | AggregateId::Action(_)
            | AggregateId::Memo(_)
            | AggregateId::Definition(..)) => row.text(&other.to_string()),
        };
        row.text_or_null(commit.by.as_ref().map(|json| json.as_str()))
            .text_or_null(commit.cause.map(text_of).as_deref())
            .json(&commit.events)
            .text_or_null(commit.stored.as_ref().map(|json| json.as_str()));
    }
    rows.write(transaction).await
}

/// `shard:sequence:index`
fn text_of(Cause { shard, sequence, index }: Cause) -> String {
    format!("{shard}:{sequence}:{index}")
}
