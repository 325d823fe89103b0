//! Which commands and which ended runs are still remembered. Pruned by count and by commit time only, so that
//! folding the same journal always remembers the same.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::run::RunStatus;
use crate::{CommandId, DefinitionVersion, Revision, RunId, Timestamp};

/// The newest commands that were granted (`SHD-3`), and what they became.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct GrantedCommands {
    by_id: FxHashMap<CommandId, (Revision, Revision)>,
    order: VecDeque<CommandId>,
}

impl GrantedCommands {
    /// How many are remembered: seconds of work at full speed, and far longer than a caller retries otherwise.
    const COUNT_MAX: usize = 32_768;

    pub fn remember(&mut self, id: CommandId, first: Revision, last: Revision) {
        if self.by_id.insert(id, (first, last)).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > Self::COUNT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// Returns the first and last revision of the commit the command became.
    pub fn find(&self, id: CommandId) -> Option<(Revision, Revision)> {
        self.by_id.get(&id).copied()
    }
}

/// What is remembered of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRun {
    pub status: RunStatus,
    /// The definition version it was frozen at.
    pub version: DefinitionVersion,
    /// Of workflow and input: tells a repeated start from a key used twice.
    pub start_hash: u64,
}

/// The runs that ended lately.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct EndedRuns {
    by_id: FxHashMap<RunId, EndedRun>,
    keyed: VecDeque<(Timestamp, RunId)>,
    unkeyed: VecDeque<(Timestamp, RunId)>,
}

impl EndedRuns {
    /// How long an idempotency key answers for a run that has ended, unless [`Self::KEYED_MAX`] ended after it.
    const KEYED_FOR: Duration = Duration::from_secs(24 * 3600);
    /// How many runs with a key are remembered: about 100 MB.
    pub(super) const KEYED_MAX: usize = 1_000_000;
    /// How many runs without a key are remembered, for late reports and repeated commands.
    const UNKEYED_MAX: usize = 16_384;

    /// Returns the keyed runs that are forgotten for it: their keys may start anew.
    pub fn remember(&mut self, id: RunId, ended: EndedRun, keyed: bool, now: Timestamp) -> Vec<RunId> {
        self.by_id.insert(id, ended);
        if keyed {
            self.keyed.push_back((now, id));
        } else {
            self.unkeyed.push_back((now, id));
        }
        while self.unkeyed.len() > Self::UNKEYED_MAX
            && let Some((_, oldest)) = self.unkeyed.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let mut forgotten = Vec::new();
        let is_over = |at: Timestamp| now.since(at) > Self::KEYED_FOR;
        while self.keyed.len() > Self::KEYED_MAX || self.keyed.front().is_some_and(|(at, _)| is_over(*at)) {
            let Some((_, oldest)) = self.keyed.pop_front() else { break };
            self.by_id.remove(&oldest);
            forgotten.push(oldest);
        }
        forgotten
    }

    pub fn find(&self, id: RunId) -> Option<EndedRun> {
        self.by_id.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardId;

    #[test]
    fn only_so_many_keys_are_remembered() {
        let mut runs = EndedRuns::default();
        let ended = EndedRun { status: RunStatus::Failed, version: DefinitionVersion::FIRST, start_hash: 0 };
        let id = |number: usize| RunId::new(ShardId::new(0).unwrap(), Timestamp::default(), (number as u128) << 10);
        for number in 0..EndedRuns::KEYED_MAX {
            assert_eq!(runs.remember(id(number), ended, true, Timestamp::default()), []);
        }
        assert_eq!(runs.remember(id(EndedRuns::KEYED_MAX), ended, true, Timestamp::default()), [id(0)]);
        assert_eq!(runs.find(id(0)), None);
        assert_eq!(runs.find(id(1)), Some(ended));
    }
}
