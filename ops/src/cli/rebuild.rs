//! `rebuild`: makes the read models anew from the journals, compares, and puts them in place.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use headwater_core::ShardId;
use headwater_projector::Database;
use headwater_projector::rebuild::{RebuildError, RebuildReport, Switch, rebuild};
use headwater_streams::journals::JetStreamJournals;
use headwater_streams::{Broker, holds, shard_map};
use serde_json::json;

use super::client::Output;
use super::{Failure, show};
use crate::codes::Exit;
use crate::settings::BrokerSettings;

/// What `rebuild` takes.
#[derive(Debug, Args)]
pub struct RebuildSettings {
    #[command(flatten)]
    broker: BrokerSettings,
    /// A libpq connection string or postgres:// address.
    #[arg(long, env = "HEADWATER_POSTGRES_URL", hide_env_values = true)]
    postgres_url: String,
    /// Compare, and leave everything in place.
    #[arg(long)]
    compare_only: bool,
    /// Put the new read models in place even though they differ: after an upgrade that reads events otherwise, or where
    /// the old ones are broken.
    #[arg(long, conflicts_with = "compare_only")]
    even_if_different: bool,
    /// How the report looks, on standard output.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub async fn run(settings: RebuildSettings) -> Result<ExitCode, Failure> {
    let unavailable = |error: &dyn std::error::Error| Failure::of(error).exit(Exit::Unavailable);
    let broker = Broker::connect(&settings.broker.config()).await.map_err(|error| unavailable(&error))?;
    let map = shard_map::load(&broker).await.map_err(|error| unavailable(&error))?;
    let map = map.ok_or_else(|| Failure::new("the broker holds no shard map: no engine ever ran here"))?;
    // The rows may be the last copy of what a journal has lost.
    if let Some((shard, hold)) = holds::list(&broker).await.map_err(|error| unavailable(&error))?.first_key_value() {
        let said = format!("shard {shard} is on hold, {}: nothing is rebuilt before its journal is back", hold.reason);
        return Err(Failure::new(said).exit(Exit::Conflict));
    }
    let invalid = |error: headwater_projector::DatabaseError| Failure::of(&error).exit(Exit::InvalidInput);
    let database = Database::at(&settings.postgres_url).map_err(invalid)?;
    let shards: Vec<ShardId> = (0..map.shards).filter_map(|number| ShardId::new(number).ok()).collect();
    let switch = match (settings.compare_only, settings.even_if_different) {
        (true, _) => Switch::Never,
        (false, false) => Switch::IfEqual,
        (false, true) => Switch::Always,
    };
    let journal = Arc::new(JetStreamJournals::new(&broker));
    let report = rebuild(&database, journal, &shards, switch).await.map_err(|error| {
        let exit = match &error {
            RebuildError::UnderWay => Exit::Conflict,
            RebuildError::Database(error) if error.unfit().is_some() => Exit::Failed,
            RebuildError::Database(_) => Exit::Unavailable,
            RebuildError::NoPrevious | RebuildError::Journal(_) | RebuildError::Projection(_) => Exit::Failed,
        };
        Failure::of(&error).exit(exit)
    })?;
    show::answer(settings.output, &json!(report), || text(&report));
    Ok(if report.equal || report.switched { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}

fn text(report: &RebuildReport) -> String {
    let rows = report.tables.iter().map(|table| {
        let verdict = if table.equal { "equal" } else { "DIFFERENT" };
        vec![table.table.clone(), table.live_rows.to_string(), table.next_rows.to_string(), verdict.to_owned()]
    });
    let mut text = show::table(&["table", "live rows", "new rows", ""], rows);
    for table in report.tables.iter().filter(|table| !table.equal) {
        for (side, rows) in [("live", &table.only_live), ("new", &table.only_next)] {
            rows.iter().for_each(|row| text.push_str(&format!("\n{}: only {side}: {row}", table.table)));
        }
    }
    let outcome = match (report.switched, report.equal) {
        (true, _) => "the new read models are in place; the old ones are kept as headwater_previous",
        (false, true) => "the same; nothing was changed",
        (false, false) => "different; nothing was changed (--even-if-different puts the new ones in place)",
    };
    text + &format!("\n\n{} events in {:.1?}: {outcome}", report.events, report.projection)
}
