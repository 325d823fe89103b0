//! How a journal is accepted as it is found.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use headwater_core::shard::Position;
use headwater_core::{Actor, CommandId, Incarnation, Sequence, ShardId};
use headwater_streams::clock::now;
use headwater_streams::holds::{self, Hold, ReleaseOrder};
use headwater_streams::journal::Journal;
use headwater_streams::{ExchangeError, shard_map};
use serde::Serialize;

use crate::api::asked::Asked;
use crate::api::body::{Body, Fields};
use crate::api::token::Token;
use crate::api::{Api, Problem, answer, fresh_command};
use crate::codes::Code;

/// How long a release may take: the whole journal of the shard is folded for it, twice.
const RELEASE_WAIT: Duration = Duration::from_secs(600);
/// How long the answer may take.
pub const PATIENCE: Duration = Duration::from_secs(620);
/// How often it is asked whether it is done.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long the answer waits until this process refuses what is older.
const HEAR_WAIT: Duration = Duration::from_secs(5);
const REASON_CHARS_MAX: usize = 1_000;

#[derive(Serialize)]
struct Released {
    shard: ShardId,
    incarnation: Incarnation,
    token: String,
}

/// `POST /holds/{shard}/release`
pub async fn release(State(api): State<Arc<Api>>, asked: Asked, body: Body) -> Result<Response, Problem> {
    let shard: ShardId = asked.name("shard")?;
    let order = order(body.fields()?, asked.finish_to_change()?.actor)?;
    let Some((hold, revision)) = holds::of(&api.broker, shard).await? else {
        return Err(Problem::new(Code::NotHeld, format!("shard {shard} is not on hold")));
    };
    let id = match &hold.release {
        // Somebody else was first, or this is a repetition.
        Some(under_way) => under_way.id,
        None => {
            let refused = |detail: String| Problem::new(Code::HoldNotReleased, detail);
            hold.reason.releasable().map_err(|instead| refused(format!("{}: {instead}", hold.reason)))?;
            let found = Journal::look(&api.broker, shard).await?.map_or(Sequence::ZERO, |(_, info)| info.last);
            if let Some(expected) = order.expect.filter(|expected| *expected != found) {
                let detail =
                    format!("the journal of shard {shard} ends at entry {found}, and at {expected} was expected");
                return Err(refused(detail).with("end", found.get()));
            }
            let (id, ordered) = (order.id, Hold { release: Some(order), refused: None, ..hold });
            match holds::replace(&api.broker, shard, &ordered, revision).await {
                Ok(()) => id,
                Err(ExchangeError::Refused { .. }) => {
                    return Err(refused(format!("the hold of shard {shard} changed meanwhile: look at it again")));
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    carried_out(&api, shard, id).await?;
    let state = shard_map::journal_state(&api.broker, shard).await?;
    let incarnation = state.incarnation();
    let end = Journal::look(&api.broker, shard).await?.map_or(Sequence::ZERO, |(_, info)| info.last);
    api.shards.incarnations.hear(shard, incarnation, HEAR_WAIT).await;
    let token = Token::of([Position { shard, sequence: end.within(incarnation) }]);
    let released = Released { shard, incarnation, token: token.to_string() };
    Ok(answer::written(StatusCode::OK, &token, released))
}

fn order(mut fields: Fields, actor: Option<Actor>) -> Result<ReleaseOrder, Problem> {
    let invalid = |field: &str, detail: String| Problem::new(Code::InvalidField, detail).with("field", field);
    let reason: Option<String> = fields.field("reason", "a string")?;
    let expect: Option<u64> = fields.field("expect", "a number from 0 up")?;
    fields.finish()?;
    let reason =
        reason.ok_or_else(|| invalid("reason", "`reason` is missing: why the journal is accepted".to_owned()))?;
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        let detail = format!("`reason` is not a line of 1 to {REASON_CHARS_MAX} characters");
        return Err(invalid("reason", detail));
    }
    Ok(ReleaseOrder { id: fresh_command(), actor, reason, expect: expect.map(Sequence::new), at: now() })
}

/// Waits until whoever drives the shard has carried a release out.
async fn carried_out(api: &Api, shard: ShardId, id: CommandId) -> Result<(), Problem> {
    let give_up_at = tokio::time::Instant::now() + RELEASE_WAIT;
    loop {
        let is_stopping = api.stopping.is_cancelled();
        match holds::of(&api.broker, shard).await {
            Ok(Some((hold, _))) if hold.release.as_ref().is_some_and(|order| order.id == id) => {}
            Ok(Some((Hold { refused: Some(refused), .. }, _))) => {
                return Err(Problem::new(Code::HoldNotReleased, refused));
            }
            // Another hold came after it.
            Ok(Some(_) | None) => return Ok(()),
            Err(error) => tracing::debug!(%shard, %error, "whether the shard is released is not known yet"),
        }
        if is_stopping || tokio::time::Instant::now() >= give_up_at {
            let detail = format!("the release of shard {shard} is ordered, and nobody has carried it out yet");
            return Err(Problem::new(Code::Indeterminate, detail));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
