//! A Postgres of one's own: a child process with a private data directory, for the dev launcher and for tests.
//!
//! It listens on 127.0.0.1 and on a socket in its folder, with a random password (kept in the folder, mode 0600), and
//! with fsync on. It lives exactly as long as its [`PostgresServer`]: a shell between the two holds one end of a pipe
//! and stops the server when the other end closes, so that not even a killed parent leaves it behind. A second start
//! in the same folder finds the data of the first.

mod account;
mod binaries;
mod initialise;
mod launch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Child;

use crate::database::DatabaseError;
use account::Account;
use binaries::Binaries;

/// Says why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Rejection: install Postgres, or say where it is.
    #[error("no Postgres 15 or newer was found; set HEADWATER_POSTGRES_BIN to the folder of its programs")]
    ProgramsNotFound { looked_in: Vec<PathBuf> },
    /// Rejection: Postgres does not run as root, and there is no account to become.
    #[error("root cannot run Postgres, and there is neither a `postgres` nor a `nobody` account")]
    NoAccount,
    /// Rejection: put the data elsewhere.
    #[error("{folder} cannot be reached by the account that runs Postgres: {closed} is closed to it")]
    FolderOutOfReach { folder: PathBuf, closed: PathBuf },
    /// Unavailable: the folder cannot be written or the program not run.
    #[error("{path} cannot be used")]
    File { path: PathBuf, source: std::io::Error },
    /// Unavailable: it ended instead of starting. The text is the end of what it said.
    #[error("{program} failed: {said}")]
    Failed { program: &'static str, said: String },
    /// Unavailable: it does not answer, or does not end.
    #[error("{program} was not done after {deadline:?}")]
    DeadlinePassed { program: &'static str, deadline: Duration },
}

impl ServerError {
    fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// A running Postgres. Stopped when dropped, in the manner of [`PostgresServer::kill`].
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    binaries: Binaries,
    account: Option<Account>,
    password: String,
    port: u16,
    /// Whether another port does as well, should this one be taken before the server has it.
    any_port: bool,
    child: Option<Child>,
}

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Sessions are ended, everything is written out.
    Fast,
    /// As in a crash: at the next start it recovers from its log.
    Immediate,
}

impl PostgresServer {
    /// The database that is made for the read models, and the role that owns it.
    pub const DATABASE: &'static str = "headwater";

    const START_DEADLINE: Duration = Duration::from_secs(60);
    const STOP_DEADLINE: Duration = Duration::from_secs(30);

    /// Starts a server on the data in `folder`, which is made (and its database initialised) if need be.
    ///
    /// One server at a time can use a folder; one that a crash of its owner left behind is ended first.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn start(folder: &Path) -> Result<Self, ServerError> {
        Self::start_on(folder, None).await
    }

    /// The same, on this port (`None`: any that is free).
    ///
    /// # Errors
    /// See [`ServerError`]; [`ServerError::Failed`] where the port is taken.
    pub async fn start_on(folder: &Path, port: Option<u16>) -> Result<Self, ServerError> {
        let binaries = Binaries::find()?;
        std::fs::create_dir_all(folder).map_err(|source| ServerError::file(folder, source))?;
        let folder = folder.canonicalize().map_err(|source| ServerError::file(folder, source))?;
        let account = initialise::account_for(&folder)?;
        let password = initialise::prepare(&folder, &binaries, account).await?;
        let mut server = Self {
            folder,
            binaries,
            account,
            password,
            port: port.unwrap_or(0),
            any_port: port.is_none(),
            child: None,
        };
        server.launch().await?;
        Ok(server)
    }

    /// Returns the address: `postgres://…@127.0.0.1:port/headwater`, with the password.
    pub fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://{0}:{password}@127.0.0.1:{port}/{0}", Self::DATABASE)
    }

    /// Returns where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder that holds everything of this server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Carries out statements, for who looks after it by hand. Returns how many rows the last of them changed.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn execute(&self, sql: &str) -> Result<u64, DatabaseError> {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(connection);
        let done = client.simple_query(sql).await;
        driver.abort();
        let changed = done?.into_iter().rev().find_map(|said| match said {
            tokio_postgres::SimpleQueryMessage::CommandComplete(rows) => Some(rows),
            _ => None,
        });
        Ok(changed.unwrap_or_default())
    }

    /// Ends it in good order: everything is written out.
    ///
    /// # Errors
    /// [`ServerError::DeadlinePassed`]; it is then killed when dropped.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        self.end(Ending::Fast).await
    }

    /// Ends it as a crash would: what was not written out is recovered from its log by [`Self::restart`].
    ///
    /// # Errors
    /// [`ServerError::DeadlinePassed`].
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        self.end(Ending::Immediate).await
    }

    /// Starts it again on the same data and the same port; ends it before where it still runs.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.end(Ending::Fast).await?;
        self.launch().await
    }
}
