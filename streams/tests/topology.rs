//! Applying a topology makes what is missing, changes what is harmless, and refuses the rest.

mod harness;

use std::time::Duration;

use harness::{House, quick, shard};
use headwater_core::Sequence;
use headwater_streams::broker::{ConnectionState, Shortcoming, SyncSetting};
use headwater_streams::journal::Journal;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::{StreamSpec, Topology, TopologyError};
use headwater_streams::{Broker, ConnectError, Credentials};

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let house = House::empty().await;
    let topology = Topology::new(3, 1).unwrap();
    let plan = topology.plan(&house.broker).await.unwrap();
    assert_eq!(plan.create.len(), topology.streams.len());
    assert_eq!(topology.apply(&house.broker).await.unwrap(), plan);
    let again = topology.apply(&house.broker).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
}

/// Before workers had an account of their own, everything was in the broker's global one.
#[tokio::test]
async fn streams_of_a_server_without_accounts_are_there_with_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let config = || ServerConfig::new(directory.path().join("nats"));
    let binary = ServerBinary::find().unwrap();
    let mut server = NatsServer::start(&binary, config()).unwrap();
    let broker = Broker::connect(&quick(server.engine())).await.unwrap();
    Topology::new(1, 1).unwrap().apply(&broker).await.unwrap();
    let journal = Journal::open(&broker, shard(0)).await.unwrap();
    journal.append("first".into(), Sequence::ZERO).await.unwrap();
    server.stop();
    let store = directory.path().join("nats/streams/jetstream");
    std::fs::rename(store.join("ENGINE"), store.join("$G")).unwrap();
    let server = NatsServer::start(&binary, config()).unwrap();
    let broker = Broker::connect(&quick(server.engine())).await.unwrap();
    let last = Journal::open(&broker, shard(0)).await.unwrap().last().await.unwrap().unwrap();
    assert_eq!((last.sequence, &last.bytes[..]), (Sequence::FIRST, &b"first"[..]));
}

#[tokio::test]
async fn shards_can_be_added_but_not_taken_away() {
    let house = House::with_shards(2).await;
    let plan = Topology::new(4, 1).unwrap().apply(&house.broker).await.unwrap();
    assert_eq!(plan.create, ["HW_JOURNAL_2", "HW_JOURNAL_3"]);
    let refusal = Topology::new(1, 1).unwrap().apply(&house.broker).await.unwrap_err();
    let TopologyError::Lossy(mut drifts) = refusal else { panic!("{refusal}") };
    drifts.sort_by(|a, b| a.stream.cmp(&b.stream));
    let streams: Vec<&str> = drifts.iter().map(|drift| drift.stream.as_str()).collect();
    assert_eq!(streams, ["HW_JOURNAL_1", "HW_JOURNAL_2", "HW_JOURNAL_3"]);
}

#[tokio::test]
async fn a_lossy_difference_is_refused_and_nothing_at_all_is_changed() {
    let house = House::with_shards(1).await;
    let journal = Journal::open(&house.broker, shard(0)).await.unwrap();
    journal.append("kept".into(), Sequence::ZERO).await.unwrap();
    type Edit = fn(&mut StreamSpec);
    let cases: [(&str, Edit); 4] = [
        ("max_age", |spec| spec.age_max = Some(Duration::from_secs(60))),
        ("subjects", |spec| spec.subjects = vec!["hw.elsewhere".into()]),
        ("deny_delete", |spec| spec.deny_delete = false),
        ("max_msgs_per_subject", |spec| spec.messages_per_subject_max = Some(1)),
    ];
    for (field, change) in cases {
        let mut topology = Topology::new(1, 1).unwrap();
        change(&mut topology.streams[0]);
        // Harmless, and still not done beside something that is not.
        topology.streams[1].duplicate_window = Some(Duration::from_secs(60));
        let refusal = topology.apply(&house.broker).await.unwrap_err();
        let TopologyError::Lossy(drifts) = refusal else { panic!("{field}: {refusal}") };
        assert_eq!(drifts.iter().map(|drift| drift.field).collect::<Vec<_>>(), [field]);
        assert!(Topology::new(1, 1).unwrap().plan(&house.broker).await.unwrap().is_empty(), "{field}");
    }
    assert_eq!(journal.last().await.unwrap().unwrap().bytes, "kept");
}

#[tokio::test]
async fn a_harmless_difference_is_put_right() {
    let house = House::with_shards(1).await;
    let mut topology = Topology::new(1, 1).unwrap();
    topology.streams[1].duplicate_window = Some(Duration::from_secs(60));
    let plan = topology.apply(&house.broker).await.unwrap();
    assert_eq!(plan.update.iter().map(|change| change.field).collect::<Vec<_>>(), ["duplicate_window"]);
    assert!(topology.plan(&house.broker).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_self_check_reads_what_the_broker_really_does() {
    let house = House::empty().await;
    let check = house.broker.check().await;
    assert_eq!(check.sync, SyncSetting::Always);
    assert!(check.jetstream);
    assert_eq!(check.shortcomings, []);
    let config = headwater_streams::BrokerConfig { monitor_url: None, ..house.server.engine() };
    let blind = Broker::connect(&config).await.unwrap();
    assert_eq!(blind.check().await.shortcomings, [Shortcoming::SyncUnknown]);
}

#[tokio::test]
async fn wrong_credentials_are_refused_at_once_and_an_absent_broker_after_the_time() {
    let mut house = House::empty().await;
    let mut config = house.server.engine();
    config.credentials = Credentials::Password { user: "engine".into(), password: "guess".into() };
    assert!(matches!(Broker::connect(&config).await, Err(ConnectError::Refused(_))));
    assert_eq!(house.broker.connection_state(), ConnectionState::Connected);
    let config =
        headwater_streams::BrokerConfig { connect_timeout: Duration::from_millis(200), ..house.server.engine() };
    house.server.stop();
    assert!(matches!(Broker::connect(&config).await, Err(ConnectError::Unavailable { .. })));
}
