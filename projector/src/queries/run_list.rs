//! Lists of runs: those for which all of some conditions hold, newest first, page by page.
//!
//! For each condition an index has its runs in the order of the list: the one of a status, of a workflow, or of a term (see
//! [`crate::terms`]). A page of one condition is a piece of one of them. Where several hold, they are walked through together:
//! from where one stands the next is searched from there on, and where all stand at one run it is in the list. So a page takes as
//! much time as the rarest of its conditions lets it, and [`STEPS_MAX`] steps at most, however many runs there are.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use headwater_core::run::RunStatus;
use headwater_core::{InvalidName, Json, RunId, Slug, Timestamp, WorkspaceId};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::runs::{RunSummary, SUMMARY, summary};
use super::{Reads, page_size};
use crate::columns::Time;
use crate::database::DatabaseError;
use crate::terms::Terms;

/// How many steps the walk through several lists takes for a page: each is one search in each of them.
pub const STEPS_MAX: i32 = 160;

/// Which runs are listed: those for which all of this holds.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    pub workflow: Option<Slug>,
    pub status: Option<RunStatus>,
    /// What it is called, exactly.
    pub name: Option<String>,
    /// Labels that it has.
    pub labels: Vec<(String, String)>,
    /// Search attributes that it has: texts, numbers and truth values.
    pub attributes: Vec<(String, Json)>,
    /// Values that its input has, of those by which runs are found: see [`crate::is_found`].
    pub inputs: Vec<(String, Json)>,
    /// The run that called it.
    pub parent: Option<RunId>,
    /// It started then, or later.
    pub started_from: Option<Timestamp>,
    /// It started before.
    pub started_before: Option<Timestamp>,
}

/// Where a page of runs ended. Text form: microseconds, dot, run id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunsAfter {
    pub started_at: Timestamp,
    pub run: RunId,
}

impl RunsAfter {
    fn place(&self) -> (Timestamp, Uuid) {
        (self.started_at, self.run.as_uuid())
    }
}

impl fmt::Display for RunsAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_at.as_micros(), self.run)
    }
}

impl FromStr for RunsAfter {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = "microseconds, a dot, and a run id";
        let invalid = || InvalidName { kind: "page", text: text.chars().take(80).collect(), rule };
        let (micros, run) = text.split_once('.').ok_or_else(invalid)?;
        let micros = micros.parse().map_err(|_| invalid())?;
        Ok(Self { started_at: Timestamp::from_micros(micros), run: run.parse()? })
    }
}

/// A page of runs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    pub runs: Vec<RunSummary>,
    /// Where the next page begins; absent: there is none. A page may have fewer runs than were asked for, even none, and the next
    /// one more: a look ends after [`STEPS_MAX`] steps.
    pub next: Option<String>,
}

impl RunFilter {
    fn terms(&self, workspace: &WorkspaceId) -> Vec<Uuid> {
        let (of, mut terms) = (Terms::of(workspace), Vec::new());
        terms.extend(self.name.as_ref().map(|name| of.name(name)));
        terms.extend(self.parent.map(|run| of.parent(run)));
        terms.extend(self.labels.iter().map(|(key, value)| of.label(key, value)));
        terms.extend(self.attributes.iter().map(|(key, value)| of.attribute(key, value)));
        terms.extend(self.inputs.iter().map(|(key, value)| of.input(key, value.as_str())));
        terms
    }
}

/// One list in the order of its index, and what it is asked for.
struct List {
    table: &'static str,
    condition: String,
}

impl List {
    /// The first so many of it behind a place, or at it.
    fn from(&self, comparison: &str, place: &str, rows: &str) -> String {
        let Self { table, condition } = self;
        format!(
            "SELECT t.started_at, t.run_id FROM {table} t
             WHERE {condition} AND (t.started_at, t.run_id) {comparison} ({place}) AND t.started_at >= $4
             ORDER BY t.started_at DESC, t.run_id DESC LIMIT {rows}"
        )
    }
}

/// Returns the lists of so many terms, and perhaps a status and a workflow; the parameters behind `$5` are theirs, in this order.
fn lists(terms: usize, status: bool, workflow: bool) -> Vec<List> {
    let mut lists: Vec<List> =
        (0..terms).map(|at| List { table: "run_terms", condition: format!("t.term = ${}", at + 6) }).collect();
    let columns = [("status", status), ("workflow", workflow)].into_iter().filter(|(_, is_asked)| *is_asked);
    lists.extend((terms + 6..).zip(columns).map(|(number, (column, _))| List {
        table: "workflow_runs",
        condition: format!("t.workspace = $5 AND t.{column} = ${number}"),
    }));
    if lists.is_empty() {
        lists.push(List { table: "workflow_runs", condition: "t.workspace = $5".to_owned() });
    }
    lists
}

