//! What is quarantined, and the way out.

mod release;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use headwater_core::protocol::Quarantined;
use headwater_core::shard::AggregateId;
use headwater_core::{Revision, Sequence, ShardId};
use serde::Serialize;

use super::routes::{Route, reads, writes};
use super::{Api, Problem, answer};
use crate::api::asked::Asked;
use crate::codes::Code;

/// How long the shards may take to say what they have quarantined.
const LIST_WAIT: Duration = Duration::from_secs(5);

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        reads("/quarantine", get(list)),
        reads("/quarantine/{aggregate}", get(one)),
        Route { patience: release::PATIENCE, ..writes("/quarantine/{aggregate}/release", post(release::release)) },
    ]
}

#[derive(Serialize)]
struct SetAside {
    /// How many there are; the list may hold fewer.
    total: u64,
    aggregates: Vec<QuarantinedAggregate>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuarantinedAggregate {
    aggregate: AggregateId,
    shard: ShardId,
    reason: String,
    at: Option<Sequence>,
    last_revision: Revision,
    since: Option<Sequence>,
    /// How many wishes wait for its release.
    parked: u64,
}

/// `GET /quarantine`
async fn list(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    let found = find(&api, None).await?;
    Ok(answer::data(StatusCode::OK, SetAside::of(found)))
}

/// `GET /quarantine/{aggregate}`
async fn one(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let aggregate: AggregateId = asked.name("aggregate")?;
    asked.finish()?;
    let found = find_one(&api, &aggregate).await?;
    Ok(answer::data(StatusCode::OK, SetAside::of(found)))
}

/// What one shard has quarantined: how many in all, and the first of them.
type Found = Vec<(ShardId, u64, Vec<Quarantined>)>;

/// Asks the shard that decides for an aggregate, or every shard.
async fn find(api: &Api, aggregate: Option<&AggregateId>) -> Result<Found, Problem> {
    let one = aggregate.and_then(|aggregate| api.shards.of(aggregate));
    let all = || api.shards.all().collect();
    let shards: Vec<ShardId> = one.map_or_else(all, |shard| vec![shard]);
    let asked = shards.into_iter().map(|shard| async move {
        let (total, found) = api.shards.client.list_quarantine(shard, aggregate.cloned(), LIST_WAIT).await?;
        Ok::<_, Problem>((shard, total, found))
    });
    futures_util::future::try_join_all(asked).await
}

async fn find_one(api: &Api, aggregate: &AggregateId) -> Result<Found, Problem> {
    let mut found = find(api, Some(aggregate)).await?;
    found.retain(|(_, total, _)| *total > 0);
    match found.is_empty() {
        true => Err(Problem::new(Code::NotQuarantined, format!("{aggregate} is not quarantined"))),
        false => Ok(found),
    }
}

impl SetAside {
    fn of(found: Found) -> Self {
        let total = found.iter().map(|(_, total, _)| total).sum();
        let of_shard = |(shard, _, aggregates): (ShardId, u64, Vec<Quarantined>)| {
            aggregates.into_iter().map(move |one| QuarantinedAggregate::of(shard, one))
        };
        Self { total, aggregates: found.into_iter().flat_map(of_shard).collect() }
    }
}

impl QuarantinedAggregate {
    fn of(shard: ShardId, Quarantined { aggregate, quarantine, parked }: Quarantined) -> Self {
        Self {
            aggregate,
            shard,
            reason: quarantine.reason,
            at: quarantine.at,
            last_revision: quarantine.last,
            since: quarantine.since,
            parked,
        }
    }
}
