//! A broker of one's own: a `nats-server` as a child process, for the dev launcher and the tests.

mod access;
pub mod accounts;
mod binary;
mod child;
mod cluster;
mod settings;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use access::Access;
pub use binary::{BinaryError, ServerBinary};
pub use cluster::ClusterSeat;

use crate::{BrokerConfig, Cause, Credentials, Disposition};
use child::Child;
use settings::{Ports, Settings};

/// Says where a server of one's own keeps its things.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Private to this server: configuration, log, streams. Made if it is missing, kept when the server stops.
    pub data_dir: PathBuf,
    /// How long the server may take until it can be used.
    pub ready_timeout: Duration,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// What an earlier server had ([`NatsServer::access`]), so that its clients find this one. `None`: free ports and
    /// fresh passwords.
    pub access: Option<Access>,
    /// Its place among several ([`Self::three`]).
    pub cluster: Option<ClusterSeat>,
}

impl ServerConfig {
    /// Returns the usual settings for a server in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            ready_timeout: Duration::from_secs(20),
            stop_timeout: Duration::from_secs(10),
            access: None,
            cluster: None,
        }
    }
}

/// Says why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot prepare {}", .path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("cannot start {}", .path.display())]
    Spawn { path: PathBuf, source: io::Error },
    /// Its own words stand in the log.
    #[error("the server ended before it was ready; see {}", .log.display())]
    Ended { log: PathBuf },
    #[error("the server was not ready in time; see {}", .log.display())]
    NotReady { log: PathBuf, source: Cause },
}

impl ServerError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::DataDir { .. } | Self::Spawn { .. } | Self::Ended { .. } => Disposition::Rejection,
            Self::NotReady { .. } => Disposition::Unavailable,
        }
    }
}

/// A running server. Killed when dropped, and by the kernel when this process is killed, where `setpriv` (util-linux)
/// is there to arrange that; elsewhere a killed parent leaves it running.
#[derive(Debug)]
pub struct NatsServer {
    binary: ServerBinary,
    config: ServerConfig,
    settings: Settings,
    ports: Ports,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server on the loopback interface, on free ports unless `config` names some, and waits until it can be
    /// used. Syncs to disk before it acknowledges. Blocks; call it from a thread that may.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn start(binary: &ServerBinary, config: ServerConfig) -> Result<Self, ServerError> {
        let (settings, ports) = match &config.access {
            Some(access) => (Settings::of(access), Ports::of(access)),
            None => (Settings::random(), Ports::ANY),
        };
        let mut server = Self { binary: binary.clone(), config, settings, ports, child: None };
        server.launch()?;
        Ok(server)
    }

    /// Starts the server again after [`Self::kill`] or [`Self::stop`]: same ports, same data, same credentials.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop();
        self.launch()
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        let dir = &self.config.data_dir;
        let path = settings::adopt_streams(dir)
            .and_then(|()| self.settings.write(dir, &self.ports, self.config.cluster.as_ref()))
            .map_err(|source| ServerError::DataDir { path: dir.clone(), source })?;
        let child = Child::spawn(&self.binary.path, &path)
            .map_err(|source| ServerError::Spawn { path: self.binary.path.clone(), source })?;
        self.child = Some(child);
        let deadline = Instant::now() + self.config.ready_timeout;
        loop {
            if self.child.as_mut().is_none_or(|child| child.has_ended()) {
                self.child = None;
                return Err(ServerError::Ended { log: self.log() });
            }
            let source = match self.probe() {
                Ok(ports) => {
                    self.ports = ports;
                    return Ok(());
                }
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                self.kill();
                return Err(ServerError::NotReady { log: self.log(), source });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn probe(&self) -> Result<Ports, Cause> {
        let pid = self.pid().ok_or("no process")?;
        let ports = Ports::read(&self.config.data_dir, pid)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(ports.client)?));
        let connection = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
        connection.set_read_timeout(Some(Duration::from_millis(500)))?;
        // It greets with what it is; streams are ready before it listens.
        let mut greeting = [0; 4];
        io::Read::read_exact(&mut &connection, &mut greeting)?;
        if &greeting == b"INFO" { Ok(ports) } else { Err("something else listens there".into()) }
    }

    /// Returns `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", Ipv4Addr::LOCALHOST, self.ports.client)
    }

    /// Returns where it serves `/varz`.
    pub fn monitor_url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.ports.monitor)
    }

    /// Returns where it listens and whom it lets in, for [`ServerConfig::access`] of a later start.
    pub fn access(&self) -> Access {
        Access::of(&self.settings, &self.ports)
    }

    /// Returns the process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Returns where its log is.
    pub fn log(&self) -> PathBuf {
        self.config.data_dir.join(settings::LOG)
    }

    /// Returns how the engine connects: it may do everything.
    pub fn engine(&self) -> BrokerConfig {
        BrokerConfig {
            credentials: Credentials::Password {
                user: settings::ENGINE.to_owned(),
                password: self.settings.engine_password.clone(),
            },
            monitor_url: Some(self.monitor_url()),
            ..BrokerConfig::new(self.url())
        }
    }

    /// Returns how a worker connects: it may take tasks, answer for them, and hear of cancellations, nothing else.
    pub fn worker(&self) -> BrokerConfig {
        BrokerConfig {
            credentials: Credentials::Password {
                user: settings::WORKER.to_owned(),
                password: self.settings.worker_password.clone(),
            },
            inbox_prefix: Some(accounts::WORKER_INBOX.to_owned()),
            ..BrokerConfig::new(self.url())
        }
    }

    /// Stops the server: it closes its files and ends, or is killed after `stop_timeout`.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.ask_to_end(&self.binary.path);
            if !child.wait(self.config.stop_timeout) {
                child.kill();
            }
        }
        self.forget_ports();
    }

    /// Kills the server, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
        self.forget_ports();
    }

    /// Removes what a killed server leaves behind, so that the next start does not read it.
    fn forget_ports(&self) {
        for entry in fs::read_dir(&self.config.data_dir).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "ports") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
