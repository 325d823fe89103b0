//! How workers and shards speak with each other: what workers say to shards, what shards hand to workers, how shards call
//! for workers. Nothing is stored, and nothing rests on a message arriving: all of it is said again.
//!
//! A worker needs no right on the broker's own API. It publishes on `hw.work.<workspace>.>`, and hears on
//! `hw.hand.<workspace>.<session>`, `hw.call.<workspace>` and `hw.cancel.<workspace>`. The workspace a worker speaks for is that of
//! the subject, which the broker lets it publish on, never its own word.

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use headwater_core::protocol::{Call, Handed, Hello};
use headwater_core::{SessionId, ShardId, WorkspaceId};

use crate::complaints::Complaints;
use crate::inlet::Inlet;
use crate::requests::ReplyTo;
use crate::subject::{call_subject, hand_subject, hello_subject, speaking, work_filter};
use crate::{Broker, ExchangeError};

/// What one worker says to one shard.
#[derive(Debug)]
pub struct Said {
    pub workspace: WorkspaceId,
    pub payload: Bytes,
    pub reply: ReplyTo,
}

/// What workers say to one shard; made by [`hear_frames`].
pub struct Frames {
    broker: Broker,
    inlet: Inlet,
}

/// Begins to hear the frames of workers; when it returns, they arrive. See [`crate::requests::serve`] for what it means that
/// several processes may hear the same.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn hear_frames(broker: &Broker, shard: ShardId) -> Result<Frames, ExchangeError> {
    let subscribed = broker.client().subscribe(work_filter(Some(shard))).await;
    let subscriber = subscribed.map_err(|error| ExchangeError::unavailable("hear workers", error))?;
    broker.flush().await?;
    Ok(Frames { broker: broker.clone(), inlet: broker.inlet(subscriber) })
}

impl Frames {
    /// Waits for the next frame; `None` when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            let message = self.inlet.next().await?;
            if let Some(said) = self.said(message) {
                return Some(said);
            }
        }
    }

    /// Waits for the next frame when one is `wanted`; otherwise lets what arrives wait within its bounds, for ever.
    pub async fn next_if(&mut self, wanted: bool) -> Option<Said> {
        if !wanted {
            self.inlet.keep().await;
        }
        self.next().await
    }

    /// Returns the next frame if one has arrived.
    pub fn try_next(&mut self) -> Option<Said> {
        loop {
            let message = self.inlet.try_next()?;
            if let Some(said) = self.said(message) {
                return Some(said);
            }
        }
    }

    fn said(&self, message: async_nats::Message) -> Option<Said> {
        let workspace = speaking(&message.subject)?;
        let reply = ReplyTo::of(&self.broker, message.reply?)?;
        Some(Said { workspace, payload: message.payload, reply })
    }

    /// Hears no more; frames that have arrived can still be taken with [`Self::try_next`].
    pub async fn stop(&mut self) {
        self.inlet.stop(&self.broker).await;
    }
}

/// Introduces a worker to every shard. Returns when the word is on its way.
///
/// # Errors
/// [`ExchangeError::Unavailable`]: the next heartbeat says it again.
pub async fn introduce(broker: &Broker, workspace: &WorkspaceId, hello: &Hello) -> Result<(), ExchangeError> {
    let bytes = serde_json::to_vec(hello).expect("a hello has text keys only");
    let sent = broker.client().publish(hello_subject(workspace).to_wire(), bytes.into()).await;
    sent.map_err(|error| ExchangeError::unavailable("introduce a worker", error))
}

/// Begins to hear of workers.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn hear_hellos(broker: &Broker) -> Result<Hellos, ExchangeError> {
    let subscribed = broker.client().subscribe(work_filter(None)).await;
    let subscriber = subscribed.map_err(|error| ExchangeError::unavailable("hear of workers", error))?;
    Ok(Hellos(broker.inlet(subscriber)))
}

/// The workers that introduce themselves; made by [`hear_hellos`].
pub struct Hellos(Inlet);

impl Hellos {
    /// Waits for the next word that is one, with its workspace; `None` when the connection is closed for good.
    pub async fn next(&mut self) -> Option<(WorkspaceId, Bytes)> {
        loop {
            let message = self.0.next().await?;
            if let Some(workspace) = speaking(&message.subject) {
                return Some((workspace, message.payload));
            }
        }
    }
}

/// How a hand-over ended.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// The broker takes no message this large.
    #[error("the hand-over has {bytes} bytes, more than the broker takes at once")]
    TooLarge { bytes: usize },
    /// It is not on its way, and will be said again.
    #[error("the hand-over is not on its way")]
    Unavailable(#[source] ExchangeError),
}

/// Hands tasks to a worker's session. Returns when they are on their way.
///
/// # Errors
/// See [`HandError`].
pub async fn hand(
    broker: &Broker,
    workspace: &WorkspaceId,
    session: SessionId,
    handed: &Handed,
) -> Result<(), HandError> {
    let bytes = serde_json::to_vec(handed).expect("tasks have text keys only");
    if bytes.len() > broker.payload_bytes_max() {
        return Err(HandError::TooLarge { bytes: bytes.len() });
    }
    let sent = broker.client().publish(hand_subject(workspace, session).to_wire(), bytes.into()).await;
    sent.map_err(|error| HandError::Unavailable(ExchangeError::unavailable("hand tasks to a worker", error)))
}

/// Calls for the workers of a workspace. Returns when the word is on its way.
///
/// # Errors
/// [`ExchangeError::Unavailable`]: it is said again within a second.
pub async fn call(broker: &Broker, workspace: &WorkspaceId, call: &Call) -> Result<(), ExchangeError> {
    let bytes = serde_json::to_vec(call).expect("a call has text keys only");
    let sent = broker.client().publish(call_subject(workspace).to_wire(), bytes.into()).await;
    sent.map_err(|error| ExchangeError::unavailable("call for workers", error))
}

/// Begins to hear what is handed to a session, and the calls in its workspace.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn attend(broker: &Broker, workspace: &WorkspaceId, session: SessionId) -> Result<Attention, ExchangeError> {
    let client = broker.client();
    let unavailable = |error| ExchangeError::unavailable("hear what shards hand over", error);
    let hands = client.subscribe(hand_subject(workspace, session).to_wire()).await.map_err(unavailable)?;
    let calls = client.subscribe(call_subject(workspace).to_wire()).await.map_err(unavailable)?;
    broker.flush().await?;
    Ok(Attention { hands, calls })
}

/// What a worker's session hears; made by [`attend`].
pub struct Attention {
    hands: Subscriber,
    calls: Subscriber,
}

/// One thing that a worker hears.
#[derive(Debug)]
pub enum Heard {
    Handed(Handed),
    Call(Call),
}

impl Attention {
    /// Waits for the next; `None` when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let read = tokio::select! {
                biased;
                message = self.hands.next() => serde_json::from_slice(&message?.payload).map(Heard::Handed),
                message = self.calls.next() => serde_json::from_slice(&message?.payload).map(Heard::Call),
            };
            match read {
                Ok(heard) => return Some(heard),
                Err(error) => {
                    static MALFORMED: Complaints = Complaints::new();
                    if let Some(count) = MALFORMED.due() {
                        tracing::warn!(%error, count, "a malformed word of a shard");
                    }
                }
            }
        }
    }
}
