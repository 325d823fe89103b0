//! What commits mean for the tables: a pure fold of parsed bundles into coalesced row changes.
//!
//! An attempt that is scheduled and succeeds inside one batch is one insert, a run that starts and ends one row. The
//! law that makes batches and restarts invisible (`PRJ-2`): folding in pieces and writing each leaves the same rows as
//! folding at once. Every change therefore is "the later one wins wherever it says something", and the one question a
//! batch cannot answer from itself (which attempt a cancelled node was at) goes to the database as a [`SettledNode`].

mod asset;
mod document;
mod run;
mod workflow;

use bytes::Bytes;
use headwater_core::asset::AssetEvent;
use headwater_core::run::RunEvent;
use headwater_core::shard::{AggregateId, Event};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{Json, NodeAddress, RunId, Sequence, ShardId, Timestamp};
use rustc_hash::FxHashSet;

use crate::parse::{ParsedBundle, ParsedCommit};
use crate::tables::{
    AssetChanges, CommitRow, DeadRow, DefinitionRow, InputRow, RunChanges, SettledNode, TraceChanges, VersionRow,
    WorkflowChanges,
};

pub use document::graph_of;

/// What a batch changes, table by table, in journal order.
#[derive(Debug, Default)]
pub struct Changes {
    pub commits: Vec<CommitRow>,
    pub dead: Vec<DeadRow>,
    pub runs: RunChanges,
    pub traces: TraceChanges,
    pub settled: Vec<SettledNode>,
    settled_nodes: FxHashSet<(RunId, NodeAddress)>,
    pub assets: AssetChanges,
    pub versions: Vec<VersionRow>,
    pub inputs: Vec<InputRow>,
    pub workflows: WorkflowChanges,
    pub definitions: Vec<DefinitionRow>,
    /// How many events are in `commits`.
    pub events: usize,
}

/// Where a commit stands, when it was decided and who asked for it, for the rows that say so.
#[derive(Debug, Clone, Copy)]
struct CommitHead<'c> {
    shard: ShardId,
    sequence: Sequence,
    time: Timestamp,
    by: Option<&'c Json>,
}

impl Changes {
    /// Folds one bundle in.
    pub fn fold(&mut self, shard: ShardId, sequence: Sequence, bundle: ParsedBundle) {
        self.dead.extend(bundle.dead);
        for commit in bundle.commits {
            self.fold_commit(shard, sequence, commit);
        }
    }

    /// Folds one commit in, whole or (as a dead event) not at all.
    fn fold_commit(&mut self, shard: ShardId, sequence: Sequence, commit: ParsedCommit) {
        let ParsedCommit { ordinal, aggregate, revision, command, time, by, cause, events, text } = commit;
        let by = by.as_ref().map(Json::of);
        let head = CommitHead { shard, sequence, time, by: by.as_ref() };
        let event_count = events.len();
        let result = match &aggregate {
            AggregateId::Run(run) => run_events(events).map(|events| self.fold_run(head, *run, events)),
            AggregateId::Asset(key) => asset_events(events).map(|events| self.fold_asset(head, key, revision, events)),
            AggregateId::Workflow(key) => workflow_events(events).map(|events| self.fold_workflow(head, key, events)),
            AggregateId::Definition(..) => only_adoptions(&events),
        };
        if let Err(Foreign) = result {
            self.bury(head, ordinal, "an event of another kind of aggregate", text);
            return;
        }
        self.events += event_count;
        self.commits.push(CommitRow {
            aggregate,
            revision,
            event_count: i32::try_from(event_count).unwrap_or(i32::MAX),
            shard,
            sequence,
            ordinal,
            command,
            time,
            by,
            cause,
            events: text,
        });
    }

    fn bury(&mut self, head: CommitHead<'_>, ordinal: i32, reason: &str, raw: Bytes) {
        let CommitHead { shard, sequence, .. } = head;
        self.dead.push(DeadRow { shard, sequence, ordinal, reason: reason.to_owned(), raw });
    }
}

/// An event does not belong to the aggregate whose commit it stands in.
struct Foreign;

/// A release says nothing of its aggregate that the tables do not say already: they hold what its events said.
fn run_events(events: Vec<Event>) -> Result<Vec<RunEvent>, Foreign> {
    let of_run = |event| match event {
        Event::Run(event) => Some(Ok(event)),
        Event::Released(_) => None,
        Event::Asset(_) | Event::Workflow(_) | Event::DefinitionAdopted { .. } => Some(Err(Foreign)),
    };
    events.into_iter().filter_map(of_run).collect()
}

fn asset_events(events: Vec<Event>) -> Result<Vec<AssetEvent>, Foreign> {
    let of_asset = |event| match event {
        Event::Asset(event) => Some(Ok(event)),
        Event::Released(_) => None,
        Event::Run(_) | Event::Workflow(_) | Event::DefinitionAdopted { .. } => Some(Err(Foreign)),
    };
    events.into_iter().filter_map(of_asset).collect()
}

fn workflow_events(events: Vec<Event>) -> Result<Vec<WorkflowEvent>, Foreign> {
    let of_workflow = |event| match event {
        Event::Workflow(event) => Some(Ok(event)),
        Event::Released(_) => None,
        Event::Run(_) | Event::Asset(_) | Event::DefinitionAdopted { .. } => Some(Err(Foreign)),
    };
    events.into_iter().filter_map(of_workflow).collect()
}

/// Adoptions have no table of their own: the definition is in `workflow_defs` already.
fn only_adoptions(events: &[Event]) -> Result<(), Foreign> {
    let adoption = |event: &Event| match event {
        Event::DefinitionAdopted { .. } | Event::Released(_) => true,
        Event::Run(_) | Event::Asset(_) | Event::Workflow(_) => false,
    };
    if events.iter().all(adoption) { Ok(()) } else { Err(Foreign) }
}
