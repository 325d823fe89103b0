//! The scenarios: what is started, what is loaded, what is read off.

use std::time::{Duration, Instant};

use headwater_core::ShardId;
use headwater_projector::rebuild::{Switch, rebuild};
use headwater_projector::{Database, Observer, Progress};
use headwater_streams::journals::{JetStreamJournals, Journals as _};
use headwater_streams::yardstick::Yardstick;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::dag;
use super::figures::{Report, percentile};
use super::load::{self, Workflow};
use super::{BenchSettings, Scenario, graphs, queued, sleepers, talking, worker};
use crate::failure::Failure;
use crate::settings::Role;

/// Measures one scenario.
///
/// # Errors
/// What could not be started or measured.
pub async fn measure(scenario: Scenario, settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    match scenario {
        Scenario::Pure => throughput("pure", Load::Pure, settings, report).await,
        Scenario::Jobs => throughput("jobs", Load::Jobs, settings, report).await,
        Scenario::Projected => throughput("projected", Load::Projected, settings, report).await,
        Scenario::Single => single(settings, report).await,
        Scenario::FirstAttempt => first_attempt(settings, report).await,
        Scenario::Signal => talking::signal(settings, report).await,
        Scenario::Live => talking::live(settings, report).await,
        Scenario::Bulk => talking::bulk(settings, report).await,
        Scenario::FanOut => fan_out(settings, report).await,
        Scenario::Chain => graphs::chain(settings, report).await,
        Scenario::ForEach => graphs::for_each(settings, report).await,
        Scenario::Sleepers => sleepers::measure(settings, report).await,
        Scenario::Dag => dag::dag(settings, report).await,
        Scenario::Queued => queued::queued(settings, report).await,
        Scenario::Fleet => queued::fleet(settings, report).await,
        Scenario::Memory => memory(settings, report).await,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Pure nodes; no projector.
    Pure,
    /// Jobs; no projector until the load is over.
    Jobs,
    /// Jobs, with the projector beside them.
    Projected,
}

/// How many bare publishes a measurement takes that stands alone.
const BARE: usize = 300;
/// How many runs, and then how many bare publishes, go in turn where the two are compared: both see the same moments.
const TURN_RUNS: usize = 10;
const TURN_PUBLISHES: usize = 15;

/// The bare broker, as a yardstick: one 512-byte publish at a time.
pub(super) async fn bare_publish(cluster: &Cluster) -> Result<f64, Failure> {
    let yardstick = yardstick(cluster).await?;
    let took = yardstick.publish(BARE).await.map_err(|error| Failure::of(&error))?;
    yardstick.close().await.map_err(|error| Failure::of(&error))?;
    median(&took)
}

pub(super) async fn yardstick(cluster: &Cluster) -> Result<Yardstick, Failure> {
    Yardstick::open(&cluster.access.broker, 512).await.map_err(|error| Failure::of(&error))
}

/// In milliseconds.
pub(super) fn median(took: &[Duration]) -> Result<f64, Failure> {
    percentile(took, 0.5).map(millis).ok_or_else(|| Failure::new("nothing was measured"))
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

async fn throughput(
    name: &'static str,
    load: Load,
    settings: &BenchSettings,
    report: &mut Report,
) -> Result<(), Failure> {
    eprintln!("{name}: chains of 10, {} runs in flight", settings.in_flight);
    let (mut bare, mut rates, mut lags) = (Vec::new(), Vec::new(), Vec::new());
    let (mut catch_ups, mut rebuilds) = (Vec::new(), Vec::new());
    for _ in 0..settings.repetitions {
        let roles: &[Role] = match load {
            Load::Pure | Load::Jobs => &[Role::Shards],
            Load::Projected => &[Role::Shards, Role::Projector],
        };
        let mut cluster = Cluster::start(settings.shards, roles).await?;
        bare.push(bare_publish(&cluster).await?);
        if load != Load::Pure {
            cluster.add_worker(settings.in_flight * 2).await?;
        }
        let workflow = load::apply(&cluster.access, &load::chain("chain", load == Load::Pure)).await?;
        let probing = CancellationToken::new();
        let probe = match load {
            Load::Projected => Some(tokio::spawn(probe_lag(
                cluster.access.clone(),
                observe(&cluster, &probing)?,
                workflow.clone(),
                probing.clone(),
            ))),
            Load::Pure | Load::Jobs => None,
        };
        let runs = load::keep_going(&cluster.access, &workflow, settings.in_flight, settings.seconds).await?;
        rates.push(runs * 10.0);
        probing.cancel();
        if let Some(probe) = probe {
            lags.extend(probe.await.map_err(|error| Failure::of(&error))??);
        }
        if load == Load::Jobs {
            let (caught_up, rebuilt) = catch_up_and_rebuild(&mut cluster).await?;
            catch_ups.push(caught_up);
            rebuilds.push(rebuilt);
        }
        cluster.stop().await;
    }
    report.add(name, "bare fsynced publish p50", "ms", &bare);
    report.add(name, "steps", "steps/s", &rates);
    report.add_percentiles(name, "read-model lag", &lags);
    report.add(name, "projector catches up", "events/s", &catch_ups);
    report.add(name, "rebuild", "events/s", &rebuilds);
    Ok(())
}

fn database(cluster: &Cluster) -> Result<Database, Failure> {
    let url = cluster.settings.postgres_url.as_deref().ok_or_else(|| Failure::new("there is no database"))?;
    Database::at(url).map_err(|error| Failure::of(&error))
}

fn shards(cluster: &Cluster) -> Vec<ShardId> {
    (0..cluster.access.map.shards).filter_map(|number| ShardId::new(number).ok()).collect()
}

/// Looks how far the read models are, until `stop`.
fn observe(cluster: &Cluster, stop: &CancellationToken) -> Result<Progress, Failure> {
    let observer = Observer::new(database(cluster)?, &shards(cluster));
    let progress = observer.progress();
    tokio::spawn(observer.run(stop.clone()));
    Ok(progress)
}

/// How long it takes until what was acknowledged can be read: one probe every 50 ms.
async fn probe_lag(
    access: super::cluster::Access,
    progress: Progress,
    workflow: Workflow,
    until: CancellationToken,
) -> Result<Vec<Duration>, Failure> {
    let mut lags = Vec::new();
    while !until.is_cancelled() {
        let (_, position) = load::start_at(&access, &workflow).await?;
        let began = Instant::now();
        let waited = progress.wait_for(position, Duration::from_secs(30)).await;
        waited.map_err(|error| Failure::of(&error))?;
        lags.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(lags)
}

/// Lets a projector fold what the load left behind, then builds the read models anew; both in events per second.
async fn catch_up_and_rebuild(cluster: &mut Cluster) -> Result<(f64, f64), Failure> {
    let journal = JetStreamJournals::new(&cluster.access.broker);
    let (shards, database, stop) = (shards(cluster), database(cluster)?, CancellationToken::new());
    let _observing = stop.clone().drop_guard();
    let progress = observe(cluster, &stop)?;
    database.migrate().await.map_err(|error| Failure::of(&error))?;
    let began = Instant::now();
    cluster.add_engine(&[Role::Projector]).await?;
    for shard in &shards {
        let sequence = journal.head(*shard).await.map_err(|error| Failure::of(&error))?;
        let position = headwater_core::shard::Position { shard: *shard, sequence };
        let waited = progress.wait_for(position, Duration::from_secs(120)).await;
        waited.map_err(|error| Failure::of(&error))?;
    }
    let took = began.elapsed();
    let rebuilt = rebuild(&database, journal.into(), &shards, Switch::Never).await;
    let rebuilt = rebuilt.map_err(|error| Failure::of(&error))?;
    if !rebuilt.equal {
        return Err(Failure::new("the rebuilt read models differ from the live ones"));
    }
    let events = rebuilt.events as f64;
    Ok((events / took.as_secs_f64(), events / rebuilt.projection.as_secs_f64()))
}

async fn single(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("single: one run of 10 jobs at a time");
    let mut compared = Compared::default();
    for _ in 0..settings.repetitions {
        let mut cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
        cluster.add_worker(16).await?;
        let workflow = load::apply(&cluster.access, &load::chain("chain", false)).await?;
        let once = async || {
            let began = Instant::now();
            load::run_one(&cluster.access, &workflow).await?;
            Ok(began.elapsed())
        };
        compared.measure(&cluster, once).await?;
        cluster.stop().await;
    }
    compared.report("single", "run of 10 jobs", 10, report);
    Ok(())
}

async fn first_attempt(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("first-attempt: from a start to the begin of its first attempt");
    let mut compared = Compared::default();
    for _ in 0..settings.repetitions {
        let cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
        let (began_at, begins) = tokio::sync::mpsc::unbounded_channel();
        let begins = tokio::sync::Mutex::new(begins);
        let worker = worker::observed(cluster.worker_broker(), began_at)?;
        let stop = CancellationToken::new();
        let running = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
        let workflow = load::apply(&cluster.access, &load::one("one")).await?;
        let once = async || {
            let mut begins = begins.lock().await;
            let began = Instant::now();
            let start = load::run_one(&cluster.access, &workflow);
            let begin = async { begins.recv().await.ok_or_else(|| Failure::new("the worker is gone")) };
            let (begin, ()) = tokio::try_join!(begin, start)?;
            Ok(begin.saturating_duration_since(began))
        };
        compared.measure(&cluster, once).await?;
        stop.cancel();
        running.await.map_err(|error| Failure::of(&error))?.map_err(|error| Failure::of(&error))?;
        cluster.stop().await;
    }
    compared.report("first-attempt", "start to begin", 1, report);
    Ok(())
}

/// What took how long, beside bare publishes of the same moments; in milliseconds.
#[derive(Default)]
pub(super) struct Compared {
    /// The median of each repetition.
    bare: Vec<f64>,
    medians: Vec<f64>,
    all: Vec<Duration>,
}

impl Compared {
    /// Does it again and again, one at a time, in turns with bare publishes.
    pub(super) async fn measure(
        &mut self,
        cluster: &Cluster,
        once: impl AsyncFn() -> Result<Duration, Failure>,
    ) -> Result<(), Failure> {
        const TURNS: usize = 30;
        let yardstick = yardstick(cluster).await?;
        let (mut bare, mut took) = (Vec::new(), Vec::new());
        for turn in 0..=TURNS {
            let published = yardstick.publish(TURN_PUBLISHES).await.map_err(|error| Failure::of(&error))?;
            let mut done = Vec::with_capacity(TURN_RUNS);
            for _ in 0..TURN_RUNS {
                done.push(once().await?);
            }
            // The first turn warms up.
            if turn > 0 {
                bare.extend(published);
                took.extend(done);
            }
        }
        yardstick.close().await.map_err(|error| Failure::of(&error))?;
        self.bare.push(median(&bare)?);
        self.medians.push(median(&took)?);
        self.all.extend(took);
        Ok(())
    }

    pub(super) fn report(self, scenario: &'static str, what: &str, publishes: u32, report: &mut Report) {
        let units = |(took, bare): (&f64, &f64)| took / (bare * f64::from(publishes));
        let ratios: Vec<_> = self.medians.iter().zip(&self.bare).map(units).collect();
        let unit_name = match publishes {
            1 => "in units of one bare publish",
            _ => "in units of ten bare publishes",
        };
        report.add(scenario, "bare fsynced publish p50", "ms", &self.bare);
        report.add(scenario, format!("{what} p50"), "ms", &self.medians);
        report.add(scenario, unit_name, "x", &ratios);
        report.add_percentiles(scenario, what, &self.all);
    }
}

async fn fan_out(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const WIDTH: usize = 1000;
    eprintln!("fan-out: one node, {WIDTH} behind it, one behind them all");
    let mut cluster = Cluster::start(settings.shards, &[Role::Shards]).await?;
    let bare = bare_publish(&cluster).await?;
    cluster.add_worker(WIDTH).await?;
    let workflow = load::apply(&cluster.access, &load::fan("fan", WIDTH)).await?;
    let mut took = Vec::new();
    for at in 0..settings.repetitions + 1 {
        let began = Instant::now();
        load::run_one(&cluster.access, &workflow).await?;
        if at > 0 {
            took.push(began.elapsed().as_secs_f64());
        }
    }
    report.add("fan-out", "bare fsynced publish p50", "ms", &[bare]);
    report.add("fan-out", format!("1 to {WIDTH} and back"), "s", &took);
    cluster.stop().await;
    Ok(())
}

async fn memory(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    eprintln!("memory: idle, and with {} waiting runs", settings.waiting_runs);
    let cluster = Cluster::start(settings.shards, &[Role::Api, Role::Shards, Role::Tasks, Role::Projector]).await?;
    report.add("memory", "engine idle", "MB", &[cluster.engine_memory()? as f64 / 1e6]);
    let workflow = load::apply(&cluster.access, &load::sleeper("sleeper")).await?;
    let started = settings.waiting_runs;
    let began = Instant::now();
    load::start_many(&cluster.access, &workflow, started, |_| workflow.input.clone()).await?;
    report.add("memory", "starting them", "runs/s", &[started as f64 / began.elapsed().as_secs_f64()]);
    report.add("memory", format!("engine with {started} waiting runs"), "MB", &[cluster.engine_memory()? as f64 / 1e6]);
    cluster.stop().await;
    Ok(())
}
