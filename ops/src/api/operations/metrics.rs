//! Figures for Prometheus. `docs/metrics.md` lists the same, and a test holds the two together.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ::metrics::{Unit, with_local_recorder};
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headwater_streams::duty::Duty;
use headwater_workers::shard_worker::ShardCounters;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::api::asked::Asked;
use crate::api::{Api, Problem};

/// What a figure does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A figure and what it says.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the documentation, which a test compares"))]
    pub labels: &'static str,
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

/// Every figure.
#[rustfmt::skip]
pub const METRICS: [Metric; 27] = [
    metric("headwater_http_requests_total", Kind::Counter, "method, route, status", "requests answered"),
    metric("headwater_http_request_seconds", Kind::Histogram, "method, route", "time until the answer begins"),
    metric("headwater_shard_bundles_total", Kind::Counter, "", "bundles appended to the journals by this process; empty ones let refusals go"),
    metric("headwater_shard_commits_total", Kind::Counter, "", "commits in those bundles"),
    metric("headwater_shard_bytes_total", Kind::Counter, "", "bytes of those bundles"),
    metric("headwater_shard_append_microseconds_total", Kind::Counter, "", "sum of the times the appends took"),
    metric("headwater_shard_requests_total", Kind::Counter, "", "requests that the shards of this process were asked"),
    metric("headwater_shard_refusals_total", Kind::Counter, "", "requests they refused"),
    metric("headwater_shard_malformed_total", Kind::Counter, "", "frames, requests and hellos of workers that could not be read"),
    metric("headwater_shard_attempts_lost_total", Kind::Counter, "", "attempts whose worker fell silent"),
    metric("headwater_shard_effects_total", Kind::Counter, "", "effects delivered"),
    metric("headwater_shard_take_overs_total", Kind::Counter, "", "shards taken over"),
    metric("headwater_shard_folded_bundles_total", Kind::Counter, "", "bundles folded at take-overs: what no checkpoint held"),
    metric("headwater_shard_checkpoints_total", Kind::Counter, "", "checkpoints written"),
    metric("headwater_shards_owned", Kind::Gauge, "", "shards this process drives"),
    metric("headwater_shards_held", Kind::Gauge, "", "shards this process would drive, and does not write to: their journals contradict what was seen of them"),
    metric("headwater_runs_active", Kind::Gauge, "", "runs of those shards that have not ended"),
    metric("headwater_quarantined_aggregates", Kind::Gauge, "", "aggregates of those shards that are quarantined"),
    metric("headwater_projection_lag_bundles", Kind::Gauge, "shard", "bundles appended and not yet projected"),
    metric("headwater_projection_lag_seconds", Kind::Gauge, "shard", "age of the last projected commit while something is behind it, else 0"),
    metric("headwater_projection_broken", Kind::Gauge, "shard", "1 where a shard is set aside until it is rebuilt"),
    metric("headwater_projection_stopped", Kind::Gauge, "shard", "1 while the database refuses what is projected of a shard, until its operator has mended it"),
    metric("headwater_read_lag_seconds", Kind::Gauge, "", "the worst lag of all shards, as reads say it"),
    metric("headwater_broker_connected", Kind::Gauge, "", "1 while the connection to the broker stands"),
    metric("headwater_task_panics_total", Kind::Counter, "task", "panics of tasks that go on for as long as the process; each was begun anew"),
    metric("headwater_answers_refused_total", Kind::Counter, "", "answers dropped because whoever asked named another subject than an inbox"),
    metric("headwater_process_resident_bytes", Kind::Gauge, "", "memory of this process that is in RAM"),
];

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The figures of one process.
pub struct Metrics(PrometheusRecorder);

impl Metrics {
    /// Begins to count.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
        let recorder = builder.build_recorder();
        with_local_recorder(&recorder, || {
            for Metric { name, kind, help, .. } in &METRICS {
                match kind {
                    Kind::Counter => ::metrics::describe_counter!(*name, *help),
                    Kind::Gauge => ::metrics::describe_gauge!(*name, *help),
                    Kind::Histogram => ::metrics::describe_histogram!(*name, Unit::Seconds, *help),
                }
            }
        });
        Self(recorder)
    }

    /// Counts a request. `route`: the pattern, so that ids do not make figures of their own.
    pub fn request(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "HEAD" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        let labels = [("method", method.to_owned()), ("route", route.unwrap_or("unknown").to_owned())];
        with_local_recorder(&self.0, || {
            ::metrics::histogram!("headwater_http_request_seconds", &labels).record(took.as_secs_f64());
            let [(_, method), (_, route)] = labels;
            let labels = [("method", method), ("route", route), ("status", status.as_str().to_owned())];
            ::metrics::counter!("headwater_http_requests_total", &labels).increment(1);
        });
    }
}

