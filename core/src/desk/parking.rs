//! Which commands wait for a definition version that the shard has not adopted yet.

use rustc_hash::FxHashMap;

use super::{Asker, Caller, Desk, Moment};
use crate::run::RunCommand;
use crate::shard::{Command, Shard, Submission, WorkflowKey};
use crate::{DefinitionVersion, Json};

/// A definition version that a start needs.
pub type Needed = (WorkflowKey, DefinitionVersion);

/// The commands that wait, by what they need, each in the order they came.
#[derive(Debug)]
pub(super) struct Parking<T>(FxHashMap<Needed, Vec<(Asker<T>, Submission)>>);

impl<T> Parking<T> {
    pub fn new() -> Self {
        Self(FxHashMap::default())
    }

    /// Returns what a command needs and the shard does not have.
    pub fn needed(&self, shard: &Shard, submission: &Submission) -> Option<Needed> {
        let Command::Run { command: RunCommand::StartRun(start), .. } = &submission.command else { return None };
        let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
        shard.definition(&key, start.version).is_none().then_some((key, start.version))
    }

    /// Parks a command; returns whether it is the first that needs this.
    pub fn park(&mut self, needed: Needed, asker: Asker<T>, submission: Submission) -> bool {
        let waiting = self.0.entry(needed).or_default();
        waiting.push((asker, submission));
        waiting.len() == 1
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives everybody back.
    pub fn abandon(self) -> impl Iterator<Item = Asker<T>> {
        self.0.into_values().flatten().map(|(asker, _)| asker)
    }
}

impl<R, T> Desk<R, T> {
    /// Adopts a definition, and decides what waited for it. Where there is none, the commands are refused.
    pub(super) fn adopt(&mut self, needed: Needed, document: Option<Json>, at: Moment) {
        let parked = self.parking.0.remove(&needed).unwrap_or_default();
        if let Some(document) = document {
            let (key, version) = needed;
            self.decide(Asker::Adoption, Command::AdoptDefinition { key, version, document }, at);
        }
        for (asker, submission) in parked {
            self.owner.submit(Caller(asker), submission, at.wall, &mut self.rooms.hands);
        }
    }
}
