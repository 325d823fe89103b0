//! Everything in one process, with a broker and a database of its own as child processes: for trying, developing,
//! demonstrating and measuring. The data stays in one folder; nothing listens beyond the loopback interface.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use headwater_projector::server::PostgresServer;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::{BrokerConfig, Credentials};
use headwater_workers::connection::Connection;
use headwater_workers::shard_worker::ShardSettings;
use tokio_util::sync::CancellationToken;

use crate::process::{self, ServeError};
use crate::roles;
use crate::settings::{ActionSettings, BrokerSettings, Role, ServeSettings};

/// What `dev` takes.
#[derive(Debug, Clone, Args)]
pub struct DevSettings {
    /// Where the data lives, between starts too.
    #[arg(long, env = "HEADWATER_DATA_DIR", default_value = ".headwater")]
    pub data_dir: PathBuf,
    /// Where the API listens.
    #[arg(long, env = "HEADWATER_LISTEN", default_value = "127.0.0.1:4000")]
    pub listen: SocketAddr,
    /// How many shards a new data folder gets.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: u16,
    /// After how many milliseconds of silence the holder of an attempt has lost it.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(500..))]
    pub lease_ttl_ms: u64,
    #[command(flatten)]
    pub actions: ActionSettings,
}

/// Says why the servers of one's own do not run.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("cannot use the data folder {}", .path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("another process uses the data folder {}: stop it, or give --data-dir", .path.display())]
    InUse { path: PathBuf },
    #[error("there is no nats-server to start")]
    NatsBinary(#[source] headwater_streams::server::BinaryError),
    #[error("nats-server does not start")]
    Nats(#[source] headwater_streams::server::ServerError),
    #[error("postgres does not start: run ops/setup/install.sh if it is not installed")]
    Postgres(#[source] headwater_projector::server::ServerError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// What an operator's shell sources to let `doctor` and `rebuild` reach these servers with every right.
const OPERATOR_FILE: &str = "operator.env";

/// Writes how others reach what `dev` runs.
fn write_access(connection: &Connection, settings: &ServeSettings, data_dir: &Path) -> std::io::Result<()> {
    write_private(&data_dir.join(Connection::FILE), &serde_json::to_string_pretty(connection)?)?;
    let broker = &settings.broker;
    let given = [
        ("HEADWATER_NATS_URL", Some(&broker.nats_url)),
        ("HEADWATER_NATS_USER", broker.nats_user.as_ref()),
        ("HEADWATER_NATS_PASSWORD", broker.nats_password.as_ref()),
        ("HEADWATER_NATS_MONITOR_URL", broker.nats_monitor_url.as_ref()),
        ("HEADWATER_POSTGRES_URL", settings.postgres_url.as_ref()),
        ("HEADWATER_API", Some(&connection.api)),
    ];
    // Addresses and generated passwords: nothing in them means anything to a shell inside single quotes.
    let lines = given.iter().filter_map(|(name, value)| Some(format!("export {name}='{}'\n", (*value)?)));
    write_private(&data_dir.join(OPERATOR_FILE), &lines.collect::<String>())
}

/// Replaces a file whole, readable by its owner only.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

/// A broker and a database of one's own.
pub struct Servers {
    pub nats: NatsServer,
    pub postgres: PostgresServer,
}

impl Servers {
    /// Starts both, or both again, on the data in `data_dir`.
    ///
    /// # Errors
    /// See [`DevError`].
    pub async fn start(data_dir: &Path) -> Result<Self, DevError> {
        let binary = ServerBinary::find().map_err(DevError::NatsBinary)?;
        make_folder(data_dir).map_err(|source| DevError::Folder { path: data_dir.to_owned(), source })?;
        let config = ServerConfig::new(data_dir.join("nats"));
        let nats = tokio::task::spawn_blocking(move || NatsServer::start(&binary, config));
        let folder = data_dir.join("postgres");
        let (nats, postgres) = tokio::join!(nats, PostgresServer::start(&folder));
        let postgres = postgres.map_err(DevError::Postgres)?;
        let nats = nats.map_err(|error| ServeError::Role(error.to_string()))?.map_err(DevError::Nats)?;
        Ok(Self { nats, postgres })
    }

    /// Returns what a process that runs every role against these servers is told.
    pub fn settings(&self) -> ServeSettings {
        ServeSettings {
            broker: broker_settings(&self.nats.engine()),
            postgres_url: Some(self.postgres.url()),
            roles: vec![Role::Api, Role::Shards, Role::Tasks, Role::Projector],
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            shards: 4,
            replicas: 1,
            member: None,
            member_ttl_ms: 5_000,
            lease_ttl_ms: 15_000,
            checkpoint_bundles: ShardSettings::CHECKPOINT_BUNDLES,
            checkpoint_bytes: ShardSettings::CHECKPOINT_BYTES,
            workspaces: vec!["default".parse().expect("letters make a name")],
            actions: ActionSettings::default(),
            allow_unsafe_sync: false,
        }
    }

    /// Stops both in good order.
    pub async fn stop(self) {
        let Self { mut nats, postgres } = self;
        if let Err(error) = postgres.stop().await {
            tracing::warn!(%error, "postgres did not stop in time");
        }
        if let Err(error) = tokio::task::spawn_blocking(move || nats.stop()).await {
            tracing::warn!(%error, "nats-server did not stop in good order");
        }
    }
}

/// Returns the same address and user as flags.
pub fn broker_settings(config: &BrokerConfig) -> BrokerSettings {
    let (nats_user, nats_password, nats_creds) = match &config.credentials {
        Credentials::None => (None, None, None),
        Credentials::Password { user, password } => (Some(user.clone()), Some(password.clone()), None),
        Credentials::File(path) => (None, None, Some(path.clone())),
    };
    let nats_monitor_url = config.monitor_url.clone();
    BrokerSettings { nats_url: config.url.clone(), nats_user, nats_password, nats_creds, nats_monitor_url }
}

/// Makes the data folder, closed to others but for passing through: Postgres never runs as root, so where we do it
/// runs under another account that must reach its own folder inside.
fn make_folder(data_dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(data_dir)?;
    fs::set_permissions(data_dir, fs::Permissions::from_mode(0o711))
}

/// Takes the folder for this process alone, until the file returned is closed.
fn lock(data_dir: &Path) -> Result<fs::File, DevError> {
    let folder = |source| DevError::Folder { path: data_dir.to_owned(), source };
    make_folder(data_dir).map_err(folder)?;
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(data_dir.join("lock"));
    let file = file.map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(DevError::InUse { path: data_dir.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(folder(source)),
    }
}

/// Runs everything until `shutdown`.
///
/// # Errors
/// See [`DevError`].
pub async fn run(dev: DevSettings, shutdown: CancellationToken) -> Result<(), DevError> {
    let _locked = lock(&dev.data_dir)?;
    let servers = Servers::start(&dev.data_dir).await?;
    let settings =
        ServeSettings { listen: dev.listen, shards: dev.shards, lease_ttl_ms: dev.lease_ttl_ms, ..servers.settings() };
    let worker = servers.nats.worker();
    let inbox_prefix = worker.inbox_prefix.clone().unwrap_or_default();
    let worker = broker_settings(&worker);
    let outcome = async {
        let process = process::prepare(&settings).await?;
        roles::serve(process, &settings, shutdown, |listening| {
            let connection = Connection {
                api: format!("http://{listening}"),
                nats_url: worker.nats_url.clone(),
                worker_user: worker.nats_user.clone().unwrap_or_default(),
                worker_password: worker.nats_password.clone().unwrap_or_default(),
                worker_inbox_prefix: inbox_prefix.clone(),
                postgres_url: servers.postgres.url(),
                pid: std::process::id(),
            };
            if let Err(error) = write_access(&connection, &settings, &dev.data_dir) {
                tracing::error!(%error, "connection.json and operator.env cannot be written: nobody will find the broker");
            }
            let file = dev.data_dir.join(Connection::FILE);
            println!("headwater is ready on {} (workers: {})", connection.api, file.display());
        })
        .await
    }
    .await;
    servers.stop().await;
    Ok(outcome?)
}
