//! How fast a worker is.

use std::time::{Duration, Instant};

use headwater_core::protocol::{WorkFrame, WorkReply, WorkRequest};
use headwater_streams::work::Said;

use crate::house::{House, Running, double, task};

/// Prints how many steps a second a worker does against a shard that says yes to everything.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed() {
    const SECONDS: u64 = 3;
    for chains in [1_u32, 64, 256, 1024] {
        let mut house = House::new().await;
        let worker = house.worker().handler("double".parse().unwrap(), double).slots(2048);
        let running = Running::start(worker);
        house.hand((0..chains).map(|n| task("double", n)).collect()).await;
        let (mut steps, mut frames, mut lease) = (0_u64, 0_u64, 1_000_000);
        let mut since = None;
        while since.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(SECONDS)) {
            let Said { payload, reply, .. } = house.shard.next().await.unwrap();
            since.get_or_insert_with(Instant::now);
            let frame: WorkFrame = serde_json::from_slice(&payload).unwrap();
            let replies: Vec<WorkReply> = frame
                .requests
                .into_iter()
                .map(|request| match request {
                    WorkRequest::Report { .. } => {
                        lease += 1;
                        steps += 1;
                        WorkReply::Accepted { next: vec![task("double", lease)] }
                    }
                    WorkRequest::Heartbeat { .. } => {
                        WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() }
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            frames += 1;
            house.send(reply, replies).await;
        }
        println!("{chains:5} chains: {:6} steps/s, {:3} a frame", steps / SECONDS, steps / frames);
        running.task.abort();
    }
}
