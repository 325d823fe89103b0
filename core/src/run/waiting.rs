//! Which attempts of a run wait for a worker, and for which queue; and for what is said to it.

use super::Run;
use super::attempt::CurrentAttempt;
use super::callback::Callbacks;
use super::few::Few;
use super::halt::Halts;
use super::mail::Mail;
use super::person::People;
use super::recall::Recall;
use super::replies::Replies;
use super::state::Place;
use super::succession::Chain;
use crate::{Attempt, LeaseToken, NodeAddress, QueueName, Revision, RunId, SessionId, WorkerId};

/// What waits, by queue, in the order it was scheduled; and what has changed since the shard last looked.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    /// Most runs are dealt with by nobody, and keep no room for it.
    dealings: Option<Box<Dealings>>,
    places: Few<(QueueName, Revision, Place)>,
    moves: Vec<(QueueName, Move)>,
}

/// What people and others have done to a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Dealings {
    /// What was said to it, and who waits for more.
    pub mail: Mail,
    /// What of it is halted: that waits for nobody but whoever resumes it.
    pub halts: Halts,
    /// What people have answered.
    pub people: People,
    /// What updates were answered with.
    pub replies: Replies,
    /// What it knows of the run that it goes on from.
    pub recall: Recall,
    /// The runs before and after it.
    pub chain: Chain,
    /// Which callbacks are over.
    pub callbacks: Callbacks,
}

/// Those of a run that nobody has dealt with.
static NONE: Dealings = Dealings {
    mail: Mail::EMPTY,
    halts: Halts::NONE,
    people: People::NONE,
    replies: Replies::NONE,
    recall: Recall::NONE,
    chain: Chain::NONE,
    callbacks: Callbacks::NONE,
};

/// One attempt begins to wait, or does not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Joins,
    Leaves,
}

impl Waiting {
    /// Nobody waits yet.
    pub fn of(dealings: Dealings) -> Self {
        let dealings = (dealings != NONE).then(|| Box::new(dealings));
        Self { dealings, ..Self::default() }
    }

    /// Returns what was said to the run, and who waits for more.
    pub fn mail(&self) -> &Mail {
        &self.dealings().mail
    }

    /// Returns what of the run is halted.
    pub fn halts(&self) -> &Halts {
        &self.dealings().halts
    }

    /// Returns what people have answered.
    pub fn people(&self) -> &People {
        &self.dealings().people
    }

    /// Returns what updates were answered with.
    pub fn replies(&self) -> &Replies {
        &self.dealings().replies
    }

    /// Returns what the run knows of the one that it goes on from.
    pub fn recall(&self) -> &Recall {
        &self.dealings().recall
    }

    /// Returns the runs before and after it.
    pub fn chain(&self) -> &Chain {
        &self.dealings().chain
    }

    /// Returns which callbacks are over.
    pub fn callbacks(&self) -> &Callbacks {
        &self.dealings().callbacks
    }

    fn dealings(&self) -> &Dealings {
        self.dealings.as_deref().unwrap_or(&NONE)
    }

    pub fn dealings_mut(&mut self) -> &mut Dealings {
        self.dealings.get_or_insert_default()
    }

    /// Lets everything leave.
    pub fn clear(&mut self) {
        let places = std::mem::take(&mut self.places);
        self.moves.extend(places.iter().map(|(queue, ..)| (queue.clone(), Move::Leaves)));
        self.nobody_asks();
        if let Some(dealings) = &mut self.dealings {
            dealings.halts.lift();
        }
    }

    /// Nobody listens to what is said any more, or asks what was made before.
    pub fn nobody_asks(&mut self) {
        if let Some(dealings) = &mut self.dealings {
            dealings.mail.nobody_waits();
            dealings.recall.forget();
        }
    }

    /// Stands in the place of what waited before: all of that leaves.
    pub fn leave_behind(&mut self, mut before: Self) {
        before.clear();
        let joins = std::mem::replace(&mut self.moves, before.moves);
        self.moves.extend(joins);
    }

