//! Minutes of hostility from every side: memory, log and descriptors of the engine stay where they are.
//!
//! Not part of the suite: `HEADWATER_HOSTILE_SECONDS=600 cargo test --workspace --test hostile -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use headwater_core::protocol::{Hello, PROTOCOL};
use headwater_core::{SessionId, ShardId, WorkspaceId};
use headwater_streams::{Broker, requests, subject, work};
use headwater_tests::cluster::{Cluster, Engine};
use headwater_tests::until;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What the engine may say in a second, in bytes: one line of each kind that is provoked, and shard.
const LOG_BYTES_PER_SECOND: u64 = 8 * 1024;
/// How much larger the process may be at the end than after the first quarter.
const GROWTH_BYTES: u64 = 64 << 20;

const QUARTERS: u32 = 4;

/// How the engine is.
#[derive(Debug, Clone, Copy)]
struct State {
    resident_bytes: u64,
    descriptors: usize,
    log_bytes: u64,
}

fn state(engine: &Engine, log: &std::path::Path) -> State {
    let process = std::path::PathBuf::from(format!("/proc/{}", engine.pid()));
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").trim().parse().unwrap();
    State {
        resident_bytes: kib * 1024,
        descriptors: std::fs::read_dir(process.join("fd")).unwrap().count(),
        log_bytes: std::fs::metadata(log).unwrap().len(),
    }
}

fn workspace() -> WorkspaceId {
    "default".parse().unwrap()
}

/// Says what nobody can read, again and again.
async fn junk(broker: Broker, subject: subject::Subject, payload: Vec<u8>, count: Arc<AtomicU64>) {
    loop {
        let _ = requests::request(&broker, &subject, payload.clone().into(), Duration::from_millis(5)).await;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One worker after the other says that it is there, with queues that nobody uses, and is not heard of again.
async fn strangers(broker: Broker, count: Arc<AtomicU64>) {
    loop {
        let session = uuid::Uuid::new_v4().as_u64_pair().0;
        let queues = (0..64).map(|number| format!("q-{session:x}-{number}").parse().unwrap()).collect();
        let (worker, session) = ("stranger".parse().unwrap(), SessionId::from_bits(session));
        let hello = Hello { protocol: PROTOCOL, worker, session, queues, leaving: false };
        let _ = work::introduce(&broker, &workspace(), &hello).await;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Connects, says the beginning of something, and waits.
async fn dripping(address: String, said: &'static str) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            let _ = stream.write_all(said.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

/// Asks for what is not there, wrongly.
async fn nonsense(base: String, count: Arc<AtomicU64>) {
    let http = reqwest::Client::new();
    loop {
        for (path, body) in [("/workflows", "[".repeat(100_000)), ("/workflows/no/runs?wait=1s", "{}".to_owned())] {
            let _ = http.post(format!("{base}{path}")).body(body).send().await;
            count.fetch_add(1, Ordering::Relaxed);
        }
        let _ = http.get(format!("{base}/runs/0197a3f0-7c00-7abc-8def-0123456789ab/events/stream")).send().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes as long as it is told to"]
async fn whatever_is_done_to_an_engine_it_stays_as_large_as_it_is() {
    let seconds = std::env::var("HEADWATER_HOSTILE_SECONDS").map_or(20, |text| text.parse().unwrap());
    let lasts = Duration::from_secs(seconds);
    let cluster = Cluster::start().await;
    let log = cluster.folder().join("engine.log");
    let engine = cluster.engine_logging("api,shards,projector", std::fs::File::create(&log).unwrap()).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (ours, map, _client) = cluster.access().await;
    let worker = Broker::connect(&cluster.nats.worker()).await.unwrap();
    let before = state(&engine, &log);

    let count = Arc::new(AtomicU64::new(0));
    let mut hostile = JoinSet::new();
    for number in 0..map.shards {
        let shard = ShardId::new(number).unwrap();
        let long = format!(r#"{{"protocol":2,"{}":1}}"#, "x".repeat(500_000)).into_bytes();
        for payload in [b"junk".to_vec(), long] {
            let subject = subject::work_subject(&workspace(), shard);
            hostile.spawn(junk(worker.clone(), subject, payload, count.clone()));
        }
        hostile.spawn(junk(ours.clone(), subject::cmd_subject(shard), b"junk".to_vec(), count.clone()));
    }
    hostile.spawn(strangers(worker.clone(), count.clone()));
    let address = engine.api.trim_start_matches("http://").to_owned();
    for said in ["", "GET / HT", "POST /workflows HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n["] {
        for _ in 0..100 {
            hostile.spawn(dripping(address.clone(), said));
        }
    }
    for _ in 0..4 {
        hostile.spawn(nonsense(engine.api.clone(), count.clone()));
    }

    let began = Instant::now();
    // What is there once and for all is there after a quarter.
    let mut course = Vec::new();
    for _ in 0..QUARTERS {
        tokio::time::sleep(lasts / QUARTERS).await;
        let now = state(&engine, &log);
        println!("after {:?}: {now:?}", began.elapsed());
        course.push(now);
    }
    let (warm, after, took) = (course[0], course[course.len() - 1], began.elapsed());
    println!("{} hostile acts in {took:?}\n{before:?}\n{warm:?}\n{after:?}", count.load(Ordering::Relaxed));
    assert!(after.log_bytes - before.log_bytes < (took.as_secs() + 1) * LOG_BYTES_PER_SECOND, "{after:?}");
    assert!(after.resident_bytes < warm.resident_bytes + GROWTH_BYTES, "{after:?}, after a quarter {warm:?}");
    assert!(after.descriptors < before.descriptors + 400, "{after:?}, before {before:?}");

    hostile.shutdown().await;
    let alive = until("it answers as ever, and holds nothing of what is over", || async {
        let left = state(&engine, &log).descriptors;
        let ready = reqwest::get(format!("{}/readyz", engine.api)).await.ok()?.status().is_success();
        (ready && left < before.descriptors + 20).then_some(left)
    });
    println!("{} descriptors are left", alive.await);
    assert!(engine.stop().await.success());
}
