//! One message into a stream, and the broker's word that it is stored.

use std::time::Duration;

use async_nats::{HeaderMap, Request, StatusCode, Subject};
use bytes::Bytes;
use serde::Deserialize;

use crate::storing::Attempt;
use crate::{Broker, Cause, ExchangeError};

/// The broker's word that a message is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
}

/// Says how a publish ended, if not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishFailure {
    /// The stream's last sequence (or the subject's) is not the expected one.
    #[error("the expected sequence is not the last")]
    WrongSequence(#[source] Cause),
    #[error("the message has {bytes} bytes, the broker takes {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// The broker answered that it did not store the message, or could not be asked.
    #[error("the broker did not store the message")]
    Unavailable(#[source] Cause),
    #[error("the broker did not say whether it stored the message")]
    Indeterminate(#[source] Cause),
}

impl PublishFailure {
    pub(crate) fn exchange(self, what: &'static str) -> ExchangeError {
        match self {
            Self::WrongSequence(cause) => ExchangeError::refused(what, cause),
            Self::TooLarge { .. } => ExchangeError::refused(what, self),
            Self::Unavailable(cause) => ExchangeError::unavailable(what, cause),
            Self::Indeterminate(cause) => ExchangeError::indeterminate(what, cause),
        }
    }
}

/// An error as the stream API words it.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{description} ({err_code})")]
struct ApiError {
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// One of the two.
#[derive(Deserialize)]
struct Answer {
    error: Option<ApiError>,
    seq: Option<u64>,
}

/// `STREAM_WRONG_LAST_SEQUENCE`, and the same without the number, as replicated streams answer it while the
/// competing message is still on its way.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];
/// What a message carries beside its payload; the broker counts it too.
const HEADERS_BYTES_MAX: usize = 1024;

/// Publishes and waits for the acknowledgement. A broker out of reach is not waited for.
pub(crate) async fn publish(
    broker: &Broker,
    subject: Subject,
    headers: Option<HeaderMap>,
    payload: Bytes,
    wait: Duration,
) -> Result<Stored, PublishFailure> {
    let attempt = Attempt::begin(broker);
    let outcome = exchange(broker, subject, headers, payload, wait).await;
    match &outcome {
        Ok(_) => attempt.stored(),
        Err(PublishFailure::WrongSequence(_) | PublishFailure::TooLarge { .. }) => attempt.passed_over(),
        // What nobody answered says nothing of the store; a word of the stream does.
        Err(PublishFailure::Unavailable(cause)) if !cause.is::<ApiError>() => attempt.passed_over(),
        Err(PublishFailure::Unavailable(_) | PublishFailure::Indeterminate(_)) => drop(attempt),
    }
    outcome
}

async fn exchange(
    broker: &Broker,
    subject: Subject,
    headers: Option<HeaderMap>,
    payload: Bytes,
    wait: Duration,
) -> Result<Stored, PublishFailure> {
    let bytes_max = broker.payload_bytes_max().saturating_sub(HEADERS_BYTES_MAX);
    if payload.len() > bytes_max {
        return Err(PublishFailure::TooLarge { bytes: payload.len(), bytes_max });
    }
    if !broker.is_connected() {
        return Err(PublishFailure::Unavailable("not connected".into()));
    }
    let mut request = Request::new().payload(payload).timeout(None);
    if let Some(headers) = headers {
        request = request.headers(headers);
    }
    let answer = match tokio::time::timeout(wait, broker.client().send_request(subject, request)).await {
        Err(elapsed) => return Err(PublishFailure::Indeterminate(elapsed.into())),
        Ok(Err(error)) => {
            return Err(match error.kind() {
                async_nats::RequestErrorKind::NoResponders
                | async_nats::RequestErrorKind::InvalidSubject
                | async_nats::RequestErrorKind::MaxPayloadExceeded => PublishFailure::Unavailable(error.into()),
                async_nats::RequestErrorKind::TimedOut | async_nats::RequestErrorKind::Other => {
                    PublishFailure::Indeterminate(error.into())
                }
            });
        }
        Ok(Ok(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
            return Err(PublishFailure::Unavailable("no stream takes this subject".into()));
        }
        Ok(Ok(message)) => message.payload,
    };
    read(&answer)
}

/// Reads the broker's answer to a publish.
fn read(answer: &[u8]) -> Result<Stored, PublishFailure> {
    match serde_json::from_slice(answer) {
        Ok(Answer { error: Some(error), .. }) if WRONG_LAST_SEQUENCE.contains(&error.err_code) => {
            Err(PublishFailure::WrongSequence(error.into()))
        }
        Ok(Answer { error: Some(error), .. }) => Err(PublishFailure::Unavailable(error.into())),
        Ok(Answer { error: None, seq: Some(sequence) }) => Ok(Stored { sequence }),
        Ok(Answer { error: None, seq: None }) => {
            Err(PublishFailure::Indeterminate("an acknowledgement without a sequence".into()))
        }
        Err(error) => Err(PublishFailure::Indeterminate(error.into())),
    }
}
