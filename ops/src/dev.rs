//! Everything in one process, with a broker and a database of its own as child processes: for trying, developing,
//! demonstrating and measuring. The data stays in one folder; nothing listens beyond the loopback interface.

mod files;
mod kept;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use headwater_core::WorkspaceId;
use headwater_core::run::RunLimits;
use headwater_projector::server::PostgresServer;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::{BrokerConfig, Credentials};
use headwater_workers::shard_worker::ShardSettings;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::process::{self, ServeError};
use crate::roles::{self, Listening};
use crate::settings::{ActionSettings, AllowedHost, BrokerSettings, Role, ServeSettings};
use kept::Kept;

/// What `dev` takes. [`Self::serve`] says what becomes of each.
#[derive(Debug, Clone, Args)]
pub struct DevSettings {
    /// Where the data lives, between starts too.
    #[arg(long, env = "HEADWATER_DATA_DIR", default_value = ".headwater")]
    pub data_dir: PathBuf,
    /// Where the API listens; port 0 is a free one, the same at each start.
    #[arg(long, env = "HEADWATER_LISTEN", default_value = "127.0.0.1:4000")]
    pub listen: SocketAddr,
    /// How many shards a new data folder gets.
    #[arg(long, env = "HEADWATER_SHARDS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: u16,
    /// After how many milliseconds of silence the holder of an attempt has lost it.
    #[arg(long, env = "HEADWATER_LEASE_TTL_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(500..))]
    pub lease_ttl_ms: u64,
    /// Whose built-in actions are executed.
    #[arg(long, env = "HEADWATER_WORKSPACES", value_delimiter = ',', default_value = "default")]
    pub workspaces: Vec<WorkspaceId>,
    #[command(flatten)]
    pub actions: ActionSettings,
    /// Names (host or host:port) besides those of the loopback interface under which the API may be addressed, and whose
    /// web pages may change things.
    #[arg(long, env = "HEADWATER_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<AllowedHost>,
}

impl DevSettings {
    /// Returns what `serve` is told for this, with servers that are somewhere: every setting arrives, or this does not
    /// compile.
    pub fn serve(self, broker: BrokerSettings, postgres_url: String) -> ServeSettings {
        let Self { data_dir: _, listen, shards, lease_ttl_ms, workspaces, actions, allowed_hosts } = self;
        ServeSettings {
            broker,
            postgres_url: Some(postgres_url),
            roles: vec![Role::Api, Role::Shards, Role::Tasks, Role::Projector],
            listen,
            allowed_hosts,
            shards,
            replicas: 1,
            member: None,
            member_ttl_ms: 5_000,
            lease_ttl_ms,
            checkpoint_bundles: ShardSettings::CHECKPOINT_BUNDLES,
            checkpoint_bytes: ShardSettings::CHECKPOINT_BYTES,
            run_turns_max: RunLimits::DEFAULT.turns,
            run_branches_max: RunLimits::DEFAULT.branches,
            workspaces,
            actions,
            allow_unsafe_sync: false,
        }
    }

    /// Returns every setting that the processes of `dev` go by, under the name of its flag. Secrets are hidden.
    pub fn shown(self) -> Map<String, Value> {
        const OWN: &str = "(its own)";
        let data_dir = json!(self.data_dir);
        let (nats_user, nats_password, nats_creds, nats_monitor_url) = (None, None, None, None);
        let broker =
            BrokerSettings { nats_url: OWN.to_owned(), nats_user, nats_password, nats_creds, nats_monitor_url };
        let mut shown = self.serve(broker, String::new()).shown();
        shown.insert("postgres-url".to_owned(), json!(OWN));
        shown.insert("data-dir".to_owned(), data_dir);
        shown
    }
}

