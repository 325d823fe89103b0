//! What a shard does with an aggregate of whatever kind: decide, fold, keep the books, set it aside and put it back.
//!
//! [`Aggregate`] is what a kind has to say for that, `kinds` the list of those that do. Which kind it is, is settled once a
//! commit, by a match; from there on everything is compiled for that kind (ADR 21).

mod kept;

use std::borrow::Cow;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::{Kind, Sections};
use super::command::Asked;
use super::compiled::Missing;
use super::decide::HandedTasks;
use super::definitions::{Definitions, Unusable};
use super::kinds::Shelves;
use super::lines::Lines;
use super::reactions::Reactions;
use super::{AggregateId, Commit, Decided, Effect, Event, Granted, Rejection, Shard, ShardMap, WorkflowKey};
use crate::credit::Hands;
use crate::run::{Budget, RunStatus};
use crate::{CommandId, DefinitionVersion, Json, NodeAddress, Revision, RunId, SessionId, Timestamp, WorkspaceId};

pub(super) use kept::Shelf;

/// A kind of aggregate.
///
/// What decides is in the kind's own module, which knows nothing of shards; this says how it is kept and carried.
pub(super) trait Aggregate: Sized {
    type Key: Clone + Eq + Hash + Ord;
    type Command;
    type Event;
    /// What checkpoints and releases hold of one.
    type Record: Clone + Serialize + DeserializeOwned;

    /// Its kind, in a sentence.
    const CALLED: &'static str;
    /// Where checkpoints hold them. Releases hold records in the same formats.
    const SECTION: Kind;
    /// `None`: it has no timers.
    const TIMERS: Option<Timers<Self>> = None;
    /// Whether nothing but the ids of its commands keeps them from being granted again: they are remembered by time.
    const LASTING: bool = false;

    fn id(key: Self::Key) -> AggregateId;
    fn shelf(shelves: &Shelves) -> &Shelf<Self>;
    fn shelf_mut(shelves: &mut Shelves) -> &mut Shelf<Self>;
    fn event(event: &Event) -> Option<&Self::Event>;
    fn wrapped(event: Self::Event) -> Event;

    fn key(&self) -> Self::Key;
    /// Whose it is; absent of what keeps something for all.
    fn workspace(&self) -> Option<&WorkspaceId>;
    /// Of the last event folded; 0 before the first.
    fn revision(&self) -> Revision;
    /// Puts it at a revision, where the facts before are not all folded.
    fn stand_at(&mut self, revision: Revision);