fn shards(counters: &ShardCounters) {
    let totals = [
        ("headwater_shard_bundles_total", &counters.bundles),
        ("headwater_shard_commits_total", &counters.commits),
        ("headwater_shard_bytes_total", &counters.bytes),
        ("headwater_shard_requests_total", &counters.requests),
        ("headwater_shard_refusals_total", &counters.refusals),
        ("headwater_shard_malformed_total", &counters.malformed),
        ("headwater_shard_attempts_lost_total", &counters.attempts_lost),
        ("headwater_shard_effects_total", &counters.effects),
        ("headwater_shard_take_overs_total", &counters.take_overs),
        ("headwater_shard_folded_bundles_total", &counters.bundles_folded),
        ("headwater_shard_checkpoints_total", &counters.checkpoints),
    ];
    for (name, total) in totals {
        ::metrics::counter!(name).absolute(total.load(Relaxed));
    }
    ::metrics::counter!("headwater_shard_append_microseconds_total").absolute(counters.append_micros.load(Relaxed));
    ::metrics::gauge!("headwater_shards_owned").set(counters.shards_owned.load(Relaxed) as f64);
    ::metrics::gauge!("headwater_quarantined_aggregates").set(counters.quarantined.load(Relaxed) as f64);
    ::metrics::gauge!("headwater_shards_held").set(counters.shards_held.load(Relaxed) as f64);
    ::metrics::gauge!("headwater_runs_active").set(counters.active_runs.load(Relaxed) as f64);
}

fn projection(api: &Api) {
    for lag in api.projection.lag().into_iter().flatten() {
        let labels = [("shard", lag.shard.to_string())];
        ::metrics::gauge!("headwater_projection_lag_bundles", &labels).set(lag.bundles as f64);
        ::metrics::gauge!("headwater_projection_lag_seconds", &labels).set(lag.millis as f64 / 1e3);
        ::metrics::gauge!("headwater_projection_broken", &labels).set(f64::from(u8::from(lag.broken)));
        ::metrics::gauge!("headwater_projection_stopped", &labels).set(f64::from(u8::from(lag.stopped.is_some())));
    }
    if let Some(millis) = api.projection.lag_millis() {
        ::metrics::gauge!("headwater_read_lag_seconds").set(millis as f64 / 1e3);
    }
}

/// Reads what the kernel says of this process; nothing where it does not.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `GET /metrics`
pub async fn serve(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    with_local_recorder(&api.metrics.0, || {
        shards(&api.counters);
        projection(&api);
        let connected = api.broker.connection_state() == headwater_streams::broker::ConnectionState::Connected;
        ::metrics::gauge!("headwater_broker_connected").set(f64::from(u8::from(connected)));
        for duty in Duty::ALL {
            ::metrics::counter!("headwater_task_panics_total", "task" => duty.name()).absolute(duty.panics());
        }
        ::metrics::counter!("headwater_answers_refused_total").absolute(api.broker.answers_refused());
        if let Some(bytes) = resident_bytes() {
            ::metrics::gauge!("headwater_process_resident_bytes").set(bytes as f64);
        }
    });
    let handle = api.metrics.0.handle();
    handle.run_upkeep();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_figure_and_no_other() {
        let docs = include_str!("../../../../docs/metrics.md");
        for Metric { name, kind, labels, help } in &METRICS {
            let row = format!("| `{name}` | {} | {labels} | {help} |", format!("{kind:?}").to_lowercase());
            assert!(docs.contains(&row), "docs/metrics.md lacks this row:\n{row}");
        }
        assert_eq!(
            docs.matches("| `headwater_").count(),
            METRICS.len(),
            "docs/metrics.md lists figures that are not there"
        );
    }
}
