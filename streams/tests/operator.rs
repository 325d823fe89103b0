//! The wall around workers in operator mode, where accounts are JWTs: the same as that of the configuration file.

mod harness;

use harness::operator::{Crossed, OperatorServer};
use harness::{PATIENCE, quick, shard, workspace};
use headwater_core::SessionId;
use headwater_core::protocol::Call;
use headwater_core::{Epoch, RunId, Timestamp};
use headwater_streams::broker::Wall;
use headwater_streams::cancel::{self, CancelNotice};
use headwater_streams::journal::Journal;
use headwater_streams::requests;
use headwater_streams::subject::{cmd_subject, work_subject};
use headwater_streams::topology::Topology;
use headwater_streams::work::{self, Heard, Said};
use headwater_streams::{Broker, BrokerConfig, Credentials};

#[tokio::test]
async fn in_operator_mode_a_worker_can_do_its_work_and_nothing_else() {
    does_its_work_and_nothing_else(&Crossed::now()).await;
}

#[tokio::test]
async fn a_broker_walled_as_it_was_documented_at_first_goes_on_working() {
    does_its_work_and_nothing_else(&Crossed::at_first()).await;
}

async fn does_its_work_and_nothing_else(crossings: &[Crossed]) {
    let folder = tempfile::tempdir().unwrap();
    let server = OperatorServer::start(folder.path(), crossings);
    let engine = Broker::connect(&quick(server.engine())).await.unwrap();
    Topology::new(1, 1).unwrap().apply(&engine).await.unwrap();
    let worker = Broker::connect(&quick(server.worker())).await.unwrap();
    let session = SessionId::from_bits(7);

    let mut frames = work::hear_frames(&engine, shard(0)).await.unwrap();
    let mut attention = work::attend(&worker, &workspace(), session).await.unwrap();
    let mut notices = cancel::subscribe(&worker, &workspace()).await.unwrap();
    let served = tokio::spawn(async move {
        let Said { payload, reply, .. } = frames.next().await.unwrap();
        reply.send(payload).await.unwrap();
    });
    let subject = work_subject(&workspace(), shard(0));
    assert_eq!(requests::request(&worker, &subject, "report".into(), PATIENCE).await.unwrap(), "report");
    served.await.unwrap();
    let call = Call { shard: shard(0), epoch: Epoch::FIRST, queues: vec!["scan".parse().unwrap()] };
    work::call(&engine, &workspace(), &call).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, attention.next()).await.unwrap().unwrap();
    assert!(matches!(&heard, Heard::Call(heard) if *heard == call), "{heard:?}");
    let run = RunId::new(shard(0), Timestamp::from_micros(5), 5);
    let notice = CancelNotice { run, node: "scan".parse().unwrap() };
    cancel::announce(&engine, &workspace(), &notice).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, notices.next()).await.unwrap(), Some(notice));

    // And nothing else.
    assert!(Journal::open(&worker, shard(0)).await.is_err());
    let mut commands = requests::serve(&engine, &cmd_subject(shard(0))).await.unwrap();
    let short = std::time::Duration::from_millis(300);
    assert!(requests::request(&worker, &cmd_subject(shard(0)), "start".into(), short).await.is_err());
    assert!(commands.try_next().is_none());
    assert_eq!(engine.try_wall(&quick(server.worker())).await.unwrap(), Wall::Holds);
    assert_eq!(
        engine.try_wall(&quick(server.engine())).await.unwrap(),
        Wall::Broken,
        "trying it shows a wall that is not there"
    );
    assert!(Journal::open(&engine, shard(0)).await.unwrap().last().await.unwrap().is_none());
    let nobody = BrokerConfig { credentials: Credentials::None, ..server.worker() };
    assert!(Broker::connect(&nobody).await.is_err());
}
