//! How a worker program finds its engine: a `connection.json` that `headwater dev` writes, or environment variables.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use headwater_streams::{BrokerConfig, Credentials};
use serde::{Deserialize, Serialize};

/// How workers reach an engine, and nothing beside that. In `connection.json` of a data folder, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// One or more `nats://` addresses, comma-separated.
    pub nats_url: String,
    /// What a worker may do is limited.
    pub worker_user: String,
    pub worker_password: String,
    /// What the reply subjects of a worker start with.
    pub worker_inbox_prefix: String,
}

/// Says why there is no connection to be found.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot read {}: is `headwater dev` running?", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} holds a password and is open to every account of this machine: chmod 600 it", .path.display())]
    Open { path: PathBuf },
    #[error("{} is not a connection file", .path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("set HEADWATER_CONNECTION to a connection.json, or HEADWATER_NATS_URL to a broker's address")]
    Missing,
}

impl Connection {
    /// The file's name inside a data folder.
    pub const FILE: &str = "connection.json";

    /// Reads a connection file. One that everybody can read has given its password away, and one that everybody can
    /// write may name anybody's broker: neither is read.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn read(path: &Path) -> Result<Self, ConnectionError> {
        const OTHERS: u32 = 0o006;
        let unreadable = |source| ConnectionError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        // Of what was opened, not of what stands at the path by now.
        if file.metadata().map_err(unreadable)?.permissions().mode() & OTHERS != 0 {
            return Err(ConnectionError::Open { path: path.to_owned() });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unreadable)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_file_is_read_only_where_others_cannot_reach_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Connection::FILE);
        let connection = Connection {
            nats_url: "nats://127.0.0.1:4222".to_owned(),
            worker_user: "worker".to_owned(),
            worker_password: "secret".to_owned(),
            worker_inbox_prefix: "_INBOX_WORKER".to_owned(),
        };
        std::fs::write(&path, serde_json::to_string(&connection).unwrap()).unwrap();
        for (mode, closed) in
            [(0o600, true), (0o640, true), (0o660, true), (0o644, false), (0o602, false), (0o666, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match Connection::read(&path) {
                Ok(read) => assert!(closed && read == connection, "{mode:o}"),
                Err(error) => assert!(!closed && matches!(error, ConnectionError::Open { .. }), "{mode:o}: {error}"),
            }
        }
    }

    #[test]
    fn a_connection_file_holds_what_workers_need_and_nothing_else() {
        let connection = Connection {
            nats_url: String::new(),
            worker_user: String::new(),
            worker_password: String::new(),
            worker_inbox_prefix: String::new(),
        };
        let written = serde_json::to_value(connection).unwrap();
        let names: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["natsUrl", "workerInboxPrefix", "workerPassword", "workerUser"]);
    }
}
