//! More work than slots: what waits in the shards, and how fleets of small workers share it.

use std::time::Instant;

use futures_util::future::try_join_all;

use super::BenchSettings;
use super::cluster::Cluster;
use super::figures::Report;
use super::load::{self, Workflow};
use super::scenarios::bare_publish;
use crate::failure::Failure;
use crate::settings::Role;

/// How many runs of a wide graph are there at once.
const RUNS: usize = 1_000;
/// How wide each is.
const WIDTH: usize = 50;
/// How many runs one starter starts and awaits together.
const GROUP: usize = 50;
/// Workers, and slots of each.
const WIDE: [(usize, usize); 4] = [(1, 16), (1, 64), (4, 16), (1, 512)];
/// How many chains are in flight beside them: as many as the slots that are asked about.
const CHAINS: usize = 64;
const FLEETS: [(usize, usize); 4] = [(1, 512), (32, 16), (128, 4), (8, 8)];

/// A thousand wide graphs at once on few slots, beside chains that just fill 64.
///
/// # Errors
/// What could not be started or measured.
pub async fn queued(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "queued";
    eprintln!("queued: {RUNS} graphs of {} jobs at once, beside {CHAINS} chains on {CHAINS} slots", WIDTH + 2);
    let mut bare = Vec::new();
    let mut chains = Vec::new();
    let mut rates = WIDE.map(|_| Vec::new());
    for _ in 0..settings.repetitions {
        let cluster = start(settings, 1, CHAINS, &mut bare).await?;
        let workflow = load::apply(&cluster.access, &load::chain("chain", false)).await?;
        let runs = load::keep_going(&cluster.access, &workflow, CHAINS, settings.seconds).await?;
        chains.push(runs * 10.0);
        cluster.stop().await;
        for ((workers, slots), rates) in WIDE.into_iter().zip(&mut rates) {
            let cluster = start(settings, workers, slots, &mut bare).await?;
            let workflow = load::apply(&cluster.access, &load::fan("fan", WIDTH)).await?;
            let began = Instant::now();
            all_at_once(&cluster, &workflow).await?;
            rates.push((RUNS * (WIDTH + 2)) as f64 / began.elapsed().as_secs_f64());
            cluster.stop().await;
        }
    }
    report.add(NAME, "bare fsynced publish p50", "ms", &bare);
    report.add(NAME, format!("{CHAINS} chains on {CHAINS} slots"), "steps/s", &chains);
    for ((workers, slots), rates) in WIDE.into_iter().zip(&rates) {
        report.add(NAME, format!("{workers} x {slots} slots"), "nodes/s", rates);
    }
    Ok(())
}

/// Chains on fleets of ever smaller workers.
///
/// # Errors
/// What could not be started or measured.
pub async fn fleet(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "fleet";
    eprintln!("fleet: chains of 10, {} runs in flight, on fleets of workers", settings.in_flight);
    let mut bare = Vec::new();
    let mut rates = FLEETS.map(|_| Vec::new());
    for _ in 0..settings.repetitions {
        for ((workers, slots), rates) in FLEETS.into_iter().zip(&mut rates) {
            let cluster = start(settings, workers, slots, &mut bare).await?;
            let workflow = load::apply(&cluster.access, &load::chain("chain", false)).await?;
            let runs = load::keep_going(&cluster.access, &workflow, settings.in_flight, settings.seconds).await?;
            rates.push(runs * 10.0);
            cluster.stop().await;
        }
    }
    report.add(NAME, "bare fsynced publish p50", "ms", &bare);
    for ((workers, slots), rates) in FLEETS.into_iter().zip(&rates) {
        report.add(NAME, format!("{workers} x {slots} slots"), "steps/s", rates);
    }
    Ok(())
}

async fn start(
    settings: &BenchSettings,
    workers: usize,
    slots: usize,
    bare: &mut Vec<f64>,
) -> Result<Cluster, Failure> {
    let mut cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
    bare.push(bare_publish(&cluster).await?);
    for _ in 0..workers {
        cluster.add_worker(slots).await?;
    }
    Ok(cluster)
}

async fn all_at_once(cluster: &Cluster, workflow: &Workflow) -> Result<(), Failure> {
    let groups = (0..RUNS / GROUP).map(|_| load::run_group(&cluster.access, workflow, GROUP));
    try_join_all(groups).await.map(drop)
}
