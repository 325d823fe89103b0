//! Which commands and which ended runs are still remembered. Pruned by count and by commit time only, so that
//! folding the same journal always remembers the same.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::run::{Budget, RunStatus};
use crate::{CommandId, DefinitionVersion, Revision, RunId, STORED_FROM, Timestamp};

/// How much a shard takes on at once, and remembers of what is over. Nothing that must not happen twice rests on it: late news of a run is refused
/// by its lease, what other shards send by what was heard, a start by the time in its run's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many granted commands.
    pub granted: usize,
    /// How many runs that ended and have no key, at least.
    pub ended: usize,
    /// How many runs that ended and have a key, at least; fewer only where it is a day since they ended.
    pub keys: usize,
    /// How long a run that ended is remembered in any case: at least twice as long as any caller asks for an answer.
    pub kept_for: Duration,
    /// How many graphs of definitions that no run uses, at least one; fewer where their documents are large.
    pub graphs: usize,
    /// What one decision of a run may take. Folding does not depend on it.
    pub decision: Budget,
    /// From how many bytes on a value of a fact stands in the store of values. Folding does not depend on it.
    pub stored_from: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            granted: 32_768,
            ended: 16_384,
            keys: 1_000_000,
            kept_for: Duration::from_secs(120),
            graphs: 256,
            decision: Budget::default(),
            stored_from: STORED_FROM,
        }
    }
}

/// The newest commands that were granted (`SHD-3`), and what they became.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct GrantedCommands {
    by_id: FxHashMap<CommandId, (Revision, Revision)>,
    order: VecDeque<CommandId>,
    /// Those that nothing but their ids keeps from being granted again, and when they were.
    lasting: VecDeque<(Timestamp, CommandId)>,
}

