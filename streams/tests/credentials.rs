//! A worker's credentials are good for the work of a worker and nothing else.

mod harness;

use std::time::Duration;

use harness::{House, PATIENCE, quick, shard, workspace};
use headwater_core::credit::{Standing, Term};
use headwater_core::protocol::{Call, Handed, Hello, PROTOCOL};
use headwater_core::shard::{JournalState, ShardMap};
use headwater_core::{AssetId, Epoch, NodeAddress, Sequence, SessionId, Timestamp};
use headwater_streams::broker::Wall;
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::journal::Journal;
use headwater_streams::requests::{self, RequestError};
use headwater_streams::subject::{cmd_subject, work_subject};
use headwater_streams::topology::Topology;
use headwater_streams::work::{self, Heard, Said};
use headwater_streams::{Broker, BrokerConfig, Credentials, definitions::Definitions, feed, shard_map};

const SHORT: Duration = Duration::from_millis(300);

async fn worker(house: &House) -> Broker {
    let config = BrokerConfig { request_timeout: SHORT, ..quick(house.server.worker()) };
    Broker::connect(&config).await.unwrap()
}

#[tokio::test]
async fn a_worker_can_say_hello_report_be_handed_tasks_and_hear_calls_and_cancellations() {
    let house = House::with_shards(1).await;
    let worker = worker(&house).await;
    let session = SessionId::from_bits(7);
    let mut hellos = work::hear_hellos(&house.broker).await.unwrap();
    let mut frames = work::hear_frames(&house.broker, shard(0)).await.unwrap();
    let mut attention = work::attend(&worker, &workspace(), session).await.unwrap();

    let name = "w".parse().unwrap();
    let hello = Hello { protocol: PROTOCOL, worker: name, session, queues: Vec::new(), leaving: false };
    work::introduce(&worker, &workspace(), &hello).await.unwrap();
    let (said_in, heard) = tokio::time::timeout(PATIENCE, hellos.next()).await.unwrap().unwrap();
    assert_eq!((said_in, serde_json::from_slice::<Hello>(&heard).unwrap()), (workspace(), hello));

    let served = tokio::spawn(async move {
        let Said { workspace, payload, reply } = frames.next().await.unwrap();
        reply.send(payload).await.unwrap();
        workspace
    });
    let subject = work_subject(&workspace(), shard(0));
    let answer = requests::request(&worker, &subject, "report".into(), PATIENCE).await.unwrap();
    assert_eq!(answer, "report");
    assert_eq!(served.await.unwrap(), workspace(), "the workspace is that of the subject");

    let term = Term { epoch: Epoch::FIRST, meeting: 1 };
    let standing = Standing { term, handed: 1, unheard: 1, message: 1, waiting: true };
    let handed = Handed { shard: shard(0), standing, tasks: Vec::new() };
    work::hand(&house.broker, &workspace(), session, &handed).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, attention.next()).await.unwrap().unwrap();
    assert!(matches!(&heard, Heard::Handed(heard) if *heard == handed), "{heard:?}");
    let call = Call { shard: shard(0), epoch: Epoch::FIRST, queues: vec!["scan".parse().unwrap()] };
    work::call(&house.broker, &workspace(), &call).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, attention.next()).await.unwrap().unwrap();
    assert!(matches!(&heard, Heard::Call(heard) if *heard == call), "{heard:?}");

    let mut notices = cancel::subscribe(&worker, &workspace()).await.unwrap();
    let run = headwater_core::RunId::new(shard(0), Timestamp::from_micros(5), 5);
    let notice = CancelNotice { run, node: "scan".parse::<NodeAddress>().unwrap() };
    cancel::announce(&house.broker, &workspace(), &notice).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, notices.next()).await.unwrap(), Some(notice));
}

