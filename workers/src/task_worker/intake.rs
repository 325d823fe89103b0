//! Where tasks come from: one puller for each queue, asked for what there is room for.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use headwater_core::{QueueName, WorkspaceId};
use headwater_streams::tasks::{Delivery, TaskPuller};
use headwater_streams::{Broker, ExchangeError};
use tokio_util::sync::CancellationToken;

const FETCH_WAIT: Duration = Duration::from_secs(30);
/// More at once would only sit in memory.
const FETCH_MAX: usize = 512;
const FAILED_PAUSE: Duration = Duration::from_millis(500);

/// The pullers of a worker.
pub(super) struct Intake {
    idle: Vec<TaskPuller>,
    fetching: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// How many tasks the fetches under way may bring.
    asked: usize,
    stop: CancellationToken,
}

struct Fetched {
    puller: TaskPuller,
    asked: usize,
    deliveries: Vec<Delivery>,
}

impl Intake {
    pub(super) async fn open(
        broker: &Broker,
        workspace: &WorkspaceId,
        queues: &[QueueName],
    ) -> Result<Self, ExchangeError> {
        let mut idle = Vec::with_capacity(queues.len());
        for queue in queues {
            idle.push(TaskPuller::open(broker, workspace, queue).await?);
        }
        Ok(Self { idle, fetching: FuturesUnordered::new(), asked: 0, stop: CancellationToken::new() })
    }

    /// Returns how many tasks may come from the queues at any moment.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// Asks for tasks with half of the free slots; the other half is for what shards hand over.
    pub(super) fn ask(&mut self, free_slots: usize) {
        if self.stop.is_cancelled() || self.idle.is_empty() {
            return;
        }
        let free = free_slots.saturating_sub(self.asked);
        let each = (free.div_ceil(2) / self.idle.len()).min(FETCH_MAX);
        for _ in 0..self.idle.len().min(free) {
            let Some(puller) = self.idle.pop() else { return };
            let asked = each.max(1);
            self.asked += asked;
            self.fetching.push(Box::pin(fetch(puller, asked, self.stop.clone())));
        }
    }

    /// Waits for deliveries; for ever while nothing is asked for.
    pub(super) async fn next(&mut self) -> Vec<Delivery> {
        match self.fetching.next().await {
            Some(Fetched { puller, asked, deliveries }) => {
                self.asked -= asked;
                self.idle.push(puller);
                deliveries
            }
            None => std::future::pending().await,
        }
    }

    /// Takes nothing more, and gives back what has arrived and was not taken.
    pub(super) async fn close(&mut self) {
        self.stop.cancel();
        while let Some(Fetched { puller, deliveries, .. }) = self.fetching.next().await {
            self.idle.push(puller);
            for delivery in deliveries {
                delivery.receipt.retry_later(Duration::ZERO).await;
            }
        }
        for puller in self.idle.drain(..) {
            puller.close().await;
        }
    }
}

async fn fetch(mut puller: TaskPuller, asked: usize, stop: CancellationToken) -> Fetched {
    let fetched = tokio::select! {
        fetched = puller.fetch(asked, FETCH_WAIT) => fetched,
        () = stop.cancelled() => Ok(Vec::new()),
    };
    let deliveries = match fetched {
        Ok(deliveries) => deliveries,
        Err(error) => {
            tracing::warn!(%error, "no tasks can be taken");
            tokio::select! {
                () = tokio::time::sleep(FAILED_PAUSE) => {}
                () = stop.cancelled() => {}
            }
            Vec::new()
        }
    };
    Fetched { puller, asked, deliveries }
}
