//! Which workers can be handed tasks without the queue. In memory only: workers say it again with every heartbeat.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::protocol::{Hello, Task};
use crate::run::Handover;
use crate::{QueueName, WorkerId, WorkspaceId};

/// How many tasks go to a worker in one message.
const TASKS_AT_ONCE: usize = 32;

/// The workers that have introduced themselves or report here.
#[derive(Debug)]
pub(super) struct Rooms {
    ttl: Duration,
    /// What decisions take from; the preferred worker stands first.
    hands: Vec<Handover>,
    known: FxHashMap<WorkerId, Known>,
}

#[derive(Debug)]
struct Known {
    /// Absent: it reports here and has not introduced itself yet.
    tasks_to: Option<String>,
    seen: Duration,
}

impl Rooms {
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, hands: Vec::new(), known: FxHashMap::default() }
    }

    /// Returns what a decision may take from.
    pub fn hands(&mut self) -> &mut [Handover] {
        &mut self.hands
    }

    /// Learns of a worker; this shard may use its even share of what the worker has free.
    pub fn hear(&mut self, hello: Hello, shards: u16, now: Duration) {
        let Hello { worker, workspace, queues, free_slots, tasks_to } = hello;
        let slots = free_slots / u32::from(shards.max(1));
        self.known.insert(worker.clone(), Known { tasks_to: Some(tasks_to), seen: now });
        match self.hands.iter_mut().find(|hand| hand.worker == worker) {
            Some(hand) => *hand = Handover { worker, workspace, queues, slots },
            None => self.hands.push(Handover { worker, workspace, queues, slots }),
        }
        // Those heard last are asked last, so that idle workers share what comes.
        self.hands.rotate_left(1);
    }

    /// Puts a worker that reports first, with the room it says it has: the run's next task stays with it.
    pub fn prefer(
        &mut self,
        worker: &WorkerId,
        workspace: &WorkspaceId,
        queues: &[QueueName],
        slots: u32,
        now: Duration,
    ) {
        let place = self.hands.iter().position(|hand| hand.worker == *worker);
        let place = place.unwrap_or_else(|| {
            let (worker, workspace, queues) = (worker.clone(), workspace.clone(), queues.to_vec());
            self.hands.push(Handover { worker, workspace, queues, slots });
            self.hands.len() - 1
        });
        self.hands.swap(0, place);
        self.hands[0].slots = slots;
        if self.hands[0].queues != queues {
            self.hands[0].queues = queues.to_vec();
        }
        let known = self.known.entry(worker.clone()).or_insert(Known { tasks_to: None, seen: now });
        known.seen = now;
    }

    /// Leaves a worker whose frame has been decided with the room that can still be used unasked.
    pub fn settle(&mut self, worker: &WorkerId, free_slots: u32) {
        let reachable = self.known.get(worker).is_some_and(|known| known.tasks_to.is_some());
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.worker == *worker) {
            hand.slots = if reachable { hand.slots.min(free_slots) } else { 0 };
        }
        if self.hands.len() > 1 {
            self.hands.rotate_left(1);
        }
    }

    /// Sorts tasks by where they go; `None` where a worker cannot be reached any more.
    pub fn deliveries(&self, tasks: Vec<(WorkerId, Task)>) -> Vec<(Option<String>, Vec<Task>)> {
        let mut by_worker: Vec<(WorkerId, Vec<Task>)> = Vec::new();
        for (worker, task) in tasks {
            let open = by_worker.iter_mut().find(|(to, tasks)| *to == worker && tasks.len() < TASKS_AT_ONCE);
            match open {
                Some((_, tasks)) => tasks.push(task),
                None => by_worker.push((worker, vec![task])),
            }
        }
        let subject = |worker: &WorkerId| self.known.get(worker).and_then(|known| known.tasks_to.clone());
        by_worker.into_iter().map(|(worker, tasks)| (subject(&worker), tasks)).collect()
    }

    /// Hands nothing more to a worker that fell silent.
    pub fn forget(&mut self, worker: &WorkerId) {
        self.known.remove(worker);
        self.hands.retain(|hand| hand.worker != *worker);
    }

    /// Forgets whoever has not been heard for a lease's time.
    pub fn forget_silent(&mut self, now: Duration) {
        let ttl = self.ttl;
        self.known.retain(|_, known| now.saturating_sub(known.seen) <= ttl);
        let known = &self.known;
        self.hands.retain(|hand| known.contains_key(&hand.worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    fn hello(worker: &str, free_slots: u32) -> Hello {
        Hello {
            worker: worker.parse().unwrap(),
            workspace: "default".parse().unwrap(),
            queues: vec!["work".parse().unwrap()],
            free_slots,
            tasks_to: format!("_INBOX.{worker}"),
        }
    }

    #[test]
    fn a_shard_takes_its_even_share_of_what_is_free() {
        let mut rooms = Rooms::new(Duration::from_secs(1));
        rooms.hear(hello("a", 10), 4, NOW);
        assert_eq!(rooms.hands()[0].slots, 2);
        rooms.hear(hello("a", 3), 4, NOW);
        assert_eq!(rooms.hands().len(), 1);
        assert_eq!(rooms.hands()[0].slots, 0, "a small worker is left to the queue");
    }

    #[test]
    fn whoever_reports_comes_first_and_keeps_only_what_it_offers_unasked() {
        let mut rooms = Rooms::new(Duration::from_secs(1));
        rooms.hear(hello("a", 8), 1, NOW);
        rooms.hear(hello("b", 8), 1, NOW);
        let (b, workspace, queues) = ("b".parse().unwrap(), "default".parse().unwrap(), vec!["work".parse().unwrap()]);
        rooms.prefer(&b, &workspace, &queues, 5, NOW);
        let first = rooms.hands()[0].clone();
        assert_eq!((first.worker, first.slots), (b.clone(), 5));
        rooms.hands()[0].slots -= 1;
        rooms.settle(&b, 2);
        let left = rooms.hands().iter().find(|hand| hand.worker == b).unwrap().slots;
        assert_eq!(left, 2);
    }

    #[test]
    fn a_worker_nobody_can_reach_gets_nothing_unasked() {
        let mut rooms = Rooms::new(Duration::from_secs(1));
        let (a, workspace, queues) = ("a".parse().unwrap(), "default".parse().unwrap(), vec!["work".parse().unwrap()]);
        rooms.prefer(&a, &workspace, &queues, 5, NOW);
        rooms.settle(&a, 5);
        assert_eq!(rooms.hands()[0].slots, 0);
        rooms.forget(&a);
        assert!(rooms.hands().is_empty());
    }
}
