//! What the nodes of a run came to, each where it stood, for whoever compares it with another run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::path_of;
use crate::definition::Definition;
use crate::run::{History, NodeStatus, ProducedAsset, RunEvent, RunStatus};
use crate::{DefinitionVersion, Json, NodeAddress, RunId, Timestamp};

/// What one node came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub node: NodeAddress,
    pub status: NodeStatus,
    /// What it made; of one that failed the code of its failure.
    pub output: Option<Json>,
    pub failure: Option<String>,
    pub assets: Vec<ProducedAsset>,
    /// It was made by another run.
    pub is_reused: bool,
    /// From when its first attempt was scheduled to its end; nothing where it has none.
    pub took: Duration,
}

/// A run that is folded again, and what its nodes came to.
#[derive(Debug)]
pub struct Outcomes {
    history: History,
    began: BTreeMap<String, Timestamp>,
    /// By where they stood, as people read it: `each[3]/check`.
    found: BTreeMap<String, Outcome>,
}

impl Outcomes {
    /// Returns those of a run of which nothing is known yet.
    pub fn of(run: RunId, definition: Arc<Definition>) -> Self {
        Self { history: History::of(run, definition), began: BTreeMap::new(), found: BTreeMap::new() }
    }

    /// Brings the definition of a version that the run goes over to, before it learns that.
    pub fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        self.history.bring(version, definition);
    }

    /// Learns what happened next, and when.
    ///
    /// # Errors
    /// Why that cannot have happened.
    pub fn learn(&mut self, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        let path = self.history.run().and_then(|run| path_of(run, run.find(event.node()?)?));
        self.history.learn(event, time)?;
        let Some((within, own)) = path else { return Ok(()) };
        let mut at = String::new();
        for (node, index) in &within {
            let _ = write!(at, "{node}[{index}]/");
        }
        at.push_str(own.as_str());
        if let RunEvent::AttemptScheduled { .. } = event {
            self.began.entry(at).or_insert(time);
        } else if let Some(outcome) = outcome(event) {
            let took = self.began.get(&at).map_or(Duration::ZERO, |began| time.since(*began));
            self.found.insert(at, Outcome { took, ..outcome });
        }
        Ok(())
    }

    /// Returns where the run stands, what it was started with and what it has made; `None`: nothing has happened.
    pub fn run(&self) -> Option<(RunStatus, &Json)> {
        self.history.run().map(|run| (run.status(), run.input()))
    }

    /// Returns what the nodes came to that have ended, by where they stood.
    pub fn into_found(self) -> BTreeMap<String, Outcome> {
        self.found
    }
}

fn outcome(event: &RunEvent) -> Option<Outcome> {
    let of = |node: &NodeAddress, status| Outcome {
        node: node.clone(),
        status,
        output: None,
        failure: None,
        assets: Vec::new(),
        is_reused: false,
        took: Duration::ZERO,
    };
    if let RunEvent::NodeSucceeded { node, output, assets, reused, .. } = event {
        let (output, assets) = (Some(output.clone()), assets.clone());
        Some(Outcome { output, assets, is_reused: reused.is_some(), ..of(node, NodeStatus::Succeeded) })
    } else if let RunEvent::NodeFailed { node, failure, .. } = event {
        Some(Outcome { failure: Some(failure.code.clone()), ..of(node, NodeStatus::Failed) })
    } else if let RunEvent::NodeSkipped { node } = event {
        Some(of(node, NodeStatus::Skipped))
    } else if let RunEvent::NodeCancelled { node } = event {
        Some(of(node, NodeStatus::Cancelled))
    } else {
        None
    }
}
