//! Why a run stands where it does: what it waits for, why nodes were skipped, which conditions decided, what could still fire.
//!
//! It follows from the run as it is folded, and from what is noted of the events that the run itself does not keep.
//!
//! | file | question |
//! |---|---|
//! | here | what an explanation says |
//! | `notes` | what is noted of each event |
//! | `listed` | how much of it is told |
//! | `waits` | what the run waits for, and since when |
//! | `ways` | which transitions were taken, which not and why, and which could still fire |
//! | `skips` | why a node was skipped |

mod listed;
mod notes;
mod skips;
mod waits;
mod ways;

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::history::History;
use super::state::{NodeState, Phase, Place, Run, Timer};
use super::{BranchKind, BranchOutcome, Ending, RunEvent, RunStatus, check_legal};
use crate::definition::{Definition, NodeIx, RegionKind};
use crate::failure::RunFailure;
use crate::{BranchId, DefinitionVersion, NodeAddress, Revision, RunId, Timestamp};

pub use listed::{EXPLANATION_BYTES_MAX, Listed};
pub use skips::{SkipReason, Skipped};
pub use waits::{Wait, WaitFor, WantedAsset};
pub use ways::{Decided, OpenWay, Said, Verdict, Way, WayIn};

use listed::Room;
use notes::Notes;

/// Why a branch of a run stands where it does, or stood as it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Of the last event that it rests on.
    pub revision: Revision,
    pub status: RunStatus,
    /// How the run ends, once that is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Since when the run is paused, if it is. What is paused of it apart is told where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<At>,
    /// When the run ends at the latest, where it may take so long only, and is not paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_out_at: Option<At>,
    pub branch: ExplainedBranch,
    /// What the branch and those within it wait for, branch after branch, each in the order of its nodes.
    pub waits_for: Listed<Wait>,
    /// Its nodes that have succeeded or failed.
    pub decided: Listed<Decided>,
    /// Its nodes that never happened.
    pub skipped: Listed<Skipped>,
    /// Its transitions that could still be taken.
    pub could_fire: Listed<OpenWay>,
}

/// A time, as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    pub status: RunStatus,
    /// Why, if not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Why>,
}

/// A failure in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    pub code: String,
    /// At most [`Why::CHARS_MAX`] of it.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeAddress>,
}

/// Which branch is explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedBranch {
    /// 0 is the run itself.
    pub branch: BranchId,
    /// The node that opened it; of the run itself none, as the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Which item, turn or try, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// How it has ended, where it has: then all the rest is as it was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<&'static str>,
    /// Why, if not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Why>,
    /// How many branches are open in the run, beside the run itself.
    pub others_open: u32,
}

impl Why {
    /// How many characters of a message are told.
    pub const CHARS_MAX: usize = 1_000;

    fn of(failure: &RunFailure) -> Self {
        let message = failure.message.chars().take(Self::CHARS_MAX).collect();
        Self { code: failure.code.clone(), message, node_id: failure.node_id.clone() }
    }

    fn len_bytes(&self) -> usize {
        self.code.len() + self.message.len()
    }
}

/// A run that is folded again in order to explain a branch of it.
#[derive(Debug)]
pub struct Account {
    history: History,
    notes: Notes,
    branch: BranchId,
    /// How many entries of each list are told.
    entries_max: usize,
    /// Of a branch that has ended, as it was then.
    ended: Option<Box<Explanation>>,
    /// How the run has ended.
    end: Option<End>,
}

impl Account {
    /// Begins with a run of which nothing is known yet.
    pub fn of(id: RunId, definition: Arc<Definition>, branch: BranchId, entries_max: usize) -> Self {
        let history = History::of(id, definition);
        Self { history, notes: Notes::default(), branch, entries_max, ended: None, end: None }
    }

