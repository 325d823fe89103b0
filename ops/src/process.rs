//! What the roles of one process share, and how it comes to be: connected, streams in shape, shard map known.

use std::net::SocketAddr;
use std::sync::Arc;

use headwater_core::shard::ShardMap;
use headwater_projector::{Database, Progress};
use headwater_streams::broker::{BrokerCheck, ConnectError};
use headwater_streams::ownership::OwnershipError;
use headwater_streams::topology::{self, EstablishError};
use headwater_streams::{Broker, ExchangeError};
use headwater_workers::actions::ActionsError;
use headwater_workers::shard_client::ShardClient;
use headwater_workers::shard_worker::ShardCounters;

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
    Topology(#[source] EstablishError),
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
    #[error("cannot listen on {address}: stop the program that does, or give --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
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
    let (map, plan) =
        topology::establish(&broker, settings.shards, settings.replicas).await.map_err(ServeError::Topology)?;
    if !plan.create.is_empty() {
        tracing::info!(streams = plan.create.len(), "made the streams");
    }
    for stream in &plan.missing {
        tracing::error!(stream, "a journal is gone, and is not made anew: its shard will be on hold");
    }
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