    /// Makes one that nothing has happened to. `None`: it begins in a way of its own.
    fn unknown(key: &Self::Key) -> Option<Self>;
    /// Decides, and has evolved by the events.
    ///
    /// # Errors
    /// The fact in the way; nothing has changed.
    fn decide(&mut self, wish: Self::Command, ground: &mut Ground<'_>) -> Result<Verdict<Self::Event>, Rejection>;
    /// Folds one event.
    ///
    /// # Errors
    /// Why it cannot have happened.
    fn evolve(&mut self, event: &Self::Event, time: Timestamp) -> Result<(), String>;
    /// Appends what follows outside. Called when all events of the commit have happened.
    fn react(&self, event: &Self::Event, revision: Revision, time: Timestamp, reactions: &mut Reactions);

    fn record(&self) -> Cow<'_, Self::Record>;
    fn restore(record: Self::Record, definitions: &mut Definitions) -> Result<Self, Unrestored>;

    /// Whether the shard gives it to itself, under an id that is new each time.
    fn is_own(wish: &Self::Command) -> bool;
    /// Whether its sender is told nothing of a quarantine: it goes on as if it had been heard, and so it is kept. Who is a
    /// person or a program outside, or the shard itself, asks again.
    fn is_kept(wish: &Self::Command) -> bool;

    /// How many bytes somebody outside has its decision go through.
    fn bytes_asked(_wish: &Self::Command) -> usize {
        0
    }

    /// What of definitions has to be there before a command can be decided, and is not.
    fn missing(_shard: &Shard, _id: CommandId, _key: &Self::Key, _wish: &Self::Command) -> Option<Missing> {
        None
    }

    /// What becomes of a wish for one that is not there, where that does not begin one.
    fn absent(_shard: &Shard, _key: &Self::Key, _wish: Self::Command) -> Result<Decided, Rejection> {
        Ok(Decided::default())
    }

    /// Answers a command that was granted before as it was answered then (`SHD-3`).
    fn answer_again(_known: Option<&Self>, _wish: &Self::Command, _told: Told) -> Decided {
        Decided::default()
    }

    /// Makes one of the first commit that is folded of it; returns how many of its events that took.
    fn begun(key: &Self::Key, _commit: &Commit, _definitions: &mut Definitions) -> Result<(Self, usize), String> {
        Self::unknown(key).map(|unknown| (unknown, 0)).ok_or_else(|| "it never began".to_owned())
    }

    /// Makes what its events need ready, before a commit is folded.
    ///
    /// # Errors
    /// Why that cannot be.
    fn prepare(&mut self, _commit: &Commit, _definitions: &mut Definitions) -> Result<(), String> {
        Ok(())
    }

    /// Keeps books of its own after a commit; returns the run that has ended with it.
    fn book(_shard: &mut Shard, _key: &Self::Key, _commit: &Commit) -> Option<(RunId, RunStatus)> {
        None
    }

    /// Keeps books of its own before it comes back.
    fn shelved(&mut self, _shard: &mut Shard) {}

    /// Keeps books of its own when it is set aside; `known` is all there was of it.
    fn forgotten(_shard: &mut Shard, _key: &Self::Key, _known: Option<Self>) {}

    /// Keeps of what may not have been delivered what is still wanted at its release, and adds what it waits for.
    fn owed(_known: Option<&Self>, _owed: &mut Vec<Effect>) {}
}

/// How timers of a kind are kept. What is due stays due until a command has changed that.
pub(super) struct Timers<A: Aggregate> {
    pub next_due: fn(&A) -> Option<Timestamp>,
    /// Makes the command that fires what is due.
    pub fire: fn() -> A::Command,
}

/// What a decision stands on besides its aggregate.
pub(super) struct Ground<'a> {
    /// The shard's clock: never earlier than any commit before.
    pub now: Timestamp,
    pub hands: &'a mut Hands,
    pub map: &'a ShardMap,
    pub lines: &'a Lines,
    pub definitions: &'a mut Definitions,
    pub budget: Budget,
    /// How much work the shard's decisions have done.
    pub spent: &'a mut u64,
}

/// What was decided.
pub(super) struct Verdict<E> {
    /// None: the command changes nothing (any more).
    pub events: Vec<E>,
    /// For the answer.
    pub granted: Option<Granted>,
    /// What was granted to which worker.
    pub tasks: HandedTasks,
}

/// Who is told again what of which revisions.
pub(super) struct Told {
    /// The worker that asks, if it is one.
    pub session: Option<SessionId>,
    pub first: Revision,
    pub last: Revision,
}

/// Says why an aggregate cannot be made of its record: the definition it is frozen at.
pub(super) enum Unrestored {
    Definition { run: RunId, key: WorkflowKey, version: DefinitionVersion, why: Unusable },
    Node { run: RunId, node: NodeAddress },
}

