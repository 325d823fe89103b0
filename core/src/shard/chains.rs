//! Which run of a chain goes on now. Whoever called the first knows that one only.

use rustc_hash::FxHashMap;

use crate::dialogue::{Continuation, ContinuedFrom};
use crate::run::Run;
use crate::{RunId, run::RunCommand};

use super::{Command, Shard, Submission};

/// By the first run of a chain that has gone on: how many were before the newest that is active, and which that is.
#[derive(Debug, Default)]
pub(super) struct Chains(FxHashMap<RunId, (u32, RunId)>);

impl Chains {
    /// A run is active.
    pub fn begin(&mut self, run: &Run) {
        if let Some((first, number)) = link_of(run) {
            let newest = self.0.entry(first).or_insert((number, run.id()));
            *newest = (*newest).max((number, run.id()));
        }
    }

    /// It is not any more.
    pub fn end(&mut self, run: &Run) {
        if let Some((first, _)) = link_of(run)
            && self.0.get(&first).is_some_and(|(_, newest)| *newest == run.id())
        {
            self.0.remove(&first);
        }
    }
}

fn link_of(run: &Run) -> Option<(RunId, u32)> {
    match run.continued_from()? {
        ContinuedFrom { how: Continuation::Successor { first, number, .. }, .. } => Some((*first, *number)),
        ContinuedFrom { .. } => None,
    }
}

/// Has what a caller says to the first run of a chain, which has ended, go to the one that is active.
pub(super) fn addressed(shard: &Shard, mut submission: Submission) -> Submission {
    if let Command::Run { run, command: RunCommand::WithdrawRun { .. } } = &mut submission.command
        && !shard.shelves.runs.contains_key(run)
        && let Some((_, newest)) = shard.docket.chains.0.get(run)
    {
        *run = *newest;
    }
    submission
}
