//! `doctor`: whether broker, streams, database and shards are as they should be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use headwater_core::ShardId;
use headwater_core::shard::ShardMap;
use headwater_projector::Database;
use headwater_projector::queries::Reads;
use headwater_streams::broker::{Shortcoming, SyncSetting, Wall};
use headwater_streams::journal::Journal;
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, ExchangeError, holds, ownership, shard_map};
use headwater_workers::connection::Connection;
use headwater_workers::shard_client::{ClientError, ShardClient};
use serde_json::json;

use super::client::Output;
use super::{Failure, show};
use crate::codes::Exit;
use crate::settings::BrokerSettings;

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorSettings {
    #[command(flatten)]
    broker: BrokerSettings,
    /// A libpq connection string or postgres:// address; without one the database is not looked at.
    #[arg(long, env = "HEADWATER_POSTGRES_URL", hide_env_values = true)]
    postgres_url: Option<String>,
    /// A worker's connection.json: tries whether its credentials can harm the engine's streams, on a stream made for that.
    #[arg(long, env = "HEADWATER_CONNECTION")]
    worker_connection: Option<PathBuf>,
    /// How many replicas each stream should have.
    #[arg(long, env = "HEADWATER_REPLICAS", default_value_t = 1)]
    replicas: usize,
    /// How the findings look, on standard output.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

/// How long a shard may take to answer.
const OWNER_WAIT: Duration = Duration::from_secs(2);

pub async fn run(settings: DoctorSettings) -> Result<ExitCode, Failure> {
    let mut findings = Vec::new();
    match Broker::connect(&settings.broker.config()).await {
        Ok(broker) => {
            check_broker(&broker, &mut findings).await;
            check_cluster(&broker, settings.replicas, &mut findings).await;
            findings.push(check_wall(&broker, settings.worker_connection.as_deref()).await);
        }
        Err(error) => findings.push(wrong("broker", Failure::of(&error).to_string())),
    }
    findings.push(match &settings.postgres_url {
        Some(url) => check_database(url).await,
        None => {
            Finding { what: "database", verdict: Verdict::Warning, detail: "not looked at: give --postgres-url".into() }
        }
    });
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Wrong => "WRONG",
    };
    let data = findings.iter().map(
        |found| json!({"check": found.what, "verdict": word(found.verdict).to_lowercase(), "detail": found.detail}),
    );
    show::answer(settings.output, &json!({"findings": data.collect::<Vec<_>>()}), || {
        let rows = findings.iter().map(|f| vec![f.what.to_owned(), word(f.verdict).to_owned(), f.detail.clone()]);
        show::table(&["check", "", "detail"], rows)
    });
    let any_wrong = findings.iter().any(|found| found.verdict == Verdict::Wrong);
    Ok(if any_wrong { ExitCode::from(Exit::Failed as u8) } else { ExitCode::SUCCESS })
}

fn ok(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Ok, detail: detail.into() }
}

fn wrong(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Wrong, detail: detail.into() }
}

async fn check_broker(broker: &Broker, findings: &mut Vec<Finding>) {
    let check = broker.check().await;
    findings.push(ok(
        "broker",
        format!("nats-server {}, messages up to {} bytes", check.server_version, check.payload_bytes_max),
    ));
    if check.sync == SyncSetting::Always {
        findings.push(ok("sync", "on disk before it is acknowledged"));
    }
    for shortcoming in &check.shortcomings {
        let what = match shortcoming {
            Shortcoming::AcknowledgesBeforeSync { .. } | Shortcoming::SyncUnknown => "sync",
            Shortcoming::ServerTooOld { .. } | Shortcoming::NoJetStream | Shortcoming::PayloadLimitSmall { .. } => {
                "broker"
            }
        };
        let verdict = if *shortcoming == Shortcoming::SyncUnknown { Verdict::Warning } else { Verdict::Wrong };
        findings.push(Finding { what, verdict, detail: shortcoming.to_string() });
    }
}

async fn check_cluster(broker: &Broker, replicas: usize, findings: &mut Vec<Finding>) {
    let map = match shard_map::load(broker).await {
        Ok(Some(map)) => map,
        Ok(None) => return findings.push(wrong("shards", "there is no shard map: no engine ever ran here")),
        Err(error) => return findings.push(wrong("shards", Failure::of(&error).to_string())),
    };
    findings.push(check_streams(broker, &map, replicas).await);
    findings.push(check_owners(broker, &map).await);
    findings.push(check_journals(broker, &map).await);
}

async fn check_streams(broker: &Broker, map: &ShardMap, replicas: usize) -> Finding {
    let states = shard_map::journal_states(broker, map.shards).await;
    let plan = match (Topology::new(map.shards, replicas), states) {
        (Ok(topology), Ok(states)) => {
            topology.keeping(&states).plan(broker).await.map_err(|error| Failure::of(&error).to_string())
        }
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(Failure::of(&error).to_string()),
    };
    let plan = match plan {
        Ok(plan) if plan.is_empty() => return ok("streams", format!("as they should be, {replicas} replica(s) each")),
        Ok(plan) => plan,
        Err(error) => return wrong("streams", error),
    };
    let gone = plan.missing.iter().map(|stream| format!("{stream} is gone, and is never made anew"));
    let missing = plan.create.iter().map(|stream| format!("{stream} is missing"));
    let changes = plan.update.iter().map(|c| format!("{}: {} is {}, not {}", c.stream, c.field, c.from, c.to));
    let drifts = plan.refused.iter().map(|drift| format!("{drift} (a start will not change that)"));
    wrong("streams", gone.chain(missing).chain(changes).chain(drifts).collect::<Vec<_>>().join("; "))
}

