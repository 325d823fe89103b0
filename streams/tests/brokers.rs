//! Three brokers that replicate: the wall around workers stands at each of them.

mod harness;

use harness::{PATIENCE, brokers::Brokers, quick, shard};
use headwater_streams::broker::Wall;
use headwater_streams::journal::Journal;
use headwater_streams::{Broker, Credentials};

/// Where somebody would have a broker write for them.
const NOT_FOR_ANSWERS: [&str; 4] =
    ["hw.journal.0", "$JS.API.STREAM.DELETE.HW_JOURNAL_0", "$JS.API.STREAM.PURGE.HW_JOURNAL_0", "$KV.HW_LEASES.0"];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaches_no_stream_at_any_of_three_brokers() {
    let mut brokers = Brokers::start(1).await;
    // All of them, then without one, then with it back.
    for absent in [None, Some(2), None] {
        match absent {
            Some(node) => brokers.kill(node),
            None => brokers.restart_all().await,
        }
        let engine = Broker::connect(&quick(brokers.engine())).await.unwrap();
        for node in (0..3).filter(|node| absent != Some(*node)) {
            let config = quick(brokers.worker(node));
            let wall = harness::eventually("the wall is tried", || async { engine.try_wall(&config).await.ok() }).await;
            assert_eq!(wall, Wall::Holds, "at broker {node}, without {absent:?}");
            let Credentials::Password { user, password } = config.credentials else { panic!() };
            let raw =
                async_nats::ConnectOptions::with_user_and_password(user, password).connect(config.url).await.unwrap();
            for reply in NOT_FOR_ANSWERS {
                for asked in ["$JS.API.INFO", "$JS.API.STREAM.INFO.HW_JOURNAL_0", "hw.work.default.0"] {
                    raw.publish_with_reply(asked, reply, "{}".into()).await.unwrap();
                }
                raw.publish(reply, "mine".into()).await.unwrap();
            }
            tokio::time::timeout(PATIENCE, raw.flush()).await.unwrap().unwrap();
        }
        let untouched = harness::eventually("the journal is read", || async {
            Journal::open(&engine, shard(0)).await.ok()?.last().await.ok()
        });
        assert!(untouched.await.is_none(), "nothing was written");
    }
}
