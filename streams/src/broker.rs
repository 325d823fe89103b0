//! How to reach the broker.

mod check;
mod wall;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, Subscriber, jetstream};
use tokio::time::Instant;

pub(crate) use check::parse_version;
pub use check::{BrokerCheck, Shortcoming, SyncSetting};
pub use wall::{Wall, WallError};

use crate::backoff::Backoff;
use crate::complaints::Complaints;
use crate::inlet::{Backlog, Inlet};
use crate::storing::Storing;
use crate::subject::FLUSH;
use crate::{Cause, Disposition, ExchangeError};

/// Says where the broker is and as whom to come.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// One or more `nats://host:port`, comma-separated.
    pub url: String,
    pub credentials: Credentials,
    /// Shown in the broker's connection list.
    pub name: String,
    /// What this connection's reply subjects start with; a user that may not subscribe `_INBOX.>` needs its own.
    pub inbox_prefix: Option<String>,
    /// How long [`Broker::connect`] tries.
    pub connect_timeout: Duration,
    /// How long one exchange may take before it counts as indeterminate.
    pub request_timeout: Duration,
    /// Where the broker serves `/varz`, if it does: only there does it say how often it syncs to disk.
    pub monitor_url: Option<String>,
    /// How many messages may wait in one subscription before further ones are dropped. Those from outside are moved on
    /// to where they are bounded in bytes.
    pub subscription_capacity: usize,
}

impl BrokerConfig {
    /// Returns the settings for a broker at `url` without credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: Credentials::None,
            name: "headwater".to_owned(),
            inbox_prefix: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            monitor_url: None,
            subscription_capacity: 65_536,
        }
    }
}

/// Says as whom to come.
#[derive(Clone)]
pub enum Credentials {
    None,
    Password {
        user: String,
        password: String,
    },
    /// A `.creds` file: a JWT and its key.
    File(PathBuf),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password { user, .. } => write!(f, "Password({user}, …)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Says why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The broker does not know us; trying again changes nothing.
    #[error("the broker refuses the credentials")]
    Refused(#[source] Cause),
    #[error("the broker at {url} cannot be reached")]
    Unavailable { url: String, source: Cause },
}

impl ConnectError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Refused(_) => Disposition::Rejection,
            Self::Unavailable { .. } => Disposition::Unavailable,
        }
    }
}

/// Whether the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    Connected,
    /// Lost; the client tries again by itself, for ever.
    Reconnecting,
}

/// A connection to the broker, shared. Cheap to clone; reconnects by itself.
#[derive(Clone)]
pub struct Broker(Arc<Link>);

struct Link {
    client: Client,
    jetstream: jetstream::Context,
    config: BrokerConfig,
    /// Answers that were to go where no inbox is.
    answers_refused: AtomicU64,
    storing: Storing,
    backlog: Arc<Backlog>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({})", self.0.config.url)
    }
}

