//! How processes ask each other: one message there, one back, nothing stored. The hot path of the engine.

use std::time::Duration;

use async_nats::{Request as WireRequest, StatusCode};
use bytes::Bytes;

use crate::inlet::Inlet;
use crate::subject::Subject;
use crate::{Broker, Cause, Disposition, ExchangeError};

/// Says how a request ended, if not well.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nothing this large can be sent.
    #[error("the request has {bytes} bytes, the broker takes {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// Nobody serves the subject, or the broker is out of reach: nobody got it.
    #[error("nobody serves {subject}")]
    Unavailable { subject: Subject, source: Cause },
    /// Somebody may have got it.
    #[error("no answer from {subject}")]
    Indeterminate { subject: Subject, source: Cause },
}

impl RequestError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::TooLarge { .. } => Disposition::Rejection,
            Self::Unavailable { .. } => Disposition::Unavailable,
            Self::Indeterminate { .. } => Disposition::Indeterminate,
        }
    }
}

/// Sends `payload` to whoever serves `subject` and returns the answer. Neither is copied.
///
/// # Errors
/// See [`RequestError`]; `Unavailable` at once, `Indeterminate` after `wait`.
pub async fn request(
    broker: &Broker,
    subject: &Subject,
    payload: Bytes,
    wait: Duration,
) -> Result<Bytes, RequestError> {
    let bytes_max = broker.payload_bytes_max();
    if payload.len() > bytes_max {
        return Err(RequestError::TooLarge { bytes: payload.len(), bytes_max });
    }
    let unavailable = |source: Cause| RequestError::Unavailable { subject: subject.clone(), source };
    let indeterminate = |source: Cause| RequestError::Indeterminate { subject: subject.clone(), source };
    if !broker.is_connected() {
        return Err(unavailable("not connected".into()));
    }
    let request = WireRequest::new().payload(payload).timeout(None);
    match tokio::time::timeout(wait, broker.client().send_request(subject.to_wire(), request)).await {
        Ok(Ok(answer)) if answer.status == Some(StatusCode::NO_RESPONDERS) => Err(unavailable("no responders".into())),
        Ok(Ok(answer)) => Ok(answer.payload),
        Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => Err(unavailable(error.into())),
        Ok(Err(error)) => Err(indeterminate(error.into())),
        Err(elapsed) => Err(indeterminate(elapsed.into())),
    }
}

/// Begins to serve `subject`; when it returns, requests arrive.
///
/// Every process that serves a subject gets every request, and the first answer counts: so an owner that was
/// stopped in its tracks and does not know yet that it lost its shard cannot swallow requests. It must not answer them
/// from what it knew before, either: that is for the owner to see to (`SHD-4`). Requests wait to be taken as long as there
/// is room on the connection: 64 MiB, and one subject leaves as much free as it takes. Beyond that they are dropped and
/// their callers time out, so take them quickly and refuse what is too much. A request whose reply subject is not an inbox
/// is not returned; [`Broker::answers_refused`] counts them.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn serve(broker: &Broker, subject: &Subject) -> Result<Requests, ExchangeError> {
    let subscribed = broker.client().subscribe(subject.to_wire()).await;
    let subscriber = subscribed.map_err(|error| ExchangeError::unavailable("serve a subject", error))?;
    broker.flush().await?;
    Ok(Requests { broker: broker.clone(), inlet: broker.inlet(subscriber) })
}

/// The requests to a subject; made by [`serve`].
pub struct Requests {
    broker: Broker,
    inlet: Inlet,
}

/// One request, to be answered once.
#[derive(Debug)]
pub struct Request {
    pub payload: Bytes,
    pub reply: ReplyTo,
}

/// Where the answer to a request goes.
#[derive(Debug)]
pub struct ReplyTo {
    broker: Broker,
    subject: async_nats::Subject,
}

impl Requests {
    /// Waits for the next request; `None` when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Request> {
        loop {
            let message = self.inlet.next().await?;
            if let Some(request) = self.request(message) {
                return Some(request);
            }
        }
    }

    /// Waits for the next request when one is `wanted`; otherwise lets what arrives wait within its bounds, for ever.
    pub async fn next_if(&mut self, wanted: bool) -> Option<Request> {
        if !wanted {
            self.inlet.keep().await;
        }
        self.next().await
    }

    /// Returns the next request if one has arrived.
    pub fn try_next(&mut self) -> Option<Request> {
        loop {
            let message = self.inlet.try_next()?;
            if let Some(request) = self.request(message) {
                return Some(request);
            }
        }
    }

    fn request(&self, message: async_nats::Message) -> Option<Request> {
        // What asks for no answer is not a request, nor is what wants it where nobody listens for answers.
        let reply = ReplyTo::of(&self.broker, message.reply?)?;
        Some(Request { payload: message.payload, reply })
    }

    /// Stops serving; requests that have arrived can still be taken with [`Self::try_next`].
    pub async fn stop(&mut self) {
        self.inlet.stop(&self.broker).await;
    }
}

impl ReplyTo {
    /// Takes where somebody wants an answer; nothing where nobody listens for answers.
    pub(crate) fn of(broker: &Broker, named: async_nats::Subject) -> Option<Self> {
        let subject = broker.inbox_named(&named).ok()?;
        Some(Self { broker: broker.clone(), subject })
    }

    /// Sends the answer. Returns when it is on its way, not when it arrived.
    ///
    /// # Errors
    /// [`RequestError::TooLarge`]: send a smaller one; `Unavailable`: the caller will ask again.
    pub async fn send(self, answer: Bytes) -> Result<(), RequestError> {
        let bytes_max = self.broker.payload_bytes_max();
        if answer.len() > bytes_max {
            return Err(RequestError::TooLarge { bytes: answer.len(), bytes_max });
        }
        let subject = self.subject;
        self.broker.client().publish(subject.clone(), answer).await.map_err(|error| RequestError::Unavailable {
            subject: Subject::new(subject.to_string()),
            source: error.into(),
        })
    }
}
