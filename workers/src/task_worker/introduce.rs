//! What a worker says of itself, so that shards can hand it tasks without the queue.

use headwater_core::protocol::Hello;
use headwater_streams::direct;

use super::drive::TaskWorker;

impl TaskWorker {
    /// Returns how many slots are neither taken nor promised to the queues.
    pub(super) fn unasked(&self) -> usize {
        self.settings.slots.saturating_sub(self.attempts.len() + self.intake.asked())
    }

    /// Tells every shard how much it may hand over unasked. Who misses it hears the next.
    pub(super) async fn introduce(&mut self, free_slots: usize) {
        let hello = Hello {
            worker: self.settings.worker.clone(),
            workspace: self.settings.workspace.clone(),
            queues: self.queues.clone(),
            free_slots: u32::try_from(free_slots).unwrap_or(u32::MAX),
            tasks_to: self.handed.subject().to_owned(),
        };
        if let Err(error) = direct::announce(&self.broker, &hello).await {
            tracing::debug!(%error, "the shards did not hear of this worker");
        }
    }
}
