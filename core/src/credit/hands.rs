//! The workers that can be handed tasks, and who comes next.

use rustc_hash::FxHashMap;

use super::homes::CHUNK;
use super::{Room, Term};
use crate::{Epoch, LeaseSecret, QueueName, SessionId, WorkerId, WorkspaceId};

/// How many sessions of one workspace a shard knows at a time.
pub const SESSIONS_MAX: usize = 8_192;
/// How many queues those sessions may name together, each session's counted by itself.
pub const NAMES_MAX: usize = 65_536;
/// How many that are to be answered come before others.
pub const SPEAKING_MAX: usize = 1_024;
/// How many workspaces may have as much; all together have no more than that.
const WORKSPACES_FULL: usize = 4;

/// A worker in one session, and its room.
#[derive(Debug, Clone, PartialEq)]
pub struct Hand {
    pub worker: WorkerId,
    pub session: SessionId,
    pub workspace: WorkspaceId,
    pub queues: Vec<QueueName>,
    pub room: Room,
    /// The queue of the task it last reported, where it was quick with it and succeeded.
    pub quick_at: Option<QueueName>,
}

impl Hand {
    /// Returns whether the next task of a queue had better come here than to somebody idle: it will be done soon, and
    /// reported together with what is here already.
    fn gathers(&self, queue: &QueueName) -> bool {
        self.quick_at.as_ref() == Some(queue) && self.room.free() > 0 && self.room.is_below(CHUNK)
    }
}

/// Every worker a shard knows, and the secret that its leases are made from.
#[derive(Debug, Default)]
pub struct Hands {
    pub secret: LeaseSecret,
    hands: FxHashMap<SessionId, Hand>,
    /// How many queues all of them name.
    names: usize,
    workspaces: FxHashMap<WorkspaceId, Serving>,
    /// How many sessions were met, the same one again among them.
    met: u64,
    /// Comes first: what becomes ready by its report stays with it.
    preferred: Option<SessionId>,
    /// Who is to be answered with the bundle that fills, and so can be given more without a message of its own.
    speaking: Vec<SessionId>,
}

/// The workers of one workspace.
#[derive(Debug, Default)]
struct Serving {
    sessions: usize,
    names: usize,
    queues: FxHashMap<QueueName, Turns>,
}

/// The workers that serve one queue.
#[derive(Debug, Default)]
struct Turns {
    sessions: Vec<SessionId>,
    /// Where the search for room begins, so that idle workers share what comes.
    next: usize,
}

impl Hands {
    /// Makes an empty set.
    pub fn new(secret: LeaseSecret) -> Self {
        Self { secret, ..Self::default() }
    }

    /// Returns a worker by its session.
    pub fn get(&self, session: SessionId) -> Option<&Hand> {
        self.hands.get(&session)
    }

    /// Returns a worker's room by its session.
    pub fn room(&mut self, session: SessionId) -> Option<&mut Room> {
        self.hands.get_mut(&session).map(|hand| &mut hand.room)
    }

    /// Adds a worker, or learns which queues it serves now. Says no to one too many, to one that names too many queues, and to
    /// one that uses another's session.
    pub fn meet(
        &mut self,
        worker: &WorkerId,
        session: SessionId,
        workspace: &WorkspaceId,
        queues: &[QueueName],
        epoch: Epoch,
    ) -> bool {
        if let Some(hand) = self.hands.get_mut(&session) {
            if hand.workspace != *workspace || hand.worker != *worker {
                return false;
            }
            if hand.queues == queues {
                return true;
            }
            let Some(serving) = self.workspaces.get_mut(workspace) else { return false };
            let (named, all) = (serving.names - hand.queues.len(), self.names - hand.queues.len());
            if named + queues.len() > NAMES_MAX || all + queues.len() > NAMES_MAX * WORKSPACES_FULL {
                return false;
            }
            self.names = all;
            let before = std::mem::replace(&mut hand.queues, queues.to_vec());
            serving.forget(session, &before);
            serving.add(session, queues);
            self.names += queues.len();
            return true;
        }
        let (sessions, named) =
            self.workspaces.get(workspace).map_or((0, 0), |serving| (serving.sessions, serving.names));
        if sessions >= SESSIONS_MAX
            || self.hands.len() >= SESSIONS_MAX * WORKSPACES_FULL
            || named + queues.len() > NAMES_MAX
            || self.names + queues.len() > NAMES_MAX * WORKSPACES_FULL
        {
            return false;
        }
        let serving = self.workspaces.entry(workspace.clone()).or_default();
        serving.sessions += 1;
        serving.add(session, queues);
        self.names += queues.len();
        self.met += 1;
        let room = Room::new(Term { epoch, meeting: self.met });
        let (worker, workspace, queues) = (worker.clone(), workspace.clone(), queues.to_vec());
        self.hands.insert(session, Hand { worker, session, workspace, queues, room, quick_at: None });
        true
    }

