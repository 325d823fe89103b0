//! Many runs that sleep: what they take, and how late they wake.

use std::collections::HashMap;
use std::time::Duration;

use headwater_core::run::RunEvent;
use headwater_core::shard::{AggregateId, Bundle, Event};
use headwater_core::{Json, RunId, Sequence, ShardId, Timestamp};
use headwater_streams::clock::now;
use headwater_streams::journals::{JetStreamJournals, Journals as _};
use serde_json::json;
use tokio::task::JoinSet;

use super::BenchSettings;
use super::cluster::Cluster;
use super::figures::Report;
use super::load;
use super::scenarios::bare_publish;
use crate::failure::Failure;
use crate::settings::Role;

/// Over how long they wake.
const SPREAD: Duration = Duration::from_secs(60);
/// How many starts a second there are certain to be: the first one wakes when all of them sleep.
const STARTS_PER_SECOND: usize = 2_000;
/// How long nothing may happen before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts runs that sleep, each until a moment of its own, and reads in the journals when they went on.
///
/// # Errors
/// What could not be started or measured.
pub async fn measure(settings: &BenchSettings, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "sleepers";
    let runs = settings.waiting_runs;
    eprintln!("sleepers: {runs} sleeping runs, due over {} s", SPREAD.as_secs());
    let cluster = Cluster::start(settings.shards, &[Role::Api, Role::Shards, Role::Tasks, Role::Projector]).await?;
    let bare = bare_publish(&cluster).await?;
    let workflow = load::apply(&cluster.access, &load::until("until")).await?;
    let mut followers = JoinSet::new();
    for number in 0..cluster.access.map.shards {
        let shard = ShardId::new(number).map_err(|error| Failure::of(&error))?;
        let journals = JetStreamJournals::new(&cluster.access.broker);
        let from = journals.head(shard).await.map_err(|error| Failure::of(&error))?.next();
        followers.spawn(follow(journals, shard, from));
    }
    let begin = now().after(Duration::from_secs((runs / STARTS_PER_SECOND) as u64 + 5));
    let step = SPREAD / u32::try_from(runs.max(1)).unwrap_or(u32::MAX);
    let at = |number: usize| begin.after(step * u32::try_from(number).unwrap_or(u32::MAX));
    load::start_many(&cluster.access, &workflow, runs, |number| Json::of(&json!({"at": at(number).to_string()})))
        .await?;
    let asleep = cluster.engine_memory()? as f64 / 1e6;
    if now() > begin {
        return Err(Failure::new("the first ones were due before the last had started: take fewer"));
    }
    let mut late = Vec::with_capacity(runs);
    while let Some(woken) = followers.join_next().await {
        late.extend(woken.map_err(|error| Failure::of(&error))??);
    }
    if late.len() != runs {
        return Err(Failure::new(format!("{} of {runs} runs woke", late.len())));
    }
    report.add(NAME, "bare fsynced publish p50", "ms", &[bare]);
    report.add(NAME, format!("engine with {runs} sleeping runs"), "MB", &[asleep]);
    report.add_percentiles(NAME, "due to read in the journal", &late);
    cluster.stop().await;
    Ok(())
}

/// Reads a journal until every run that has started there has woken; returns how late each was.
async fn follow(journals: JetStreamJournals, shard: ShardId, from: Sequence) -> Result<Vec<Duration>, Failure> {
    let (mut asleep, mut late) = (HashMap::<RunId, Timestamp>::new(), Vec::new());
    let mut reader = journals.read(shard, from);
    loop {
        let entries = reader.next(256, PATIENCE).await.map_err(|error| Failure::of(&error))?;
        let read_at = now();
        if entries.is_empty() && asleep.is_empty() {
            return Ok(late);
        }
        if entries.is_empty() {
            return Err(Failure::new(format!("{} runs of shard {shard} sleep for ever", asleep.len())));
        }
        for entry in entries {
            let bundle = Bundle::read(&entry.bytes).map_err(|error| Failure::of(&error))?;
            for commit in bundle.commits {
                let AggregateId::Run(run) = commit.aggregate else { continue };
                for event in commit.events {
                    if let Event::Run(RunEvent::AttemptScheduled { wakes_at: Some(due), .. }) = event {
                        asleep.insert(run, due);
                    } else if let Event::Run(RunEvent::NodeSucceeded { .. }) = event {
                        late.extend(asleep.remove(&run).map(|due| read_at.since(due)));
                    }
                }
            }
        }
        if asleep.is_empty() && !late.is_empty() {
            return Ok(late);
        }
    }
}
