//! What commits mean for the tables: a pure fold of parsed bundles into coalesced row changes.
//!
//! An attempt that is scheduled and succeeds inside one batch is one insert, a run that starts and ends one row. The
//! law that makes batches and restarts invisible (`PRJ-2`): folding in pieces and writing each leaves the same rows as
//! folding at once. Every change therefore is "the later one wins wherever it says something", and the one question a
//! batch cannot answer from itself (which attempt a cancelled node was at) goes to the database as a [`crate::tables::SettledNode`].

mod action;
mod asset;
mod branch;
mod document;
mod migration;
mod people;
mod policies;
mod release;
mod run;
mod workflow;

use bytes::Bytes;
use headwater_core::action::ActionEvent;
use headwater_core::asset::AssetEvent;
use headwater_core::run::RunEvent;
use headwater_core::shard::{ActionKey, AggregateId, AssetKey, Event, WorkflowKey};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{Json, RunId, Sequence, ShardId, Timestamp};

use crate::parse::{ParsedBundle, ParsedCommit};
use crate::tables::{
    ActionChanges, ActionRow, AssetChanges, BranchChanges, CommitRow, DeadRow, DefinitionRow, InputRow, PinRow,
    PolicyRow, RunChanges, SelectionRow, SettledNodes, TaskChanges, TraceChanges, VersionRow, WorkflowChanges,
};

pub use document::graph_of;
pub use migration::MigratedRow;
pub use release::{Parting, ReleasedRow};

/// What a batch changes, table by table, in journal order.
#[derive(Debug, Default)]
pub struct Changes {
    pub commits: Vec<CommitRow>,
    pub dead: Vec<DeadRow>,
    pub runs: RunChanges,
    pub traces: TraceChanges,
    pub settled: SettledNodes,
    pub branches: BranchChanges,
    pub tasks: TaskChanges,
    pub assets: AssetChanges,
    pub versions: Vec<VersionRow>,
    pub inputs: Vec<InputRow>,
    pub workflows: WorkflowChanges,
    pub selections: Vec<SelectionRow>,
    pub pins: Vec<PinRow>,
    pub definitions: Vec<DefinitionRow>,
    /// Of the definition versions that a shard has from here on, those with a policy for snapshots.
    pub policies: Vec<PolicyRow>,
    pub actions: ActionChanges,
    pub action_defs: Vec<ActionRow>,
    /// What speaks of rows of any earlier batch, in order, each with what came after it.
    pub parts: Vec<(Parting, Changes)>,
    /// How many events are in `commits`, also in those of `parts`.
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

    /// Returns whether a definition version with a policy for snapshots has come.
    pub(crate) fn has_policies(&self) -> bool {
        !self.policies.is_empty() || self.parts.iter().any(|(_, then)| !then.policies.is_empty())
    }

    /// Returns its commits, also those behind a release, those of each aggregate in order.
    pub(crate) fn all_commits(&self) -> impl Iterator<Item = &CommitRow> {
        self.commits.iter().chain(self.parts.iter().flat_map(|(_, then)| &then.commits))
    }

    /// Folds one commit in, whole or (as a dead event) not at all.
    fn fold_commit(&mut self, shard: ShardId, sequence: Sequence, commit: ParsedCommit) {
        let ParsedCommit { ordinal, aggregate, revision, command, time, by, cause, mut events, stored, text } = commit;
        let by = by.as_ref().map(Json::of);
        let head = CommitHead { shard, sequence, time, by: by.as_ref() };
        let event_count = events.len();
        let shown = stored.as_ref().map(Json::of);
        let policies = policies::of(head, ordinal, &aggregate, &events);
        let released = match release::take(&aggregate, head, revision, &mut events) {
            Ok(released) => released,
            Err(reason) => return self.bury(head, ordinal, &reason, text),
        };
        let facts = match facts(&aggregate, events) {
            Ok(facts) => facts,
            Err(Foreign) => return self.bury(head, ordinal, "an event of another kind of aggregate", text),
        };
        if let Facts::Run(_, events) = &facts
            && events.iter().any(branch::opens_too_many)
        {
            return self.bury(head, ordinal, "more branches at once than any run opens", text);
        }
        if let Facts::Run(_, events) = &facts
            && branch::ends_as_nobody(events)
        {
            return self.bury(head, ordinal, "a branch that ends as a node which has not ended before it", text);
        }
        self.events += event_count;
        let migrated = migration::of(&facts);
        let now = match (released, migrated) {
            (Some(row), _) => self.part(Parting::Released(Box::new(row))),
            (None, Some(row)) => self.part(Parting::Migrated(row)),
            (None, None) if self.parts.is_empty() => self,
            (None, None) => self.parts.last_mut().map(|(_, then)| then).expect("it is not empty"),
        };
        now.policies.extend(policies);
        match facts {
            Facts::Run(run, events) => {
                let first = event_count - events.len();
                now.fold_run(head, run, (first, events), stored.as_ref());
            }
            Facts::Asset(key, events) => now.fold_asset(head, key, revision, events),
            Facts::Workflow(key, events) => now.fold_workflow(head, key, revision, events),
            Facts::Action(key, events) => now.fold_action(head, key, events),
            Facts::Definition | Facts::Memo => {}
        }
        now.commits.push(CommitRow {
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
            stored: shown,
        });
    }