    /// See [`History::bring`].
    pub fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        self.history.bring(version, definition);
    }

    /// Learns what happened next, and when.
    ///
    /// # Errors
    /// Why that cannot have happened.
    pub fn learn(&mut self, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        if let RunEvent::RunMigrated { .. } = event {
            return self.learn_version(event, time);
        }
        // What cannot be is not noted either, whatever it says of how much there is.
        self.history.run().map_or(Ok(()), |run| check_legal(run, event)).map_err(|illegal| illegal.to_string())?;
        if let RunEvent::BranchEnded { branch, outcome } = event
            && *branch == self.branch
        {
            self.ended = self.explain_end(outcome).map(Box::new);
        }
        if let Some(run) = self.history.run() {
            self.notes.learn(run, event, time);
        } else {
            self.notes.begin(time);
        }
        self.history.learn(event, time)?;
        if let Some(end) = end_of(event) {
            self.end = Some(end);
        }
        Ok(())
    }

    fn learn_version(&mut self, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        let before = self.history.run().map(|run| Arc::clone(run.definition()));
        self.history.learn(event, time)?;
        if let (Some(before), Some(run)) = (before, self.history.run()) {
            self.notes.follow(&before, run, event);
        }
        Ok(())
    }

    /// Explains the branch; `None` where there is none of that number yet, or nothing has happened.
    pub fn explanation(&self) -> Option<Explanation> {
        let run = self.history.run()?;
        if let Some(ended) = &self.ended {
            let mut explanation = Explanation::clone(ended);
            (explanation.revision, explanation.status, explanation.end) = (run.revision(), run.status(), self.end(run));
            explanation.branch.others_open = run.branches.ids().len() as u32;
            return Some(explanation);
        }
        self.explain(run, run.status().is_terminal())
    }

    fn explain_end(&self, outcome: &BranchOutcome) -> Option<Explanation> {
        let mut explanation = self.explain(self.history.run()?, true)?;
        let (ended, error) = match outcome {
            BranchOutcome::Succeeded { .. } | BranchOutcome::SucceededAs { .. } => ("succeeded", None),
            BranchOutcome::Failed { failure } => ("failed", Some(Why::of(failure))),
            BranchOutcome::Cancelled {} => ("cancelled", None),
            BranchOutcome::Turned { again: true } => ("again", None),
            BranchOutcome::Turned { again: false } => ("over", None),
        };
        (explanation.branch.ended, explanation.branch.error) = (Some(ended), error);
        Some(explanation)
    }

    fn end(&self, run: &Run) -> Option<End> {
        let certain = run.ending().map(|ending| end_as(ending.clone()));
        self.end.clone().filter(|_| run.status().is_terminal()).or(certain)
    }

    /// `is_over`: nothing more happens in the branch.
    fn explain(&self, run: &Run, is_over: bool) -> Option<Explanation> {
        let of = run.branches.get(self.branch)?;
        let room = || Room::of(self.entries_max);
        let timeout = run.timers.iter().find(|(_, timer)| *timer == Timer::RunTimeout);
        let (places, kind) = (places_of(run, self.branch), of.parent.map(|place| run.kind_of_branches(place)));
        let branch = ExplainedBranch {
            branch: self.branch,
            node: of.parent.map(|place| run.address(place)),
            kind: kind.map(BranchKind::as_str),
            position: of.parent.map(|_| of.index),
            ended: None,
            error: None,
            others_open: run.branches.ids().len() as u32,
        };
        Some(Explanation {
            revision: run.revision(),
            status: run.status(),
            end: self.end(run),
            paused_since: run.paused_since().map(At),
            times_out_at: timeout.map(|(at, _)| At(*at)),
            branch,
            waits_for: if is_over { Listed::default() } else { waits::of(run, &self.notes, self.branch, room()) },
            decided: ways::decided(run, &self.notes, &places, room()),
            skipped: skips::of(run, &self.notes, (&places, is_over), room()),
            could_fire: if is_over { Listed::default() } else { ways::open(run, &places, room()) },
        })
    }
}

/// How a run ends with an event, if it does.
fn end_of(event: &RunEvent) -> Option<End> {
    if let RunEvent::RunSucceeded { .. } = event {
        return Some(End { status: RunStatus::Succeeded, error: None });
    }
    if let RunEvent::RunFailed { failure } = event {
        return Some(End { status: RunStatus::Failed, error: Some(Why::of(failure)) });
    }
    let RunEvent::RunCancelled { reason } = event else { return None };
    Some(end_as(Ending::Cancelled { reason: reason.clone(), keeps: false }))
}

fn end_as(ending: Ending) -> End {
    let status = ending.status();
    let error = match ending {
        Ending::Succeeded { .. } => None,
        Ending::Failed { failure } => Some(Why::of(&failure)),
        Ending::Cancelled { reason, keeps: _ } => Some(Why::of(&RunFailure::new("cancelled", reason))),
    };
    End { status, error }
}

/// The nodes that happen in a branch, in order: those of its region, and those of the loops in it once they are over. Of a loop
/// that is not, its first node stands for it.
fn places_of(run: &Run, id: BranchId) -> Vec<Place> {
    let (definition, Some(branch)) = (run.definition(), run.branches.get(id)) else { return Vec::new() };
    let is_of_it = |place: &Place| {
        let mut at = definition.node(place.node).region;
        while at != branch.region {
            let region = definition.region(at);
            let RegionKind::Loop { header } = region.kind else { return false };
            if !is_over(&branch.node(header).phase) && header != place.node {
                return false;
            }
            at = region.parent;
        }
        true
    };
    // One that undoes holds what undoes any node, and only one of them happens.
    let is_compensation = |place: Place| definition.node(place.node).action.is_compensation();
    let has_others = branch.parent.is_some_and(is_compensation);
    let waits = |node| has_others || definition.node(node).action.is_compensation();
    let happens = |(node, state): &(NodeIx, &NodeState)| state.phase != Phase::Pending || !waits(*node);
    let nodes = branch.nodes().filter(happens).map(|(node, _)| Place { branch: id, node });
    nodes.filter(is_of_it).collect()
}

/// Whether a node has ended, or never happens.
fn is_over(phase: &Phase) -> bool {
    match phase {
        Phase::Succeeded | Phase::Failed | Phase::Skipped | Phase::Cancelled => true,
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Current(_)
        | Phase::Retrying { .. }
        | Phase::Around(_) => false,
    }
}

/// Returns the first node of the innermost loop within a branch that a node lies in.
fn loop_of(run: &Run, place: Place) -> Option<NodeIx> {
    let definition: &Definition = run.definition();
    let home = definition.node(place.node).region;
    let RegionKind::Loop { header } = definition.region(home).kind else { return None };
    (home != run.branches.get(place.branch)?.region).then_some(header)
}
