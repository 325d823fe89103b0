//! The feed, the definitions, the checkpoints, the shard map, and requests.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{House, PATIENCE, shard, workspace};
use headwater_core::shard::{AssetNotice, JournalState, ShardMap, WorkflowKey};
use headwater_core::{DefinitionVersion, Json, Sequence, Timestamp, Version};
use headwater_streams::checkpoints::{Checkpoints, Replaced};
use headwater_streams::definitions::{DefinitionError, Definitions};
use headwater_streams::feed::{self, CloudEvent, FeedPublisher, Published};
use headwater_streams::requests::{self, RequestError};
use headwater_streams::subject::cmd_subject;
use headwater_streams::{BrokerConfig, Credentials, Disposition, shard_map};

fn notice(asset: &str, partition: Option<&str>, version: u64) -> AssetNotice {
    AssetNotice {
        workspace: workspace(),
        asset: asset.parse().unwrap(),
        partition: partition.map(|key| key.parse().unwrap()),
        version: Version::new(version),
        time: Timestamp::from_micros(1_000_000 * version),
        data: Json::of(&serde_json::json!({"version": version})),
    }
}

async fn read(reader: &mut feed::FeedReader, count: usize) -> Vec<(Sequence, CloudEvent)> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = reader.next(100, PATIENCE).await.unwrap();
        events.extend(batch.iter().map(|event| (event.cursor, event.event().unwrap())));
    }
    events
}

#[tokio::test]
async fn the_feed_keeps_the_order_of_versions_and_a_duplicate_is_harmless() {
    let house = House::with_shards(1).await;
    let mut publisher = FeedPublisher::new(&house.broker);
    for version in 1..=3 {
        for (asset, partition) in [("a.b", None), ("a.b", Some("2025-01")), ("a.c", None)] {
            let published = publisher.publish(&notice(asset, partition, version)).await.unwrap();
            assert_eq!(published, Published::New);
        }
    }
    // As after a take-over: everything again, by somebody who remembers nothing, while the old one goes on.
    let mut successor = FeedPublisher::new(&house.broker);
    for version in 1..=3 {
        assert_eq!(successor.publish(&notice("a.b", None, version)).await.unwrap(), Published::Already);
    }
    assert_eq!(successor.publish(&notice("a.b", None, 4)).await.unwrap(), Published::New);
    assert_eq!(publisher.publish(&notice("a.b", None, 4)).await.unwrap(), Published::Already);

    let mut all = feed::subscribe(&house.broker, &workspace(), None, Sequence::FIRST);
    let events = read(&mut all, 10).await;
    for (asset, partition, last) in [("a.b", None, 4), ("a.b", Some("2025-01"), 3), ("a.c", None, 3)] {
        let versions = events.iter().map(|(_, event)| event).filter(|event| {
            event.subject.as_str() == asset && event.partitionkey.as_ref().map(|key| key.as_str()) == partition
        });
        let versions: Vec<u64> = versions.map(|event| event.assetversion.get()).collect();
        assert_eq!(versions, (1..=last).collect::<Vec<_>>(), "{asset} {partition:?}");
    }
    let (cursor, event) = &events[4];
    assert_eq!(event.id, "acme/a.b/2025-01/2");
    assert_eq!((event.kind.as_str(), event.source.as_str()), ("asset.produced", "/workspaces/acme/assets"));
    let mut resumed = feed::subscribe(&house.broker, &workspace(), None, cursor.next());
    assert_eq!(read(&mut resumed, 5).await, events[5..]);
}