    pub fn join(&mut self, queue: &QueueName, since: Revision, place: Place) {
        if self.places.insert((queue.clone(), since, place)) {
            self.moves.push((queue.clone(), Move::Joins));
        }
    }

    pub fn leave(&mut self, queue: &QueueName, since: Revision, place: Place) {
        if self.places.remove(&(queue.clone(), since, place)) {
            self.moves.push((queue.clone(), Move::Leaves));
        }
    }
}

/// Equality of what waits; whether the shard has looked is no part of it.
impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.places == other.places && self.dealings() == other.dealings()
    }
}

/// An attempt that a worker was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldAttempt {
    pub node: NodeAddress,
    pub attempt: Attempt,
    pub lease: LeaseToken,
    pub worker: WorkerId,
    /// Absent where an older release granted it.
    pub session: Option<SessionId>,
}

impl Run {
    /// Returns the attempts that wait for a queue, the longest waiting first, at most `count`.
    pub fn waiting_for(&self, queue: &QueueName, count: usize) -> Vec<(NodeAddress, Attempt)> {
        let first = (queue.clone(), Revision::new(0), Place::FIRST);
        let of_queue = self.waiting.places.from(&first).take_while(|(of, ..)| of == queue);
        let attempts = of_queue.map(|(.., place)| Some((self.address(*place), self.current(*place)?.attempt)));
        attempts.take(count).flatten().collect()
    }

    /// Returns the queues that attempts wait for, each as often as one does.
    pub(crate) fn queues_waited_for(&self) -> impl Iterator<Item = &QueueName> {
        self.waiting.places.iter().map(|(queue, ..)| queue)
    }

    /// Takes what has changed since the last time.
    pub(crate) fn take_moves(&mut self) -> Vec<(QueueName, Move)> {
        std::mem::take(&mut self.waiting.moves)
    }

    /// Returns how many signals it keeps that nobody has taken.
    pub fn signals_kept(&self) -> usize {
        self.waiting.mail().count()
    }

    /// Returns the queue of a node.
    pub fn queue_of(&self, node: &NodeAddress) -> Option<&QueueName> {
        self.find(node).map(|place| &self.definition().node(place.node).queue)
    }

    /// Returns the attempts that workers were granted and have not ended.
    pub fn held(&self) -> impl Iterator<Item = HeldAttempt> {
        let nodes = self.places().filter(|(place, state)| state.phase.current().is_some() && self.goes_on(*place));
        nodes.filter_map(|(place, state)| {
            let current = state.phase.current()?;
            current.holder().map(|(worker, session)| HeldAttempt {
                node: self.address(place),
                attempt: current.attempt,
                lease: current.lease,
                worker: worker.clone(),
                session,
            })
        })
    }
}

/// Returns the nodes whose current attempt was handed to a session as it was scheduled, in these revisions.
pub(crate) fn held_since(
    run: &Run,
    session: SessionId,
    first: Revision,
    last: Revision,
) -> impl Iterator<Item = NodeAddress> + '_ {
    let held = move |current: &CurrentAttempt| {
        current.holder().is_some_and(|(_, of)| of == Some(session)) && (first..=last).contains(&current.revision)
    };
    run.places().filter(move |(_, state)| state.phase.current().is_some_and(held)).map(|(place, _)| run.address(place))
}

/// Returns whether a node of it waits for the end of a run that it called, or it for the start of its successor.
pub(crate) fn awaits_child(run: &Run, child: RunId) -> bool {
    let awaits = |current: &CurrentAttempt| current.child().is_some_and(|(awaited, _)| awaited == child);
    let is_next = run.waiting.chain().next().is_some_and(|next| next.run == child);
    is_next || run.places().any(|(_, state)| state.phase.current().is_some_and(awaits))
}
