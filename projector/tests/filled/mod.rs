//! Tables that are full of runs, as an earlier release would have left them: no journal has them. By what they are found, the next
//! who opens the database fills in.

#![allow(dead_code, reason = "of this folder each test takes what it needs")]

use headwater_core::run::RunStatus;
use headwater_core::{Json, RunId, Timestamp, WorkspaceId};
use headwater_projector::queries::RunFilter;
use headwater_projector::{Database, DatabaseError};

/// 2026-01-01.
const DAWN_MICROS: u64 = 1_767_225_600_000_000;
/// Two start in one moment: their ids tell them apart.
const EVERY_MICROS: u64 = 1_000_000;

pub fn workspace() -> WorkspaceId {
    "default".parse().unwrap()
}

/// A run by its number.
#[derive(Debug, Clone, Copy)]
pub struct Made(u32);

/// Returns the number of such a run.
pub fn number_of(run: RunId) -> u32 {
    (run.as_uuid().as_u128() >> 10) as u32
}

impl Made {
    pub fn of(number: u32) -> Self {
        Self(number)
    }

    pub fn run(self) -> RunId {
        RunId::from_uuid(uuid::Uuid::from_u128((7 << 76) | (u128::from(self.0) << 10)))
    }

    pub fn started_at(self) -> Timestamp {
        Timestamp::from_micros(DAWN_MICROS + u64::from(self.0 / 2) * EVERY_MICROS)
    }

    /// Nobody failed of the newer half, and nobody was cancelled at all.
    fn status(self, runs: u32) -> &'static str {
        match self.0 % 100 {
            7 if self.0 < runs / 2 => "failed",
            1 => "running",
            _ => "succeeded",
        }
    }

    pub fn fits(self, filter: &RunFilter) -> bool {
        let number = self.0;
        let text = |value: &Json| value.as_str().trim_matches('"').to_owned();
        filter
            .status
            .is_none_or(|status| status.as_str() == self.status(FITS_RUNS.load(std::sync::atomic::Ordering::Relaxed)))
            && filter.workflow.as_ref().is_none_or(|slug| slug.as_str() == format!("w{}", number % 20))
            && filter.name.as_ref().is_none_or(|name| *name == format!("run {number}"))
            && filter.parent.is_none()
            && filter.labels.iter().all(|(key, value)| key == "half" && *value == (number % 2).to_string())
            && filter.attributes.iter().all(|(key, value)| key == "third" && text(value) == (number % 3).to_string())
            && filter.inputs.iter().all(|(key, value)| match key.as_str() {
                "customer" => text(value) == format!("c{}", number % 50_000),
                "region" => text(value) == format!("r{}", number % 2),
                _ => false,
            })
            && filter.started_from.is_none_or(|from| self.started_at() >= from)
            && filter.started_before.is_none_or(|before| self.started_at() < before)
    }
}

static FITS_RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Fills the tables with so many runs, each with a label, an attribute and two values in its input.
pub async fn fill(url: &str, runs: u32) -> Result<(), DatabaseError> {
    FITS_RUNS.store(runs, std::sync::atomic::Ordering::Relaxed);
    drop(Database::open(url).await?);
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let started = format!("to_timestamp({}) + make_interval(secs => n / 2)", DAWN_MICROS / 1_000_000);
    let sql = format!(
        "SET search_path = headwater; SET synchronous_commit = off;
         CREATE TEMP TABLE made AS SELECT n FROM generate_series(0, {runs} - 1) n;
         INSERT INTO workflow_runs (run_id, started_at, version, shard, workspace, workflow, status, trigger, input, name, labels, attributes)
         SELECT ('00000000-0000-7000-0000-' || lpad(to_hex(n::int8 << 10), 12, '0'))::uuid, {started}, 1, 0, 'default', 'w' || n % 20,
                CASE WHEN n % 100 = 7 AND n < {runs} / 2 THEN 'failed' WHEN n % 100 = 1 THEN 'running' ELSE 'succeeded' END,
                '{{\"manual\":{{}}}}',
                '{{\"customer\":\"c' || n % 50000 || '\",\"region\":\"r' || n % 2 || '\"}}', 'run ' || n,
                jsonb_build_object('half', (n % 2)::text), jsonb_build_object('third', n % 3)
         FROM made;
         INSERT INTO commits (run_id, sequence, revision, time, ordinal, event_count, shard, command_id, events)
         SELECT run_id, 1, 1, started_at, 0, 1, 0, run_id, '[]' FROM workflow_runs;
         COMMENT ON TABLE run_terms IS NULL;"
    );
    client.batch_execute(&sql).await?;
    drop(Database::open(url).await?);
    client.batch_execute("VACUUM ANALYZE").await?;
    driver.abort();
    Ok(())
}

