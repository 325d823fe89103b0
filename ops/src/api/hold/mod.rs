//! Shards on hold: which, why, and the way out where their journals do not come back.

mod release;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_core::{Actor, Sequence, ShardId};
use headwater_projector::queries::Moment;
use headwater_streams::holds::{self, Hold, ReleaseOrder};
use headwater_streams::journal::{Journal, JournalInfo};
use serde::Serialize;

use super::routes::{Route, reads, writes};
use super::{Api, Problem, answer};
use crate::api::asked::Asked;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/holds", get(list)),
        Route { patience: release::PATIENCE, ..writes("/holds/{shard}/release", post(release::release)) },
    ]
}

#[derive(Serialize)]
struct Holds {
    holds: Vec<HeldShard>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldShard {
    shard: ShardId,
    reason: String,
    raised_at: Moment,
    remedy: &'static str,
    journal: Option<FoundJournal>,
    releasable: bool,
    /// What to do where it cannot be released.
    instead: Option<&'static str>,
    ordered: Option<OrderedRelease>,
    /// Why the last release could not be carried out.
    refused: Option<String>,
}

/// What the broker shows of the journal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundJournal {
    end: Sequence,
    first: Sequence,
    made_at: Moment,
}

/// The release that is under way.
#[derive(Serialize)]
struct OrderedRelease {
    actor: Option<Actor>,
    reason: String,
    at: Moment,
}

/// `GET /holds`
async fn list(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    let mut shown = Vec::new();
    for (shard, hold) in holds::list(&api.broker).await? {
        let found = Journal::look(&api.broker, shard).await?.map(|(_, info)| info);
        shown.push(HeldShard::of(shard, hold, found));
    }
    Ok(answer::data(StatusCode::OK, Holds { holds: shown }))
}

impl HeldShard {
    fn of(shard: ShardId, hold: Hold, found: Option<JournalInfo>) -> Self {
        let instead = hold.reason.releasable().err();
        let journal =
            |info: JournalInfo| FoundJournal { end: info.last, first: info.first, made_at: Moment(info.made_at) };
        let ordered =
            |order: ReleaseOrder| OrderedRelease { actor: order.actor, reason: order.reason, at: Moment(order.at) };
        Self {
            shard,
            reason: hold.reason.to_string(),
            raised_at: Moment(hold.raised_at),
            remedy: hold.reason.remedy(),
            journal: found.map(journal),
            releasable: instead.is_none(),
            instead,
            ordered: hold.release.map(ordered),
            refused: hold.refused,
        }
    }
}
