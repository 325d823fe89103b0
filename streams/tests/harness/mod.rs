//! A broker of its own for every test: free ports, a private directory, gone afterwards.

#![allow(dead_code, reason = "every test file uses another part")]

pub mod brokers;
pub mod operator;

use std::future::Future;
use std::time::Duration;

use headwater_core::shard::AssetKey;
use headwater_core::{ShardId, WorkspaceId};
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    pub server: NatsServer,
    pub broker: Broker,
    _directory: tempfile::TempDir,
}

impl House {
    pub async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let binary = ServerBinary::find().unwrap();
        let server = NatsServer::start(&binary, ServerConfig::new(directory.path().join("nats"))).unwrap();
        let broker = Broker::connect(&quick(server.engine())).await.unwrap();
        Self { server, broker, _directory: directory }
    }

    pub async fn with_shards(shards: u16) -> Self {
        let house = Self::empty().await;
        Topology::new(shards, 1).unwrap().apply(&house.broker).await.unwrap();
        house
    }

    pub async fn connect(&self) -> Broker {
        Broker::connect(&quick(self.server.engine())).await.unwrap()
    }
}

/// So that a test of a broker that does not answer is not a test of patience.
pub fn quick(config: BrokerConfig) -> BrokerConfig {
    BrokerConfig { request_timeout: Duration::from_secs(2), ..config }
}

pub fn shard(number: u16) -> ShardId {
    ShardId::new(number).unwrap()
}

pub fn workspace() -> WorkspaceId {
    "acme".parse().unwrap()
}

pub fn asset_key(asset: &str) -> AssetKey {
    AssetKey { workspace: workspace(), asset: asset.parse().unwrap() }
}

/// Asks again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}
