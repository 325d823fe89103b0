//! What is kept of a run by its definition's policy, and at the end of which commits.
//!
//! Whether one is taken follows from the policy, from the last one and from the commit: so it is the same wherever, and however
//! often, the run is folded.

use std::sync::Arc;

use serde::Serialize;

use super::state::{Place, Run};
use super::{Context, History, NodeStatus, RunEvent};
use crate::definition::{Definition, NodeIx, SnapshotPolicy};
use crate::{BranchId, Json, NodeAddress, Revision, RunId, Sequence, Timestamp};

/// How many bytes a node has in a snapshot, or a branch, at least.
const ENTRY_BYTES: usize = 32;
/// How many bytes of a run one snapshot keeps.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 10;

/// A run whose snapshots are taken: what has happened in it is told commit by commit, from its start.
#[derive(Debug)]
pub struct Snapshots {
    history: History,
    policy: SnapshotPolicy,
    /// After which event the last was taken, and when.
    last: (Revision, Timestamp),
}

/// What was seen of a run at the end of a commit, and where it stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    seen: Result<(Context, Tokens), TooLarge>,
    after_revision: Revision,
    after_sequence_number: Sequence,
    time: Timestamp,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Tokens {
    /// Those that are open but the run itself, in the order of their numbers.
    branches: Vec<OpenBranch>,
    /// Those that have begun and not ended, branch after branch.
    nodes: Vec<ActiveNode>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenBranch {
    branch: BranchId,
    /// The node that stands for it in the branch around it.
    node: NodeAddress,
    /// Which item, turn or try, from 0.
    index: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveNode {
    node: NodeAddress,
    status: NodeStatus,
    /// How many attempts there were.
    attempt: u32,
}

/// There is more of it than is kept: so many bytes, or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct TooLarge {
    bytes: u64,
}

impl Snapshots {
    /// Returns those of a run to which nothing has happened yet; `None`: its definition has no policy.
    pub fn of(id: RunId, definition: Arc<Definition>) -> Option<Self> {
        let policy = definition.snapshots?;
        let history = History::of(id, definition);
        Some(Self { history, policy, last: (Revision::new(0), Timestamp::default()) })
    }

    /// Returns the revision of the last event that was told.
    pub fn revision(&self) -> Revision {
        self.history.run().map_or(Revision::new(0), Run::revision)
    }

    /// Learns what happened next, in one commit, whose first event has this revision. Returns whether a snapshot is taken at its end:
    /// then [`Self::take`] gives it.
    ///
    /// # Errors
    /// Why that cannot have happened. Nothing more can be told then.
    pub fn learn(&mut self, first: Revision, time: Timestamp, events: &[RunEvent]) -> Result<bool, String> {
        let expected = self.revision().next();
        if first != expected {
            return Err(format!("behind {} comes {first}", self.revision()));
        }
        let mut has_joined = false;
        for event in events {
            let place = if self.policy.on_join { self.joining(event) } else { None };
            self.history.learn(event, time)?;
            has_joined |= place.is_some_and(|place| self.has_begun(place)) || self.has_merged(event);
        }
        if first == Revision::FIRST {
            self.last.1 = time;
        }
        let (revision, at) = self.last;
        let happened = self.revision().get() - revision.get();
        let is_due = self.policy.every_events.is_some_and(|events| happened >= u64::from(events))
            || self.policy.every().is_some_and(|span| at.after(span) <= time)
            || has_joined;
        if is_due {
            self.last = (self.revision(), time);
        }
        Ok(is_due)
    }

    /// Returns whether another is certainly taken at the end of a commit up to this one, which ends so, where what is told until then
    /// can have happened: so this one need not be.
    pub fn is_followed(&self, end: Revision, time: Timestamp) -> bool {
        let happens = end.get().saturating_sub(self.revision().get());
        self.policy.every_events.is_some_and(|events| happens >= u64::from(events))
            || self.policy.every().is_some_and(|span| self.last.1.after(span) <= time)
    }

    /// Takes the snapshot of the run as it is by now, the end of whose last commit stands at this place of its journal.
    pub fn take(&self, at: Sequence) -> Option<Snapshot> {
        let run = self.history.run()?;
        Some(Snapshot {
            seen: seen(&self.history, run),
            after_revision: run.revision(),
            after_sequence_number: at,
            time: self.last.1,
        })
    }

    /// Returns whether nothing more will happen to the run.
    pub fn is_over(&self) -> bool {
        self.history.run().is_some_and(|run| run.status().is_terminal())
    }

    /// The node that an event speaks of, where several ways lead to it and it has not begun.
    fn joining(&self, event: &RunEvent) -> Option<Place> {
        let run = self.history.run()?;
        let place = run.find(event.node()?)?;
        let is_join = run.definition().node(place.node).incoming.len() > 1;
        (is_join && run.node(place).phase.status() == NodeStatus::Pending).then_some(place)
    }

    fn has_begun(&self, place: Place) -> bool {
        // Its branch may have ended with it.
        let of = self.history.run().and_then(|run| run.branches.get(place.branch));
        match of.map(|branch| branch.node(place.node).phase.status()) {
            Some(NodeStatus::Pending | NodeStatus::Skipped | NodeStatus::Cancelled) => false,
            Some(
                NodeStatus::Queued
                | NodeStatus::Running
                | NodeStatus::Waiting
                | NodeStatus::Succeeded
                | NodeStatus::Failed,
            )
            | None => true,
        }
    }

    /// Whether the items of a `forEach` have come together.
    fn has_merged(&self, event: &RunEvent) -> bool {
        let RunEvent::NodeSucceeded { node, .. } = event else { return false };
        let definition = self.history.run().map(Run::definition);
        let is_each = |ix: NodeIx| definition.is_some_and(|of| of.node(ix).action.for_each().is_some());
        self.policy.on_join && definition.and_then(|of| of.find(node.node())).is_some_and(is_each)
    }
}

fn seen(history: &History, run: &Run) -> Result<(Context, Tokens), TooLarge> {
    let touched = run.branches.root().nodes().filter(|(_, node)| node.phase.status() != NodeStatus::Pending);
    let of_nodes = touched.map(|(_, node)| ENTRY_BYTES + node.output.as_ref().map_or(0, Json::len_bytes));
    let values = run.state_of(BranchId::ROOT).values().chain([run.input()]).map(Json::len_bytes);
    let bytes = of_nodes.chain(values).sum::<usize>() + ENTRY_BYTES * run.branches.ids().len();
    let context = if bytes > SNAPSHOT_BYTES_MAX { None } else { history.seen_in(BranchId::ROOT) };
    let context = context.ok_or(TooLarge { bytes: bytes as u64 })?;
    let open = run.branches.ids().into_iter().filter_map(|id| {
        let branch = run.branches.get(id)?;
        Some(OpenBranch { branch: id, node: run.address(branch.parent?), index: branch.index })
    });
    let active = run.places().filter(|(_, node)| node.phase.is_active());
    let active = active.map(|(place, node)| ActiveNode {
        node: run.address(place),
        status: node.phase.status(),
        attempt: node.attempts,
    });
    Ok((context, Tokens { branches: open.collect(), nodes: active.collect() }))
}

impl Snapshot {
    /// Returns it as it is kept: `{context, tokens, afterRevision, afterSequenceNumber, time}`, or `tooLarge: {bytes}` in the place
    /// of the first two where that is more than [`SNAPSHOT_BYTES_MAX`].
    pub fn to_json(&self) -> Json {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Kept<'s> {
            #[serde(skip_serializing_if = "Option::is_none")]
            context: Option<&'s Context>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tokens: Option<&'s Tokens>,
            #[serde(skip_serializing_if = "Option::is_none")]
            too_large: Option<TooLarge>,
            after_revision: Revision,
            after_sequence_number: u64,
            /// RFC 3339, of the commit.
            time: String,
        }
        let kept = |seen: Result<&(Context, Tokens), TooLarge>| {
            let (context, tokens) = seen.map(|(context, tokens)| (context, tokens)).ok().unzip();
            Json::of(&Kept {
                context,
                tokens,
                too_large: seen.err(),
                after_revision: self.after_revision,
                after_sequence_number: self.after_sequence_number.get(),
                time: self.time.to_string(),
            })
        };
        let json = kept(self.seen.as_ref().map_err(|large| *large));
        match json.len_bytes() {
            bytes if bytes > SNAPSHOT_BYTES_MAX => kept(Err(TooLarge { bytes: bytes as u64 })),
            _ => json,
        }
    }
}