/// Holds the journals against what was seen of them.
async fn check_journals(broker: &Broker, map: &ShardMap) -> Finding {
    const WHAT: &str = "journals";
    let found = async {
        Ok::<_, ExchangeError>((holds::list(broker).await?, shard_map::journal_states(broker, map.shards).await?))
    };
    let (holds, states) = match found.await {
        Ok(found) => found,
        Err(error) => return wrong(WHAT, Failure::of(&error).to_string()),
    };
    let mut held = Vec::new();
    for (shard, state) in states {
        let reason = match holds.get(&shard) {
            Some(hold) => Some(hold.reason.clone()),
            None if state.may_be_made() => None,
            None => match Journal::look(broker, shard).await {
                Ok(found) => state.contradiction(found.map(|(_, info)| info.standing()).as_ref()),
                Err(error) => return wrong(WHAT, Failure::of(&error).to_string()),
            },
        };
        held.extend(reason.map(|reason| {
            let last = match reason.releasable() {
                Ok(()) => format!("; where no copy is left, `headwater hold release {shard}` gives up what is lost"),
                Err(_) => String::new(),
            };
            format!("shard {shard} is on hold, {reason}: {}{last}", reason.remedy())
        }));
    }
    if held.is_empty() {
        return ok(WHAT, format!("all {} show what was seen of them", map.shards));
    }
    held.push("see docs/operations.md, \"When a journal is gone\"".to_owned());
    wrong(WHAT, held.join("; "))
}

/// Asks every shard whether anybody drives it.
async fn check_owners(broker: &Broker, map: &ShardMap) -> Finding {
    let client = ShardClient::new(broker, map.shards);
    let shards: Vec<_> = (0..map.shards).filter_map(|number| ShardId::new(number).ok()).collect();
    let client = &client;
    let asked = shards.iter().map(|&shard| async move {
        match client.prove(shard, OWNER_WAIT).await {
            Ok(_) => None,
            Err(ClientError::Refused(_)) => Some(format!("shard {shard} is on hold")),
            Err(ClientError::Stalled { millis, .. }) => {
                Some(format!(
                "shard {shard} has been trying to append for {millis} ms: give the broker's disk space, then restart the broker"
            ))
            }
            Err(_) => Some(format!("no owner answers for shard {shard}")),
        }
    });
    let silent: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    if !silent.is_empty() {
        return wrong("shards", silent.join("; "));
    }
    let mut owners: Vec<_> = match ownership::leases(broker).await {
        Ok(leases) => leases.into_values().map(|lease| lease.member.to_string()).collect(),
        Err(error) => return wrong("shards", Failure::of(&error).to_string()),
    };
    owners.sort();
    owners.dedup();
    ok("shards", format!("all {} answer; driven by {}", shards.len(), owners.join(", ")))
}

/// Tries what a hostile worker would.
async fn check_wall(broker: &Broker, connection: Option<&Path>) -> Finding {
    const WHAT: &str = "workers";
    let Some(path) = connection else {
        let detail = "not tried: give --worker-connection".to_owned();
        return Finding { what: WHAT, verdict: Verdict::Warning, detail };
    };
    let worker = match Connection::read(path) {
        Ok(connection) => connection.worker(),
        Err(error) => return wrong(WHAT, Failure::of(&error).to_string()),
    };
    match broker.try_wall(&worker).await {
        Ok(Wall::Holds) => ok(WHAT, "walled off: their credentials reach no stream"),
        Ok(Wall::Broken) => {
            wrong(WHAT, "their credentials delete streams: give them an account of their own (docs/security.md)")
        }
        Err(error) => wrong(WHAT, Failure::of(&error).to_string()),
    }
}

async fn check_database(url: &str) -> Finding {
    let database = match Database::at(url) {
        Ok(database) => database,
        Err(error) => return wrong("database", Failure::of(&error).to_string()),
    };
    let reads = Reads::of(database);
    let obstacles = match reads.write_obstacles().await {
        Ok(obstacles) => obstacles,
        Err(error) => return wrong("database", Failure::of(&error).to_string()),
    };
    if !obstacles.missing.is_empty() {
        let missing = obstacles.missing.join(", ");
        return wrong("database", format!("not there: {missing}; drop the schema, and the projector makes it anew"));
    }
    if obstacles.only_reads {
        return wrong("database", "it only reads, so nothing is projected: let it write, or name the server that does");
    }
    match (reads.cursors().await, reads.dead_event_count().await) {
        (Ok(_), Ok(_)) if !obstacles.denied.is_empty() => {
            let detail = format!("this user may not write {}: a projector would stop", obstacles.denied.join(", "));
            Finding { what: "database", verdict: Verdict::Warning, detail }
        }
        (Ok(cursors), Ok(0)) => ok("database", format!("{} shard(s) projected", cursors.len())),
        (Ok(_), Ok(dead)) => {
            wrong("database", format!("{dead} event(s) could not be projected: GET /projection lists them"))
        }
        (Err(error), _) | (_, Err(error)) => wrong("database", Failure::of(&error).to_string()),
    }
}
