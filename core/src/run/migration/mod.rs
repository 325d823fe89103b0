//! How a live run goes over to another version of its workflow.
//!
//! | file | question |
//! |---|---|
//! | here | what is asked for, and how it is decided |
//! | `plan` | whether the run fits the other version, and everything that is in the way |
//! | `ways` | which transitions of the other version count as taken |
//! | `passage` | what it means for the state |
//! | `trail` | what outside still goes by what was before |

mod passage;
mod plan;
mod trail;
mod ways;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::Turn;
use super::decision::Decision;
use super::evolve::evolve;
use super::halt::OPERATIONS_MAX;
use super::state::Run;
use super::step::shortened;
use super::{Ground, RunEvent, RunRejection, RunStatus};
use crate::definition::{Definition, NodeIx};
use crate::{CommandId, DefinitionVersion, NodeId, WorkspaceId};

pub(super) use passage::{migrated, pass};
pub use plan::{MIGRATION_PROBLEMS_MAX, MigrationProblem};
pub(crate) use trail::started_as;
pub(super) use trail::{Trail, address_now, addresses_before};

/// What nodes are called in the other version: those that are called otherwise, and those that are gone. All others keep
/// their names.
pub type Renamed = BTreeMap<NodeId, Option<NodeId>>;

/// A wish that a live run goes over to another version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    pub workspace: WorkspaceId,
    /// Done before under the same id, it changes nothing.
    pub id: CommandId,
    pub version: DefinitionVersion,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map: Renamed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It is only asked whether it could.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a node is called in the other version; `None`: it is gone.
fn renamed<'n>(map: &'n Renamed, node: &'n NodeId) -> Option<&'n NodeId> {
    map.get(node).map_or(Some(node), Option::as_ref)
}

/// Brings a run another version of its workflow, for it to go over to.
pub(crate) fn bring(run: &mut Run, version: DefinitionVersion, definition: Arc<Definition>) {
    run.origin.bring(version, definition);
}

/// Takes back what was brought.
pub(crate) fn bring_nothing(run: &mut Run) {
    run.origin.bring_nothing();
}

/// Finds the counterpart of a node.
fn counterpart(map: &Renamed, definition: &Definition, node: &NodeId) -> Option<NodeIx> {
    renamed(map, node).and_then(|now| definition.find(now))
}

/// Decides whether a run goes over. Whoever keeps it has brought the definition ([`bring`]).
///
/// # Errors
/// The fact in the way; the run is as it was.
pub(super) fn decide(run: &mut Run, wish: Migration, ground: &mut Ground<'_>) -> Result<Vec<RunEvent>, RunRejection> {
    let Migration { workspace: _, id, version, map, reason, dry_run } = wish;
    let halts = run.waiting.halts();
    if halts.has_done(id) || (version == run.version() && !dry_run) {
        return Ok(Vec::new());
    }
    if halts.count_done() >= OPERATIONS_MAX {
        return Err(RunRejection::OperationsExhausted);
    }
    if version == run.version() {
        return Ok(Vec::new());
    }
    if run.is_stopping() {
        return Err(RunRejection::RunClosed { status: RunStatus::Cancelled, successor: None });
    }
    let definition: Arc<Definition> =
        run.origin.brought(version).cloned().ok_or(RunRejection::DefinitionNotFound { version })?;
    let turn = Turn::of(ground.budget);
    let reason = reason.map(shortened).filter(|reason| !reason.is_empty());
    let event = RunEvent::RunMigrated { operation: id, version, map, taken: Vec::new(), reason };
    let planned = plan::of(run, &definition, event, ground.now, turn.work());
    ground.spent = turn.spent();
    let event = planned.map_err(|problems| RunRejection::MigrationInvalid { problems })?;
    if dry_run {
        return Ok(Vec::new());
    }
    evolve(run, &event, ground.now);
    let mut decision = Decision::begun_with(event, run, &definition, ground, turn);
    decision.turn.narrow();
    decision.settle();
    let (events, spent) = decision.taken();
    ground.spent = spent;
    Ok(events)
}
