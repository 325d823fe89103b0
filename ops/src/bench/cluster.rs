//! The processes that are measured: started for one repetition, gone after it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use headwater_core::shard::ShardMap;
use headwater_streams::{Broker, shard_map};
use headwater_workers::shard_client::ShardClient;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::dev::Servers;
use crate::failure::Failure;
use crate::settings::{BrokerSettings, Role, ServeSettings};

/// A broker, a database, an engine and perhaps a worker.
pub struct Cluster {
    servers: Servers,
    pub settings: ServeSettings,
    engine: Child,
    /// What the engine says first.
    ready: String,
    others: Vec<Child>,
    pub access: Access,
    folder: PathBuf,
}

/// How the load reaches the shards.
#[derive(Clone)]
pub struct Access {
    pub broker: Broker,
    pub map: ShardMap,
    pub client: ShardClient,
}

const READY_WAIT: Duration = Duration::from_secs(60);

impl Cluster {
    /// Starts the servers and an engine process with these roles.
    pub async fn start(shards: u16, roles: &[Role]) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("headwater-bench-{}", uuid::Uuid::new_v4().simple()));
        let servers = Servers::start(&folder).await.map_err(|error| Failure::of(&error))?;
        let settings = ServeSettings { shards, ..servers.settings() };
        let (engine, ready) = spawn_engine(&settings, roles).await?;
        let broker = Broker::connect(&settings.broker.config()).await.map_err(|error| Failure::of(&error))?;
        let map = shard_map::load(&broker).await.map_err(|error| Failure::of(&error))?;
        let map = map.ok_or_else(|| Failure::new("the engine is ready without a shard map"))?;
        let client = ShardClient::new(&broker, map.shards);
        Ok(Self {
            servers,
            settings,
            engine,
            ready,
            others: Vec::new(),
            access: Access { broker, map, client },
            folder,
        })
    }

    /// Starts one more engine process with these roles.
    pub async fn add_engine(&mut self, roles: &[Role]) -> Result<(), Failure> {
        let (engine, _) = spawn_engine(&self.settings, roles).await?;
        self.others.push(engine);
        Ok(())
    }

    /// Starts a worker process that serves the benchmark's job.
    pub async fn add_worker(&mut self, slots: usize) -> Result<(), Failure> {
        let worker = self.servers.nats.worker();
        let broker = crate::dev::broker_settings(&worker);
        let mut command = Command::new(own_binary()?);
        command.arg("bench-worker").args(["--slots", &slots.to_string()]);
        if let Some(prefix) = worker.inbox_prefix {
            command.env("HEADWATER_NATS_INBOX_PREFIX", prefix);
        }
        self.others.push(spawn_ready(&mut command, &broker).await?.0);
        Ok(())
    }

    /// Kills the database, and does not bring it back.
    pub async fn lose_database(&mut self) -> Result<(), Failure> {
        self.servers.postgres.kill().await.map_err(|error| Failure::of(&error))
    }

    /// Returns where the API of the engine is.
    pub fn api(&self) -> Result<&str, Failure> {
        let address = self.ready.split_whitespace().find(|word| word.starts_with("http://"));
        address.ok_or_else(|| Failure::new("the engine does not say where its API is"))
    }

    /// Returns how a worker connects.
    pub fn worker_broker(&self) -> headwater_streams::BrokerConfig {
        self.servers.nats.worker()
    }

    /// Returns the engine's resident memory in bytes.
    pub fn engine_memory(&self) -> Result<u64, Failure> {
        let pid = self.engine.id().ok_or_else(|| Failure::new("the engine has ended"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| Failure::of(&error))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Failure::new("/proc does not say VmRSS"))
    }

    /// Stops everything and removes the data.
    pub async fn stop(self) {
        let Self { servers, mut engine, others, folder, .. } = self;
        for mut child in others {
            let _ = child.kill().await;
        }
        let _ = engine.kill().await;
        servers.stop().await;
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            eprintln!("headwater: {} was not removed: {error}", folder.display());
        }
    }
}

fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::of(&error))
}

async fn spawn_engine(settings: &ServeSettings, roles: &[Role]) -> Result<(Child, String), Failure> {
    let names: Vec<_> =
        roles.iter().filter_map(|role| Some(clap::ValueEnum::to_possible_value(role)?.get_name().to_owned())).collect();
    let mut command = Command::new(own_binary()?);
    command.args(["serve", "--listen", "127.0.0.1:0", "--roles", &names.join(",")]);
    command.args(["--shards", &settings.shards.to_string()]);
    if let Some(url) = &settings.postgres_url {
        command.env("HEADWATER_POSTGRES_URL", url);
    }
    spawn_ready(&mut command, &settings.broker).await
}

/// Starts a process of ours and waits for its first line.
async fn spawn_ready(command: &mut Command, broker: &BrokerSettings) -> Result<(Child, String), Failure> {
    command.env("HEADWATER_NATS_URL", &broker.nats_url);
    let given = [
        ("HEADWATER_NATS_USER", &broker.nats_user),
        ("HEADWATER_NATS_PASSWORD", &broker.nats_password),
        ("HEADWATER_NATS_MONITOR_URL", &broker.nats_monitor_url),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    if std::env::var_os("HEADWATER_LOG").is_none() {
        command.env("HEADWATER_LOG", "warn");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| Failure::of(&error))?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("the child has no standard output"))?;
    let mut lines = BufReader::new(stdout).lines();
    match tokio::time::timeout(READY_WAIT, lines.next_line()).await {
        Ok(Ok(Some(ready))) => {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            Ok((child, ready))
        }
        Ok(Ok(None)) => Err(Failure::new("a process of the benchmark ended before it was ready")),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => Err(Failure::new("a process of the benchmark was not ready in time")),
    }
}
