//! Rows as one array for each column: `SELECT … FROM UNNEST` takes them side by side.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::WriteError;

/// Makes the array of a column.
pub(crate) fn column<'r, R, V>(rows: &'r [R], value: impl Fn(&'r R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// Executes a statement that takes such arrays.
pub(crate) async fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    columns: &[&(dyn ToSql + Sync)],
) -> Result<(), WriteError> {
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, columns).await?;
    Ok(())
}

/// The database's text has no U+0000; a handler's message may. The event itself keeps it.
pub(crate) fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
