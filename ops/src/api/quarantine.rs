//! What is quarantined, and the way out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::protocol::Quarantined;
use headwater_core::shard::{AggregateId, ReleaseBy};
use headwater_core::{Revision, ShardId};
use serde_json::{Value, json};

use super::asked::Asked;
use super::body::{Body, Fields};
use super::token::Token;
use super::{Api, Problem, answer, fresh_command};
use crate::codes::Code;

/// How long the shards may take to say what they have quarantined.
const LIST_WAIT: Duration = Duration::from_secs(5);
/// How long a release may take: the whole journal of the shard is read for it.
const RELEASE_WAIT: Duration = Duration::from_secs(600);
/// How long the answer may take.
pub const PATIENCE: Duration = Duration::from_secs(620);

/// `GET /quarantine`
pub async fn list(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    let found = find(&api, None).await?;
    Ok(answer::data(StatusCode::OK, shown(&found)))
}

/// `GET /quarantine/{aggregate}`
pub async fn one(State(api): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    let aggregate: AggregateId = asked.name("aggregate")?;
    asked.finish()?;
    let found = find_one(&api, &aggregate).await?;
    Ok(answer::data(StatusCode::OK, shown(&found)))
}

/// `POST /quarantine/{aggregate}/release`
pub async fn release(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    let aggregate: AggregateId = asked.name("aggregate")?;
    let actor = asked.finish_to_change()?.actor;
    let by = way(body.fields()?)?;
    let found = find_one(&api, &aggregate).await?;
    let mut positions = Vec::new();
    for (shard, _, _) in &found {
        let (aggregate, by, actor) = (aggregate.clone(), by.clone(), actor.clone());
        positions.push(api.client.release(*shard, fresh_command(), aggregate, by, actor, RELEASE_WAIT).await?);
    }
    let token = Token::of(positions);
    let released = json!({"aggregate": aggregate, "token": token.to_string()});
    Ok(answer::written(StatusCode::OK, &token, released))
}

fn way(mut fields: Fields) -> Result<ReleaseBy, Problem> {
    let invalid = |field: &str, detail: &str| Problem::new(Code::InvalidField, detail).with("field", field);
    let by: Option<String> = fields.field("by", "a string")?;
    let revisions: Option<Vec<Revision>> = fields.field("revisions", "a list of revisions")?;
    fields.finish()?;
    match (by.as_deref(), revisions) {
        (Some("skip"), Some(revisions)) => Ok(ReleaseBy::Skip { revisions }),
        (Some("skip"), None) => Err(invalid("revisions", "`revisions` is missing: which events to skip")),
        (Some("refold" | "end"), Some(_)) => Err(invalid("revisions", "`revisions` goes with `skip` only")),
        (Some("refold"), None) => Ok(ReleaseBy::Refold {}),
        (Some("end"), None) => Ok(ReleaseBy::End {}),
        (Some(_) | None, _) => Err(invalid("by", "`by` is not one of refold, skip and end")),
    }
}

/// What one shard has quarantined: how many in all, and the first of them.
type Found = Vec<(ShardId, u64, Vec<Quarantined>)>;

/// Asks the shard that decides for an aggregate, or every shard.
async fn find(api: &Api, aggregate: Option<&AggregateId>) -> Result<Found, Problem> {
    let one = aggregate.and_then(|aggregate| api.map.shard_of(aggregate));
    let all = || (0..api.map.shards).filter_map(|number| ShardId::new(number).ok()).collect();
    let shards: Vec<ShardId> = one.map_or_else(all, |shard| vec![shard]);
    let asked = shards.into_iter().map(|shard| async move {
        let (total, found) = api.client.list_quarantine(shard, aggregate.cloned(), LIST_WAIT).await?;
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

fn shown(found: &Found) -> Value {
    let of_shard = |(shard, _, aggregates): &(ShardId, u64, Vec<Quarantined>)| {
        let shard = *shard;
        let shown = move |Quarantined { aggregate, quarantine, parked }: &Quarantined| {
            json!({
                "aggregate": aggregate,
                "shard": shard,
                "reason": quarantine.reason,
                "at": quarantine.at,
                "lastRevision": quarantine.last,
                "since": quarantine.since,
                "parked": parked,
            })
        };
        aggregates.iter().map(shown).collect::<Vec<_>>()
    };
    let total: u64 = found.iter().map(|(_, total, _)| total).sum();
    json!({"total": total, "aggregates": found.iter().flat_map(of_shard).collect::<Vec<_>>()})
}
