//! Whether the broker is good enough to keep journals: what it says of itself, compared with what is needed.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Broker;
use crate::Cause;

/// What the broker says of itself.
#[derive(Debug, Clone)]
pub struct BrokerCheck {
    pub server_version: String,
    pub jetstream: bool,
    pub payload_bytes_max: usize,
    pub sync: SyncSetting,
    /// Empty when the broker is good enough.
    pub shortcomings: Vec<Shortcoming>,
}

/// When the broker has a message on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncSetting {
    /// Before it acknowledges.
    Always,
    /// Up to this long after it acknowledged.
    Every(Duration),
    /// It does not say: there is no monitoring address, or it did not answer.
    Unknown,
}

/// One way in which the broker is not good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortcoming {
    /// Older than [`Broker::SERVER_VERSION_MIN`].
    ServerTooOld { version: String },
    /// Streams are not enabled (for this account).
    NoJetStream,
    /// Messages acknowledged before they are on disk: a power cut can lose them.
    AcknowledgesBeforeSync { every: Duration },
    /// It does not say when it syncs.
    SyncUnknown,
    /// Smaller than [`Broker::PAYLOAD_BYTES_WANTED`].
    PayloadLimitSmall { bytes: usize },
}

impl Shortcoming {
    /// Returns whether the engine cannot run at all like this.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::ServerTooOld { .. } | Self::NoJetStream | Self::PayloadLimitSmall { .. } => true,
            Self::AcknowledgesBeforeSync { .. } | Self::SyncUnknown => false,
        }
    }
}

impl fmt::Display for Shortcoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = Broker::SERVER_VERSION_MIN;
        match self {
            Self::ServerTooOld { version } => write!(f, "nats-server {version} is older than {major}.{minor}"),
            Self::NoJetStream => f.write_str("jetstream is not enabled for this account"),
            Self::AcknowledgesBeforeSync { every } => {
                write!(
                    f,
                    "messages are acknowledged up to {every:?} before they are on disk: set sync_interval: always"
                )
            }
            Self::SyncUnknown => f.write_str("the broker does not say when it syncs to disk: give its monitoring url"),
            Self::PayloadLimitSmall { bytes } => {
                write!(f, "max_payload is {bytes} bytes, {} are needed", Broker::PAYLOAD_BYTES_WANTED)
            }
        }
    }
}

impl Broker {
    /// The oldest release that keeps what the journal needs, as (major, minor).
    pub const SERVER_VERSION_MIN: (u32, u32) = (2, 14);
    /// The smallest `max_payload` that takes a full bundle.
    pub const PAYLOAD_BYTES_WANTED: usize = 8 * 1024 * 1024;

    /// Asks the broker what it is and says what falls short.
    pub async fn check(&self) -> BrokerCheck {
        let info = self.client().server_info();
        let account = self.jetstream().query_account().await;
        let sync = match &self.config().monitor_url {
            Some(url) => sync_setting(url, self.request_timeout()).await.unwrap_or(SyncSetting::Unknown),
            None => SyncSetting::Unknown,
        };
        let mut shortcomings = Vec::new();
        if parse_version(&info.version).is_none_or(|version| version < Self::SERVER_VERSION_MIN) {
            shortcomings.push(Shortcoming::ServerTooOld { version: info.version.clone() });
        }
        if account.is_err() {
            shortcomings.push(Shortcoming::NoJetStream);
        }
        if self.payload_bytes_max() < Self::PAYLOAD_BYTES_WANTED {
            shortcomings.push(Shortcoming::PayloadLimitSmall { bytes: self.payload_bytes_max() });
        }
        match sync {
            SyncSetting::Always => {}
            SyncSetting::Every(every) => shortcomings.push(Shortcoming::AcknowledgesBeforeSync { every }),
            SyncSetting::Unknown => shortcomings.push(Shortcoming::SyncUnknown),
        }
        BrokerCheck {
            server_version: info.version,
            jetstream: account.is_ok(),
            payload_bytes_max: self.payload_bytes_max(),
            sync,
            shortcomings,
        }
    }
}

/// Reads `2.15.1`, `v2.15.1-beta` and the like.
pub(crate) fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: VarzJetStream,
}

#[derive(Default, Deserialize)]
struct VarzJetStream {
    #[serde(default)]
    config: Option<VarzStore>,
}

#[derive(Deserialize)]
struct VarzStore {
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

async fn sync_setting(monitor_url: &str, wait: Duration) -> Result<SyncSetting, Cause> {
    let body = tokio::time::timeout(wait, get(monitor_url, "/varz")).await??;
    let varz: Varz = serde_json::from_slice(&body)?;
    Ok(match varz.jetstream.config {
        None => SyncSetting::Unknown,
        Some(store) if store.sync_always => SyncSetting::Always,
        Some(store) => SyncSetting::Every(Duration::from_nanos(store.sync_interval)),
    })
}

/// Gets one small page of the broker's own monitoring server: HTTP/1.0, so that the body ends with the connection.
async fn get(url: &str, path: &str) -> Result<Vec<u8>, Cause> {
    const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let mut connection = TcpStream::connect(authority).await?;
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("the answer has no body")? + 4;
    Ok(answer.split_off(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert_eq!(parse_version("2.9.10"), Some((2, 9)));
        assert!(parse_version("2.9.10").unwrap() < Broker::SERVER_VERSION_MIN);
        assert!(parse_version("v2.15.1").unwrap() > Broker::SERVER_VERSION_MIN);
        assert_eq!(parse_version("2.14.0-RC.1"), Some((2, 14)));
        assert_eq!(parse_version("latest"), None);
    }
}