    /// Removes a worker.
    pub fn part(&mut self, session: SessionId) {
        let Some(hand) = self.hands.remove(&session) else { return };
        self.names -= hand.queues.len();
        if let Some(serving) = self.workspaces.get_mut(&hand.workspace) {
            serving.forget(session, &hand.queues);
            serving.sessions -= 1;
            if serving.sessions == 0 {
                self.workspaces.remove(&hand.workspace);
            }
        }
        self.preferred = self.preferred.filter(|preferred| *preferred != session);
    }

    /// Lets a worker come first until the next is named.
    pub fn prefer(&mut self, session: Option<SessionId>) {
        self.preferred = session;
    }

    /// Lets a worker that is to be answered come before those that are not, as long as it holds less than half of what it
    /// has lent. One that was quick and succeeded with a task of a queue also gathers more of that queue.
    pub fn speak(&mut self, session: SessionId, quick_at: Option<&QueueName>) {
        if let Some(hand) = self.hands.get_mut(&session)
            && hand.quick_at.as_ref() != quick_at
        {
            hand.quick_at = quick_at.cloned();
        }
        // Those beyond have their tasks in messages of their own.
        if self.speaking.len() < SPEAKING_MAX && self.speaking.last() != Some(&session) {
            self.speaking.push(session);
        }
    }

    /// Learns that what is decided from now on goes with other answers.
    pub fn hush(&mut self) {
        self.speaking.clear();
    }

    /// Returns the worker that comes first.
    pub fn preferred(&self) -> Option<SessionId> {
        self.preferred
    }

    /// Takes one task's room from a worker that serves the queue, and returns that worker.
    pub fn take(&mut self, workspace: &WorkspaceId, queue: &QueueName) -> Option<&Hand> {
        let has_room = |hand: &Hand| hand.room.free() > 0;
        let serves = |hand: &Hand| hand.workspace == *workspace && hand.queues.contains(queue);
        let first = self.preferred.and_then(|session| self.hands.get(&session));
        let first = first.filter(|hand| has_room(hand) && serves(hand)).map(|hand| hand.session);
        let session = match first.or_else(|| self.speaker(workspace, queue)) {
            Some(session) => session,
            None => {
                let turns = self.workspaces.get_mut(workspace)?.queues.get_mut(queue)?;
                let count = turns.sessions.len();
                let hand = |place: &usize| self.hands.get(&turns.sessions[*place]);
                let free = |place: &usize| hand(place).map_or(0, |hand| hand.room.free());
                let gathers = |place: &usize| hand(place).is_some_and(|hand| hand.gathers(queue));
                let mut places = (0..count).map(|step| (turns.next + step) % count).filter(|place| free(place) > 0);
                // Who has lent only the one is kept for what finds nobody else.
                let is_meant = |place: &usize| gathers(place) || free(place) > 1;
                let first = places.next()?;
                let found = if is_meant(&first) { first } else { places.find(is_meant).unwrap_or(first) };
                // Who gathers keeps the turn.
                turns.next = if gathers(&found) { found } else { found + 1 };
                turns.sessions[found]
            }
        };
        let hand = self.hands.get_mut(&session)?;
        hand.room.hand(1);
        Some(hand)
    }

