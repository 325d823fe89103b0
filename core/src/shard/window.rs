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

    /// Returns them with the first and last revision of their commits, the oldest first: for a checkpoint.
    pub fn entries(&self) -> Vec<GrantedEntry> {
        let Self { by_id, order } = self;
        let revisions = order.iter().filter_map(|id| Some((*id, by_id.get(id)?)));
        revisions.map(|(id, (first, last))| (id, *first, *last)).collect()
    }

    pub fn restored(entries: Vec<GrantedEntry>) -> Self {
        let order = entries.iter().map(|(id, ..)| *id).collect();
        Self { by_id: entries.into_iter().map(|(id, first, last)| (id, (first, last))).collect(), order }
    }

    /// Returns the first and last revision of the commit the command became.
    pub fn find(&self, id: CommandId) -> Option<(Revision, Revision)> {
        self.by_id.get(&id).copied()
    }
}

/// A command with the first and last revision of its commit.
pub(super) type GrantedEntry = (CommandId, Revision, Revision);

/// What is remembered of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRun {
    pub status: RunStatus,
    /// The definition version it was frozen at.
    pub version: DefinitionVersion,
    /// Of workflow and input: tells a repeated start from a key used twice.
    pub start_hash: u64,
}

/// A run, when it ended, and what is remembered of it; an array, because there are many.
pub(super) type EndedEntry = (RunId, Timestamp, RunStatus, DefinitionVersion, u64);

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

    /// Returns the runs with a key and those without, each the longest ended first: for a checkpoint.
    pub fn entries(&self) -> [Vec<EndedEntry>; 2] {
        let Self { by_id, keyed, unkeyed } = self;
        [keyed, unkeyed].map(|order| {
            let ended = order.iter().filter_map(|(at, id)| Some((*at, *id, by_id.get(id)?)));
            ended
                .map(|(at, id, EndedRun { status, version, start_hash })| (id, at, *status, *version, *start_hash))
                .collect()
        })
    }

    pub fn restored([keyed, unkeyed]: [Vec<EndedEntry>; 2]) -> Self {
        let order = |entries: &[EndedEntry]| entries.iter().map(|(id, at, ..)| (*at, *id)).collect();
        let (keyed_order, unkeyed_order) = (order(&keyed), order(&unkeyed));
        let ended = keyed.into_iter().chain(unkeyed);
        let by_id = ended.map(|(id, _, status, version, start_hash)| (id, EndedRun { status, version, start_hash }));
        Self { by_id: by_id.collect(), keyed: keyed_order, unkeyed: unkeyed_order }
    }

    /// Returns the runs with a key, the longest ended first.
    pub fn keyed(&self) -> impl Iterator<Item = RunId> {
        self.keyed.iter().map(|(_, id)| *id)
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