/// Decides a command.
pub(super) fn decide<A: Aggregate>(
    shard: &mut Shard,
    asked: Asked,
    key: A::Key,
    wish: A::Command,
    now: Timestamp,
    hands: &mut Hands,
) -> Result<Decided, Rejection> {
    let workspace = A::shelf(&shard.shelves).get(&key).and_then(|known| known.workspace().cloned());
    let budget = shard.budget(workspace.as_ref());
    let Shard { shelves, map, docket, definitions, spent, .. } = shard;
    let mut ground = Ground { now, hands, map, lines: &docket.lines, definitions, budget, spent };
    let shelf = A::shelf_mut(shelves);
    let (revision, due, verdict) = match shelf.get_mut(&key) {
        Some(known) => {
            let (revision, due) = (known.revision().next(), next_due(known));
            (revision, due, known.decide(wish, &mut ground)?)
        }
        None => {
            let Some(mut unknown) = A::unknown(&key) else { return A::absent(shard, &key, wish) };
            let verdict = unknown.decide(wish, &mut ground)?;
            if !verdict.events.is_empty() {
                shelf.insert(key.clone(), unknown);
            }
            (Revision::FIRST, None, verdict)
        }
    };
    let Verdict { events, granted, tasks } = verdict;
    if events.is_empty() {
        return Ok(Decided { granted, ..Decided::default() });
    }
    let decided = commit::<A>(shard, asked, key, revision, now, events, due);
    Ok(Decided { granted, tasks, ..decided })
}

/// Makes the commit of a decision whose events have happened. `due` is what was due next before.
pub(super) fn commit<A: Aggregate>(
    shard: &mut Shard,
    asked: Asked,
    key: A::Key,
    revision: Revision,
    time: Timestamp,
    events: Vec<A::Event>,
    due: Option<Timestamp>,
) -> Decided {
    let Asked { command, by, cause } = asked;
    let events = events.into_iter().map(A::wrapped).collect();
    let commit = Commit { aggregate: A::id(key.clone()), revision, command, time, by, cause, stored: None, events };
    let (mut reactions, mut due_now, mut stores_in) = (Reactions::default(), None, None);
    if let Some(known) = A::shelf(&shard.shelves).get(&key) {
        react(known, &commit, &mut reactions);
        due_now = next_due(known);
        stores_in = commit.has_large(shard.bounds.stored_from).then(|| known.workspace().cloned()).flatten();
    }
    let ended = book::<A>(shard, &key, &commit, [due, due_now]);
    let effects = reactions.worked_out_with(&mut |document| shard.definitions.compiled(document).ok());
    Decided { commit: Some(commit), effects, ended, stores_in, ..Decided::default() }
}

/// Folds a commit that is not a release, and has events.
pub(super) fn fold<A: Aggregate>(
    shard: &mut Shard,
    key: &A::Key,
    commit: &Commit,
    reactions: Option<&mut Reactions>,
) -> Result<(), String> {
    let Shard { shelves, definitions, .. } = shard;
    let shelf = A::shelf_mut(shelves);
    let (known, taken, due) = match shelf.get_mut(key) {
        Some(known) => {
            let due = next_due(known);
            (known, 0, due)
        }
        None => {
            let (begun, taken) = A::begun(key, commit, definitions)?;
            (shelf.insert(key.clone(), begun), taken, None)
        }
    };
    if taken == 0 {
        contiguous(known.revision(), commit)?;
    }
    known.prepare(commit, definitions)?;
    for event in &commit.events[taken..] {
        let event = A::event(event).ok_or_else(|| format!("it holds an event of {}", event.called()))?;
        known.evolve(event, commit.time)?;
    }
    let due_now = next_due(known);
    if let Some(reactions) = reactions {
        react(known, commit, reactions);
    }
    book::<A>(shard, key, commit, [due, due_now]);
    Ok(())
}

/// Checks `SHD-1`.
fn contiguous(last: Revision, commit: &Commit) -> Result<(), String> {
    if commit.revision == last.next() { Ok(()) } else { Err(format!("revision {} follows {last}", commit.revision)) }
}

fn react<A: Aggregate>(known: &A, commit: &Commit, reactions: &mut Reactions) {
    let mut revision = commit.revision;
    for event in &commit.events {
        if let Some(event) = A::event(event) {
            known.react(event, revision, commit.time, reactions);
        }
        revision = revision.next();
    }
}

fn next_due<A: Aggregate>(known: &A) -> Option<Timestamp> {
    A::TIMERS.and_then(|timers| (timers.next_due)(known))
}