/// Says why the servers of one's own do not run.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("cannot use the data folder {}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("another process uses the data folder {}: stop it, or give --data-dir", .path.display())]
    InUse { path: PathBuf },
    #[error("{} is not what `dev` keeps there: remove it, and this folder gets new ports and passwords", .path.display())]
    Kept { path: PathBuf, source: serde_json::Error },
    #[error(
        "port {port} is taken, which this data folder keeps for {what}: stop the program that has it, or remove {} to \
         get new ports and passwords (workers then need the new connection.json)", .path.display()
    )]
    PortTaken { port: u16, what: &'static str, path: PathBuf },
    #[error("there is no nats-server to start")]
    NatsBinary(#[source] headwater_streams::server::BinaryError),
    #[error("nats-server does not start")]
    Nats(#[source] headwater_streams::server::ServerError),
    #[error("postgres does not start: run ops/setup/install.sh if it is not installed")]
    Postgres(#[source] headwater_projector::server::ServerError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A broker and a database of one's own.
pub struct Servers {
    pub nats: NatsServer,
    pub postgres: PostgresServer,
}

impl Servers {
    /// Starts both, or both again, on the data in `data_dir` and on ports that are free.
    ///
    /// # Errors
    /// See [`DevError`].
    pub async fn start(data_dir: &Path) -> Result<Self, DevError> {
        Self::start_as(data_dir, None).await
    }

    /// The same, where they were before.
    async fn start_as(data_dir: &Path, kept: Option<&Kept>) -> Result<Self, DevError> {
        let binary = ServerBinary::find().map_err(DevError::NatsBinary)?;
        make_folder(data_dir).map_err(|source| DevError::Folder { path: data_dir.to_owned(), source })?;
        let access = kept.map(|kept| kept.broker.clone());
        let config = ServerConfig { access, ..ServerConfig::new(data_dir.join("nats")) };
        let nats = tokio::task::spawn_blocking(move || NatsServer::start(&binary, config));
        let folder = data_dir.join("postgres");
        let postgres = PostgresServer::start_on(&folder, kept.map(|kept| kept.postgres_port));
        let (nats, postgres) = tokio::join!(nats, postgres);
        let postgres = postgres.map_err(DevError::Postgres)?;
        let nats = nats.map_err(|error| ServeError::Role(error.to_string()))?.map_err(DevError::Nats)?;
        Ok(Self { nats, postgres })
    }

    /// Returns what a process that runs every role against these servers is told.
    pub fn settings(&self) -> ServeSettings {
        let usual = DevSettings {
            data_dir: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            shards: 4,
            lease_ttl_ms: 15_000,
            workspaces: vec!["default".parse().expect("letters make a name")],
            actions: ActionSettings::default(),
            allowed_hosts: Vec::new(),
        };
        self.serve(usual)
    }

    /// Returns what a process that runs every role against these servers is told where `dev` was told this.
    fn serve(&self, dev: DevSettings) -> ServeSettings {
        dev.serve(broker_settings(&self.nats.engine()), self.postgres.url())
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
    refuse_used(&file, data_dir)?;
    Ok(file)
}

fn refuse_used(lock: &fs::File, data_dir: &Path) -> Result<(), DevError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => Err(DevError::InUse { path: data_dir.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(DevError::Folder { path: data_dir.to_owned(), source }),
    }
}

/// Takes the address of the API and the data folder, in this order: where one of them is taken, nothing was made.
async fn take(dev: &DevSettings) -> Result<(fs::File, Option<Kept>, Listening), DevError> {
    // A folder that is in use says more than the port its owner has.
    if let Ok(lock) = fs::File::open(dev.data_dir.join("lock")) {
        refuse_used(&lock, &dev.data_dir)?;
    }
    let kept = Kept::read(&dev.data_dir)?;
    let listening = match &kept {
        Some(kept) if dev.listen.port() == 0 => {
            let address = SocketAddr::new(dev.listen.ip(), kept.api_port);
            roles::listen(address).await.map_err(|error| match error {
                ServeError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                    Kept::taken(&dev.data_dir, kept.api_port, "the API")
                }
                other => other.into(),
            })?
        }
        Some(_) | None => roles::listen(dev.listen).await?,
    };
    if let Some(kept) = &kept {
        kept.await_free(&dev.data_dir).await?;
    }
    Ok((lock(&dev.data_dir)?, kept, listening))
}

/// Runs everything until `shutdown`.
///
/// # Errors
/// See [`DevError`].
pub async fn run(dev: DevSettings, shutdown: CancellationToken) -> Result<(), DevError> {
    let (_locked, kept, listening) = take(&dev).await?;
    let data_dir = dev.data_dir.clone();
    let servers = Servers::start_as(&data_dir, kept.as_ref()).await?;
    let kept = Kept::of(&servers, listening.address);
    let settings = servers.serve(dev);
    let outcome = async {
        kept.write(&data_dir).map_err(|source| DevError::Folder { path: data_dir.clone(), source })?;
        let process = process::prepare(&settings).await?;
        let ready = |listening| {
            let api = format!("http://{listening}");
            if let Err(error) = files::write_access(&servers, &settings, &api, &data_dir) {
                tracing::error!(%error, "connection.json and operator.env cannot be written: nobody will find the broker");
            }
            println!("headwater is ready on {api} (workers: {})", data_dir.join(files::CONNECTION).display());
        };
        roles::serve(process, &settings, Some(listening), shutdown, ready).await?;
        Ok(())
    }
    .await;
    servers.stop().await;
    outcome
}