#[tokio::test]
async fn the_feed_is_filtered_by_asset_prefix_at_whole_tokens() {
    let house = House::with_shards(1).await;
    let mut publisher = FeedPublisher::new(&house.broker);
    for asset in ["dir", "dir.insights", "dir.insights.report", "directory.insights", "other"] {
        publisher.publish(&notice(asset, None, 1)).await.unwrap();
    }
    let mut reader = feed::subscribe(&house.broker, &workspace(), Some(&"dir".parse().unwrap()), Sequence::FIRST);
    let events = read(&mut reader, 3).await;
    let assets: Vec<&str> = events.iter().map(|(_, event)| event.subject.as_str()).collect();
    assert_eq!(assets, ["dir", "dir.insights", "dir.insights.report"]);
    assert!(reader.next(1, Duration::from_millis(100)).await.unwrap().is_empty());
    reader.close().await;
}

#[tokio::test]
async fn a_definition_version_is_written_once_and_the_current_one_is_the_last_published() {
    let house = House::with_shards(1).await;
    let definitions = Definitions::new(&house.broker);
    let key = WorkflowKey { workspace: workspace(), workflow: "insights".parse().unwrap() };
    let version = DefinitionVersion::new;
    assert_eq!(definitions.current(&key).await.unwrap(), None);
    let document = |n: u32| Json::of(&serde_json::json!({"n": n, "padding": "x".repeat(900_000)}));
    let mut watch = definitions.watch();
    assert!(watch.next(PATIENCE).await.unwrap().is_empty());
    assert!(watch.is_caught_up());
    for n in [1, 3, 2] {
        definitions.publish(&key, version(n), &document(n)).await.unwrap();
    }
    definitions.publish(&key, version(2), &document(2)).await.unwrap();
    let refusal = definitions.publish(&key, version(2), &document(9)).await.unwrap_err();
    assert!(matches!(refusal, DefinitionError::VersionTaken { .. }));
    assert_eq!(definitions.get(&key, version(2)).await.unwrap(), Some(document(2)));
    assert_eq!(definitions.current(&key).await.unwrap().unwrap().version, version(2));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(watch.next(PATIENCE).await.unwrap().into_iter().map(|stored| stored.version.get()));
    }
    assert_eq!(seen, [1, 3, 2]);
}

