//! From initialised data to a running server, and back to none.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::initialise::{command, last_lines};
use super::{Ending, PostgresServer, ServerError};

/// Runs the server as a job of a shell, which waits for it and, beside that, for its own standard input to say how to
/// end it or to close. Postgres takes SIGINT as a fast shutdown and SIGQUIT as an immediate one.
const GUARD: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(signal=; read -r signal <&3; kill -s "${signal:-QUIT}" "$server") </dev/null &
guard=$!
wait "$server"
status=$?
kill "$guard" 2>/dev/null
exit "$status""#;

const POLL: Duration = Duration::from_millis(10);

/// The path of a socket must fit `sockaddr_un`: 107 bytes with `/.s.PGSQL.65535`.
const SOCKET_FOLDER_BYTES_MAX: usize = 90;

impl PostgresServer {
    pub(super) async fn launch(&mut self) -> Result<(), ServerError> {
        let deadline = Instant::now() + Self::START_DEADLINE;
        // A port that is free now may be taken before the server binds it.
        for last in [false, false, true] {
            if self.port == 0 {
                self.port = free_port()?;
            }
            self.spawn()?;
            match self.await_ready(deadline).await {
                Err(ServerError::Failed { .. }) if !last && self.any_port => {
                    self.child = None;
                    self.port = 0;
                }
                outcome @ (Ok(()) | Err(_)) => return outcome,
            }
        }
        Ok(())
    }

    fn spawn(&mut self) -> Result<(), ServerError> {
        let log_path = self.folder.join("postgres.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&log_path);
        let log = log.map_err(|source| ServerError::file(&log_path, source))?;
        let sockets = self.folder.join("socket");
        let sockets = if sockets.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX { sockets } else { PathBuf::new() };
        let mut command = command(Path::new("/bin/sh"), self.account);
        command.arg("-c").arg(GUARD).arg("postgres-guard").arg(self.binaries.program("postgres"));
        command.arg("-D").arg(self.folder.join("data")).arg("-p").arg(self.port.to_string()).arg("-k").arg(sockets);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let errors = log.try_clone().map_err(|source| ServerError::file(&log_path, source))?;
        command.current_dir(&self.folder).stdin(Stdio::piped()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().map_err(|source| ServerError::file(Path::new("/bin/sh"), source))?);
        Ok(())
    }

    /// Waits until it answers, and until its database is there.
    async fn await_ready(&mut self, deadline: Instant) -> Result<(), ServerError> {
        let passed = || ServerError::DeadlinePassed { program: "postgres", deadline: Self::START_DEADLINE };
        loop {
            if let Some(child) = &mut self.child
                && let Ok(Some(_)) = child.try_wait()
            {
                return Err(ServerError::Failed { program: "postgres", said: tail(&self.folder.join("postgres.log")) });
            }
            if Instant::now() > deadline {
                return Err(passed());
            }
            match tokio::time::timeout_at(deadline, self.make_database()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) => tokio::time::sleep(POLL).await,
                Err(_) => return Err(passed()),
            }
        }
    }

    async fn make_database(&self) -> Result<(), tokio_postgres::Error> {
        let mut config: tokio_postgres::Config = self.url().parse()?;
        config.dbname("postgres").connect_timeout(Duration::from_secs(5));
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(connection);
        let outcome = async {
            let found = client.query("SELECT FROM pg_database WHERE datname = $1", &[&Self::DATABASE]).await?;
            if found.is_empty() {
                client.batch_execute(&format!("CREATE DATABASE {}", Self::DATABASE)).await?;
            }
            Ok(())
        }
        .await;
        driver.abort();
        outcome
    }

    pub(super) async fn end(&mut self, ending: Ending) -> Result<(), ServerError> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let signal: &[u8] = match ending {
            Ending::Fast => b"INT\n",
            Ending::Immediate => b"QUIT\n",
        };
        if let Some(mut guard) = child.stdin.take() {
            // A guard that is gone already has seen the server end.
            let _ = guard.write_all(signal).await;
        }
        match tokio::time::timeout(Self::STOP_DEADLINE, child.wait()).await {
            Ok(_) => self.child = None,
            Err(_) => return Err(ServerError::DeadlinePassed { program: "postgres", deadline: Self::STOP_DEADLINE }),
        }
        Ok(())
    }
}

impl Drop for PostgresServer {
    /// Ends it at once and waits (milliseconds, two seconds at most) until it has.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        drop(child.stdin.take());
        let deadline = std::time::Instant::now() + Duration::from_secs(2);
        while matches!(child.try_wait(), Ok(None)) && std::time::Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

const SETTINGS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    "max_connections=60",
    "shared_buffers=128MB",
    "max_wal_size=1GB",
    "wal_buffers=16MB",
    "checkpoint_timeout=15min",
    "fsync=on",
    "synchronous_commit=on",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
    "log_checkpoints=off",
    "logging_collector=off",
];

fn free_port() -> Result<u16, ServerError> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|source| ServerError::file(Path::new("127.0.0.1"), source))
}

fn tail(log: &Path) -> String {
    last_lines(&std::fs::read(log).unwrap_or_default())
}