/// What lists are asked for: one thing and two; frequent, rare and absent; what never comes together.
pub fn filters(runs: u32) -> Vec<(&'static str, RunFilter)> {
    let label = |value: &str| vec![("half".to_owned(), value.to_owned())];
    let third = |value: u32| vec![("third".to_owned(), Json::of(&value))];
    let input = |key: &str, value: &str| vec![(key.to_owned(), Json::of(&value))];
    let any = RunFilter::default;
    let status = |status| RunFilter { status: Some(status), ..any() };
    let w3 = || RunFilter { workflow: "w3".parse().ok(), ..any() };
    let (failed, succeeded, cancelled) = (RunStatus::Failed, RunStatus::Succeeded, RunStatus::Cancelled);
    let half = Made::of(runs / 2).started_at();
    vec![
        ("unfiltered", any()),
        ("status succeeded", status(succeeded)),
        ("status failed", status(failed)),
        ("status cancelled (none)", status(cancelled)),
        ("workflow", w3()),
        ("workflow (none)", RunFilter { workflow: "nowhere".parse().ok(), ..any() }),
        ("name", RunFilter { name: Some(format!("run {}", runs / 3)), ..any() }),
        ("label", RunFilter { labels: label("1"), ..any() }),
        ("label (none)", RunFilter { labels: label("2"), ..any() }),
        ("attribute", RunFilter { attributes: third(2), ..any() }),
        ("attribute (none)", RunFilter { attributes: third(5), ..any() }),
        ("input, rare", RunFilter { inputs: input("customer", "c77"), ..any() }),
        ("input, frequent", RunFilter { inputs: input("region", "r1"), ..any() }),
        ("input (none)", RunFilter { inputs: input("customer", "nobody"), ..any() }),
        ("parent (none)", RunFilter { parent: Some(Made::of(1).run()), ..any() }),
        ("started before", RunFilter { started_before: Some(half), ..any() }),
        ("started from", RunFilter { started_from: Some(half), ..any() }),
        ("status failed, started from (none)", RunFilter { started_from: Some(half), ..status(failed) }),
        ("status and workflow", RunFilter { workflow: "w7".parse().ok(), ..status(failed) }),
        ("status and workflow, never together", RunFilter { workflow: "w3".parse().ok(), ..status(failed) }),
        ("label and attribute", RunFilter { labels: label("1"), attributes: third(2), ..any() }),
        ("label and input, rare", RunFilter { labels: label("1"), inputs: input("customer", "c77"), ..any() }),
        ("label and input, never together", RunFilter { labels: label("0"), inputs: input("region", "r1"), ..any() }),
        ("status and label", RunFilter { labels: label("1"), ..status(failed) }),
        ("status and label, never together", RunFilter { labels: label("0"), ..status(failed) }),
        ("status (none) and label", RunFilter { labels: label("0"), ..status(cancelled) }),
        ("workflow and attribute", RunFilter { attributes: third(1), ..w3() }),
        (
            "four together",
            RunFilter { labels: label("1"), attributes: third(1), inputs: input("region", "r1"), ..w3() },
        ),
    ]
}
