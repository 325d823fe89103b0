//! `action_defs`: every version of every reusable action, with its document.

use deadpool_postgres::Transaction;
use headwater_core::shard::ActionKey;
use headwater_core::{DefinitionVersion, Json, Timestamp};

use super::{Kind, Table};
use crate::columns::integer;
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "action_defs",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("slug"),
        Kind::Integer.named("version"),
        Kind::Text.named("content_hash"),
        Kind::Text.maybe("name"),
        Kind::Text.maybe("description"),
        Kind::Time.named("applied_at"),
        Kind::Text.maybe("applied_by"),
        Kind::Jsonb.named("document"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionRow {
    pub key: ActionKey,
    pub version: DefinitionVersion,
    pub content_hash: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub applied_at: Timestamp,
    /// An [`headwater_core::Actor`].
    pub applied_by: Option<Json>,
    pub document: Json,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, versions: &[ActionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, versions.iter().map(|of| of.document.len_bytes() + 200).sum());
    for of in versions {
        rows.row()
            .text(of.key.workspace.as_str())
            .text(of.key.action.as_str())
            .integer(integer(of.version.get()))
            .text(&of.content_hash)
            .text_or_null(of.name.as_deref())
            .text_or_null(of.description.as_deref())
            .time(of.applied_at)
            .text_or_null(of.applied_by.as_ref().map(|json| json.as_str()))
            .jsonb(of.document.as_str());
    }
    rows.write(transaction).await
}
