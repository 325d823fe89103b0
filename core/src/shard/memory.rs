//! What a shard remembers of what is over.

use rustc_hash::FxHashMap;

use super::Commit;
use super::window::{Bounds, EndedRun, EndedRuns, GrantedCommands};
use crate::{CommandId, Revision, RunId, Timestamp};

/// What a shard remembers of what is over.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The time of the last commit (`SHD-2`).
    pub(super) clock: Timestamp,
    pub(super) granted: GrantedCommands,
    pub(super) ended: EndedRuns,
    /// The runs that were started under idempotency keys and are active or remembered, by the cause in their ids.
    pub(super) keyed: FxHashMap<u128, RunId>,
}

impl Memory {
    /// Remembers the time of a commit, decided or folded, and what it granted. `lasting`: see
    /// [`GrantedCommands::remember_lasting`].
    pub fn remember(&mut self, commit: &Commit, lasting: bool, bounds: &Bounds) {
        self.clock = self.clock.max(commit.time);
        let last = commit.revision.after(commit.events.len() as u64 - 1);
        if lasting {
            self.granted.remember_lasting(commit.command, (commit.revision, last), commit.time, bounds);
        } else {
            self.granted.remember(commit.command, commit.revision, last, bounds);
        }
    }

    /// Remembers how a run ended. The keys of those that are forgotten for it may start anew.
    pub fn remember_ended(&mut self, id: RunId, ended: EndedRun, is_keyed: bool, now: Timestamp, bounds: &Bounds) {
        for forgotten in self.ended.remember(id, ended, is_keyed, now, bounds) {
            self.keyed.remove(&forgotten.cause());
        }
    }

    /// Remembers which run an idempotency key started.
    pub fn hold_key(&mut self, run: RunId) {
        self.keyed.insert(run.cause(), run);
    }

    /// Returns the run that was started under the key of this id, as long as that is remembered.
    pub fn holder_of_key(&self, run: RunId) -> Option<RunId> {
        self.keyed.get(&run.cause()).copied()
    }

    /// Returns the first and last revision of the commit that a command became, as long as that is remembered.
    pub fn granted(&self, id: CommandId) -> Option<(Revision, Revision)> {
        self.granted.find(id)
    }

    /// Returns how a run ended, as long as that is remembered.
    pub fn ended(&self, id: RunId) -> Option<EndedRun> {
        self.ended.find(id)
    }

    /// Whether a run that is not known may have been.
    pub fn may_have_forgotten(&self, id: RunId) -> bool {
        self.ended.may_have_forgotten(id)
    }
}
