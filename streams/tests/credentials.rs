//! A worker's credentials are good for the work of a worker and nothing else.

mod harness;

use std::time::Duration;

use harness::{House, PATIENCE, quick, shard, workspace};
use headwater_core::protocol::Hello;
use headwater_core::shard::ShardMap;
use headwater_core::{AssetId, NodeId, Sequence, Timestamp, WorkspaceId};
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::journal::Journal;
use headwater_streams::requests::{self, RequestError};
use headwater_streams::subject::{cmd_subject, work_subject};
use headwater_streams::tasks::{QueueSettings, TaskPuller, TaskQueue};
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, BrokerConfig, Credentials, definitions::Definitions, direct, feed, shard_map};

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

/// Where a worker would have the engine write for it.
const NOT_FOR_ANSWERS: [&str; 9] = [
    "hw.journal.1",
    "hw.cmd.1",
    "hw.work.1",
    "$KV.HW_SHARD_MAP.map",
    "$KV.HW_DEFINITIONS.default.probe.1",
    "$KV.HW_LEASES.0",
    "$JS.API.STREAM.PURGE.HW_TASKS",
    "_GR_.a.b.hw.journal.1",
    "_INBOX.>",
];

/// A connection with the rights of a worker and no manners.
async fn raw_worker(house: &House) -> async_nats::Client {
    let Credentials::Password { user, password } = house.server.worker().credentials else { panic!() };
    async_nats::ConnectOptions::with_user_and_password(user, password)
        .custom_inbox_prefix("_INBOX_WORKER")
        .connect(house.server.url())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_answer_goes_to_an_inbox_whatever_the_request_says() {
    let house = House::with_shards(2).await;
    let map = shard_map::create_if_absent(&house.broker, &ShardMap::even(2).unwrap()).await.unwrap();
    let mut served = requests::serve(&house.broker, &work_subject(shard(0))).await.unwrap();
    let raw = raw_worker(&house).await;
    for reply in NOT_FOR_ANSWERS {
        raw.publish_with_reply("hw.work.0", reply, "[]".into()).await.unwrap();
    }
    let asked = raw.request("hw.work.0", "last".into());
    let answered = async {
        let request = served.next().await.unwrap();
        assert_eq!(request.payload, "last", "the others were never to be answered");
        request.reply.send("answer".into()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asked, answered);
    assert_eq!(answer.unwrap().payload, "answer");
    // One of them, `_GR_`, the broker does not take from a client.
    assert_eq!(house.broker.answers_refused(), NOT_FOR_ANSWERS.len() as u64 - 1);
    for number in 0..2 {
        assert!(Journal::open(&house.broker, shard(number)).await.unwrap().last().await.unwrap().is_none());
    }
    assert_eq!(shard_map::load(&house.broker).await.unwrap(), Some(map));
}

#[tokio::test]
async fn a_worker_is_handed_nothing_where_it_has_no_inbox() {
    let house = House::with_shards(2).await;
    let mut hellos = direct::hear(&house.broker).await.unwrap();
    house.broker.flush().await.unwrap();
    let hello = |worker: &str, tasks_to: &str| Hello {
        worker: worker.parse().unwrap(),
        workspace: workspace(),
        queues: vec!["scan".parse().unwrap()],
        free_slots: 9,
        tasks_to: tasks_to.to_owned(),
    };
    let injected = "_INBOX.x\t2\r\n[]\r\nPUB\thw.journal.1\t2";
    for tasks_to in NOT_FOR_ANSWERS.into_iter().chain([injected]) {
        direct::announce(&house.broker, &hello("hostile", tasks_to)).await.unwrap();
        direct::hand(&house.broker, tasks_to, &[]).await.unwrap_err();
    }
    direct::announce(&house.broker, &hello("honest", "_INBOX_WORKER.abc")).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, hellos.next()).await.unwrap().unwrap();
    assert_eq!(heard.worker.as_str(), "honest");
    direct::hand(&house.broker, &heard.tasks_to, &[]).await.unwrap();
    house.broker.flush().await.unwrap();
    assert!(Journal::open(&house.broker, shard(1)).await.unwrap().last().await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_comes_in_without_credentials() {
    let house = House::empty().await;
    let config = BrokerConfig::new(house.server.url());
    assert!(Broker::connect(&config).await.is_err());
}
