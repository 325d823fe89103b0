//! What a process does: its roles, started together and stopped together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::{MemberId, ShardId};
use headwater_projector::{Database, Progress, Projector};
use headwater_streams::backoff::Backoff;
use headwater_streams::duty::{self, Duty};
use headwater_streams::journals::JetStreamJournals;
use headwater_streams::ownership::OwnershipConfig;
use headwater_workers::actions;
use headwater_workers::sdk::Worker;
use headwater_workers::shard_worker::ShardSupervisor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::process::{Process, ServeError};
use crate::settings::{Role, ServeSettings};

/// Where the API listens.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    /// Port 0 has become a free one.
    pub address: SocketAddr,
}

/// Takes the address of the API: first of all, so that one that is taken is noticed before anything has begun.
///
/// # Errors
/// [`ServeError::Listen`].
pub async fn listen(address: SocketAddr) -> Result<Listening, ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening { listener, address })
}

/// Runs the roles until `shutdown`, or until one of them fails (a role that panics is begun anew); `ready` is called once all have begun, with the address
/// the API listens on: `listening`, or one that is taken now where the role needs it.
///
/// # Errors
/// The failure of the role that failed first.
pub async fn serve(
    mut process: Process,
    settings: &ServeSettings,
    listening: Option<Listening>,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let mut roles = Roles::new();
    let stop = shutdown.child_token();
    let listening = match (settings.roles.contains(&Role::Api), listening) {
        (true, Some(listening)) => Some(listening),
        (true, None) => Some(listen(settings.listen).await?),
        (false, _) => None,
    };
    if settings.roles.contains(&Role::Projector) {
        process.progress = project(&mut roles, &process, &stop)?;
    }
    if settings.roles.contains(&Role::Shards) {
        drive(&mut roles, &process, settings, &stop)?;
    }
    if settings.roles.contains(&Role::Tasks) {
        act(&mut roles, &process, settings, &stop)?;
    }
    let listening = match listening {
        Some(Listening { listener, address }) => {
            let (process, stop) = (process.clone(), stop.clone());
            let admission = api::Admission::new(address, settings.allowed_hosts.clone());
            // The first time on what was bound before anything began, afterwards on the same address.
            let mut bound = Some(listener);
            roles.spawn(duty::keep(Duty::Api, move || {
                let (process, stop, bound) = (process.clone(), stop.clone(), bound.take());
                let admission = admission.clone();
                async move {
                    let listener = match bound {
                        Some(listener) => listener,
                        None => listen(address).await?.listener,
                    };
                    api::serve(listener, &process, admission, stop).await
                }
            }));
            address
        }
        None => settings.listen,
    };
    ready(listening);
    ended(roles, &stop).await
}

type Roles = JoinSet<Result<(), ServeError>>;

/// Waits until all roles have ended; the first failure stops the others.
async fn ended(mut roles: Roles, stop: &CancellationToken) -> Result<(), ServeError> {
    let mut outcome = Ok(());
    while let Some(ended) = roles.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(ServeError::Role(error.to_string())));
        // What the others then say is a consequence.
        if outcome.is_ok() {
            outcome = ended;
        }
        stop.cancel();
    }
    outcome
}

/// Begins to project, where there is a database; returns how far that is.
fn project(roles: &mut Roles, process: &Process, stop: &CancellationToken) -> Result<Option<Progress>, ServeError> {
    let Some(database) = process.database.clone() else { return Ok(None) };
    let shards = (0..process.map.shards).map(ShardId::new).collect::<Result<_, _>>()?;
    let journal = Arc::new(JetStreamJournals::new(&process.broker));
    let projector = Projector::new(database.clone(), journal, shards);
    let progress = projector.progress();
    let stop = stop.clone();
    roles.spawn(duty::keep(Duty::Projector, move || {
        let (database, projector, stop) = (database.clone(), projector.clone(), stop.clone());
        async move {
            migrate(&database, &stop).await;
            projector.run(stop).await;
            Ok(())
        }
    }));
    Ok(Some(progress))
}

/// Begins to drive shards.
fn drive(
    roles: &mut Roles,
    process: &Process,
    settings: &ServeSettings,
    stop: &CancellationToken,
) -> Result<(), ServeError> {
    let member = match &settings.member {
        Some(member) => member.clone(),
        None => member_name()?,
    };
    let supervisor = ShardSupervisor {
        broker: process.broker.clone(),
        map: process.map.clone(),
        ownership: OwnershipConfig { ttl: settings.member_ttl(), ..OwnershipConfig::new(member, process.map.shards) },
        client: process.client.clone(),
        settings: settings.shard_settings(),
        counters: process.counters.clone(),
    };
    let stop = stop.clone();
    roles.spawn(duty::keep(Duty::ShardSupervisor, move || {
        let driven = supervisor.clone().run(stop.clone());
        async move { driven.await.map_err(ServeError::Ownership) }
    }));
    Ok(())
}

/// Begins to execute built-in actions.
fn act(
    roles: &mut Roles,
    process: &Process,
    settings: &ServeSettings,
    stop: &CancellationToken,
) -> Result<(), ServeError> {
    for workspace in &settings.workspaces {
        let (broker, policy) = (process.broker.clone(), settings.action_policy());
        let (workspace, stop) = (workspace.clone(), stop.clone());
        let build = move || -> Result<Worker, ServeError> {
            let worker = Worker::builder().workspace(workspace.clone()).connection(broker.clone());
            actions::serve(worker, &policy)?.build().map_err(ServeError::ActionWorker)
        };
        // Before anything else begins, so that a setting that is no good is noticed.
        build()?;
        roles.spawn(duty::keep(Duty::TaskWorker, move || {
            let (worker, stop) = (build(), stop.clone());
            async move { worker?.run(stop.cancelled_owned()).await.map_err(ServeError::ActionWorkerStart) }
        }));
    }
    Ok(())
}

/// Waits for the database and migrates it: the engine runs while Postgres is away.
async fn migrate(database: &Database, stop: &CancellationToken) {
    let mut backoff = Backoff::of_duty();
    while let Err(error) = database.migrate().await {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%error, cause, "the database is not ready, trying again");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.after(Duration::ZERO)) => {}
        }
    }
}

fn member_name() -> Result<MemberId, headwater_core::InvalidName> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
    let host = if host.starts_with(|c: char| c.is_ascii_alphanumeric()) { host } else { "member".to_owned() };
    format!("{host}-{}", std::process::id()).parse()
}
