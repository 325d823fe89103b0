//! `workflow_defs`: every version of every workflow, with its document.

use deadpool_postgres::Transaction;
use headwater_core::{DefinitionVersion, Json, Slug, Timestamp, WorkspaceId};

use super::{GraphEdge, GraphNode, GraphTransition, Kind, Table};
use crate::columns::integer;
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "workflow_defs",
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

/// A row, with what belongs to it in `nodes`, `transitions` and `asset_edges`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionRow {
    pub workspace: WorkspaceId,
    pub slug: Slug,
    pub version: DefinitionVersion,
    pub content_hash: String,
    pub applied_at: Timestamp,
    /// An [`headwater_core::Actor`].
    pub applied_by: Option<Json>,
    pub document: Json,
    pub graph: Graph,
}

/// What the read models keep of a document, beside the document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    pub name: Option<String>,
    pub description: Option<String>,
    pub nodes: Vec<GraphNode>,
    pub transitions: Vec<GraphTransition>,
    pub edges: Vec<GraphEdge>,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, definitions: &[DefinitionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, definitions.iter().map(|of| of.document.len_bytes() + 200).sum());
    for of in definitions {
        rows.row()
            .text(of.workspace.as_str())
            .text(of.slug.as_str())
            .integer(integer(of.version.get()))
            .text(&of.content_hash)
            .text_or_null(of.graph.name.as_deref())
            .text_or_null(of.graph.description.as_deref())
            .time(of.applied_at)
            .text_or_null(of.applied_by.as_ref().map(|json| json.as_str()))
            .jsonb(of.document.as_str());
    }
    rows.write(transaction).await
}

/// Begins the row of something that belongs to a version.
pub(super) fn begin<'r>(rows: &'r mut CopyRows, of: &DefinitionRow) -> &'r mut CopyRows {
    rows.row().text(of.workspace.as_str()).text(of.slug.as_str()).integer(integer(of.version.get()))
}
