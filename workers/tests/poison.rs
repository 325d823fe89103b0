//! What makes a shard's driver panic: refused or set aside afterwards, while the shard and the process go on.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::asset::{AssetCommand, Declaration, ProducerDeclaration, ResolveConsumption, Waiter};
use headwater_core::definition::{OnMiss, Require};
use headwater_core::shard::{AssetKey, Command, HoldReason, Rejection, ShardMap, Submission};
use headwater_core::{CommandId, DefinitionVersion, Json, RunId, ShardId, Timestamp};
use headwater_streams::duty::Duty;
use headwater_streams::ownership::OwnershipConfig;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, Credentials};
use headwater_workers::shard_client::{ClientError, ShardClient};
use headwater_workers::shard_worker::{ShardCounters, ShardSettings, ShardSupervisor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn asset(name: &str) -> AssetKey {
    AssetKey { workspace: "default".parse().unwrap(), asset: name.parse().unwrap() }
}

fn declare(number: u128, name: &str) -> Submission {
    let producer = ProducerDeclaration {
        node: "make".parse().unwrap(),
        name: None,
        kind: "job".to_owned(),
        schema: None,
        freshness: None,
        partitioning: None,
        auto_materialize: None,
        primary: true,
        defaults: Json::empty_object(),
        required: Vec::new(),
    };
    let declaration = Declaration {
        paused: false,
        workflow: "maker".parse().unwrap(),
        version: DefinitionVersion::FIRST,
        producers: vec![producer],
        consumers: Vec::new(),
    };
    let command = Command::Asset { key: asset(name), command: AssetCommand::DeclareAsset(declaration) };
    Submission::new(id(number), command)
}

/// A need that is met by starting a run somewhere: over a map that names too many shards, a panic.
fn need(number: u128, name: &str) -> Submission {
    let run = RunId::new(shard(), Timestamp::from_micros(1_750_000_000_000_000), 7 << 12);
    let need = ResolveConsumption {
        waiter: Waiter { run, node: "use".parse().unwrap() },
        partition: None,
        require: Require::Exists,
        on_miss: Some(OnMiss::Materialize),
        producer_input: None,
    };
    let command = Command::Asset { key: asset(name), command: AssetCommand::ResolveConsumption(need) };
    Submission::new(id(number), command)
}

struct House {
    server: NatsServer,
    client: ShardClient,
    stop: CancellationToken,
    supervising: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl House {
    async fn driven_over(map: ShardMap) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path().join("nats"));
        let server = NatsServer::start(&ServerBinary::find().unwrap(), config).unwrap();
        let broker = Broker::connect(&server.engine()).await.unwrap();
        Topology::new(1, 1).unwrap().apply(&broker).await.unwrap();
        let client = ShardClient::new(&broker, 1);
        let supervisor = ShardSupervisor {
            broker,
            map,
            ownership: OwnershipConfig::new("engine".parse().unwrap(), 1),
            client: client.clone(),
            settings: ShardSettings::default(),
            counters: Arc::new(ShardCounters::default()),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let supervising = tokio::spawn(async move { supervisor.run(stopped).await.unwrap() });
        client.prove(shard(), PATIENCE).await.unwrap();
        Self { server, client, stop, supervising, _directory: directory }
    }

    async fn refused(&self, submission: Submission) -> Rejection {
        match self.client.submit(shard(), submission, PATIENCE).await {
            Err(ClientError::Refused(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    /// Says something to the broker with the engine's rights.
    async fn publish(&self, subject: &str) {
        let Credentials::Password { user, password } = self.server.engine().credentials else { panic!() };
        let address = self.server.url().trim_start_matches("nats://").to_owned();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let connect = serde_json::json!({"user": user, "pass": password, "verbose": false, "pedantic": false});
        let said = format!("CONNECT {connect}\r\nPUB {subject} 0\r\n\r\nPING\r\n");
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut heard = String::new();
        while !heard.contains("PONG") {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0 && !heard.contains("-ERR"), "{heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.supervising).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_panics_its_driver_is_refused_and_the_shard_goes_on() {
    let house = House::driven_over(ShardMap { shards: u16::MAX, ..ShardMap::even(1).unwrap() }).await;
    house.client.submit(shard(), declare(1, "a.b"), PATIENCE).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(house.refused(need(2, "a.b")).await, Rejection::Poisoned { .. }));
        assert_eq!(Duty::ShardDriver.panics(), 1, "the second time it is not decided");
    }
    house.client.submit(shard(), declare(3, "c.d"), PATIENCE).await.unwrap();
    house.client.prove(shard(), PATIENCE).await.unwrap();
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_journal_is_gone_is_on_hold_and_says_so() {
    let house = House::driven_over(ShardMap::even(1).unwrap()).await;
    house.publish("$JS.API.STREAM.DELETE.HW_JOURNAL_0").await;
    let held = async {
        // Until then one that landed lately counts as proof.
        loop {
            match house.client.prove(shard(), Duration::from_secs(2)).await {
                Err(ClientError::Refused(rejection)) => return rejection,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let rejection = tokio::time::timeout(PATIENCE, held).await.unwrap();
    assert_eq!(rejection, Rejection::Held { reason: HoldReason::Missing {} });
    assert_eq!(house.refused(declare(1, "a.b")).await, rejection, "at once, not after a time-out");
    house.stop().await;
}
