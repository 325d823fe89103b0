//! What stays the same over the restarts of `dev` in one folder, so that workers and people find it again: ports and
//! passwords. (The password of the database is kept beside its data.)

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_streams::server::Access;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{DevError, Servers, files};

const FILE: &str = "dev.json";

/// How long the servers of a `dev` that was killed may take until their ports are free.
const FREE_WAIT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// Where everything listens, and the passwords of the broker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Kept {
    /// Used where `--listen` asks for any.
    pub(super) api_port: u16,
    pub(super) broker: Access,
    pub(super) postgres_port: u16,
}

impl Kept {
    /// Reads what an earlier start kept; `None` in a new folder.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Self>, DevError> {
        let path = file(data_dir);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DevError::Folder { path, source }),
        };
        serde_json::from_str(&text).map(Some).map_err(|source| DevError::Kept { path, source })
    }

    pub(super) fn of(servers: &Servers, api: SocketAddr) -> Self {
        let (broker, postgres_port) = (servers.nats.access(), servers.postgres.port());
        Self { api_port: api.port(), broker, postgres_port }
    }

    pub(super) fn write(&self, data_dir: &Path) -> io::Result<()> {
        files::write_private(&file(data_dir), &serde_json::to_string_pretty(self)?)
    }

    /// Waits until the ports of the servers are free, and says which one is not.
    pub(super) async fn await_free(&self, data_dir: &Path) -> Result<(), DevError> {
        let deadline = Instant::now() + FREE_WAIT;
        let Self { api_port: _, broker, postgres_port } = self;
        let mut ports = vec![(broker.client_port, "the broker"), (broker.monitor_port, "the broker's monitoring")];
        // A database that a crash left behind is ended by the next one.
        if !data_dir.join("postgres/data/postmaster.pid").exists() {
            ports.push((*postgres_port, "the database"));
        }
        for (port, what) in ports {
            while let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                if error.kind() != io::ErrorKind::AddrInUse || Instant::now() >= deadline {
                    return Err(Self::taken(data_dir, port, what));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    pub(super) fn taken(data_dir: &Path, port: u16, what: &'static str) -> DevError {
        DevError::PortTaken { port, what, path: file(data_dir) }
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}
