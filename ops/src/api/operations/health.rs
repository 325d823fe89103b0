//! Whether this process lives, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::shard::Rejection;
use headwater_streams::broker::ConnectionState;
use headwater_workers::shard_client::{ClientError, STORES_NOTHING_MIN};
use serde::Serialize;
use serde_json::json;

use crate::api::asked::Asked;
use crate::api::{Api, Problem, answer};
use crate::codes::Code;

/// How long each part may take to answer.
const CHECK_WAIT: Duration = Duration::from_secs(2);

/// One part that is needed, and how it is.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    checks: &'a [Check],
}

impl Check {
    fn of(name: &'static str, outcome: Result<String, String>) -> Self {
        let ok = outcome.is_ok();
        Self { name, ok, detail: outcome.unwrap_or_else(|detail| detail) }
    }
}

/// `GET /livez`
pub async fn live(asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    Ok(answer::data(StatusCode::OK, Live { live: true }))
}

/// `GET /readyz`
pub async fn ready(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    let (database, shards) = tokio::join!(database(&api), shards(&api));
    let checks = [
        Check::of("broker", broker(&api)),
        Check::of("database", database),
        Check::of("shards", shards),
        Check::of("quarantine", Ok(quarantine(&api))),
        Check::of("process", if api.stopping.is_cancelled() { Err("stopping".into()) } else { Ok("serving".into()) }),
    ];
    let missing: Vec<_> = checks.iter().filter(|check| !check.ok).map(|check| check.detail.as_str()).collect();
    if missing.is_empty() {
        return Ok(answer::data(StatusCode::OK, Ready { ready: true, checks: &checks }));
    }
    Err(Problem::new(Code::NotReady, missing.join("; ")).with("checks", json!(checks)))
}

/// Keeps nobody from serving: everything else goes on.
fn quarantine(api: &Api) -> String {
    match api.counters.quarantined.load(Relaxed) {
        0 => "nothing in the shards of this process".to_owned(),
        count => format!("{count} in the shards of this process: see `headwater quarantine list`"),
    }
}

fn broker(api: &Api) -> Result<String, String> {
    let stores_nothing = api.broker.stores_nothing_for().filter(|span| *span >= STORES_NOTHING_MIN);
    match (api.broker.connection_state(), stores_nothing) {
        (ConnectionState::Connected, Some(span)) => Err(format!(
            "the broker has stored nothing for {} ms: see whether its disk is full; once it has space, restart the broker",
            span.as_millis()
        )),
        (ConnectionState::Connected, None) => Ok("connected".to_owned()),
        (ConnectionState::Reconnecting, _) => Err("the broker is out of reach".to_owned()),
    }
}

async fn database(api: &Api) -> Result<String, String> {
    match tokio::time::timeout(CHECK_WAIT, api.reads.are_ready()).await {
        Ok(Ok(false)) => Err("the tables of the read models are being brought up to date".to_owned()),
        Ok(Ok(true)) => match api.projection.lag().into_iter().flatten().find_map(|lag| lag.stopped) {
            Some(stopped) => Err(format!(
                "the database refuses what is projected ({stopped}): mend it, and what waits goes on by itself"
            )),
            None => Ok("reachable".to_owned()),
        },
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the database does not answer".to_owned()),
    }
}

/// Asks every shard to show that it can be written.
async fn shards(api: &Api) -> Result<String, String> {
    let shards: Vec<_> = api.shards.all().collect();
    let asked = shards.iter().map(|shard| async move {
        match api.shards.client.prove(*shard, CHECK_WAIT).await {
            Ok(_) => None,
            Err(ClientError::Stalled { millis, .. }) => Some(format!(
                "shard {shard} has been trying to append for {millis} ms: see whether the broker's disk is full; once it has space, restart the broker"
            )),
            Err(ClientError::Refused(Rejection::Held { reason })) => {
                Some(format!("shard {shard} is on hold: {reason}; `headwater doctor` says what to do"))
            }
            Err(_) => {
                Some(format!("no owner of shard {shard} shows within {} s that it can append", CHECK_WAIT.as_secs()))
            }
        }
    });
    let missing: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    match missing.is_empty() {
        true => Ok(format!("all {} have an owner that can append", shards.len())),
        false => Err(missing.join("; ")),
    }
}
