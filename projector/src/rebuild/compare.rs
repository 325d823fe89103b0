//! Whether two schemas hold the same rows.

use std::collections::BTreeMap;

use deadpool_postgres::{GenericClient, Transaction};
use serde::Serialize;

/// What a comparison found of one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableComparison {
    pub table: String,
    pub live_rows: u64,
    pub next_rows: u64,
    pub equal: bool,
    /// A few of the rows that only the live table has; empty where the tables are equal.
    pub only_live: Vec<String>,
    /// A few of the rows that only the new table has.
    pub only_next: Vec<String>,
}

/// The rows of a table, counted and summed up: their order, which nobody promises, does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Digest {
    rows: u64,
    sums: (String, String),
}

const SAMPLES_MAX: i64 = 5;

/// Digests every table of a schema. Reads all of it.
pub(super) async fn digest(
    client: &impl GenericClient,
    schema: &str,
) -> Result<BTreeMap<String, Digest>, tokio_postgres::Error> {
    // The migrations' own table says when they were applied.
    let sql = "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename <> 'refinery_schema_history'";
    let mut digests = BTreeMap::new();
    for row in client.query(sql, &[&schema]).await? {
        let table: String = row.get(0);
        let rows = rows_of(client, schema, &table).await?;
        let sql = format!(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text,
                    coalesce(sum(hashtextextended(t::text, 1)::numeric), 0)::text
             FROM {rows} t"
        );
        let row = client.query_one(&sql, &[]).await?;
        let digest = Digest { rows: row.get::<_, i64>(0).unsigned_abs(), sums: (row.get(1), row.get(2)) };
        digests.insert(table, digest);
    }
    Ok(digests)
}

/// Returns a table as a query whose columns stand in the order of their names: in which order migrations added them says nothing.
async fn rows_of(client: &impl GenericClient, schema: &str, table: &str) -> Result<String, tokio_postgres::Error> {
    let sql = "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY column_name COLLATE \"C\")
               FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2";
    let columns: Option<String> = client.query_one(sql, &[&schema, &table]).await?.get(0);
    Ok(format!("(SELECT {} FROM {schema}.{table})", columns.unwrap_or_default()))
}

/// Sets two schemas' digests side by side.
pub(super) fn compare(mut live: BTreeMap<String, Digest>, mut next: BTreeMap<String, Digest>) -> Vec<TableComparison> {
    let mut tables: Vec<String> = live.keys().chain(next.keys()).cloned().collect();
    tables.sort();
    tables.dedup();
    let side_by_side = |table: String| {
        let (one, other) = (live.remove(&table), next.remove(&table));
        let equal = one == other;
        let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
        TableComparison {
            table,
            live_rows: one.rows,
            next_rows: other.rows,
            equal,
            only_live: Vec::new(),
            only_next: Vec::new(),
        }
    };
    tables.into_iter().map(side_by_side).collect()
}

/// Looks up a few of the rows in which a table differs.
pub(super) async fn sample(
    transaction: &Transaction<'_>,
    table: &mut TableComparison,
    live: &str,
    next: &str,
) -> Result<(), tokio_postgres::Error> {
    let name = &table.table;
    let both = "SELECT FROM pg_tables WHERE schemaname = ANY ($1) AND tablename = $2";
    if transaction.query(both, &[&vec![live, next], name]).await?.len() < 2 {
        return Ok(());
    }
    let live = rows_of(transaction, live, name).await?;
    let next = rows_of(transaction, next, name).await?;
    let only = |here: &str, there: &str| {
        format!("SELECT t::text FROM {here} t EXCEPT ALL SELECT t::text FROM {there} t LIMIT {SAMPLES_MAX}")
    };
    table.only_live = transaction.query(&only(&live, &next), &[]).await?.iter().map(|row| row.get(0)).collect();
    table.only_next = transaction.query(&only(&next, &live), &[]).await?.iter().map(|row| row.get(0)).collect();
    Ok(())
}