    /// Finds a worker that is to be answered anyway and is not busy, so that those that others are shared among stay few. Who
    /// is busy is not asked again.
    fn speaker(&mut self, workspace: &WorkspaceId, queue: &QueueName) -> Option<SessionId> {
        let takes_more = |hand: &&Hand| hand.gathers(queue) || hand.room.free() > 1 && hand.room.is_half_idle();
        while let Some(session) = self.speaking.last() {
            match self.hands.get(session).filter(takes_more) {
                Some(hand) if hand.workspace == *workspace && hand.queues.contains(queue) => return Some(hand.session),
                // Others may have tasks for it.
                Some(_) => return None,
                None => _ = self.speaking.pop(),
            }
        }
        None
    }

    fn serving(&self, workspace: &WorkspaceId, queue: &QueueName) -> &[SessionId] {
        let turns = self.workspaces.get(workspace).and_then(|serving| serving.queues.get(queue));
        turns.map_or(&[], |turns| &turns.sessions)
    }

    /// Returns how many tasks of a queue can be handed over now.
    pub fn free(&self, workspace: &WorkspaceId, queue: &QueueName) -> usize {
        let serving = self.serving(workspace, queue).iter().filter_map(|session| self.hands.get(session));
        serving.map(|hand| hand.room.free() as usize).sum()
    }

    /// Returns whether any worker serves a queue, with room or without.
    pub fn is_served(&self, workspace: &WorkspaceId, queue: &QueueName) -> bool {
        !self.serving(workspace, queue).is_empty()
    }
}

impl Serving {
    fn add(&mut self, session: SessionId, queues: &[QueueName]) {
        self.names += queues.len();
        for queue in queues {
            let turns = self.queues.entry(queue.clone()).or_default();
            if !turns.sessions.contains(&session) {
                turns.sessions.push(session);
            }
        }
    }

    fn forget(&mut self, session: SessionId, queues: &[QueueName]) {
        self.names -= queues.len();
        for queue in queues {
            let Some(turns) = self.queues.get_mut(queue) else { continue };
            turns.sessions.retain(|serving| *serving != session);
            turns.next = 0;
            if turns.sessions.is_empty() {
                self.queues.remove(queue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_quick_at_one_queue_is_not_taken_for_quick_at_another() {
        let workspace: WorkspaceId = "acme".parse().unwrap();
        let [quick, slow]: [QueueName; 2] = ["quick", "slow"].map(|name| name.parse().unwrap());
        let mut hands = Hands::default();
        let sessions = [1, 2].map(SessionId::from_bits);
        for session in sessions {
            let queues = [quick.clone(), slow.clone()];
            assert!(hands.meet(&"w".parse().unwrap(), session, &workspace, &queues, Epoch::FIRST));
            let room = hands.room(session).unwrap();
            room.hear(crate::credit::Credit { term: room.standing(false).term, word: 1, lent: 8 });
        }
        hands.speak(sessions[0], Some(&quick));
        hands.hush();
        let mut to = |queue| [(); 4].map(|()| hands.take(&workspace, queue).unwrap().session);
        assert_eq!(to(&quick), [sessions[0]; 4]);
        assert_eq!(to(&slow), [sessions[0], sessions[1], sessions[0], sessions[1]]);
    }

    #[test]
    fn so_many_come_first_because_they_are_answered_and_not_one_more() {
        let mut hands = Hands::default();
        for session in 0..SPEAKING_MAX as u64 + 10 {
            hands.speak(SessionId::from_bits(session), None);
            hands.speak(SessionId::from_bits(session), None);
        }
        assert_eq!(hands.speaking.len(), SPEAKING_MAX);
        hands.hush();
        assert_eq!(hands.speaking.len(), 0);
    }
}
