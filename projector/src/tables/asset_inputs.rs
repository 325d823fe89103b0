//! `asset_inputs`: from which versions each version was made.

use deadpool_postgres::Transaction;
use headwater_core::{AssetId, Version, WorkspaceId};

use super::{Kind, Table};
use crate::columns::bigint;
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "asset_inputs",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("asset_key"),
        Kind::Text.named("partition"),
        Kind::Bigint.named("version"),
        Kind::Integer.named("ordinal"),
        Kind::Text.named("input_asset_key"),
        Kind::Text.named("input_asset_id"),
        Kind::Text.named("input_partition"),
        Kind::Bigint.named("input_version"),
    ],
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRow {
    pub workspace: WorkspaceId,
    pub key: String,
    pub partition: String,
    pub version: Version,
    pub ordinal: i32,
    pub input_key: String,
    pub input_asset: AssetId,
    pub input_partition: String,
    pub input_version: Version,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, inputs: &[InputRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, inputs.len() * 200);
    for input in inputs {
        rows.row()
            .text(input.workspace.as_str())
            .text(&input.key)
            .text(&input.partition)
            .bigint(bigint(input.version.get()))
            .integer(input.ordinal)
            .text(&input.input_key)
            .text(input.input_asset.as_str())
            .text(&input.input_partition)
            .bigint(bigint(input.input_version.get()));
    }
    rows.write(transaction).await
}
