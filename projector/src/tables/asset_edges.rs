//! `asset_edges`: which assets each version says it produces and consumes.

use deadpool_postgres::Transaction;

use super::workflow_defs::begin;
use super::{DefinitionRow, Kind, Table};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "asset_edges",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("workflow"),
        Kind::Integer.named("version"),
        Kind::Text.named("asset_key"),
        Kind::Text.named("role"),
        Kind::Text.named("node_id"),
        Kind::Integer.named("ordinal"),
        Kind::Text.named("asset_id"),
        Kind::Text.maybe("node_name"),
        Kind::Text.named("kind"),
        Kind::Boolean.named("is_primary"),
        Kind::Text.maybe("schema"),
        Kind::Text.maybe("freshness"),
        Kind::Text.maybe("partitioning"),
        Kind::Text.maybe("auto_materialize"),
    ],
};

/// A row, without the version it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphEdge {
    pub role: EdgeRole,
    pub node: String,
    pub node_name: Option<String>,
    pub kind: String,
    /// As the document spells it.
    pub asset: String,
    pub is_primary: bool,
    pub schema: Option<String>,
    pub freshness: Option<String>,
    pub partitioning: Option<String>,
    pub auto_materialize: Option<String>,
}

/// Which way an asset goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeRole {
    Produces,
    Consumes,
}

impl EdgeRole {
    /// Returns the word the table holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Produces => "produces",
            Self::Consumes => "consumes",
        }
    }
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, definitions: &[DefinitionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, definitions.len() * 4 * 1024);
    for of in definitions {
        for (ordinal, edge) in (0..).zip(&of.graph.edges) {
            begin(&mut rows, of)
                .text(&edge.asset.to_ascii_lowercase())
                .text(edge.role.as_str())
                .text(&edge.node)
                .integer(ordinal)
                .text(&edge.asset)
                .text_or_null(edge.node_name.as_deref())
                .text(&edge.kind)
                .boolean(edge.is_primary)
                .text_or_null(edge.schema.as_deref())
                .text_or_null(edge.freshness.as_deref())
                .text_or_null(edge.partitioning.as_deref())
                .text_or_null(edge.auto_materialize.as_deref());
        }
    }
    rows.write(transaction).await
}
