//! `actions`: every reusable action, with its current version.

use deadpool_postgres::Transaction;
use headwater_core::shard::ActionKey;
use headwater_core::{DefinitionVersion, Timestamp};
use rustc_hash::FxHashMap;

use super::{Kind, Table};
use crate::columns::{Time, integer};
use crate::write::{WriteError, column, execute};

/// The table.
pub const TABLE: Table = Table {
    name: "actions",
    columns: &[
        Kind::Text.named("workspace"),
        Kind::Text.named("slug"),
        Kind::Integer.named("current_version"),
        Kind::Time.named("created_at"),
        Kind::Time.named("updated_at"),
    ],
};

/// A change of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionChange {
    pub key: ActionKey,
    pub current: DefinitionVersion,
    /// Kept as the row's birth where it is new.
    pub first_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The changes of a batch, one for each action, in the order of their first.
#[derive(Debug, Default)]
pub struct ActionChanges {
    rows: Vec<ActionChange>,
    index: FxHashMap<ActionKey, usize>,
}

impl ActionChanges {
    /// Returns the changes.
    pub fn rows(&self) -> &[ActionChange] {
        &self.rows
    }

    /// Says which version is current.
    pub(crate) fn select(&mut self, key: &ActionKey, version: DefinitionVersion, time: Timestamp) {
        let at = *self.index.entry(key.clone()).or_insert_with(|| {
            let change = ActionChange { key: key.clone(), current: version, first_at: time, updated_at: time };
            self.rows.push(change);
            self.rows.len() - 1
        });
        self.rows[at].current = version;
        self.rows[at].updated_at = time;
    }
}

/// Writes changes of rows that may be there.
pub(crate) async fn write(transaction: &Transaction<'_>, changes: &[ActionChange]) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let later_wins = "ON CONFLICT (workspace, slug) DO UPDATE SET
                   current_version = excluded.current_version, updated_at = excluded.updated_at";
    let sql = format!("{} {later_wins}", TABLE.insert_from_arrays());
    let workspaces = column(changes, |change| change.key.workspace.as_str());
    let slugs = column(changes, |change| change.key.action.as_str());
    let versions = column(changes, |change| integer(change.current.get()));
    let firsts = column(changes, |change| Time(change.first_at));
    let updates = column(changes, |change| Time(change.updated_at));
    execute(transaction, &sql, &[&workspaces, &slugs, &versions, &firsts, &updates]).await
}
