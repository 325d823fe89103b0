//! Three brokers that replicate streams, and the processes that use them.

use headwater_core::shard::ShardMap;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig, shard_map};
use headwater_workers::shard_client::ShardClient;
use serde_json::Value;
use tokio::process::Command;

use crate::cluster::{Engine, WorkerProcess, binary, spawn};
use crate::until;

/// Three brokers in a private folder.
pub struct Brokers {
    pub nodes: Vec<NatsServer>,
    folder: tempfile::TempDir,
}

impl Brokers {
    /// Starts them and makes the streams of one shard, each on all of them.
    ///
    /// # Panics
    /// When the server is missing, or one does not start.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("headwater-test-").tempdir().expect("a private folder");
        let binary = ServerBinary::find().expect("nats-server: run ops/setup/install.sh");
        let configs = ServerConfig::three(folder.path()).expect("there are free ports");
        let starting = configs.map(|config| {
            let binary = binary.clone();
            tokio::task::spawn_blocking(move || NatsServer::start(&binary, config).expect("nats-server starts"))
        });
        let mut nodes = Vec::new();
        for node in starting {
            nodes.push(node.await.expect("no panic"));
        }
        let brokers = Self { nodes, folder };
        let broker = Broker::connect(&brokers.engine_config()).await.expect("they listen");
        let topology = Topology::new(1, 3).expect("three of one");
        until("the streams are made", || async { topology.apply(&broker).await.ok() }).await;
        brokers
    }

    /// Returns how an engine connects, which knows all of them.
    pub fn engine_config(&self) -> BrokerConfig {
        let urls: Vec<_> = self.nodes.iter().map(NatsServer::url).collect();
        BrokerConfig { url: urls.join(","), ..self.nodes[0].engine() }
    }

    /// Starts an engine process that drives the shard.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn engine(&self) -> Engine {
        let mut command = Command::new(binary("headwater"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--roles", "shards", "--shards", "1", "--replicas", "3"]);
        let (child, line) = spawn(&mut command, &self.engine_config()).await;
        Engine { child, api: line.rsplit(' ').next().unwrap_or_default().to_owned() }
    }

    /// Starts a process of the test worker that knows one of them; the others it hears of from that one.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn worker(&self, node: usize, slots: usize) -> WorkerProcess {
        let mut command = Command::new(binary("test-worker"));
        command.arg(slots.to_string()).arg(self.begun_file());
        let (child, _) = spawn(&mut command, &self.nodes[node].worker()).await;
        WorkerProcess { child }
    }

    fn begun_file(&self) -> std::path::PathBuf {
        self.folder.path().join("begun")
    }

    /// Returns the attempts that the worker has begun, in order: `run/node/attempt` each.
    pub fn begun(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.begun_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Connects as the engine does.
    ///
    /// # Panics
    /// When no broker can be reached.
    pub async fn access(&self) -> (Broker, ShardMap, ShardClient) {
        let broker = Broker::connect(&self.engine_config()).await.expect("a broker is there");
        let map = until("the map is there", || async { shard_map::load(&broker).await.ok().flatten() }).await;
        let client = ShardClient::new(&broker, map.shards);
        (broker, map, client)
    }

    /// Returns which of them leads a stream.
    ///
    /// # Panics
    /// When none does for too long.
    pub async fn leader_of(&self, stream: &str) -> usize {
        // An error says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        until("the stream has a leader", || async {
            for node in self.nodes.iter().filter(|node| node.pid().is_some()) {
                let url = format!("{}/jsz?accounts=true&streams=true", node.monitor_url());
                let Ok(answer) = reqwest::get(url).await else { continue };
                let Ok(said) = answer.json::<Value>().await else { continue };
                let accounts = said["account_details"].as_array().into_iter().flatten();
                let mut streams =
                    accounts.flat_map(|account| account["stream_detail"].as_array().into_iter().flatten());
                let found = streams.find(|detail| detail["name"] == stream);
                let leader =
                    found.and_then(|detail| detail["cluster"]["leader"].as_str()?.strip_prefix('n')?.parse().ok());
                if leader.is_some() {
                    return leader;
                }
            }
            None
        })
        .await
    }
}
