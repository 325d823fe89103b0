//! How an aggregate leaves quarantine.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::Revision;
use headwater_core::shard::{AggregateId, ReleaseBy};
use serde::Serialize;

use super::find_one;
use crate::api::asked::Asked;
use crate::api::body::{Body, Fields};
use crate::api::token::Token;
use crate::api::{Api, Problem, answer, fresh_command};
use crate::codes::Code;

/// How long a release may take: the whole journal of the shard is read for it.
const RELEASE_WAIT: Duration = Duration::from_secs(600);
/// How long the answer may take.
pub const PATIENCE: Duration = Duration::from_secs(620);

#[derive(Serialize)]
struct Released {
    aggregate: AggregateId,
    token: String,
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
        positions.push(api.shards.client.release(*shard, fresh_command(), aggregate, by, actor, RELEASE_WAIT).await?);
    }
    let token = Token::of(positions);
    let released = Released { aggregate, token: token.to_string() };
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
