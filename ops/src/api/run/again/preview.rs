//! What a run that goes on from another would do: it begins on a shard that nobody else sees, and goes as far as it goes without
//! anybody outside.

use std::collections::BTreeMap;

use axum::response::Response;
use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, RunEvent, RunStatus};
use headwater_core::shard::{Command, Event, Rejection, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::{CommandId, DefinitionVersion, NodeAddress, RunId, ShardId};
use serde::Serialize;

use super::Next;
use crate::api::{Api, Problem, now};
use crate::codes::Code;

/// How many decisions it takes at most.
const DECISIONS_MAX: u64 = 5_000;
/// How many nodes are told of.
const NODES_MAX: usize = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    dry_run: bool,
    version: DefinitionVersion,
    /// How many results of the run before it would be told.
    recalled: usize,
    /// By what would become of them, how many nodes of the run and of its branches.
    counts: BTreeMap<What, usize>,
    /// The first of them, by their addresses there.
    nodes: Vec<Foreseen>,
    left_out: usize,
    /// Where it would stand, if it could end without anybody outside.
    status: RunStatus,
}

#[derive(Serialize)]
struct Foreseen {
    node: NodeAddress,
    what: What,
}

/// What would become of a node. Those behind one that is done again are not foreseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum What {
    /// It takes what it had made.
    Reused,
    /// The engine makes it, now.
    Computed,
    /// It is done again, or for the first time.
    Done,
    Skipped,
    Failed,
}

/// Says what it would do.
///
/// # Errors
/// Why it could not even begin.
pub async fn tell(api: &Api, next: Next) -> Result<Response, Problem> {
    let told = tokio::task::spawn_blocking(move || foresee(next)).await;
    let preview = told.map_err(|_| Problem::new(Code::Internal, "what the run would do could not be found out"))??;
    Ok(api.read(preview))
}

fn foresee(next: Next) -> Result<Preview, Problem> {
    let Next { start, continued: _, pieces, recalled, document } = next;
    let (workspace, version) = (start.workspace.clone(), start.version);
    let key = WorkflowKey { workspace: workspace.clone(), workflow: start.workflow.clone() };
    let mut play = Play::new();
    let run = RunId::new(Play::shard(), now(), 1 << 12);
    let of = |command| Command::Run { run, command };
    play.decide(Command::AdoptDefinition { key, version, document })?;
    play.decide(of(RunCommand::StartRun(start)))?;
    for (piece, results) in (1..).zip(pieces) {
        play.decide(of(RunCommand::Recall { workspace: workspace.clone(), piece, results }))?;
    }
    while play.shard.run(run).is_some_and(|run| run.has_agenda()) && play.decisions < DECISIONS_MAX {
        play.decide(of(RunCommand::Continue {}))?;
    }
    let status = play.status.unwrap_or(RunStatus::Running);
    let mut counts = BTreeMap::new();
    play.nodes.values().for_each(|what| *counts.entry(*what).or_default() += 1);
    let left_out = play.nodes.len().saturating_sub(NODES_MAX);
    let nodes = play.nodes.into_iter().take(NODES_MAX).map(|(node, what)| Foreseen { node, what }).collect();
    Ok(Preview { dry_run: true, version, recalled, counts, nodes, left_out, status })
}

/// The shard that it begins on.
struct Play {
    shard: Shard,
    decisions: u64,
    nodes: BTreeMap<NodeAddress, What>,
    status: Option<RunStatus>,
}

impl Play {
    fn shard() -> ShardId {
        ShardId::new(0).expect("it is a number of a shard")
    }

    fn new() -> Self {
        let map = ShardMap::even(1).expect("one shard is enough");
        Self { shard: Shard::new(Self::shard(), map), decisions: 0, nodes: BTreeMap::new(), status: None }
    }

    fn decide(&mut self, command: Command) -> Result<(), Rejection> {
        self.decisions += 1;
        let id = CommandId::derived(&[b"preview", &self.decisions.to_be_bytes()]);
        let decided = self.shard.decide(Submission::new(id, command), now(), &mut Hands::default())?;
        for event in decided.commit.iter().flat_map(|commit| &commit.events) {
            let Event::Run(event) = event else { continue };
            self.look(event);
        }
        Ok(())
    }

    fn look(&mut self, event: &RunEvent) {
        if let RunEvent::NodeSucceeded { node, reused, .. } = event {
            let what = if reused.is_some() { What::Reused } else { What::Computed };
            self.nodes.insert(node.clone(), what);
        } else if let RunEvent::AttemptScheduled { node, .. }
        | RunEvent::NodeAwaitedAssets { node, .. }
        | RunEvent::MemoAsked { node, .. } = event
        {
            self.nodes.insert(node.clone(), What::Done);
        } else if let RunEvent::NodeSkipped { node } = event {
            self.nodes.insert(node.clone(), What::Skipped);
        } else if let RunEvent::NodeFailed { node, .. } = event {
            self.nodes.insert(node.clone(), What::Failed);
        } else if let RunEvent::RunSucceeded { .. } = event {
            self.status = Some(RunStatus::Succeeded);
        } else if let RunEvent::RunFailed { .. } = event {
            self.status = Some(RunStatus::Failed);
        }
    }
}
