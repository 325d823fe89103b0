//! `transitions`: the transitions of each version.

use deadpool_postgres::Transaction;

use super::workflow_defs::begin;
use super::{DefinitionRow, Kind, Table};
use crate::write::{CopyRows, WriteError};

/// The table.
pub const TABLE: Table = Table {
    name: "transitions",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("workflow"),
        Kind::Integer.named("version"),
        Kind::Integer.named("ordinal"),
        Kind::Text.named("from_node"),
        Kind::Text.named("to_node"),
        Kind::Text.named("outcome"),
        Kind::Integer.named("priority"),
        Kind::Text.maybe("condition"),
    ],
};

/// A row, without the version it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphTransition {
    pub from: String,
    pub to: String,
    /// `success` or `failure`.
    pub outcome: String,
    pub priority: i32,
    pub condition: Option<String>,
}

/// Writes rows that are new.
pub(crate) async fn write(transaction: &Transaction<'_>, definitions: &[DefinitionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, definitions.len() * 4 * 1024);
    for of in definitions {
        for (ordinal, edge) in (0..).zip(&of.graph.transitions) {
            begin(&mut rows, of)
                .integer(ordinal)
                .text(&edge.from)
                .text(&edge.to)
                .text(&edge.outcome)
                .integer(edge.priority)
                .text_or_null(edge.condition.as_deref());
        }
    }
    rows.write(transaction).await
}
