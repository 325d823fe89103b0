//! Which commands wait for a definition version that the shard has not adopted yet, or for something to be compiled: both are
//! done elsewhere, and everything else goes on meanwhile.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::withheld::Withheld;
use super::{Asker, Caller, Desk, Moment, Output};
use crate::shard::{
    AggregateId, Awaited, Command, Compiled, Missing, Shard, Submission, WorkflowKey, missing, next_released,
};
use crate::{DefinitionVersion, Json, RunId, ShardId};

/// A definition version that a start needs.
pub type Needed = (WorkflowKey, DefinitionVersion);

/// The commands that wait, by what they need, each in the order they came. Where one waits, so does whatever comes behind it
/// for the same aggregate, or on the same lane: both are heard in order.
#[derive(Debug)]
pub(super) struct Parking<T> {
    waiting: FxHashMap<Awaited, Parked<T>>,
    held_up: FxHashMap<Order, Awaited>,
    bytes: usize,
    /// Answers that wait until what they name is published.
    pub withheld: Withheld<T>,
    /// What was compiled for wishes that a release has let go.
    for_released: Arc<[Compiled]>,
}

#[derive(Debug)]
struct Parked<T> {
    wishes: Vec<(Asker<T>, Submission)>,
    /// What is adopted when it is compiled.
    adopts: Option<Json>,
}

/// What was looked up and compiled for whatever waited for it.
#[derive(Debug)]
pub(super) struct Found {
    pub awaited: Awaited,
    pub compiled: Arc<[Compiled]>,
}

/// What keeps its order.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Order {
    Lane(ShardId),
    Of(AggregateId),
}

/// Why a command is not decided now.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// Something before it waits for this.
    Behind(Awaited),
    Missing(Missing),
}

impl<T> Parking<T> {
    pub fn new() -> Self {
        Self {
            waiting: FxHashMap::default(),
            held_up: FxHashMap::default(),
            bytes: 0,
            withheld: Withheld::new(),
            for_released: Arc::default(),
        }
    }

    /// Returns what a command, or one before it, waits for, also now that this was found: it may only have come behind.
    pub fn obstacle(&self, shard: &Shard, submission: &Submission, found: Option<&Found>) -> Option<Obstacle> {
        if !self.held_up.is_empty() {
            let lane = submission.from.and_then(|from| self.held_up.get(&Order::Lane(from.shard)));
            let before = lane.or_else(|| self.held_up.get(&Order::Of(submission.command.target())));
            if let Some(awaited) = before {
                return Some(Obstacle::Behind(awaited.clone()));
            }
        }
        let settles = |found: &Found, missing: &Missing| is_settled(missing, &found.awaited, &found.compiled);
        let missing = missing(shard, submission)?;
        let is_open = found.is_none_or(|found| !settles(found, &missing));
        is_open.then_some(Obstacle::Missing(missing))
    }

    /// Parks a command; returns what has to be done so that it can go on, unless that is under way.
    pub fn park<R>(
        &mut self,
        shard: &Shard,
        obstacle: Obstacle,
        asker: Asker<T>,
        submission: Submission,
    ) -> Option<Output<R, T>> {
        let (awaited, missing) = match obstacle {
            Obstacle::Behind(awaited) => (awaited, None),
            Obstacle::Missing(missing) => (missing.awaited(), Some(missing)),
        };
        if let Some(from) = submission.from {
            self.held_up.entry(Order::Lane(from.shard)).or_insert_with(|| awaited.clone());
        }
        let is_active = matches!(&submission.command, Command::Run { run, .. } if shard.run(*run).is_some());
        // What is active needs nothing: it only stands behind something on its lane.
        if !is_active {
            self.held_up.entry(Order::Of(submission.command.target())).or_insert_with(|| awaited.clone());
        }
        self.bytes += bytes_parked(&submission);
        let is_first = !self.waiting.contains_key(&awaited);
        self.entry(awaited).wishes.push((asker, submission));
        missing.filter(|_| is_first).map(|missing| match missing {
            Missing::Document(key, version) => Output::Find((key, version)),
            Missing::Graphs(awaited, documents) => Output::Compile { awaited, documents },
        })
    }

