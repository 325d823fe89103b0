//! A worker's credentials are good for the work of a worker and nothing else.

mod harness;

use std::time::Duration;

use harness::{House, PATIENCE, quick, shard, workspace};
use headwater_core::shard::ShardMap;
use headwater_core::{AssetId, NodeId, Sequence, Timestamp, WorkspaceId};
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::journal::Journal;
use headwater_streams::requests::{self, RequestError};
use headwater_streams::subject::{cmd_subject, work_subject};
use headwater_streams::tasks::{QueueSettings, TaskPuller, TaskQueue};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig, definitions::Definitions, feed, shard_map};

const SHORT: Duration = Duration::from_millis(300);

async fn worker(house: &House) -> Broker {
    let config = BrokerConfig { request_timeout: SHORT, ..quick(house.server.worker()) };
    Broker::connect(&config).await.unwrap()
}

#[tokio::test]
async fn a_worker_can_take_tasks_report_and_hear_of_cancellations() {
    let house = House::with_shards(1).await;
    let worker = worker(&house).await;
    let tasks = TaskQueue::new(&house.broker, QueueSettings::default());
    tasks.ensure_queue(&workspace(), &"scan".parse().unwrap(), QueueSettings::default()).await.unwrap();
    let mut puller = TaskPuller::open(&worker, &workspace(), &"scan".parse().unwrap()).await.unwrap();
    assert!(puller.fetch(1, SHORT).await.unwrap().is_empty());

    let mut served = requests::serve(&house.broker, &work_subject(shard(0))).await.unwrap();
    let served = tokio::spawn(async move {
        let request = served.next().await.unwrap();
        request.reply.send(request.payload).await.unwrap();
    });
    let answer = requests::request(&worker, &work_subject(shard(0)), "report".into(), PATIENCE).await.unwrap();
    assert_eq!(answer, "report");
    served.await.unwrap();

    let mut notices = cancel::subscribe(&worker, &workspace()).await.unwrap();
    let run = headwater_core::RunId::new(shard(0), Timestamp::from_micros(5), 5);
    let notice = CancelNotice { run, node: "scan".parse::<NodeId>().unwrap() };
    cancel::announce(&house.broker, &workspace(), &notice).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, notices.next()).await.unwrap(), Some(notice));
}

#[tokio::test]
async fn a_worker_can_do_nothing_else() {
    let house = House::with_shards(1).await;
    let engine = Journal::open(&house.broker, shard(0)).await.unwrap();
    let worker = worker(&house).await;
    shard_map::create_if_absent(&house.broker, &ShardMap::even(1).unwrap()).await.unwrap();

    assert!(Journal::open(&worker, shard(0)).await.is_err());
    assert!(Topology::new(2, 1).unwrap().apply(&worker).await.is_err());
    assert!(shard_map::load(&worker).await.is_err());
    assert!(Definitions::new(&worker).watch().next(SHORT).await.is_err());
    let tasks = TaskQueue::new(&worker, QueueSettings::default());
    let other: WorkspaceId = "other".parse().unwrap();
    assert!(tasks.ensure_queue(&other, &"scan".parse().unwrap(), QueueSettings::default()).await.is_err());
    let mut events = feed::subscribe(&worker, &workspace(), None::<&AssetId>, Sequence::FIRST);
    assert!(events.next(1, SHORT).await.is_err());

    // A command to a shard never arrives.
    let mut commands = requests::serve(&house.broker, &cmd_subject(shard(0))).await.unwrap();
    let refusal = requests::request(&worker, &cmd_subject(shard(0)), "start".into(), SHORT).await.unwrap_err();
    assert!(matches!(refusal, RequestError::Indeterminate { .. }), "{refusal}");
    assert!(commands.try_next().is_none());
    // Nor does it hear those of others, or their answers.
    assert!(engine.last().await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_comes_in_without_credentials() {
    let house = House::empty().await;
    let config = BrokerConfig::new(house.server.url());
    assert!(Broker::connect(&config).await.is_err());
}
