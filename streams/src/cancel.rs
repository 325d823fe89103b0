//! Best-effort word to workers that attempts are cancelled. Who misses it learns from the next heartbeat.

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use headwater_core::{NodeAddress, RunId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::complaints::Complaints;
use crate::subject::cancel_subject;
use crate::{Broker, ExchangeError};

/// Every attempt of a node of a run should stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelNotice {
    pub run: RunId,
    pub node: NodeAddress,
}

/// Sends a notice to the workers of a workspace. Returns when it is on its way.
///
/// # Errors
/// [`ExchangeError::Unavailable`]: nothing to do, the heartbeat carries it too.
pub async fn announce(broker: &Broker, workspace: &WorkspaceId, notice: &CancelNotice) -> Result<(), ExchangeError> {
    let bytes = serde_json::to_vec(notice).expect("a notice has text keys only");
    let sent = broker.client().publish(cancel_subject(workspace).to_wire(), bytes.into()).await;
    sent.map_err(|error| ExchangeError::unavailable("announce a cancellation", error))
}

/// Begins to hear the notices of a workspace.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn subscribe(broker: &Broker, workspace: &WorkspaceId) -> Result<CancelNotices, ExchangeError> {
    let subscribed = broker.client().subscribe(cancel_subject(workspace).to_wire()).await;
    let subscriber = subscribed.map_err(|error| ExchangeError::unavailable("hear of cancellations", error))?;
    broker.flush().await?;
    Ok(CancelNotices(subscriber))
}

/// The notices of a workspace; made by [`subscribe`].
pub struct CancelNotices(Subscriber);

impl CancelNotices {
    /// Waits for the next notice; `None` when the connection is closed for good.
    pub async fn next(&mut self) -> Option<CancelNotice> {
        loop {
            let message = self.0.next().await?;
            match serde_json::from_slice(&message.payload) {
                Ok(notice) => return Some(notice),
                Err(error) => {
                    static MALFORMED: Complaints = Complaints::new();
                    if let Some(count) = MALFORMED.due() {
                        tracing::warn!(%error, count, "a malformed cancel notice");
                    }
                }
            }
        }
    }
}
