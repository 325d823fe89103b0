//! From a folder to a running server, and back to none.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::account::Account;
use super::binaries::Binaries;
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
                Err(ServerError::Failed { .. }) if !last => {
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
            if let Some(child) = &mut self.child {
                if let Ok(Some(_)) = child.try_wait() {
                    return Err(ServerError::Failed {
                        program: "postgres",
                        said: tail(&self.folder.join("postgres.log")),
                    });
                }
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

/// Returns whom the server in `folder` must run as.
pub(super) fn account_for(folder: &Path) -> Result<Option<Account>, ServerError> {
    // The file system knows who we are without a call to libc: what is made here is ours.
    let probe = folder.join(".owner");
    std::fs::write(&probe, []).map_err(|source| ServerError::file(&probe, source))?;
    let about = std::fs::metadata(&probe).map_err(|source| ServerError::file(&probe, source))?;
    std::fs::remove_file(&probe).map_err(|source| ServerError::file(&probe, source))?;
    let account = Account::for_server(about.uid())?;
    if let Some(account) = account {
        account.check_reach(folder)?;
    }
    Ok(account)
}

/// Makes what is missing in the folder, ends a server that was left behind there, and returns the password.
pub(super) async fn prepare(
    folder: &Path,
    binaries: &Binaries,
    account: Option<Account>,
) -> Result<String, ServerError> {
    let (data, sockets) = (folder.join("data"), folder.join("socket"));
    own(folder, account)?;
    std::fs::create_dir_all(&sockets).map_err(|source| ServerError::file(&sockets, source))?;
    own(&sockets, account)?;
    let password_path = folder.join("password");
    if data.join("PG_VERSION").is_file() && password_path.is_file() {
        if data.join("postmaster.pid").is_file() {
            // Of a crash. Where no such process is left this fails, and the server itself clears the file.
            let mut stop = command(&binaries.program("pg_ctl"), account);
            let _ = run("pg_ctl", stop.args(["stop", "-m", "fast", "-t", "30", "-D"]).arg(&data)).await;
        }
        let text = std::fs::read_to_string(&password_path);
        return Ok(text.map_err(|source| ServerError::file(&password_path, source))?.trim().to_owned());
    }
    // An initialisation that did not finish is begun again.
    let _ = std::fs::remove_dir_all(&data);
    let _ = std::fs::remove_file(&password_path);
    let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&password_path);
    let written = file.and_then(|mut file| file.write_all(password.as_bytes()));
    written.map_err(|source| ServerError::file(&password_path, source))?;
    chown_to(&password_path, account)?;
    let mut initdb = command(&binaries.program("initdb"), account);
    initdb.arg("-D").arg(&data).args(["-U", PostgresServer::DATABASE]).arg("--pwfile").arg(&password_path);
    initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
    let outcome = run("initdb", initdb.current_dir(folder)).await;
    if outcome.is_err() {
        let _ = std::fs::remove_dir_all(&data);
    }
    outcome.map(|()| password)
}

fn own(folder: &Path, account: Option<Account>) -> Result<(), ServerError> {
    let closed = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    closed.map_err(|source| ServerError::file(folder, source))?;
    chown_to(folder, account)
}

fn chown_to(path: &Path, account: Option<Account>) -> Result<(), ServerError> {
    let Some(account) = account else { return Ok(()) };
    chown(path, Some(account.uid), Some(account.gid)).map_err(|source| ServerError::file(path, source))
}

fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    // Neither the owner's locale nor its PG* settings; and none of its groups, when it is root.
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
    if let Some(account) = account {
        command.gid(account.gid).uid(account.uid);
    }
    // A terminal's Ctrl-C is for the owner, which then ends the server in order.
    command.process_group(0);
    command
}

async fn run(program: &'static str, command: &mut Command) -> Result<(), ServerError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let deadline = PostgresServer::START_DEADLINE;
    let Ok(output) = tokio::time::timeout(deadline, command.output()).await else {
        return Err(ServerError::DeadlinePassed { program, deadline });
    };
    let output = output.map_err(|source| ServerError::file(Path::new(program), source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServerError::Failed { program, said: last_lines(&output.stderr) })
}

fn free_port() -> Result<u16, ServerError> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|source| ServerError::file(Path::new("127.0.0.1"), source))
}

fn tail(log: &Path) -> String {
    last_lines(&std::fs::read(log).unwrap_or_default())
}

fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}