    /// Has a document compiled that was found, and adopted then.
    ///
    /// # Errors
    /// What was looked for, where there is nothing to adopt.
    pub fn found<R>(&mut self, shard: &Shard, needed: Needed, document: Option<Json>) -> Result<Output<R, T>, Found> {
        let (key, version) = needed;
        let is_new = shard.definition(&key, version).is_none();
        let awaited = Awaited::Version(key, version);
        let Some(document) = document.filter(|_| is_new) else {
            return Err(Found { awaited, compiled: Arc::default() });
        };
        self.entry(awaited.clone()).adopts = Some(document.clone());
        Ok(Output::Compile { awaited, documents: vec![document] })
    }

    /// Takes out what waited for this, and how it is adopted if it is.
    pub fn let_go(&mut self, found: &Found) -> (Vec<(Asker<T>, Submission)>, Option<Command>) {
        let Found { awaited, compiled } = found;
        let Parked { wishes, adopts } = self.take(awaited);
        self.for_released = compiled.clone();
        let adoption = match awaited {
            Awaited::Version(key, version) => adopts.map(|document| {
                let (key, version) = (key.clone(), *version);
                Command::AdoptDefinition { key, version, document }
            }),
            Awaited::Next(_) => None,
        };
        (wishes, adoption)
    }

    /// Whether the next wish that a release has let go can be decided. What it needs is compiled, where it is not.
    pub fn can_take_up<R>(&mut self, shard: &Shard, out: &mut Vec<Output<R, T>>) -> bool {
        let Some(next) = next_released(shard) else {
            self.for_released = Arc::default();
            return false;
        };
        match missing(shard, next) {
            Some(missing) if !is_settled(&missing, &missing.awaited(), &self.for_released) => {
                let awaited = missing.awaited();
                if let (Missing::Graphs(_, documents), false) = (missing, self.waiting.contains_key(&awaited)) {
                    self.entry(awaited.clone());
                    out.push(Output::Compile { awaited, documents });
                }
                false
            }
            // One whose document is not there is refused.
            Some(_) | None => true,
        }
    }

    /// Returns what was compiled for wishes that a release has let go.
    pub fn for_released(&self) -> Arc<[Compiled]> {
        self.for_released.clone()
    }

    fn entry(&mut self, awaited: Awaited) -> &mut Parked<T> {
        self.waiting.entry(awaited).or_insert_with(|| Parked { wishes: Vec::new(), adopts: None })
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.withheld.is_empty()
    }

    /// How many bytes wait, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether something that may begin this run waits.
    pub fn holds_up(&self, run: RunId) -> bool {
        !self.held_up.is_empty() && self.held_up.contains_key(&Order::Of(AggregateId::Run(run)))
    }

    fn take(&mut self, awaited: &Awaited) -> Parked<T> {
        self.held_up.retain(|_, waits_for| waits_for != awaited);
        let parked = self.waiting.remove(awaited).unwrap_or(Parked { wishes: Vec::new(), adopts: None });
        self.bytes -= parked.wishes.iter().map(|(_, submission)| bytes_parked(submission)).sum::<usize>();
        parked
    }

    /// Gives everybody back.
    pub fn abandon(self) -> impl Iterator<Item = Asker<T>> {
        let parked = self.waiting.into_values().flat_map(|parked| parked.wishes).map(|(asker, _)| asker);
        parked.chain(self.withheld.abandon())
    }
}

fn bytes_parked(submission: &Submission) -> usize {
    const NAMES: usize = 512;
    NAMES + submission.command.bytes_asked()
}

/// Whether what is missing is known to be missing, or was compiled.
fn is_settled(missing: &Missing, looked_up: &Awaited, compiled: &[Compiled]) -> bool {
    match missing {
        Missing::Document(..) => missing.awaited() == *looked_up,
        Missing::Graphs(_, documents) => {
            documents.iter().all(|document| compiled.iter().any(|compiled| compiled.is_of(document)))
        }
    }
}

impl<R, T> Desk<R, T> {
    /// Takes in what was found; what waited for it comes in again.
    pub(super) fn go_on_after(&mut self, found: Found, at: Moment, out: &mut Vec<Output<R, T>>) {
        let (wishes, adoption) = self.parking.let_go(&found);
        if let Some(command) = adoption {
            let (adopt, hands) = (Submission::new(self.names.command(), command), self.workers.hands());
            self.owner.submit_with(Caller(Asker::Adoption), adopt, found.compiled.clone(), at.wall, hands);
        }
        self.line.take_up(wishes, &Arc::new(found));
        self.serve(at, out);
    }
}
