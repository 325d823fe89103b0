//! What was seen of a run at a moment of its history, for whoever looks at it later.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::migration::bring;
use super::state::Run;
use super::{NodeStatus, RunEvent, RunRecord, RunStatus, check_legal, evolve, memos_told};
use crate::definition::Definition;
use crate::{BranchId, DefinitionVersion, Json, NodeId, Revision, RunId, Timestamp};

/// A run that is folded again from its events.
#[derive(Debug)]
pub struct History {
    id: RunId,
    definition: Arc<Definition>,
    /// Another version, that the run may have gone over to next.
    brought: Option<(DefinitionVersion, Arc<Definition>)>,
    run: Option<Run>,
}

/// What expressions see in a branch of a run, and where the run stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// Of the last event that it is after.
    pub revision: Revision,
    pub status: RunStatus,
    /// With the definition's defaults filled in.
    pub input: Json,
    /// By key.
    pub state: BTreeMap<Arc<str>, Json>,
    /// Those of the branch and of what is around it, in which anything has happened.
    pub nodes: BTreeMap<NodeId, SeenNode>,
    /// The item that the branch is for, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<Json>,
    /// Which item, turn or try it is, from 0; absent of the run itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
}

/// A node as expressions see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenNode {
    pub status: NodeStatus,
    pub attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
}

impl History {
    /// Returns the history of a run of which nothing is known yet.
    pub fn of(id: RunId, definition: Arc<Definition>) -> Self {
        Self { id, definition, brought: None, run: None }
    }

    /// Brings the definition of a version that the run goes over to, before it learns that; in place of what was brought before.
    pub fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        self.brought = Some((version, definition));
    }

    /// Learns what happened next, and when.
    ///
    /// # Errors
    /// Why that cannot have happened.
    pub fn learn(&mut self, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        match (&mut self.run, event) {
            (None, RunEvent::RunStarted { .. }) => {
                self.run = Some(Run::started(self.id, self.definition.clone(), event, time));
                Ok(())
            }
            (None, _) => Err(format!("a run begins with its start, and not with {}", event.word())),
            (Some(run), _) => {
                if let (RunEvent::RunMigrated { .. }, Some((version, definition))) = (event, self.brought.take()) {
                    bring(run, version, definition);
                }
                check_legal(run, event).map_err(|illegal| illegal.to_string())?;
                evolve(run, event, time);
                // Nobody is told of what has long happened.
                memos_told(run);
                Ok(())
            }
        }
    }

    /// Returns the history as whoever has it that knows of the run what a checkpoint holds, and nothing else.
    ///
    /// # Errors
    /// Why a checkpoint cannot hold it.
    pub fn set_down(&self) -> Result<Self, String> {
        let Some(run) = &self.run else { return Ok(Self::of(self.id, self.definition.clone())) };
        let record = serde_json::to_string(&run.record()).map_err(|error| error.to_string())?;
        let record: RunRecord = serde_json::from_str(&record).map_err(|error| error.to_string())?;
        // That of the version that it has gone over to, if it has.
        let definition = run.definition().clone();
        let restored = record.restore(definition.clone());
        let run = restored.map_err(|node| format!("the definition has no node {node}"))?;
        Ok(Self { id: self.id, definition, brought: None, run: Some(run) })
    }

    /// Returns the run as it is by now; `None`: nothing has happened.
    pub(super) fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Returns what is seen in a branch now; `None` where it is not open (any more), or nothing has happened.
    pub fn seen_in(&self, branch: BranchId) -> Option<Context> {
        seen(self.run.as_ref()?, branch)
    }
}

/// How many bytes are told of an active run.
pub const LIVE_BYTES_MAX: usize = 256 << 10;
/// How many nodes of it that were touched.
const LIVE_NODES_MAX: usize = 2_000;

/// Returns what is seen in a branch of an active run, where it is open and that is not too much, and about how many bytes it has.
pub(crate) fn live_context(run: &Run, branch: BranchId) -> (Option<Json>, u64) {
    let Some(own) = run.branches.get(branch) else { return (None, 0) };
    let size = run.branches.around(branch).map(|(_, of)| of.nodes().len()).sum::<usize>();
    if size > LIVE_NODES_MAX {
        // Whoever asks is not told less than there is.
        return (None, LIVE_BYTES_MAX as u64 + 1);
    }
    let outputs =
        run.branches.around(branch).flat_map(|(_, of)| of.nodes()).filter_map(|(_, node)| node.output.as_ref());
    let values = outputs.chain(run.state_of(branch).values()).chain(own.item.iter().flatten()).chain([run.input()]);
    let bytes = values.map(Json::len_bytes).sum::<usize>();
    let context = if bytes <= LIVE_BYTES_MAX { seen(run, branch).as_ref().map(Json::of) } else { None };
    (context, bytes as u64)
}

fn seen(run: &Run, branch: BranchId) -> Option<Context> {
    let own = run.branches.get(branch)?;
    let mut nodes = BTreeMap::new();
    for (_, of) in run.branches.around(branch) {
        for (node, state) in of.nodes() {
            let status = state.phase.status();
            if status != NodeStatus::Pending {
                let seen = SeenNode { status, attempts: state.attempts, output: state.output.clone() };
                nodes.entry(run.definition().node(node).id.clone()).or_insert(seen);
            }
        }
    }
    Some(Context {
        revision: run.revision(),
        status: run.status(),
        input: run.input().clone(),
        state: BTreeMap::clone(run.state_of(branch)),
        nodes,
        item: own.item.as_ref().map(|[item, _]| item.clone()),
        index: own.parent.map(|_| own.index),
    })
}