/// Returns the question for a page. Parameters: size, where the page begins (time and run), the time where it ends, workspace, those
/// of the lists. Columns: whether the run is in the list, where the look stands, the run.
///
/// Each run is looked up where the walk has found it (`OFFSET 0`): a join could read the whole table.
fn question(lists: &[List]) -> String {
    let found = |is_hit: &str| {
        format!(
            "LEFT JOIN LATERAL (SELECT {SUMMARY} FROM workflow_runs r WHERE r.run_id = w.run AND r.workspace = $5 AND {is_hit}
                                OFFSET 0) f ON true"
        )
    };
    let Some((first, others)) = lists.split_first() else { return String::new() };
    if others.is_empty() {
        let page = first.from("<", "$2, $3", "$1::bigint + 1");
        return format!(
            "SELECT true AS hit, false AS is_last, w.at AS top_at, w.run AS top_run, f.* FROM ({page}) w (at, run) {}",
            found("true")
        );
    }
    // The first list goes on behind a run that was in all of them, else at the place that the last one has reached.
    let (behind, at) = (first.from("<", "w.at, w.run", "1"), first.from("<=", "w.at, w.run", "1"));
    let mut joined =
        format!("(SELECT * FROM ({behind}) x WHERE w.hit UNION ALL SELECT * FROM ({at}) y WHERE NOT w.hit LIMIT 1) l0");
    for (number, list) in others.iter().enumerate() {
        let place = format!("l{number}.started_at, l{number}.run_id");
        let _ = write!(joined, " CROSS JOIN LATERAL ({}) l{}", list.from("<=", &place, "1"), number + 1);
    }
    let last = others.len();
    format!(
        "WITH RECURSIVE walk (step, met, top_at, top_run, at, run, hit) AS (
             SELECT 0, 0, $2::timestamptz, $3::uuid, $2::timestamptz, $3::uuid, true
             UNION ALL
             SELECT w.step + 1, w.met + CASE WHEN n.hit THEN 1 ELSE 0 END, n.top_at, n.top_run, n.at, n.run, n.hit
             FROM walk w CROSS JOIN LATERAL (
                 SELECT l0.started_at AS top_at, l0.run_id AS top_run, l{last}.started_at AS at, l{last}.run_id AS run,
                        l{last}.started_at = l0.started_at AND l{last}.run_id = l0.run_id AS hit
                 FROM {joined}
             ) n
             WHERE w.step < {STEPS_MAX} AND w.met <= $1::bigint
         )
         SELECT w.hit, w.step = {STEPS_MAX} AS is_last, w.top_at, w.top_run, f.* FROM walk w {} WHERE w.step > 0 AND (w.hit OR w.step = {STEPS_MAX})",
        found("w.hit")
    )
}

impl Reads {
    /// Returns a page of a workspace's runs, newest first.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub async fn runs(
        &self,
        workspace: &WorkspaceId,
        filter: &RunFilter,
        after: Option<RunsAfter>,
        limit: u32,
    ) -> Result<RunPage, DatabaseError> {
        let rows = page_of_runs(self, "", workspace, filter, after, limit).await?;
        let mut hits: Vec<_> = rows
            .iter()
            .filter(|row| row.get("hit"))
            // A row that is gone since the walk: a rebuild, or a journal that began anew.
            .filter(|row| row.get::<_, Option<Uuid>>("run_id").is_some())
            .map(summary)
            .collect();
        hits.sort_by_key(|run| std::cmp::Reverse((run.started_at.0, run.run_id.as_uuid())));
        let wanted = page_size(limit).unsigned_abs() as usize;
        let stopped = rows.iter().map(|row| RunsAfter {
            started_at: row.get::<_, Time>("top_at").0,
            run: RunId::from_uuid(row.get("top_run")),
        });
        let next = if hits.len() > wanted {
            hits.truncate(wanted);
            hits.last().map(|last| RunsAfter { started_at: last.started_at.0, run: last.run_id })
        } else {
            stopped.min_by_key(RunsAfter::place).filter(|_| rows.iter().any(|row| row.get("is_last")))
        };
        Ok(RunPage { runs: hits, next: next.map(|next| next.to_string()) })
    }

    /// Returns how the database goes about it, line by line.
    ///
    /// # Errors
    /// As [`Self::runs`].
    #[doc(hidden)]
    pub async fn runs_plan(
        &self,
        workspace: &WorkspaceId,
        filter: &RunFilter,
        after: Option<RunsAfter>,
    ) -> Result<Vec<String>, DatabaseError> {
        let lines = page_of_runs(self, "EXPLAIN ", workspace, filter, after, 50).await?;
        Ok(lines.iter().map(|line| line.get(0)).collect())
    }
}

/// Asks for the rows of a page, and one more; or, with another beginning, how.
async fn page_of_runs(
    reads: &Reads,
    how: &str,
    workspace: &WorkspaceId,
    filter: &RunFilter,
    after: Option<RunsAfter>,
    limit: u32,
) -> Result<Vec<Row>, DatabaseError> {
    let size = page_size(limit);
    let first = RunsAfter { started_at: Timestamp::from_micros(u64::MAX), run: RunId::from_uuid(Uuid::max()) };
    // Nothing is before the first run of a moment.
    let before = filter.started_before.map(|started_at| RunsAfter { started_at, run: RunId::from_uuid(Uuid::nil()) });
    let begin = after.into_iter().chain(before).min_by_key(RunsAfter::place).unwrap_or(first);
    let (time, run) = (Time(begin.started_at), begin.run.as_uuid());
    let end = Time(filter.started_from.unwrap_or(Timestamp::from_micros(0)));
    let (terms, workspace) = (filter.terms(workspace), workspace.as_str());
    let status = filter.status.map(|status| status.as_str());
    let workflow = filter.workflow.as_ref().map(|slug| slug.as_str());
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&size, &time, &run, &end, &workspace];
    parameters.extend(terms.iter().map(|term| term as &(dyn ToSql + Sync)));
    parameters.extend(status.as_ref().map(|status| status as &(dyn ToSql + Sync)));
    parameters.extend(workflow.as_ref().map(|workflow| workflow as &(dyn ToSql + Sync)));
    let sql = how.to_owned() + &question(&lists(terms.len(), status.is_some(), workflow.is_some()));
    reads.rows(&sql, &parameters).await
}
