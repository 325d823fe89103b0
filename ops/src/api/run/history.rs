//! How the history of a run is folded again, for whoever looks back at it: page by page out of the read models, its large values
//! out of their store.

use std::sync::Arc;

use headwater_core::definition::{Definition, compile};
use headwater_core::run::RunEvent;
use headwater_core::shard::{Event, WorkflowKey};
use headwater_core::{DefinitionVersion, Revision, RunId, Timestamp, WorkspaceId};
use headwater_projector::queries::RecordedEvent;
use headwater_streams::definitions::Definitions;

use super::values;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// How many commits are folded at once.
const COMMITS: u32 = 32;
/// How many bytes of large values are looked at for one answer.
const STORED_BYTES_MAX: u64 = 32 << 20;

/// Something that is folded out of a run's events.
pub(super) trait Refold: Send + Sync + 'static {
    /// The definition of the run was found; its start follows.
    fn begin(&mut self, definition: Arc<Definition>);

    /// The definition of the version that the run goes over to next was found.
    fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>);

    /// Learns what happened next.
    ///
    /// # Errors
    /// Why that cannot have happened.
    fn learn(&mut self, revision: Revision, event: &RunEvent, time: Timestamp) -> Result<(), String>;

    /// Whether what happened at this revision may have to be looked at.
    fn reaches(&self, at: Revision) -> bool;

    /// Whether nothing more has to be looked at.
    fn is_done(&self) -> bool;

    /// Whether it goes by the value of an event that is too large for the tables. Without it `null` stands there.
    fn needs_value(&self, event: &Event) -> bool;
}

/// Folds a run's events, page by page, until nothing more has to be looked at, or there are no more.
///
/// # Errors
/// `run/history_unclear`, `run/context_too_large`, and whatever reading says.
pub(super) async fn fold<F: Refold>(
    api: &Api,
    workspace: &WorkspaceId,
    run: RunId,
    mut folded: F,
) -> Result<F, Problem> {
    let (mut after, mut stored_bytes, mut workflow) = (Revision::new(0), 0, None);
    loop {
        let page = api.reads.run_events(workspace, run, Some(after), COMMITS).await?;
        let Some(first) = page.first() else { return Ok(folded) };
        if after == Revision::new(0) {
            let (key, version) = started_as(workspace, run, first)?;
            folded.begin(definition_of(api, run, &key, version).await?);
            workflow = Some(key);
        }
        let mut events = Vec::with_capacity(page.len());
        for recorded in page.into_iter().filter(|recorded| folded.reaches(Revision::new(recorded.revision))) {
            let filled = filled(api, workspace, run, &folded, recorded, &mut stored_bytes).await?;
            let next = match (&filled.1, &workflow) {
                (RunEvent::RunMigrated { version, .. }, Some(key)) => {
                    Some((*version, definition_of(api, run, key, *version).await?))
                }
                _other => None,
            };
            events.push((filled, next));
        }
        let Some(&((last, ..), _)) = events.last() else { return Ok(folded) };
        let refolded = tokio::task::spawn_blocking(move || {
            let learned = events.into_iter().try_for_each(|((revision, event, time), next)| {
                if let Some((version, definition)) = next {
                    folded.bring(version, definition);
                }
                folded.learn(revision, &event, time)
            });
            learned.map(|()| folded)
        });
        let refolded = refolded.await.map_err(|_| Problem::new(Code::Internal, "the history could not be folded"))?;
        folded = refolded.map_err(|reason| {
            let detail = format!("the events of the run {run} behind {after} cannot be folded: {reason}");
            Problem::new(Code::HistoryUnclear, detail)
        })?;
        after = last;
        if folded.is_done() {
            return Ok(folded);
        }
    }
}

/// Says by the first event of a run of which workflow and version it was started.
fn started_as(
    workspace: &WorkspaceId,
    run: RunId,
    first: &RecordedEvent,
) -> Result<(WorkflowKey, DefinitionVersion), Problem> {
    let Ok(Event::Run(RunEvent::RunStarted { workflow, version, .. })) = serde_json::from_str(first.event.as_str())
    else {
        return Err(unclear(run, "its history does not begin with its start"));
    };
    Ok((WorkflowKey { workspace: workspace.clone(), workflow }, version))
}

/// Reads the definition of a version that a run is, or was, at.
pub(super) async fn definition_of(
    api: &Api,
    run: RunId,
    key: &WorkflowKey,
    version: DefinitionVersion,
) -> Result<Arc<Definition>, Problem> {
    let document = Definitions::new(&api.broker).get(key, version).await?;
    let document = document.ok_or_else(|| unclear(run, "its definition is not there"))?;
    let compiled = tokio::task::spawn_blocking(move || compile(&document.to_value())).await;
    let compiled = compiled.map_err(|_| unclear(run, "its definition could not be compiled"))?;
    let (definition, _) = compiled.map_err(|_| unclear(run, "its definition does not compile any more"))?;
    Ok(Arc::new(definition))
}

pub(super) fn unclear(run: RunId, what: &str) -> Problem {
    Problem::new(Code::HistoryUnclear, format!("the run {run} cannot be folded: {what}"))
}

/// Reads an event, its large value among it.
async fn filled<F: Refold>(
    api: &Api,
    workspace: &WorkspaceId,
    run: RunId,
    folded: &F,
    recorded: RecordedEvent,
    stored_bytes: &mut u64,
) -> Result<(Revision, RunEvent, Timestamp), Problem> {
    let revision = Revision::new(recorded.revision);
    let mut event: Event = serde_json::from_str(recorded.event.as_str()).map_err(|_| {
        Problem::new(Code::HistoryUnclear, format!("the event {revision} of the run {run} cannot be read"))
    })?;
    if let Some(stored) = recorded.stored.filter(|_| folded.needs_value(&event)) {
        *stored_bytes += u64::from(stored.size_bytes);
        if *stored_bytes > STORED_BYTES_MAX {
            let detail =
                format!("the values of the run {run} up to there have more than {STORED_BYTES_MAX} bytes together");
            return Err(Problem::new(Code::ContextTooLarge, detail));
        }
        event.put_back(values::read(api, workspace, stored).await?);
    }
    match event {
        Event::Run(event) => Ok((revision, event, recorded.time.0)),
        Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => {
            let detail =
                format!("the run {run} was released from quarantine at {revision}: what was before is not folded");
            Err(Problem::new(Code::HistoryUnclear, detail))
        }
    }
}