#[tokio::test]
async fn a_worker_can_do_nothing_else() {
    let house = House::with_shards(1).await;
    let engine = Journal::open(&house.broker, shard(0)).await.unwrap();
    let worker = worker(&house).await;
    shard_map::create_if_absent(&house.broker, &ShardMap::even(1).unwrap(), JournalState::New {}).await.unwrap();

    assert!(Journal::open(&worker, shard(0)).await.is_err());
    assert!(Topology::new(2, 1).unwrap().apply(&worker).await.is_err());
    assert!(shard_map::load(&worker).await.is_err());
    assert!(Definitions::new(&worker).watch().next(SHORT).await.is_err());
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

/// Where somebody would have the engine, or the broker, write for them.
const NOT_FOR_ANSWERS: [&str; 10] = [
    "hw.journal.1",
    "hw.cmd.1",
    "hw.work.default.1",
    "$KV.HW_SHARD_MAP.map",
    "$KV.HW_DEFINITIONS.default.probe.1",
    "hw.value.default.probe.0",
    "$KV.HW_LEASES.0",
    "$JS.API.STREAM.DELETE.HW_JOURNAL_0",
    "_GR_.a.b.hw.journal.1",
    "_INBOX.>",
];

/// A connection without manners.
async fn raw(house: &House, config: BrokerConfig) -> async_nats::Client {
    let Credentials::Password { user, password } = config.credentials else { panic!() };
    async_nats::ConnectOptions::with_user_and_password(user, password)
        .custom_inbox_prefix(config.inbox_prefix.unwrap_or_else(|| "_INBOX".to_owned()))
        .connect(house.server.url())
        .await
        .unwrap()
}

/// Everything is as it was made.
async fn assert_untouched(house: &House, map: &ShardMap) {
    for number in 0..2 {
        assert!(Journal::open(&house.broker, shard(number)).await.unwrap().last().await.unwrap().is_none());
    }
    assert_eq!(shard_map::load(&house.broker).await.unwrap().as_ref(), Some(map));
}

#[tokio::test]
async fn an_answer_goes_to_an_inbox_whatever_the_request_says() {
    let house = House::with_shards(2).await;
    let map =
        shard_map::create_if_absent(&house.broker, &ShardMap::even(2).unwrap(), JournalState::New {}).await.unwrap();
    let mut frames = work::hear_frames(&house.broker, shard(0)).await.unwrap();
    let raw = raw(&house, house.server.engine()).await;
    for reply in NOT_FOR_ANSWERS {
        raw.publish_with_reply("hw.work.default.0", reply, "[]".into()).await.unwrap();
    }
    let asked = raw.request("hw.work.default.0", "last".into());
    let answered = async {
        let Said { payload, reply, .. } = frames.next().await.unwrap();
        assert_eq!(payload, "last", "the others were never to be answered");
        reply.send("answer".into()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asked, answered);
    assert_eq!(answer.unwrap().payload, "answer");
    // One of them, `_GR_`, the broker does not take from a client.
    assert_eq!(house.broker.answers_refused(), NOT_FOR_ANSWERS.len() as u64 - 1);
    assert_untouched(&house, &map).await;
}

/// The broker answers whoever asks its own API on whatever subject they name, with its own rights: a worker must not be able to ask.
#[tokio::test]
async fn a_worker_cannot_make_the_broker_or_the_engine_write_for_it() {
    let house = House::with_shards(2).await;
    let map =
        shard_map::create_if_absent(&house.broker, &ShardMap::even(2).unwrap(), JournalState::New {}).await.unwrap();
    let mut frames = work::hear_frames(&house.broker, shard(0)).await.unwrap();
    let raw = raw(&house, house.server.worker()).await;
    for reply in NOT_FOR_ANSWERS {
        for asked in [
            "$JS.API.CONSUMER.MSG.NEXT.HW_JOURNAL_0.any",
            "$JS.API.STREAM.INFO.HW_JOURNAL_0",
            "$JS.API.INFO",
            "hw.work.default.0",
        ] {
            raw.publish_with_reply(asked, reply, r#"{"batch":1,"no_wait":true}"#.into()).await.unwrap();
        }
        // Its own account has subjects of the same names, and nobody there.
        raw.publish(reply, "mine".into()).await.unwrap();
    }
    let asked = raw.request("hw.work.default.0", "last".into());
    let answered = async {
        loop {
            let Said { payload, reply, .. } = frames.next().await.unwrap();
            let is_last = payload == "last";
            reply.send("answer".into()).await.unwrap();
            if is_last {
                return;
            }
        }
    };
    let (answer, ()) = tokio::join!(asked, answered);
    assert_eq!(answer.unwrap().payload, "answer");
    house.broker.flush().await.unwrap();
    assert_untouched(&house, &map).await;
}

#[tokio::test]
async fn the_wall_around_workers_is_tried_without_harm() {
    let house = House::with_shards(1).await;
    let worker = quick(house.server.worker());
    assert_eq!(house.broker.try_wall(&worker).await.unwrap(), Wall::Holds);
    // Whoever is in the engine's own account has it all.
    assert_eq!(house.broker.try_wall(&quick(house.server.engine())).await.unwrap(), Wall::Broken);
    assert!(Topology::new(1, 1).unwrap().plan(&house.broker).await.unwrap().is_empty(), "nothing else is touched");
}

#[tokio::test]
async fn nobody_comes_in_without_credentials() {
    let house = House::empty().await;
    let config = BrokerConfig::new(house.server.url());
    assert!(Broker::connect(&config).await.is_err());
}