#[tokio::test]
async fn the_newest_checkpoint_of_a_shard_is_the_one_there_is() {
    let house = House::with_shards(2).await;
    let checkpoints = Checkpoints::open(&house.broker).await.unwrap();
    assert_eq!(checkpoints.latest(shard(0)).await.unwrap(), None);
    let large = Bytes::from((0..1_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    for bytes in [Bytes::from("first"), large, Bytes::new(), Bytes::from("last")] {
        checkpoints.put(shard(0), bytes.clone()).await.unwrap();
        assert_eq!(checkpoints.latest(shard(0)).await.unwrap(), Some(bytes));
    }
    assert_eq!(checkpoints.latest(shard(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_checkpoint_replaces_only_the_one_that_was_seen() {
    let house = House::with_shards(1).await;
    let checkpoints = Checkpoints::open(&house.broker).await.unwrap();
    let (zero, put) = (shard(0), |seen, bytes| {
        let checkpoints = checkpoints.clone();
        async move { checkpoints.replace(shard(0), Option::as_ref(&seen), Bytes::from(bytes)).await.unwrap() }
    });
    assert_eq!(checkpoints.stamp(zero).await.unwrap(), None);
    assert_eq!(put(None, "first").await, Replaced::Stored);
    let seen = checkpoints.stamp(zero).await.unwrap();
    assert_eq!(put(None, "late").await, Replaced::Overtaken);
    assert_eq!(put(seen.clone(), "second").await, Replaced::Stored);
    assert_eq!(put(seen, "later").await, Replaced::Overtaken);
    assert_eq!(checkpoints.latest(zero).await.unwrap(), Some(Bytes::from("second")));
}

#[tokio::test]
async fn a_checkpoint_whose_pieces_are_gone_does_not_keep_its_reader_waiting() {
    let house = House::with_shards(1).await;
    let checkpoints = Checkpoints::open(&house.broker).await.unwrap();
    checkpoints.put(shard(0), Bytes::from("gone")).await.unwrap();
    let BrokerConfig { url, credentials, .. } = house.server.engine();
    let Credentials::Password { user, password } = credentials else { panic!("a broker of one's own has a password") };
    let client = async_nats::ConnectOptions::with_user_and_password(user, password).connect(url).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("OBJ_HW_CHECKPOINTS").await.unwrap();
    stream.purge().filter("$O.HW_CHECKPOINTS.C.>").await.unwrap();
    let refusal = checkpoints.latest(shard(0)).await.unwrap_err();
    assert_eq!(refusal.disposition(), Disposition::Unavailable);
}

#[tokio::test]
async fn the_first_shard_map_holds_until_its_successor() {
    let house = House::with_shards(2).await;
    assert_eq!(shard_map::load(&house.broker).await.unwrap(), None);
    let (two, four) = (ShardMap::even(2).unwrap(), ShardMap::even(4).unwrap());
    assert_eq!(shard_map::create_if_absent(&house.broker, &two, JournalState::New {}).await.unwrap(), two);
    assert_eq!(shard_map::create_if_absent(&house.broker, &four, JournalState::New {}).await.unwrap(), two);
    let mut watch = shard_map::watch(&house.broker);
    assert_eq!(watch.next(PATIENCE).await.unwrap(), Some(two));
    let refusal = shard_map::replace(&house.broker, &four).await.unwrap_err();
    assert_eq!(refusal.disposition(), Disposition::Rejection);
    let second = ShardMap { version: 2, ..four };
    shard_map::replace(&house.broker, &second).await.unwrap();
    assert_eq!(watch.next(PATIENCE).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_request_nobody_serves_is_told_from_one_nobody_answers() {
    let house = House::empty().await;
    let subject = cmd_subject(shard(3));
    let none = requests::request(&house.broker, &subject, "x".into(), PATIENCE).await.unwrap_err();
    assert!(matches!(none, RequestError::Unavailable { .. }), "{none}");
    let large = Bytes::from(vec![0; house.broker.payload_bytes_max() + 1]);
    let large = requests::request(&house.broker, &subject, large, PATIENCE).await.unwrap_err();
    assert!(matches!(large, RequestError::TooLarge { .. }), "{large}");

    let mut served = requests::serve(&house.connect().await, &subject).await.unwrap();
    let wait = Duration::from_millis(100);
    let silent = requests::request(&house.broker, &subject, "y".into(), wait).await.unwrap_err();
    assert!(matches!(silent, RequestError::Indeterminate { .. }), "{silent}");
    assert_eq!(served.try_next().unwrap().payload, "y");
    let (answer, ()) = tokio::join!(requests::request(&house.broker, &subject, "z".into(), PATIENCE), async {
        let request = served.next().await.unwrap();
        request.reply.send("answer".into()).await.unwrap();
    });
    assert_eq!(answer.unwrap(), "answer");
    served.stop().await;
    let gone = requests::request(&house.broker, &subject, "x".into(), PATIENCE).await.unwrap_err();
    assert!(matches!(gone, RequestError::Unavailable { .. }), "{gone}");
}

/// Prints how many requests a second go there and back, and how long one takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn request_speed() {
    const REQUESTS: u32 = 20_000;
    let house = House::empty().await;
    let subject = cmd_subject(shard(0));
    let mut served = requests::serve(&house.connect().await, &subject).await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = served.next().await {
            request.reply.send(request.payload).await.unwrap();
        }
    });
    for at_once in [1, 64] {
        let started = std::time::Instant::now();
        let callers = (0..at_once).map(|_| {
            let (broker, subject) = (house.broker.clone(), subject.clone());
            tokio::spawn(async move {
                for _ in 0..REQUESTS / at_once {
                    requests::request(&broker, &subject, Bytes::from_static(&[b'x'; 512]), PATIENCE).await.unwrap();
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        println!("{at_once} at once: {:.0}/s", f64::from(REQUESTS) / started.elapsed().as_secs_f64());
    }
}
