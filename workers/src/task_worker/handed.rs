//! How tasks reach a worker: in the order in which they were sent, with answers and by messages of their own.

use headwater_core::LeaseToken;
use headwater_core::ShardId;
use headwater_core::protocol::{Handed, Task};

use super::attempts::Stage;
use super::drive::TaskWorker;
use super::outbox::Outbox;
use crate::sdk::Context;

/// How many messages of one shard wait for the answer before them. The tasks of one too many come again.
const EARLY_MAX: usize = 256;

impl TaskWorker {
    /// Takes a message with tasks; later, where the answer to a frame may have been sent before it.
    pub(super) fn take_handed(&mut self, handed: Handed) {
        let is_asked = self.outboxes.get(&handed.shard).is_some_and(Outbox::is_in_flight);
        if is_asked && self.lending.lender.is_early(handed.shard, handed.standing) {
            let early = self.early.entry(handed.shard).or_default();
            if early.len() < EARLY_MAX {
                early.push(handed);
            }
        } else {
            self.take_tasks(handed);
        }
    }

    /// Takes what came before the answer that was just taken.
    pub(super) fn take_early(&mut self, shard: ShardId) {
        for handed in self.early.remove(&shard).unwrap_or_default() {
            self.take_tasks(handed);
        }
    }

    /// Takes tasks unless a newer message was heard.
    fn take_tasks(&mut self, Handed { shard, standing, tasks }: Handed) {
        let is_news = self.lending.lender.is_news(shard, standing);
        if self.lending.lender.hear(shard, standing) && is_news {
            for task in tasks {
                self.accept(task);
            }
        }
    }

    /// Takes a task that was granted to this session: now, or when a slot is free.
    pub(super) fn accept(&mut self, task: Task) {
        let (shard, lease) = (task.run.shard(), task.lease);
        if self.attempts.get_mut(lease).is_some() {
            // It was said again because nobody spoke of it.
            return self.say_held(Some(&[lease]));
        }
        self.lending.lender.took(shard);
        let is_free = self.attempts.busy() < self.settings.slots;
        if is_free && !self.stopping {
            let stood_still = self.stood_still();
            let lease = self.attempts.insert(Context::new(task), Stage::Ended);
            if stood_still { self.ask_first(lease) } else { self.begin(lease) }
        } else {
            self.attempts.insert(Context::new(task), Stage::Waiting);
        }
    }

    /// Asks the shard whether a task is still wanted before it is begun (`WRK-2`).
    pub(super) fn ask_first(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.attempts.get_mut(lease) else { return };
        attempt.stage = Stage::Asking;
        self.say_held(Some(&[lease]));
    }
}