impl Broker {
    /// Connects, trying again until `config.connect_timeout` is over.
    ///
    /// # Errors
    /// [`ConnectError::Refused`] at once; [`ConnectError::Unavailable`] after the time is over.
    pub async fn connect(config: &BrokerConfig) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + config.connect_timeout;
        let mut backoff = Backoff::between(Duration::from_millis(20), Duration::from_millis(500));
        let client = loop {
            let error = match connect_once(config).await {
                Ok(client) => break client,
                Err(error @ ConnectError::Refused(_)) => return Err(error),
                Err(error) => error,
            };
            let pause = backoff.pause();
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        };
        let jetstream = jetstream::context::ContextBuilder::new().timeout(config.request_timeout).build(client.clone());
        let answers_refused = AtomicU64::new(0);
        Ok(Self(Arc::new(Link {
            client,
            jetstream,
            config: config.clone(),
            answers_refused,
            storing: Storing::new(),
            backlog: Arc::default(),
        })))
    }

    /// Returns how often the connection was made: what was on its way when the number changes may be lost.
    pub(crate) fn connects(&self) -> u64 {
        self.client().statistics().connects.load(Ordering::Relaxed)
    }

    /// Returns whether the connection stands.
    pub fn connection_state(&self) -> ConnectionState {
        match self.0.client.connection_state() {
            State::Connected => ConnectionState::Connected,
            State::Pending | State::Disconnected => ConnectionState::Reconnecting,
        }
    }

    /// Returns the settings of the connection.
    pub fn config(&self) -> &BrokerConfig {
        &self.0.config
    }

    /// Returns the largest message the broker takes, in bytes.
    pub fn payload_bytes_max(&self) -> usize {
        self.0.client.max_payload()
    }

    /// Waits until the broker has done everything that was sent before: messages taken, subscriptions in force.
    ///
    /// # Errors
    /// [`ExchangeError::Indeterminate`] after `request_timeout`.
    pub async fn flush(&self) -> Result<(), ExchangeError> {
        const WHAT: &str = "flush";
        // The client's own flush only empties its buffer. The broker works off a connection in order, so when it
        // says that nobody serves this subject, which every user may ask and nobody ever serves, it did all before.
        let asked = self.0.client.send_request(FLUSH, async_nats::Request::new().timeout(None));
        match tokio::time::timeout(self.0.config.request_timeout, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => Ok(()),
            Ok(Err(error)) => Err(ExchangeError::unavailable(WHAT, error)),
            Err(elapsed) => Err(ExchangeError::indeterminate(WHAT, elapsed)),
        }
    }

    /// Takes no new messages, delivers those under way, and closes the connection for every clone.
    ///
    /// # Errors
    /// [`ExchangeError::Indeterminate`] after `request_timeout`.
    pub async fn drain(&self) -> Result<(), ExchangeError> {
        const WHAT: &str = "drain";
        match tokio::time::timeout(self.0.config.request_timeout, self.0.client.drain()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ExchangeError::unavailable(WHAT, error)),
            Err(elapsed) => Err(ExchangeError::indeterminate(WHAT, elapsed)),
        }
    }

    /// Returns how many answers of this connection were dropped because whoever asked for them named another subject
    /// than an inbox.
    pub fn answers_refused(&self) -> u64 {
        self.0.answers_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused_answer(&self) {
        self.0.answers_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn storing(&self) -> &Storing {
        &self.0.storing
    }

    /// Makes what arrives in `subscriber` wait within the room of this connection.
    pub(crate) fn inlet(&self, subscriber: Subscriber) -> Inlet {
        Inlet::new(subscriber, self.0.backlog.clone())
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.0.client.connection_state() == State::Connected
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.0.jetstream
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.config.request_timeout
    }
}

async fn connect_once(config: &BrokerConfig) -> Result<Client, ConnectError> {
    let unavailable = |source: Cause| ConnectError::Unavailable { url: config.url.clone(), source };
    let mut options = ConnectOptions::new()
        .name(&config.name)
        .request_timeout(Some(config.request_timeout))
        .connection_timeout(config.connect_timeout.min(Duration::from_secs(5)))
        .ping_interval(Duration::from_secs(10))
        .subscription_capacity(config.subscription_capacity)
        // Subjects are built from validated names only, so they are not checked again for every message.
        .skip_subject_validation(true)
        .reconnect_delay_callback(|attempts| Duration::from_millis(20 << attempts.min(6)).min(Duration::from_secs(1)))
        .event_callback(|event| async move { log(&event) });
    match &config.credentials {
        Credentials::None => {}
        Credentials::Password { user, password } => {
            options = options.user_and_password(user.clone(), password.clone());
        }
        Credentials::File(path) => {
            options = options.credentials_file(path).await.map_err(|error| ConnectError::Refused(error.into()))?;
        }
    }
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    let addresses: Vec<&str> = config.url.split(',').map(str::trim).collect();
    options.connect(addresses.as_slice()).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ConnectError::Refused(error.into())
        }
        _ => unavailable(error.into()),
    })
}

fn log(event: &Event) {
    match event {
        Event::Connected | Event::Closed | Event::Draining => tracing::debug!(%event, "broker connection"),
        Event::Disconnected | Event::LameDuckMode => {
            static BROKEN: Complaints = Complaints::new();
            if let Some(count) = BROKEN.due() {
                tracing::warn!(%event, count, "broker connection");
            }
        }
        // One for each message that is dropped or refused.
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            static REFUSED: Complaints = Complaints::new();
            if let Some(count) = REFUSED.due() {
                tracing::warn!(%event, count, "broker connection");
            }
        }
    }
}
