//! How a run begins: under which definition, and what of it has begun before.

use super::run::handed_tasks;
use crate::address::stable_hash;
use crate::credit::Hands;
use crate::dialogue::ContinuedFrom;
use crate::expr::Work;
use crate::run::{self, Migration, Run, RunRejection, StartRun, Trigger};
use crate::shard::command::Asked;
use crate::shard::compiled::{Awaited, Missing};
use crate::shard::definitions::{Definitions, Unusable};
use crate::shard::quarantine::Quarantine;
use crate::shard::{AggregateId, Command, Decided, Granted, Origin, Rejection, Shard, Submission, WorkflowKey, shelf};
use crate::{CommandId, DefinitionVersion, Json, NodeId, QueueName, Revision, RunId, Slug, Timestamp, WorkspaceId};

/// Tells one start from another that claims the same run id. Checkpoints keep it, so it is the same in every release.
pub(in crate::shard) fn start_hash(
    workflow: &Slug,
    input: &Json,
    targets: &[NodeId],
    continued: Option<&ContinuedFrom>,
) -> u64 {
    let listed = (!targets.is_empty() || continued.is_some()).then(|| Json::of(&targets));
    let from = continued.map(Json::of);
    let beside = listed.iter().chain(&from).map(Json::as_str);
    stable_hash(&[workflow.as_str(), input.as_str()].into_iter().chain(beside).collect::<Vec<_>>())
}

/// Returns what tells the start of a run from others: also where the run has gone over to another version since.
pub(in crate::shard) fn identity_of(run: &Run) -> (DefinitionVersion, u64) {
    let (version, targets) = run::started_as(run);
    (version, start_hash(run.workflow(), run.input(), targets, run.continued_from()))
}

/// Returns the run that holds the key of a start already: it may have been started at another time, under another id.
pub(in crate::shard) fn holder_of(shard: &Shard, run: RunId, start: &StartRun) -> RunId {
    if start.keyed { shard.memory.holder_of_key(run).unwrap_or(run) } else { run }
}

/// Starts a run, unless that was done before.
pub(super) fn start(
    shard: &mut Shard,
    asked: Asked,
    id: RunId,
    start: StartRun,
    from: Option<Origin>,
    now: Timestamp,
    hands: &mut Hands,
) -> Result<Decided, Rejection> {
    refuse_unclear(shard, id, &start, from)?;
    let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
    let holder = holder_of(shard, id, &start);
    if let Some(known) = shard.started_as(holder) {
        return match is_same_start(shard, &key, &start, known)? {
            true => Ok(Decided { granted: Some(Granted::Run { run: holder }), ..Decided::default() }),
            false => Err(Rejection::Run(RunRejection::KeyReused { run: holder })),
        };
    }
    let definition = shard.definitions.graph(&key, start.version).map_err(|unusable| match unusable {
        Unusable::NotAdopted => Rejection::Run(RunRejection::DefinitionNotFound { version: start.version }),
        Unusable::Broken(_) => Rejection::Quarantined { reason: unusable.to_string() },
    })?;
    let budget = shard.budget(Some(&start.workspace));
    let lines = &shard.docket.lines;
    let is_contended = |workspace: &WorkspaceId, queue: &QueueName| lines.waiting(workspace, queue) > 0;
    let map = &shard.map;
    let shard_for = |number| map.spread(number);
    let mut ground = run::Ground { now, hands, is_contended: &is_contended, shard_for: &shard_for, budget, spent: 0 };
    let started = run::start(id, &definition, start, &mut ground);
    shard.spent += ground.spent;
    let (run, events) = started.map_err(Rejection::Run)?;
    let tasks = handed_tasks(&run, &events, hands);
    shard.shelves.runs.insert(id, run);
    let decided = shelf::commit::<Run>(shard, asked, id, Revision::FIRST, now, events, None);
    Ok(Decided { tasks, ..decided })
}

/// Returns what of its definition a start waits for.
pub(super) fn missing_for(shard: &Shard, id: CommandId, run: RunId, start: &StartRun) -> Option<Missing> {
    if shard.memory.granted(id).is_some() {
        return None;
    }
    let holder = holder_of(shard, run, start);
    if shard.is_quarantined(holder) {
        return None;
    }
    let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
    let (version, is_new) = match shard.started_as(holder) {
        Some((version, _)) => (version, false),
        None => (start.version, true),
    };
    if shard.definitions.has_graph(&key, version) {
        return None;
    }
    match shard.definitions.document(&key, version) {
        Some(document) => Some(Missing::Graphs(Awaited::Version(key, version), vec![document.clone()])),
        // Where it is quarantined the start waits for its release.
        None if is_new && !shard.is_definition_quarantined(&key, version) => Some(Missing::Document(key, version)),
        None => None,
    }
}

