//! `run_terms`: by what runs are found, in the order of their lists.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use headwater_core::Timestamp;
use headwater_core::run::{Description, Trigger};
use tokio_postgres::Row;
use uuid::Uuid;

use super::workflow_runs::RunChange;
use super::{Kind, Table};
use crate::columns::{Time, smallint};
use crate::terms::{INPUT_BYTES_MAX, Terms};
use crate::write::{CopyRows, WriteError, column, execute};

/// The table.
pub const TABLE: Table = Table {
    name: "run_terms",
    columns: &[
        Kind::Uuid.named("term"),
        Kind::Time.named("started_at"),
        Kind::Uuid.named("run_id"),
        Kind::Smallint.named("shard"),
    ],
};

/// How long a row is in the form in which it is written.
const ROW_BYTES: usize = 64;

/// Where a run stands in every list it is in.
#[derive(Debug, Clone, Copy)]
struct Place {
    started_at: Timestamp,
    run: Uuid,
    shard: i16,
}

fn put(rows: &mut CopyRows, place: Place, mut terms: Vec<Uuid>) {
    terms.sort_unstable();
    terms.dedup();
    for term in terms {
        rows.row().uuid(term).time(place.started_at).uuid(place.run).smallint(place.shard);
    }
}

/// Writes those of runs that started.
pub(crate) async fn write_starts(transaction: &Transaction<'_>, changes: &[RunChange]) -> Result<(), WriteError> {
    let mut rows = CopyRows::of(&TABLE, changes.len() * 4 * ROW_BYTES);
    for change in changes {
        let Some(start) = &change.start else { continue };
        let (of, mut terms) = (Terms::of(&start.workspace), Vec::new());
        of.start(start.input.here(), &start.trigger, &mut terms);
        of.describe(&change.described, &mut terms);
        let place = Place { started_at: start.started_at, run: change.run.as_uuid(), shard: smallint(start.shard) };
        put(&mut rows, place, terms);
    }
    rows.write(transaction).await
}

/// Puts what runs are called that an earlier batch saw start in the place of what they were called: before their rows say it.
pub(crate) async fn write_news(transaction: &Transaction<'_>, changes: &[RunChange]) -> Result<(), WriteError> {
    let is_news = |change: &&RunChange| change.start.is_none() && !change.described.is_empty();
    let news: BTreeMap<Uuid, &Description> =
        changes.iter().filter(is_news).map(|change| (change.run.as_uuid(), &change.described)).collect();
    if news.is_empty() {
        return Ok(());
    }
    let runs: Vec<Uuid> = news.keys().copied().collect();
    let sql = "SELECT r.run_id, r.workspace, r.shard, r.started_at, r.name, r.labels::text, r.attributes::text
               FROM unnest($1::uuid[]) AS u (run_id) JOIN workflow_runs r ON r.run_id = u.run_id";
    let statement = transaction.prepare_cached(sql).await?;
    let mut rows = CopyRows::of(&TABLE, news.len() * 4 * ROW_BYTES);
    let mut gone: Vec<(Uuid, Place)> = Vec::new();
    for row in transaction.query(&statement, &[&runs]).await? {
        let place = place(&row);
        let Some(said) = news.get(&place.run) else { continue };
        let (of, mut before, mut after) = (Terms(row.get("workspace")), Vec::new(), Vec::new());
        // What is not spoken of stays.
        let mut known = described(&row);
        known.name = known.name.filter(|_| said.name.is_some());
        known.labels.retain(|key, _| said.labels.contains_key(key));
        known.attributes.retain(|key, _| said.attributes.contains_key(key));
        of.describe(&known, &mut before);
        of.describe(said, &mut after);
        gone.extend(before.iter().filter(|term| !after.contains(term)).map(|term| (*term, place)));
        after.retain(|term| !before.contains(term));
        put(&mut rows, place, after);
    }
    if !gone.is_empty() {
        let sql = "DELETE FROM run_terms t USING unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS u (term, started_at, run_id)
                   WHERE t.term = u.term AND t.started_at = u.started_at AND t.run_id = u.run_id";
        let terms = column(&gone, |(term, _)| *term);
        let times = column(&gone, |(_, place)| Time(place.started_at));
        let runs = column(&gone, |(_, place)| place.run);
        execute(transaction, sql, &[&terms, &times, &runs]).await?;
    }
    rows.write(transaction).await
}

/// Writes those of all runs there are, once and for all: of what an earlier release has projected. Takes as long as the table is big.
pub(crate) async fn fill(transaction: &Transaction<'_>) -> Result<(), WriteError> {
    let sql = format!(
        "SELECT run_id, workspace, shard, started_at, name, labels::text, attributes::text, trigger,
                CASE WHEN octet_length(input) <= {INPUT_BYTES_MAX} THEN input END AS input
         FROM workflow_runs WHERE run_id > $1 ORDER BY run_id LIMIT 500"
    );
    let statement = transaction.prepare(&sql).await?;
    let mut after = Uuid::nil();
    loop {
        let found = transaction.query(&statement, &[&after]).await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.get("run_id");
        let mut rows = CopyRows::of(&TABLE, found.len() * 4 * ROW_BYTES);
        for row in &found {
            let (of, mut terms) = (Terms(row.get("workspace")), Vec::new());
            let trigger = serde_json::from_str(row.get("trigger")).unwrap_or(Trigger::Manual {});
            of.start(row.get("input"), &trigger, &mut terms);
            of.describe(&described(row), &mut terms);
            put(&mut rows, place(row), terms);
        }
        rows.write(transaction).await?;
    }
}

fn place(row: &Row) -> Place {
    Place { started_at: row.get::<_, Time>("started_at").0, run: row.get("run_id"), shard: row.get("shard") }
}

fn described(row: &Row) -> Description {
    let json = |column| row.get::<_, Option<&str>>(column);
    Description {
        name: row.get("name"),
        labels: json("labels").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        attributes: json("attributes").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
    }
}
