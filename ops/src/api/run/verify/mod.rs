//! Whether what is kept of a run is what happened in it: its commits are held against the journal, folded again, and what that gives
//! is held against the run's row, its snapshot, and what its shard has of it.
//!
//! | file | question |
//! |---|---|
//! | here | in which order, and what is answered |
//! | `ledger` | whether a row of `commits` is what its journal has |
//! | `folding` | what the commits give |
//! | `live` | what the run's shard has of it |
//! | `difference` | where two values differ |

mod difference;
mod folding;
mod ledger;
mod live;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use headwater_core::run::RunEvent;
use headwater_core::shard::{Event, WorkflowKey};
use headwater_core::{DefinitionVersion, Revision, RunId, WorkspaceId};
use headwater_projector::parse::ParsedCommit;
use headwater_projector::queries::{RunRow, run_ledger, run_row};
use serde::Serialize;
use tokio::time::Instant;

use self::difference::{Difference, Differences, What};
use self::folding::{Filed, Folding};
use self::live::{Compared, Told};
use super::history::{definition_of, unclear};
use super::not_found;
use crate::api::reading::Reading;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// How long a run may take to be verified: its bundles are read one by one.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How long it is waited for that the tables show what the shard has.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);
const CATCH_UP_PAUSE: Duration = Duration::from_millis(50);
/// How many commits are held at once.
const COMMITS: u32 = 16;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    run_id: RunId,
    /// Nothing differs, of what could be compared.
    equal: bool,
    /// Of the last event that was folded.
    revision: Revision,
    commits: u64,
    compared: Extent,
    differences: Vec<Difference>,
    /// How many there are beyond these.
    left_out: u64,
}

/// What was held against what the commits give.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extent {
    /// All commits were found in the journal, and could be folded: without that nothing of what follows is compared.
    history: bool,
    row: bool,
    /// The last snapshot; absent: the definition has no policy.
    snapshot: Option<bool>,
    /// What happened since the snapshot was folded behind it.
    tail: bool,
    live: Compared,
}

/// `GET /runs/{runId}/verify`
pub async fn verify(State(api): State<Arc<Api>>, reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let workspace = reading.begin(&api).await?;
    api.reads.run_end(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    let _turns = api.turns.verification().await;
    let told = live::ask(&api, &workspace, run).await;
    let row = caught_up(&api, &workspace, run, &told).await?;
    let mut differences = Differences::default();
    let mut folding = None;
    let history = fold(&api, &workspace, run, (&row, &told), &mut folding, &mut differences).await?;
    let mut compared =
        Extent { history, row: false, snapshot: None, tail: false, live: Compared::not("its history differs") };
    let (revision, commits) = folding.as_ref().map_or((Revision::new(0), 0), Folding::reached);
    if let Some(folding) = folding.filter(|_| history) {
        folding.compare_row(&row.columns, &mut differences);
        compared.row = true;
        compared.snapshot = folding.compare_snapshot(row.latest_snapshot.as_deref(), &mut differences);
        compared.tail = folding.compare_tail(&mut differences);
        compared.live = folding.compare_live(told, &mut differences);
    }
    let (differences, left_out) = differences.told();
    let equal = differences.is_empty();
    Ok(api.read(Verified { run_id: run, equal, revision, commits, compared, differences, left_out }))
}

/// Returns the run's row, once it shows as much as the shard has told, or as it is after a while.
async fn caught_up(api: &Api, workspace: &WorkspaceId, run: RunId, told: &Told) -> Result<RunRow, Problem> {
    let deadline = Instant::now() + CATCH_UP_MAX;
    loop {
        let row = run_row(&api.reads, workspace, run).await?.ok_or_else(|| not_found(run))?;
        let status = row.columns.iter().find(|(name, _)| *name == "completedAt").and_then(|(_, at)| at.as_ref());
        if told.is_shown_by(row.revision, status.is_some()) || Instant::now() >= deadline {
            return Ok(row);
        }
        tokio::time::sleep(CATCH_UP_PAUSE).await;
    }
}

/// Folds the commits that the row stands for, each as the journal has it. Returns whether all could be.
async fn fold(
    api: &Api,
    workspace: &WorkspaceId,
    run: RunId,
    (row, told): (&RunRow, &Told),
    folding: &mut Option<Folding>,
    differences: &mut Differences,
) -> Result<bool, Problem> {
    let mut journal = ledger::Reader::new(&api.shards.journals);
    let (mut after, until) = (0, Revision::new(row.revision));
    let mut workflow = None;
    while after < row.revision {
        let page = run_ledger(&api.reads, run, (Revision::new(after), until), COMMITS).await?;
        if page.is_empty() {
            differences.add(What::Events, Some(after + 1), "", None, None);
            return Ok(false);
        }
        let mut commits = Vec::with_capacity(page.len());
        for kept in page {
            if kept.revision != after + 1 {
                differences.add(What::Events, Some(after + 1), "", None, None);
                return Ok(false);
            }
            let Some(commit) = journal.commit(run, &kept, differences).await? else { return Ok(false) };
            after = commit.revision.get() - 1 + commit.events.len() as u64;
            if folding.is_none() {
                let (key, version) = workflow.insert(started_as(workspace, run, &commit)?);
                let definition = definition_of(api, run, key, *version).await?;
                *folding = Some(Folding::new(run, definition, row, told));
            }
            let shard = kept.shard.unwrap_or(run.shard());
            let values = folding::values(api, &commit, folding.as_ref().is_some_and(Folding::wants_values)).await?;
            // Large values are not held for several commits.
            let is_large = !values.is_empty();
            let next = match commit.events.first() {
                Some(Event::Run(RunEvent::RunMigrated { version, .. })) => {
                    let (key, _) = workflow.as_ref().ok_or_else(|| not_found(run))?;
                    Some((*version, definition_of(api, run, key, *version).await?))
                }
                Some(_) | None => None,
            };
            commits.push(Filed { shard, sequence: kept.sequence, commit, values, next });
            if is_large {
                learn(run, folding, std::mem::take(&mut commits)).await?;
            }
        }
        learn(run, folding, commits).await?;
    }
    Ok(true)
}

/// Folds commits, elsewhere than where requests are waited for.
async fn learn(run: RunId, folding: &mut Option<Folding>, commits: Vec<Filed>) -> Result<(), Problem> {
    let Some(mut now) = folding.take() else { return Ok(()) };
    let folded = tokio::task::spawn_blocking(move || {
        let learned = commits.into_iter().try_for_each(|commit| now.learn(commit));
        (now, learned)
    });
    let (now, learned) = folded.await.map_err(|_| Problem::new(Code::Internal, "the run could not be folded"))?;
    *folding = Some(now);
    learned.map_err(|(revision, reason)| {
        let detail = format!("the events of the run {run} from {revision} on cannot be folded: {reason}");
        Problem::new(Code::HistoryUnclear, detail)
    })
}

/// Says by the first commit of a run of which workflow and version it was started.
fn started_as(
    workspace: &WorkspaceId,
    run: RunId,
    first: &ParsedCommit,
) -> Result<(WorkflowKey, DefinitionVersion), Problem> {
    let Some(Event::Run(RunEvent::RunStarted { workflow, version, .. })) = first.events.first() else {
        return Err(unclear(run, "its history does not begin with its start"));
    };
    Ok((WorkflowKey { workspace: workspace.clone(), workflow: workflow.clone() }, *version))
}