/// Keeps the books after a commit, decided or folded. What is due next was the one before, and is the other now.
fn book<A: Aggregate>(
    shard: &mut Shard,
    key: &A::Key,
    commit: &Commit,
    [before, now]: [Option<Timestamp>; 2],
) -> Option<(RunId, RunStatus)> {
    shard.memory.remember(commit, A::LASTING, &shard.bounds);
    shard.docket.book(&commit.aggregate, before, now);
    A::book(shard, key, commit)
}

/// Lets one go that is set aside, with everything it has due: its state is half of a story, and a timer nobody may fire would
/// come up for ever. Returns the revision of the last event folded; 0 where none is known.
pub(super) fn forget<A: Aggregate>(shard: &mut Shard, key: &A::Key) -> Revision {
    let known = A::shelf_mut(&mut shard.shelves).remove(key);
    let revision = known.as_ref().map_or(Revision::new(0), A::revision);
    if A::TIMERS.is_some() {
        shard.docket.forget_timers(&A::id(key.clone()));
    }
    A::forgotten(shard, key, known);
    revision
}

/// Passes over one event.
pub(super) fn stand_at<A: Aggregate>(shard: &mut Shard, key: &A::Key, revision: Revision) {
    if let Some(known) = A::shelf_mut(&mut shard.shelves).get_mut(key) {
        known.stand_at(revision);
    }
}

/// Returns the record that a release holds, and its format. `None`: there is none on the shelf.
pub(super) fn record<A: Aggregate>(shard: &Shard, key: &A::Key) -> Option<(u32, Json)> {
    let known = A::shelf(&shard.shelves).get(key)?;
    Some((*A::SECTION.formats().end(), Json::of(&known.record())))
}

/// Puts one back at its release, at the revision of that.
///
/// # Errors
/// Why its record cannot be read; nothing has changed.
pub(super) fn put<A: Aggregate>(
    shard: &mut Shard,
    key: &A::Key,
    record: (u32, &Json),
    last: Revision,
) -> Result<(), String> {
    let record = read::<A>(record).map_err(|why| format!("the record of {} {why}", A::id(key.clone())))?;
    let mut known = A::restore(record, &mut shard.definitions)?;
    known.stand_at(last);
    shelve(shard, key.clone(), known);
    Ok(())
}

/// Reads a record as a release holds it.
///
/// # Errors
/// What is wrong with the record.
pub(super) fn read<A: Aggregate>((format, record): (u32, &Json)) -> Result<A::Record, String> {
    // Unlike those of checkpoints, a format that stands in journals is read for ever.
    if !(1..=*A::SECTION.formats().end()).contains(&format) {
        return Err(format!("is of format {format}, which this release cannot read"));
    }
    serde_json::from_str(record.as_str()).map_err(|error| format!("cannot be read: {error}"))
}

/// Fills an empty shelf from a checkpoint.
pub(super) fn restore<A: Aggregate>(shard: &mut Shard, records: Vec<A::Record>) -> Result<(), Unrestored> {
    for record in records {
        let known = A::restore(record, &mut shard.definitions)?;
        shelve(shard, known.key(), known);
    }
    Ok(())
}

fn shelve<A: Aggregate>(shard: &mut Shard, key: A::Key, mut known: A) {
    known.shelved(shard);
    shard.docket.book(&A::id(key.clone()), None, next_due(&known));
    A::shelf_mut(&mut shard.shelves).insert(key, known);
}

/// Writes a shelf into a checkpoint, sorted.
pub(super) fn write<A: Aggregate>(shelf: &Shelf<A>, sections: &mut Sections) {
    sections.write(A::SECTION, shelf.sorted().into_iter().map(A::record));
}

impl From<Unrestored> for String {
    fn from(unrestored: Unrestored) -> Self {
        match unrestored {
            Unrestored::Definition { run: _, key, version, why } => {
                let definition = AggregateId::Definition(key, version);
                match why {
                    Unusable::NotAdopted => {
                        format!("its {definition} is not here; where that is quarantined, release it first")
                    }
                    Unusable::Broken(_) => format!("its {definition}: {why}"),
                }
            }
            Unrestored::Node { run: _, node } => format!("its definition has no node {node}"),
        }
    }
}
