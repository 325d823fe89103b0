//! Which commands wait for a definition version that the shard has not adopted yet.

use rustc_hash::FxHashMap;

use super::{Asker, Caller, Desk, Moment, Output};
use crate::run::RunCommand;
use crate::shard::{Command, Shard, Submission, WorkflowKey};
use crate::{DefinitionVersion, Json, ShardId};

/// A definition version that a start needs.
pub type Needed = (WorkflowKey, DefinitionVersion);

/// The commands that wait, by what they need, each in the order they came. Where one that came on a lane waits, so does what
/// comes behind it: a lane is heard in order.
#[derive(Debug)]
pub(super) struct Parking<T> {
    waiting: FxHashMap<Needed, Vec<(Asker<T>, Submission)>>,
    lanes: FxHashMap<ShardId, Needed>,
}

impl<T> Parking<T> {
    pub fn new() -> Self {
        Self { waiting: FxHashMap::default(), lanes: FxHashMap::default() }
    }

    /// Returns what a command, or one before it on its lane, needs and the shard does not have.
    pub fn needed(&self, shard: &Shard, submission: &Submission) -> Option<Needed> {
        let before = submission.from.and_then(|from| self.lanes.get(&from.shard).cloned());
        before.or_else(|| Self::needs(shard, submission))
    }

    fn needs(shard: &Shard, submission: &Submission) -> Option<Needed> {
        let Command::Run { command: RunCommand::StartRun(start), .. } = &submission.command else { return None };
        let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
        // One that is quarantined is not looked for: the start waits for its release.
        let is_here = shard.definition(&key, start.version).is_some();
        (!is_here && !shard.is_definition_quarantined(&key, start.version)).then_some((key, start.version))
    }

    /// Parks a command; returns whether it is the first that needs this.
    pub fn park(&mut self, needed: Needed, asker: Asker<T>, submission: Submission) -> bool {
        if let Some(from) = submission.from {
            self.lanes.entry(from.shard).or_insert_with(|| needed.clone());
        }
        let waiting = self.waiting.entry(needed).or_default();
        waiting.push((asker, submission));
        waiting.len() == 1
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether something before it on its lane waits.
    fn is_held_up(&self, submission: &Submission) -> bool {
        submission.from.is_some_and(|from| self.lanes.contains_key(&from.shard))
    }

    fn take(&mut self, needed: &Needed) -> Vec<(Asker<T>, Submission)> {
        self.lanes.retain(|_, waits_for| waits_for != needed);
        self.waiting.remove(needed).unwrap_or_default()
    }

    /// Gives everybody back.
    pub fn abandon(self) -> impl Iterator<Item = Asker<T>> {
        self.waiting.into_values().flatten().map(|(asker, _)| asker)
    }
}

impl<R, T> Desk<R, T> {
    /// Adopts a definition; what waited for it comes in again. Where there is none, the commands are refused.
    pub(super) fn adopt(&mut self, needed: Needed, document: Option<Json>, at: Moment, out: &mut Vec<Output<R, T>>) {
        let parked = self.parking.take(&needed);
        if let Some(document) = document {
            let (key, version) = needed.clone();
            self.decide(Asker::Adoption, Command::AdoptDefinition { key, version, document }, at);
        }
        self.take_up_looked_up(&needed, parked);
        self.serve(at, out);
    }

    pub(super) fn submit_looked_up(
        &mut self,
        needed: &Needed,
        asker: Asker<T>,
        submission: Submission,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        match Parking::<T>::needs(self.owner.shard(), &submission) {
            // It only came behind.
            Some(other) if other != *needed => self.submit(asker, submission, at, out),
            _ if self.parking.is_held_up(&submission) => self.submit(asker, submission, at, out),
            _ => self.owner.submit(Caller(asker), submission, at.wall, &mut self.rooms.hands),
        }
    }
}
