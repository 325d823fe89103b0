//! The tables, one a file: what a row is, which columns it has, what changes fold into, and how they are written.
//!
//! One struct for each table of `migrations/`. Where a row can be changed by a later batch, its struct is a *change*:
//! an absent column says nothing about what the database has. Every write goes by the list of columns that stands in the
//! table's file, and a test holds these lists against the schema of a database.

pub(crate) mod action_defs;
pub(crate) mod actions;
pub(crate) mod asset_edges;
pub(crate) mod asset_inputs;
pub(crate) mod asset_versions;
pub(crate) mod assets;
pub(crate) mod branches;
pub(crate) mod commits;
pub(crate) mod cursors;
pub(crate) mod dead_events;
pub(crate) mod human_tasks;
pub(crate) mod nodes;
pub(crate) mod run_terms;
pub(crate) mod snapshot_policies;
pub(crate) mod traces;
pub(crate) mod transitions;
mod value;
pub(crate) mod workflow_defs;
pub(crate) mod workflow_pins;
pub(crate) mod workflow_runs;
pub(crate) mod workflow_selections;
pub(crate) mod workflows;

pub use action_defs::ActionRow;
pub use actions::{ActionChange, ActionChanges};
pub use asset_edges::{EdgeRole, GraphEdge};
pub use asset_inputs::InputRow;
pub use asset_versions::VersionRow;
pub use assets::{AssetChange, AssetChanges, Known, LatestVersion};
pub use branches::{BranchChange, BranchChanges, BranchEnd, BranchOpening, BranchStatus};
pub use commits::CommitRow;
pub use dead_events::DeadRow;
pub use human_tasks::{TaskAnswer, TaskChange, TaskChanges};
pub use nodes::GraphNode;
pub use snapshot_policies::PolicyRow;
pub use traces::{SettledNode, SettledNodes, TraceChange, TraceChanges, TraceStatus};
pub use transitions::GraphTransition;
pub use value::Value;
pub use workflow_defs::{DefinitionRow, Graph};
pub use workflow_pins::PinRow;
pub use workflow_runs::{RunChange, RunChanges, RunEnd, RunStart};
pub use workflow_selections::SelectionRow;
pub use workflows::{WorkflowChange, WorkflowChanges};

/// A table: its name, and its columns in the order in which rows are written.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// There may be no value.
    pub is_nullable: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Text,
    Jsonb,
    Bytea,
    Boolean,
    Smallint,
    Integer,
    Bigint,
    Time,
}

/// Every table.
pub const ALL: [&Table; 21] = [
    &cursors::TABLE,
    &dead_events::TABLE,
    &commits::TABLE,
    &workflows::TABLE,
    &workflow_selections::TABLE,
    &workflow_pins::TABLE,
    &workflow_defs::TABLE,
    &nodes::TABLE,
    &transitions::TABLE,
    &asset_edges::TABLE,
    &actions::TABLE,
    &action_defs::TABLE,
    &workflow_runs::TABLE,
    &run_terms::TABLE,
    &traces::TABLE,
    &branches::TABLE,
    &human_tasks::TABLE,
    &assets::TABLE,
    &asset_versions::TABLE,
    &asset_inputs::TABLE,
    &snapshot_policies::TABLE,
];

impl Kind {
    /// Makes a column that always has a value.
    const fn named(self, name: &'static str) -> Column {
        Column { name, kind: self, is_nullable: false }
    }

    /// Makes a column that may have none.
    const fn maybe(self, name: &'static str) -> Column {
        Column { name, kind: self, is_nullable: true }
    }

    /// Returns the name of the type, as SQL and `information_schema` have it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Jsonb => "jsonb",
            Self::Bytea => "bytea",
            Self::Boolean => "boolean",
            Self::Smallint => "smallint",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Time => "timestamp with time zone",
        }
    }
}

impl Table {
    /// Returns the statement that takes rows in binary form.
    pub(crate) fn copy_in(&self) -> String {
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.name, self.list(|column| column.name.to_owned()))
    }

    /// Returns the beginning of a statement that takes one array for each column, in the order of the columns; the table is
    /// `t` in what follows.
    pub(crate) fn insert_from_arrays(&self) -> String {
        let mut number = 0;
        let arrays = self.list(|column| {
            number += 1;
            format!("${number}::{}[]", column.kind.sql())
        });
        let names = self.list(|column| column.name.to_owned());
        format!("INSERT INTO {} AS t ({names}) SELECT * FROM unnest({arrays})", self.name)
    }

    fn list(&self, text: impl FnMut(&Column) -> String) -> String {
        self.columns.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}
