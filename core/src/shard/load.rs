//! What waits for one append: what it holds, what it lets go, and who is told.

use std::collections::BTreeMap;

use super::stored::{Stowage, Stowed};
use super::{
    AggregateId, Aside, Commit, Decided, Effect, EffectPlace, Event, Granted, HandedTasks, Position, Rejection,
};
use crate::run::{Reply, RunEvent, RunStatus};
use crate::{BundleId, CommandId, RunId, Sequence, ShardId};

#[derive(Debug)]
pub(super) struct Unanswered<C> {
    pub caller: C,
    pub outcome: Result<(Option<Granted>, HandedTasks), Rejection>,
}

/// A bundle that is being filled or is in flight.
#[derive(Debug)]
pub(super) struct Load<C> {
    /// The commits as JSON, separated by commas.
    pub commits: Vec<u8>,
    pub count: usize,
    /// What has to be stored before it, and how many bytes that has together.
    pub stowage: Stowage,
    pub stowed_bytes: usize,
    pub waiting: Vec<Unanswered<C>>,
    pub effects: Vec<Effect>,
    /// What follows where wishes that were parked are refused.
    pub follows: Vec<Effect>,
    /// What is asked anew with it and follows from no commit of it: behind its effects, so that they keep their places.
    pub anew: Vec<Effect>,
    pub ended: Vec<(RunId, RunStatus)>,
    /// The updates that were answered.
    pub replied: Vec<(RunId, CommandId, Reply)>,
    /// The places of other shards' journals that were heard with it.
    pub heard: BTreeMap<ShardId, EffectPlace>,
    pub aside: Aside,
    /// How large that is, as far as it may be large.
    pub aside_bytes: usize,
    pub releases: bool,
    /// Whether a commit leaves a run something to do.
    pub leaves_agenda: bool,
    /// Whether a definition among the commits has words that releases before 0.2 do not know.
    pub has_later_words: bool,
}

impl<C> Load<C> {
    /// Returns one with nothing in it.
    pub fn empty() -> Self {
        Self {
            commits: Vec::new(),
            count: 0,
            stowage: Stowage::new(),
            stowed_bytes: 0,
            waiting: Vec::new(),
            effects: Vec::new(),
            follows: Vec::new(),
            anew: Vec::new(),
            ended: Vec::new(),
            replied: Vec::new(),
            heard: BTreeMap::new(),
            aside: Aside::default(),
            aside_bytes: 0,
            releases: false,
            leaves_agenda: false,
            has_later_words: false,
        }
    }

    /// Puts what was decided into the bundle that is being filled; values of `stored_from` bytes and more stand beside it.
    pub fn take(&mut self, decided: Decided, stored_from: usize) -> (Option<Granted>, HandedTasks) {
        let Decided { commit, effects, granted, tasks, ended, stores_in, parked } = decided;
        if let Some(parked) = parked {
            self.aside_bytes += serde_json::to_vec(&parked).map_or(0, |bytes| bytes.len());
            self.aside.parked.push(*parked);
        }
        if let Some(mut commit) = commit {
            if let Some(workspace) = stores_in {
                self.stowed_bytes += commit.stow(workspace, stored_from, &mut self.stowage);
            }
            self.replied.extend(replies_of(&commit));
            self.releases |= commit.is_release();
            if self.count > 0 {
                self.commits.push(b',');
            }
            serde_json::to_writer(&mut self.commits, &commit)
                .expect("commits have text keys, and a Vec takes every byte");
            self.count += 1;
            self.effects.extend(effects);
            self.ended.extend(ended);
        }
        (granted, tasks)
    }
}

/// The updates that a commit answers.
fn replies_of(commit: &Commit) -> impl Iterator<Item = (RunId, CommandId, Reply)> + '_ {
    let run = if let AggregateId::Run(run) = commit.aggregate { Some(run) } else { None };
    run.into_iter().flat_map(|run| {
        commit.events.iter().filter_map(move |event| {
            let Event::Run(RunEvent::SignalAnswered { signal, reply, .. }) = event else { return None };
            Some((run, *signal, (**reply).clone()))
        })
    })
}

/// What the caller of a command is told, once it may be told.
#[derive(Debug)]
pub struct Answer<C> {
    pub caller: C,
    pub outcome: Result<Outcome, Rejection>,
}

/// A command that was granted.
#[derive(Debug)]
pub struct Outcome {
    /// Reads that have seen this place have seen the outcome.
    pub position: Position,
    pub granted: Option<Granted>,
    /// What was granted to which worker.
    pub tasks: HandedTasks,
}

/// One bundle to append, expecting the journal to end where `expected` says.
#[derive(Debug, Clone)]
pub struct Append {
    pub id: BundleId,
    pub bytes: Vec<u8>,
    pub expected: Sequence,
    /// How many commits it holds.
    pub commits: usize,
    /// What has to be in the store of values, as durable as the journal, before it is appended.
    pub values: Vec<Stowed>,
}

/// What may leave now.
#[derive(Debug)]
pub struct Released<C> {
    pub answers: Vec<Answer<C>>,
    pub effects: Vec<Effect>,
    /// The runs that ended, at the place where they did.
    pub ended: Vec<(RunId, RunStatus, Position)>,
    /// The updates that were answered, with what.
    pub replied: Vec<(RunId, CommandId, Reply)>,
    /// To be named in [`super::Owner::effects_delivered`] with each way that its effects leave on; absent when there are none.
    pub sequence: Option<Sequence>,
}
