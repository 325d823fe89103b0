//! Large graphs, one run at a time: a long chain, and many items.

use std::time::{Duration, Instant};

use headwater_core::Json;
use serde_json::json;

use super::BenchSettings;
use super::cluster::Cluster;
use super::figures::Report;
use super::load::{self, Workflow};
use super::scenarios::{bare_publish, median, yardstick};
use crate::failure::Failure;
use crate::settings::Role;

/// How long the chain is.
const LENGTH: usize = 1_000;
/// How many items there are, of how many bytes, on how many slots.
const ITEMS: usize = 10_000;
const ITEM_BYTES: usize = 1_024;
const SLOTS: usize = 64;

/// One run of a chain of a thousand jobs at a time, in turns with bare publishes.
///
/// # Errors
/// What could not be started or measured.
pub async fn chain(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "chain";
    /// Bare publishes on either side of a run, which sees what the machine is worth in between.
    const PUBLISHES: usize = 300;
    eprintln!("chain: one run of {LENGTH} jobs at a time");
    let mut cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
    cluster.add_worker(16).await?;
    let workflow = load::apply(&cluster.access, &load::chain_of("chain", LENGTH, false)).await?;
    let yardstick = yardstick(&cluster).await?;
    let (mut bare, mut took, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=settings.repetitions {
        let mut published = yardstick.publish(PUBLISHES).await.map_err(|error| Failure::of(&error))?;
        let began = Instant::now();
        load::run_one(&cluster.access, &workflow).await?;
        let run = began.elapsed().as_secs_f64();
        published.extend(yardstick.publish(PUBLISHES).await.map_err(|error| Failure::of(&error))?);
        // The first turn warms up.
        if turn > 0 {
            let publish = median(&published)?;
            bare.push(publish);
            took.push(run);
            ratios.push(run * 1e3 / (publish * LENGTH as f64));
        }
    }
    yardstick.close().await.map_err(|error| Failure::of(&error))?;
    report.add(NAME, "bare fsynced publish p50", "ms", &bare);
    report.add(NAME, format!("run of {LENGTH} jobs"), "s", &took);
    report.add(NAME, format!("in units of {LENGTH} bare publishes"), "x", &ratios);
    cluster.stop().await;
    Ok(())
}

/// Ten thousand items at once, a job each, with the projector beside them.
///
/// # Errors
/// What could not be started or measured.
pub async fn for_each(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "for-each";
    /// A run that has just ended is still written to the read models, which is not to be measured with the next.
    const REST: Duration = Duration::from_secs(3);
    eprintln!("for-each: {ITEMS} items of {ITEM_BYTES} bytes on {SLOTS} slots, projector on");
    let mut cluster = Cluster::start(settings.shards, &[Role::Shards, Role::Projector]).await?;
    let mut bare = vec![bare_publish(&cluster).await?];
    cluster.add_worker(SLOTS).await?;
    let workflow = load::apply(&cluster.access, &load::for_each("items", ITEMS)).await?;
    let text = "x".repeat(ITEM_BYTES);
    let workflow = Workflow { input: Json::of(&json!({ "text": text })), ..workflow };
    let mut took = Vec::new();
    for turn in 0..=settings.repetitions {
        let began = Instant::now();
        load::run_one(&cluster.access, &workflow).await?;
        if turn > 0 {
            took.push(began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(REST).await;
        bare.push(bare_publish(&cluster).await?);
    }
    report.add(NAME, "bare fsynced publish p50", "ms", &bare);
    report.add(NAME, format!("{ITEMS} items there and back"), "s", &took);
    report.add(NAME, "engine after them", "MB", &[cluster.engine_memory()? as f64 / 1e6]);
    cluster.stop().await;
    Ok(())
}