impl GrantedCommands {
    pub fn remember(&mut self, id: CommandId, first: Revision, last: Revision, bounds: &Bounds) {
        if self.by_id.insert(id, (first, last)).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > bounds.granted
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// Remembers one whose aggregate would grant it again. By time: whoever gave it has given up when it is forgotten.
    pub fn remember_lasting(
        &mut self,
        id: CommandId,
        (first, last): (Revision, Revision),
        now: Timestamp,
        bounds: &Bounds,
    ) {
        self.by_id.insert(id, (first, last));
        self.lasting.push_back((now, id));
        while self.lasting.len() > bounds.granted
            && let Some((_, oldest)) = self.lasting.front().filter(|(at, _)| now.since(*at) > bounds.kept_for)
        {
            self.by_id.remove(oldest);
            self.lasting.pop_front();
        }
    }

    /// Returns those that last, as [`Self::entries`] does the others, and when they were granted.
    pub fn lasting_entries(&self) -> Vec<(Timestamp, GrantedEntry)> {
        let Self { by_id, order: _, lasting } = self;
        let revisions = lasting.iter().filter_map(|(at, id)| Some((*at, *id, by_id.get(id)?)));
        revisions.map(|(at, id, (first, last))| (at, (id, *first, *last))).collect()
    }

    /// Returns them with the first and last revision of their commits, the oldest first: for a checkpoint.
    pub fn entries(&self) -> Vec<GrantedEntry> {
        let Self { by_id, order, lasting: _ } = self;
        let revisions = order.iter().filter_map(|id| Some((*id, by_id.get(id)?)));
        revisions.map(|(id, (first, last))| (id, *first, *last)).collect()
    }

    pub fn restored(entries: Vec<GrantedEntry>, lasting: Vec<(Timestamp, GrantedEntry)>) -> Self {
        let order = entries.iter().map(|(id, ..)| *id).collect();
        let lasting_order = lasting.iter().map(|(at, (id, ..))| (*at, *id)).collect();
        let all = entries.into_iter().chain(lasting.into_iter().map(|(_, entry)| entry));
        let by_id = all.map(|(id, first, last)| (id, (first, last))).collect();
        Self { by_id, order, lasting: lasting_order }
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
    /// As what those of them go on that do.
    successors: FxHashMap<RunId, RunId>,
    /// When the newest run started that was ever forgotten.
    forgotten: Option<Timestamp>,
}

impl EndedRuns {
    /// How long an idempotency key answers for a run that has ended, unless [`Bounds::keys`] ended after it. Documented in `docs/api.md`.
    const KEYED_FOR: Duration = Duration::from_secs(24 * 3600);

    /// Returns the keyed runs that are forgotten for it: their keys may start anew.
    pub fn remember(&mut self, id: RunId, ended: EndedRun, keyed: bool, now: Timestamp, bounds: &Bounds) -> Vec<RunId> {
        self.by_id.insert(id, ended);
        if keyed {
            self.keyed.push_back((now, id));
        } else {
            self.unkeyed.push_back((now, id));
        }
        let kept_for = bounds.kept_for;
        // A clock that is ahead is believed for as long as runs are kept, so that no id is newer than what is forgotten.
        let is_old = |(at, id): &(Timestamp, RunId)| {
            now.since(*at) > kept_for && now.since(id.time().min(at.after(kept_for))) > kept_for
        };
        while self.unkeyed.len() > bounds.ended
            && let Some(oldest) = self.unkeyed.front().filter(|oldest| is_old(oldest))
        {
            self.forget(oldest.1, now, bounds);
            self.unkeyed.pop_front();
        }
        let mut forgotten = Vec::new();
        let is_over = |(at, _): &(Timestamp, RunId)| now.since(*at) > Self::KEYED_FOR;
        while let Some(oldest) = self.keyed.front().copied()
            && (is_over(&oldest) || (self.keyed.len() > bounds.keys && is_old(&oldest)))
        {
            self.forget(oldest.1, now, bounds);
            self.keyed.pop_front();
            forgotten.push(oldest.1);
        }
        forgotten
    }

    fn forget(&mut self, id: RunId, now: Timestamp, bounds: &Bounds) {
        self.by_id.remove(&id);
        self.successors.remove(&id);
        // What says that it starts later than that was made by a clock that nobody can go by.
        let kept_for = u64::try_from(bounds.kept_for.as_micros()).unwrap_or(u64::MAX);
        let latest = Timestamp::from_micros(now.as_micros().saturating_sub(kept_for));
        self.forgotten = self.forgotten.max(Some(id.time().min(latest)));
    }

    /// Whether a run that is not known may have been: one as young as it has been forgotten.
    pub fn may_have_forgotten(&self, id: RunId) -> bool {
        Some(id.time()) <= self.forgotten
    }

    /// Returns when the newest run started that was ever forgotten: for a checkpoint.
    pub fn newest_forgotten(&self) -> Option<Timestamp> {
        self.forgotten
    }

    /// Returns the runs with a key and those without, each the longest ended first: for a checkpoint.
    pub fn entries(&self) -> [Vec<EndedEntry>; 2] {
        let Self { by_id, keyed, unkeyed, successors: _, forgotten: _ } = self;
        [keyed, unkeyed].map(|order| {
            let ended = order.iter().filter_map(|(at, id)| Some((*at, *id, by_id.get(id)?)));
            ended
                .map(|(at, id, EndedRun { status, version, start_hash })| (id, at, *status, *version, *start_hash))
                .collect()
        })
    }

    pub fn restored(
        [keyed, unkeyed]: [Vec<EndedEntry>; 2],
        successors: Vec<(RunId, RunId)>,
        forgotten: Option<Timestamp>,
    ) -> Self {
        let order = |entries: &[EndedEntry]| entries.iter().map(|(id, at, ..)| (*at, *id)).collect();
        let (keyed_order, unkeyed_order) = (order(&keyed), order(&unkeyed));
        let ended = keyed.into_iter().chain(unkeyed);
        let by_id = ended.map(|(id, _, status, version, start_hash)| (id, EndedRun { status, version, start_hash }));
        let successors = successors.into_iter().collect();
        Self { by_id: by_id.collect(), keyed: keyed_order, unkeyed: unkeyed_order, successors, forgotten }
    }

    /// Notes as what a run goes on that is remembered.
    pub fn goes_on_as(&mut self, id: RunId, successor: RunId) {
        if self.by_id.contains_key(&id) {
            self.successors.insert(id, successor);
        }
    }

    /// Returns as what a run goes on that has ended, as long as that is remembered.
    pub fn successor(&self, id: RunId) -> Option<RunId> {
        self.successors.get(&id).copied()
    }

    /// Returns all of them, sorted: for a checkpoint.
    pub fn successors(&self) -> Vec<(RunId, RunId)> {
        let mut all: Vec<_> = self.successors.iter().map(|(id, successor)| (*id, *successor)).collect();
        all.sort_unstable();
        all
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

    fn ended() -> EndedRun {
        EndedRun { status: RunStatus::Failed, version: DefinitionVersion::FIRST, start_hash: 0 }
    }

    fn id(number: usize, at: Timestamp) -> RunId {
        RunId::new(ShardId::new(0).unwrap(), at, (number as u128) << 10)
    }

    #[test]
    fn only_so_many_keys_are_remembered_when_their_time_is_over() {
        let (mut runs, bounds) = (EndedRuns::default(), Bounds { keys: 1_000, ..Bounds::default() });
        let start = Timestamp::from_micros(1_750_000_000_000_000);
        for number in 0..bounds.keys + 5 {
            assert_eq!(runs.remember(id(number, start), ended(), true, start, &bounds), []);
        }
        let later = start.after(bounds.kept_for + Duration::from_millis(1));
        let forgotten: Vec<_> = (0..6).map(|number| id(number, start)).collect();
        assert!(!runs.may_have_forgotten(id(0, start)));
        assert_eq!(runs.remember(id(bounds.keys + 5, later), ended(), true, later, &bounds), forgotten);
        assert_eq!(runs.find(id(5, start)), None);
        assert_eq!(runs.find(id(6, start)), Some(ended()));
        assert!(runs.may_have_forgotten(id(77, start)), "as young as one that was forgotten");
        assert!(!runs.may_have_forgotten(id(77, start.after(Duration::from_millis(1)))));
    }

    #[test]
    fn commands_that_last_are_remembered_by_time() {
        let (mut commands, bounds) = (GrantedCommands::default(), Bounds { granted: 4, ..Bounds::default() });
        let id = |number| CommandId::from_uuid(uuid::Uuid::from_u128(number));
        let start = Timestamp::from_micros(1_750_000_000_000_000);
        let revisions = (Revision::FIRST, Revision::FIRST);
        (0..20).for_each(|number| commands.remember_lasting(id(number), revisions, start, &bounds));
        (20..40).for_each(|number| commands.remember(id(number), revisions.0, revisions.1, &bounds));
        let known = |commands: &GrantedCommands| (0..40).filter(|number| commands.find(id(*number)).is_some()).count();
        assert_eq!(known(&commands), 24);
        let later = start.after(bounds.kept_for + Duration::from_millis(1));
        commands.remember_lasting(id(40), revisions, later, &bounds);
        assert_eq!(known(&commands), 7, "three of the first, and four of the others");
        let restored = GrantedCommands::restored(commands.entries(), commands.lasting_entries());
        assert_eq!(restored, commands);
    }
}
