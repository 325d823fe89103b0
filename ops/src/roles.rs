//! What a process does: its roles, started together and stopped together.

use std::net::SocketAddr;
use std::sync::Arc;

use headwater_core::shard::ShardMap;
use headwater_core::{MemberId, ShardId};
use headwater_projector::{Database, JetStreamJournal, Progress, Projector};
use headwater_streams::broker::{BrokerCheck, ConnectError};
use headwater_streams::ownership::{OwnershipConfig, OwnershipError};
use headwater_streams::tasks::QueueSettings;
use headwater_streams::topology::{Topology, TopologyError};
use headwater_streams::{Broker, ExchangeError, shard_map};
use headwater_workers::actions::{self, ActionsError};
use headwater_workers::sdk::Worker;
use headwater_workers::shard_client::ShardClient;
use headwater_workers::shard_worker::{ShardCounters, ShardSupervisor};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::settings::{Role, ServeSettings};

/// Says why a process cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot reach the broker at {url}: start one, or give --nats-url")]
    Connect { url: String, source: ConnectError },
    #[error("the broker is not good enough: {0}")]
    BrokerUnfit(String),
    #[error("the broker may lose what it acknowledged: {0}; or accept that with --allow-unsafe-sync")]
    BrokerUnsafe(String),
    #[error("the built-in actions cannot be served")]
    Actions(#[from] ActionsError),
    #[error("the worker of the built-in actions cannot be made")]
    ActionWorker(#[source] headwater_workers::sdk::BuildError),
    #[error("the worker of the built-in actions cannot start")]
    ActionWorkerStart(#[source] headwater_workers::sdk::WorkerError),
    #[error("the streams cannot be brought into shape")]
    Topology(#[source] TopologyError),
    #[error("the broker does not answer")]
    Broker(#[from] ExchangeError),
    #[error("the roles api and projector need a database: give --postgres-url")]
    DatabaseMissing,
    #[error("the database cannot be used")]
    Database(#[source] headwater_projector::DatabaseError),
    #[error("a setting is not valid")]
    Setting(#[from] headwater_core::InvalidName),
    #[error("this process cannot drive shards any more")]
    Ownership(#[source] OwnershipError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the API cannot go on")]
    Serve(#[source] std::io::Error),
    #[error("a role of this process failed: {0}")]
    Role(String),
}

/// What the roles of one process share.
#[derive(Clone)]
pub struct Process {
    pub broker: Broker,
    pub map: ShardMap,
    pub client: ShardClient,
    pub database: Option<Database>,
    /// How far this process's projector is, if it has one.
    pub progress: Option<Progress>,
    pub counters: Arc<ShardCounters>,
}

/// Connects, brings the streams into shape, and learns the shard map.
///
/// # Errors
/// See [`ServeError`].
pub async fn prepare(settings: &ServeSettings) -> Result<Process, ServeError> {
    let config = settings.broker.config();
    let broker =
        Broker::connect(&config).await.map_err(|source| ServeError::Connect { url: config.url.clone(), source })?;
    refuse_unfit(&broker.check().await, settings.allow_unsafe_sync)?;
    // An existing cluster keeps its number of shards: runs carry theirs in their ids.
    let known = shard_map::load(&broker).await?;
    let shards = known.as_ref().map_or(settings.shards, |map| map.shards);
    let plan = Topology::new(shards, settings.replicas)?.apply(&broker).await.map_err(ServeError::Topology)?;
    if !plan.create.is_empty() {
        tracing::info!(streams = plan.create.len(), "made the streams");
    }
    let map = shard_map::create_if_absent(&broker, &ShardMap::even(shards)?).await?;
    let database = match (&settings.postgres_url, needs_database(&settings.roles)) {
        (Some(url), true) => Some(Database::at(url).map_err(ServeError::Database)?),
        (None, true) => return Err(ServeError::DatabaseMissing),
        (_, false) => None,
    };
    let client = ShardClient::new(&broker, map.shards);
    Ok(Process { broker, map, client, database, progress: None, counters: Arc::default() })
}

fn needs_database(roles: &[Role]) -> bool {
    roles.iter().any(|role| matches!(role, Role::Api | Role::Projector))
}

fn refuse_unfit(check: &BrokerCheck, allow_unsafe_sync: bool) -> Result<(), ServeError> {
    for shortcoming in &check.shortcomings {
        if shortcoming.is_fatal() {
            return Err(ServeError::BrokerUnfit(shortcoming.to_string()));
        }
        if !allow_unsafe_sync {
            return Err(ServeError::BrokerUnsafe(shortcoming.to_string()));
        }
        tracing::warn!(%shortcoming, "the broker could be better");
    }
    Ok(())
}

/// Runs the roles until `shutdown`, or until one of them fails; `ready` is called once all have begun, with the address
/// the API listens on (port 0 becomes a free one).
///
/// # Errors
/// The failure of the role that failed first.
pub async fn serve(
    mut process: Process,
    settings: &ServeSettings,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let mut roles: JoinSet<Result<(), ServeError>> = JoinSet::new();
    let stop = shutdown.child_token();
    // First of all, so that an address that is taken is noticed before anything has begun.
    let listener = match settings.roles.contains(&Role::Api) {
        true => Some(listen(settings.listen).await?),
        false => None,
    };
    if let (true, Some(database)) = (settings.roles.contains(&Role::Projector), process.database.clone()) {
        let shards = (0..process.map.shards).map(ShardId::new).collect::<Result<_, _>>()?;
        let journal = Arc::new(JetStreamJournal::new(&process.broker));
        let projector = Projector::new(database.clone(), journal, shards);
        process.progress = Some(projector.progress());
        let stop = stop.clone();
        roles.spawn(async move {
            migrate(&database, &stop).await;
            projector.run(stop).await;
            Ok(())
        });
    }
    if settings.roles.contains(&Role::Shards) {
        let member = match &settings.member {
            Some(member) => member.clone(),
            None => member_name()?,
        };
        let supervisor = ShardSupervisor {
            broker: process.broker.clone(),
            map: process.map.clone(),
            ownership: OwnershipConfig {
                ttl: settings.member_ttl(),
                ..OwnershipConfig::new(member, process.map.shards)
            },
            client: process.client.clone(),
            settings: settings.shard_settings(),
            queues: QueueSettings { ack_wait: settings.lease_ttl(), ..QueueSettings::default() },
            counters: process.counters.clone(),
        };
        let stop = stop.clone();
        roles.spawn(async move { supervisor.run(stop).await.map_err(ServeError::Ownership) });
    }
    if settings.roles.contains(&Role::Tasks) {
        for workspace in &settings.workspaces {
            let worker = Worker::builder().workspace(workspace.clone()).connection(process.broker.clone());
            let worker =
                actions::serve(worker, &settings.action_policy())?.build().map_err(ServeError::ActionWorker)?;
            let stop = stop.clone();
            roles.spawn(async move { worker.run(stop.cancelled_owned()).await.map_err(ServeError::ActionWorkerStart) });
        }
    }
    let listening = match listener {
        Some((listener, address)) => {
            let (process, stop) = (process.clone(), stop.clone());
            roles.spawn(async move { api::serve(listener, &process, stop).await });
            address
        }
        None => settings.listen,
    };
    ready(listening);
    let mut outcome = Ok(());
    while let Some(ended) = roles.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(ServeError::Role(error.to_string())));
        // The first failure stops the others; what they then say is a consequence.
        if outcome.is_ok() {
            outcome = ended;
        }
        stop.cancel();
    }
    outcome
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Waits for the database and migrates it: the engine runs while Postgres is away.
async fn migrate(database: &Database, stop: &CancellationToken) {
    let mut pause = std::time::Duration::from_millis(200);
    while let Err(error) = database.migrate().await {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, cause, "the database is not ready, trying again");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(std::time::Duration::from_secs(5)),
        }
    }
}

fn member_name() -> Result<MemberId, headwater_core::InvalidName> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
    let host = if host.starts_with(|c: char| c.is_ascii_alphanumeric()) { host } else { "member".to_owned() };
    format!("{host}-{}", std::process::id()).parse()
}