    fn bury(&mut self, head: CommitHead<'_>, ordinal: i32, reason: &str, raw: Bytes) {
        let CommitHead { shard, sequence, .. } = head;
        self.dead.push(DeadRow { shard, sequence, ordinal, reason: reason.to_owned(), raw });
    }
}

/// An event does not belong to the aggregate whose commit it stands in.
struct Foreign;

/// The events of a commit, as those of its aggregate.
enum Facts<'c> {
    Run(RunId, Vec<RunEvent>),
    Asset(&'c AssetKey, Vec<AssetEvent>),
    Workflow(&'c WorkflowKey, Vec<WorkflowEvent>),
    Action(&'c ActionKey, Vec<ActionEvent>),
    /// What memos keep is no read model: runs show what they took of it.
    Memo,
    /// Adoptions have no table of their own: the definition is in `workflow_defs` already.
    Definition,
}

/// Sorts events; a release that is not the first of its commit is foreign to every aggregate.
fn facts(aggregate: &AggregateId, events: Vec<Event>) -> Result<Facts<'_>, Foreign> {
    Ok(match aggregate {
        AggregateId::Run(run) => Facts::Run(*run, all(events, run_event)?),
        AggregateId::Asset(key) => Facts::Asset(key, all(events, asset_event)?),
        AggregateId::Workflow(key) => Facts::Workflow(key, all(events, workflow_event)?),
        AggregateId::Action(key) => Facts::Action(key, all(events, action_event)?),
        AggregateId::Memo(_) => {
            all(events, memo_event)?;
            Facts::Memo
        }
        AggregateId::Definition(..) => {
            all(events, adoption)?;
            Facts::Definition
        }
    })
}

fn all<T>(events: Vec<Event>, of: fn(Event) -> Option<T>) -> Result<Vec<T>, Foreign> {
    events.into_iter().map(|event| of(event).ok_or(Foreign)).collect()
}

fn run_event(event: Event) -> Option<RunEvent> {
    match event {
        Event::Run(event) => Some(event),
        Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

fn asset_event(event: Event) -> Option<AssetEvent> {
    match event {
        Event::Asset(event) => Some(event),
        Event::Run(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

fn workflow_event(event: Event) -> Option<WorkflowEvent> {
    match event {
        Event::Workflow(event) => Some(event),
        Event::Run(_)
        | Event::Asset(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

fn action_event(event: Event) -> Option<ActionEvent> {
    match event {
        Event::Action(event) => Some(event),
        Event::Run(_)
        | Event::Asset(_)
        | Event::Workflow(_)
        | Event::Memo(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

fn memo_event(event: Event) -> Option<()> {
    match event {
        Event::Memo(_) => Some(()),
        Event::Run(_)
        | Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::DefinitionAdopted { .. }
        | Event::Released(_) => None,
    }
}

fn adoption(event: Event) -> Option<()> {
    match event {
        Event::DefinitionAdopted { .. } => Some(()),
        Event::Run(_)
        | Event::Asset(_)
        | Event::Workflow(_)
        | Event::Action(_)
        | Event::Memo(_)
        | Event::Released(_) => None,
    }
}
