//! How a worker program finds its engine: a `connection.json` that `headwater dev` writes, or environment variables.

use std::path::{Path, PathBuf};

use headwater_streams::{BrokerConfig, Credentials};
use serde::{Deserialize, Serialize};

/// How others reach an engine. In `connection.json` of a data folder, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The HTTP API.
    pub api: String,
    /// One or more `nats://` addresses, comma-separated.
    pub nats_url: String,
    /// What a worker may do is limited.
    pub worker_user: String,
    pub worker_password: String,
    /// What the reply subjects of a worker start with.
    pub worker_inbox_prefix: String,
    pub postgres_url: String,
    /// Of the process that wrote it.
    pub pid: u32,
}

/// Says why there is no connection to be found.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot read {}: is `headwater dev` running?", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a connection file", .path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("set HEADWATER_CONNECTION to a connection.json, or HEADWATER_NATS_URL to a broker's address")]
    Missing,
}

impl Connection {
    /// The file's name inside a data folder.
    pub const FILE: &str = "connection.json";

    /// Reads a connection file.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn read(path: &Path) -> Result<Self, ConnectionError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ConnectionError::Read { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| ConnectionError::Malformed { path: path.to_owned(), source })
    }

    /// Returns how a worker connects.
    pub fn worker(&self) -> BrokerConfig {
        BrokerConfig {
            credentials: Credentials::Password {
                user: self.worker_user.clone(),
                password: self.worker_password.clone(),
            },
            inbox_prefix: Some(self.worker_inbox_prefix.clone()),
            ..BrokerConfig::new(&self.nats_url)
        }
    }
}

/// Returns how a worker program connects: by `HEADWATER_CONNECTION` (the path of a connection file), else by
/// `HEADWATER_NATS_URL` with `HEADWATER_NATS_USER` and `HEADWATER_NATS_PASSWORD` or `HEADWATER_NATS_CREDS`, and
/// `HEADWATER_NATS_INBOX_PREFIX`.
///
/// # Errors
/// See [`ConnectionError`].
pub fn from_environment() -> Result<BrokerConfig, ConnectionError> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(path) = given("HEADWATER_CONNECTION") {
        return Ok(Connection::read(Path::new(&path))?.worker());
    }
    let url = given("HEADWATER_NATS_URL").ok_or(ConnectionError::Missing)?;
    let credentials = match (given("HEADWATER_NATS_CREDS"), given("HEADWATER_NATS_USER")) {
        (Some(path), _) => Credentials::File(path.into()),
        (None, Some(user)) => {
            Credentials::Password { user, password: given("HEADWATER_NATS_PASSWORD").unwrap_or_default() }
        }
        (None, None) => Credentials::None,
    };
    Ok(BrokerConfig { credentials, inbox_prefix: given("HEADWATER_NATS_INBOX_PREFIX"), ..BrokerConfig::new(url) })
}
