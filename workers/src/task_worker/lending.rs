//! What a worker says of itself, so that shards know whom to hand tasks to.

use headwater_core::protocol::{Hello, PROTOCOL};
use headwater_streams::work;

use super::drive::TaskWorker;

impl TaskWorker {
    /// Tells every shard that this worker is there, or that it takes nothing more. Who misses it hears the next.
    pub(super) async fn introduce(&mut self) {
        let hello = Hello {
            protocol: PROTOCOL,
            worker: self.settings.worker.clone(),
            session: self.settings.session,
            queues: self.queues.clone(),
            leaving: self.stopping,
        };
        if let Err(error) = work::introduce(&self.broker, &self.settings.workspace, &hello).await {
            tracing::debug!(%error, "the shards did not hear of this worker");
        }
    }
}
