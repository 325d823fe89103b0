//! A decision under way: the run as it already is, and the facts that made it so.

use super::budget::Turn;
use super::evolve::evolve;
use super::legal;
use super::state::{Place, Run};
use super::{Ground, RunEvent};
use crate::credit::Hands;
use crate::definition::Definition;
use crate::{Attempt, LeaseToken, QueueName, RunId, SessionId, ShardId, Timestamp, WorkerId, WorkspaceId};

/// A decision under way. It learns only through [`Self::emit`].
pub(super) struct Decision<'a> {
    run: &'a mut Run,
    definition: &'a Definition,
    now: Timestamp,
    hands: &'a mut Hands,
    is_contended: &'a dyn Fn(&WorkspaceId, &QueueName) -> bool,
    shard_for: &'a dyn Fn(u64) -> ShardId,
    pub turn: Turn,
    events: Vec<RunEvent>,
}

impl<'a> Decision<'a> {
    /// `definition` is the run's.
    pub fn of(run: &'a mut Run, definition: &'a Definition, ground: &'a mut Ground<'_>, turn: Turn) -> Self {
        let Ground { now, hands, is_contended, shard_for, .. } = ground;
        Self {
            run,
            definition,
            now: *now,
            hands,
            is_contended: *is_contended,
            shard_for: *shard_for,
            turn,
            events: Vec::new(),
        }
    }

    /// The same, of a run that has just begun with this event.
    pub fn begun_with(
        event: RunEvent,
        run: &'a mut Run,
        definition: &'a Definition,
        ground: &'a mut Ground<'_>,
        turn: Turn,
    ) -> Self {
        let mut decision = Self::of(run, definition, ground, turn);
        decision.turn.take_down(&event);
        decision.events.push(event);
        decision
    }

    /// Takes a fact down; whether one of any size fits, [`Turn::check_room`] has said before.
    /// After the end there are no facts (`RUN-1`): what the decision goes on to say is dropped.
    pub fn emit(&mut self, event: RunEvent) {
        if self.run.status.is_terminal() {
            return;
        }
        debug_assert_eq!(legal::check(self.run, &event), Ok(()));
        self.turn.take_down(&event);
        evolve(self.run, &event, self.now);
        self.events.push(event);
    }

    /// Returns the fact taken down last.
    pub fn last(&self) -> Option<&RunEvent> {
        self.events.last()
    }

    /// Returns the run as it is by now.
    pub fn run(&self) -> &Run {
        self.run
    }

    pub fn definition(&self) -> &'a Definition {
        self.definition
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Takes a worker's room for an attempt, where there is some and nobody waits for it.
    pub fn take_hand(&mut self, queue: &QueueName) -> Option<(WorkerId, SessionId)> {
        let workspace = self.run.origin.workspace();
        if (self.is_contended)(workspace, queue) {
            return None;
        }
        self.hands.take(workspace, queue).map(|hand| (hand.worker.clone(), hand.session))
    }

    /// Makes a lease: for this grant only, and for nobody to guess.
    pub fn lease(&self, place: Place, attempt: Attempt) -> LeaseToken {
        place.with_bytes(|place| {
            self.hands.secret.lease(&[
                self.run.id().as_uuid().as_bytes(),
                place,
                &attempt.get().to_be_bytes(),
                &self.run.revision.get().to_be_bytes(),
            ])
        })
    }

    /// Returns the run that an attempt calls: always the same, on whichever shard its number falls.
    pub fn child(&self, place: Place, attempt: Attempt) -> RunId {
        place.with_bytes(|place| {
            let (run, attempt) = (self.run.id().as_uuid(), attempt.get().to_be_bytes());
            // In another version another node may stand in this place.
            let over = self.run.origin.trail().map(|trail| trail.at.get().to_be_bytes());
            let cause: [&[u8]; 4] = [b"call", run.as_bytes(), place, &attempt];
            let cause: Vec<&[u8]> = cause.into_iter().chain(over.as_ref().map(|at| &at[..])).collect();
            let spread = LeaseToken::derived(&cause).bits();
            RunId::derived((self.shard_for)(spread), self.now, &cause)
        })
    }

    /// Returns the facts, and how much was done, in units of work.
    pub fn taken(self) -> (Vec<RunEvent>, u64) {
        (self.events, self.turn.spent())
    }
}
