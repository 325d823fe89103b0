//! `nodes`: the nodes of each version, in document order.

use deadpool_postgres::Transaction;

use super::workflow_defs::begin;
use super::{DefinitionRow, Kind, Table};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "nodes",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("workflow"),
        Kind::Integer.named("version"),
        Kind::Text.named("node_id"),
        Kind::Integer.named("ordinal"),
        Kind::Text.maybe("name"),
        Kind::Text.named("kind"),
        Kind::Text.maybe("job"),
        Kind::Text.named("document"),
        Kind::Text.maybe("body_of"),
        Kind::Text.maybe("action_slug"),
        Kind::Integer.maybe("action_version"),
    ],
};

/// A row, without the version it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNode {
    pub id: String,
    pub name: Option<String>,
    pub kind: String,
    pub job: Option<String>,
    pub document: String,
    /// The node with the `forEach` whose body it is in.
    pub body_of: Option<String>,
    /// The action it says that it comes from, and which version.
    pub origin: Option<(String, i32)>,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, definitions: &[DefinitionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, definitions.len() * 4 * 1024);
    for of in definitions {
        for (ordinal, node) in (0..).zip(&of.graph.nodes) {
            begin(&mut rows, of)
                .text(&node.id)
                .integer(ordinal)
                .text_or_null(node.name.as_deref())
                .text(&node.kind)
                .text_or_null(node.job.as_deref())
                .text(&node.document)
                .text_or_null(node.body_of.as_deref())
                .text_or_null(node.origin.as_ref().map(|(slug, _)| slug.as_str()))
                .integer_or_null(node.origin.as_ref().map(|(_, version)| *version));
        }
    }
    rows.write(transaction).await
}