/// Returns what of the definition of another version a run waits for that is to go over to it.
pub(super) fn missing_for_migration(
    shard: &Shard,
    id: CommandId,
    run: RunId,
    Migration { workspace, version, .. }: &Migration,
) -> Option<Missing> {
    let run = shard.shelves.runs.get(&run).filter(|run| run.workspace() == workspace)?;
    let key = WorkflowKey { workspace: workspace.clone(), workflow: run.workflow().clone() };
    if shard.memory.granted(id).is_some() || shard.definitions.has_graph(&key, *version) {
        return None;
    }
    match shard.definitions.document(&key, *version) {
        Some(document) => Some(Missing::Graphs(Awaited::Version(key, *version), vec![document.clone()])),
        None if shard.is_definition_quarantined(&key, *version) => None,
        None => Some(Missing::Document(key, *version)),
    }
}

/// Brings a run the definition of another version; where there is none, it has none.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn bring(run: &mut Run, version: DefinitionVersion, definitions: &mut Definitions) -> Result<(), Rejection> {
    let key = WorkflowKey { workspace: run.workspace().clone(), workflow: run.workflow().clone() };
    match definitions.graph(&key, version) {
        Ok(definition) => run::bring(run, version, definition),
        Err(Unusable::NotAdopted) => {}
        Err(broken @ Unusable::Broken(_)) => return Err(Rejection::Quarantined { reason: broken.to_string() }),
    }
    Ok(())
}

/// Refuses a start that may have come before: its run is not known, and runs as young as it have been forgotten. What
/// comes on a lane is known to be new, and what an older release sends of its own accord is answered as ever.
fn refuse_unclear(shard: &Shard, run: RunId, start: &StartRun, from: Option<Origin>) -> Result<(), Rejection> {
    let may_be_old = match start.trigger {
        Trigger::Manual {} => from.is_none() && shard.memory.may_have_forgotten(run),
        Trigger::Materialize { .. } | Trigger::Call(_) => false,
    };
    let is_known = || shard.started_as(holder_of(shard, run, start)).is_some();
    if may_be_old && !is_known() { Err(Rejection::Run(RunRejection::StartUnclear)) } else { Ok(()) }
}

/// Compares under the version the run started with: a later version's defaults do not make it another start.
fn is_same_start(
    shard: &mut Shard,
    key: &WorkflowKey,
    start: &StartRun,
    (version, hash): (DefinitionVersion, u64),
) -> Result<bool, Rejection> {
    let definition = match shard.definitions.graph(key, version) {
        Ok(definition) => definition,
        Err(Unusable::NotAdopted) => return Ok(false),
        Err(broken @ Unusable::Broken(_)) => return Err(Rejection::Quarantined { reason: broken.to_string() }),
    };
    let work = Work::of(shard.bounds.decision.work);
    let input = run::complete_input_within(&start.input, &definition, &work).ok();
    let mut targets = start.wishes.as_ref().map(|wishes| wishes.targets.clone()).unwrap_or_default();
    targets.sort_unstable();
    targets.dedup();
    let continued = start.wishes.as_ref().and_then(|wishes| wishes.continued.as_ref());
    shard.spent += work.spent();
    Ok(input.is_some_and(|input| start_hash(&start.workflow, &input, &targets, continued) == hash))
}

impl Shard {
    /// Returns what a run that is known was started as: its definition version, and the hash of workflow and input.
    pub(in crate::shard) fn started_as(&self, id: RunId) -> Option<(DefinitionVersion, u64)> {
        match self.shelves.runs.get(&id) {
            Some(run) => Some(identity_of(run)),
            None => self.memory.ended(id).map(|ended| (ended.version, ended.start_hash)),
        }
    }
}

/// Quarantines the definition version that a new run needs where it does not compile any more: nobody has needed it since
/// this release runs.
pub(in crate::shard) fn set_aside_what_is_broken(shard: &mut Shard, submission: &Submission) {
    let Command::Run { run, command: run::RunCommand::StartRun(start) } = &submission.command else { return };
    let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
    if shard.definitions.has_graph(&key, start.version) {
        return;
    }
    let holder = holder_of(shard, *run, start);
    let is_known = shard.started_as(holder).is_some() || shard.memory.granted(submission.id).is_some();
    if is_known || shard.is_quarantined(holder) {
        return;
    }
    match shard.definitions.graph(&key, start.version) {
        Ok(_) | Err(Unusable::NotAdopted) => {}
        Err(broken @ Unusable::Broken(_)) => {
            let aggregate = AggregateId::Definition(key, start.version);
            let reason = broken.to_string();
            shard.set_aside(&aggregate, Quarantine { reason, at: None, last: Revision::FIRST, since: None });
        }
    }
}
