//! The task queue: at least once, in no order that anybody may count on, kept until acknowledged.

use std::collections::BTreeMap;

use headwater_core::protocol::Task;

use crate::chance::Chance;

/// How long a delivery may stay without a sign of life.
const ACK_WAIT: u64 = 9_000_000;

#[derive(Default)]
pub struct Queue {
    messages: BTreeMap<u64, Message>,
    next: u64,
}

struct Message {
    task: Task,
    deliveries: u32,
    /// Not handed out before then.
    hidden_until: u64,
}

pub struct Delivery {
    pub receipt: u64,
    pub task: Task,
    pub redelivered: bool,
}

impl Queue {
    pub fn publish(&mut self, task: Task) {
        self.next += 1;
        self.messages.insert(self.next, Message { task, deliveries: 0, hidden_until: 0 });
    }

    pub fn take(&mut self, time: u64, chance: &mut Chance) -> Option<Delivery> {
        let ready: Vec<u64> = self.messages.iter().filter(|(_, m)| m.hidden_until <= time).map(|(id, _)| *id).collect();
        if ready.is_empty() {
            return None;
        }
        // Mostly the oldest; now and then another overtakes it.
        let receipt = if chance.percent(80) { ready[0] } else { *chance.pick(&ready) };
        let message = self.messages.get_mut(&receipt)?;
        message.deliveries += 1;
        message.hidden_until = time + ACK_WAIT;
        Some(Delivery { receipt, task: message.task.clone(), redelivered: message.deliveries > 1 })
    }

    pub fn acknowledge(&mut self, receipt: u64) {
        self.messages.remove(&receipt);
    }

    pub fn progress(&mut self, receipt: u64, time: u64) {
        if let Some(message) = self.messages.get_mut(&receipt) {
            message.hidden_until = time + ACK_WAIT;
        }
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }
}
