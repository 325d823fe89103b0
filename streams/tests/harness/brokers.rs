//! Three brokers that replicate streams, walled as one is.

use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig};

use super::{eventually, quick};

pub struct Brokers {
    nodes: Vec<NatsServer>,
    _folder: tempfile::TempDir,
}

impl Brokers {
    /// Starts them and makes the streams of so many shards, each on all of them.
    pub async fn start(shards: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = ServerBinary::find().unwrap();
        let configs = ServerConfig::three(folder.path()).unwrap();
        let nodes = configs.map(|config| NatsServer::start(&binary, config).unwrap()).into();
        let brokers = Self { nodes, _folder: folder };
        let engine = Broker::connect(&quick(brokers.engine())).await.unwrap();
        let topology = Topology::new(shards, 3).unwrap();
        eventually("the streams are made", || async { topology.apply(&engine).await.ok() }).await;
        brokers
    }

    /// Knows all of them.
    pub fn engine(&self) -> BrokerConfig {
        let urls: Vec<_> = self.nodes.iter().map(NatsServer::url).collect();
        BrokerConfig { url: urls.join(","), ..self.nodes[0].engine() }
    }

    /// Knows one of them.
    pub fn worker(&self, node: usize) -> BrokerConfig {
        self.nodes[node].worker()
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts those that are not running.
    pub async fn restart_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.pid().is_none()) {
            node.restart().unwrap();
        }
    }
}
