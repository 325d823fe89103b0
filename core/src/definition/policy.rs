//! How often a node is tried (`retry`), how long, when it is ready, and what follows when nothing does, or a failure
//! (`tolerance`).

mod retry;
mod tolerance;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::document::Fields;
use super::{Action, CALLBACK_SILENCE_MIN, Join, OnNoRoute, ProblemCode, span};

pub(super) use retry::read as retry;
pub use retry::{Backoff, Failures, Jitter, Pace, RetryPolicy, RetryRule};
pub use tolerance::Tolerance;
pub(super) use tolerance::read as tolerance;

/// The shortest time an attempt, or a silence, may be given.
pub(super) const TIMEOUT_MIN: Duration = Duration::from_millis(1);
const TIMEOUT: [&str; 2] = ["timeoutMs", "timeout"];
const HEARTBEAT_TIMEOUT: [&str; 2] = ["heartbeatTimeoutMs", "heartbeatTimeout"];

/// Reads `timeout` and `heartbeatTimeout` of a node; warns where one can never have an effect.
pub(super) fn timeouts(node: &mut Fields<'_>, action: Option<&Action>) -> (Option<Duration>, Option<Duration>) {
    // Under the name the document uses.
    let place = |node: &Fields<'_>, names: [&'static str; 2]| names.into_iter().find(|name| node.has(name));
    let places = [place(node, TIMEOUT), place(node, HEARTBEAT_TIMEOUT)];
    let timeout = time(node, &TIMEOUT, TIMEOUT_MIN);
    let heartbeat_timeout = time(node, &HEARTBEAT_TIMEOUT, TIMEOUT_MIN);
    let warn = |name: Option<&str>, message: &str| {
        if let Some(name) = name {
            node.findings().warning(&node.below(name), ProblemCode::InvalidValue, message);
        }
    };
    let calls_back = action.is_some_and(|action| action.callback().is_some());
    if calls_back
        && let (Some(name), Some(silence)) = (places[1], heartbeat_timeout.filter(|span| *span < CALLBACK_SILENCE_MIN))
    {
        let message = format!("a callback may be silent for a second at least, and not {silence:?}");
        node.findings().error(&node.below(name), ProblemCode::InvalidValue, message);
    }
    if action.is_some_and(|action| action.call().is_some()) {
        warn(places[1], "has no effect: the time of a call is its `timeout`");
    } else if action.is_some_and(|action| action.listens().is_some()) {
        warn(places[1], "has no effect: how long a signal is waited for is the `timeout`");
    } else if action.is_some_and(|action| action.asks().is_some()) {
        places.into_iter().for_each(|name| warn(name, "has no effect: the time of people is the action's `due`"));
    } else if action.is_some_and(|action| action.for_each().is_some()) {
        // Refused beside a `forEach`, and said so already.
    } else if !calls_back && action.is_some_and(|action| !action.has_worker() && !action.is_group()) {
        places.into_iter().for_each(|name| warn(name, "has no effect: no worker carries this action out"));
    } else if timeout.zip(heartbeat_timeout).is_some_and(|(timeout, silence)| silence >= timeout) {
        warn(places[1], "has no effect: the node's `timeout` is over by then");
    }
    (timeout, heartbeat_timeout)
}

/// Reads a span of time under any of its spellings; the first is the canonical one.
pub(super) fn time(fields: &mut Fields<'_>, spellings: &[&'static str], min: Duration) -> Option<Duration> {
    let read = span::read(&fields.take(spellings)?, min)?;
    if let Some(name) = spellings.first() {
        fields.keep(name, span::millis(read));
    }
    Some(read)
}

/// Reads `join`.
pub(super) fn join(node: &mut Fields<'_>) -> Option<(Join, String)> {
    let field = node.take(&["join"])?;
    let join = match field.value {
        Value::Object(_) => {
            let mut fields = field.fields()?;
            let quorum = fields.need(&["quorum"]).and_then(|quorum| quorum.number(1, 10_000));
            fields.finish();
            Join::Quorum(quorum? as u32)
        }
        _ => field.word(&[
            ("all", Join::All),
            ("any", Join::Any),
            ("allSucceeded", Join::AllSucceeded),
            ("allDone", Join::AllDone),
            ("noneFailed", Join::NoneFailed),
        ])?,
    };
    let source = match join {
        Join::All => json!("all"),
        Join::Any => json!("any"),
        Join::AllSucceeded => json!("allSucceeded"),
        Join::AllDone => json!("allDone"),
        Join::NoneFailed => json!("noneFailed"),
        Join::Quorum(count) => Value::Object(Map::from_iter([("quorum".to_owned(), json!(count))])),
    };
    node.keep("join", source);
    Some((join, field.at))
}

/// Reads `cancelLosers`; returns where it stands if it is said. Only who does not wait for all has losers.
pub(super) fn cancel_losers(node: &mut Fields<'_>, join: Option<Join>) -> Option<String> {
    let field = node.take(&["cancelLosers"])?;
    let Value::Bool(said) = *field.value else {
        field.wrong_kind("true or false", field.value);
        return None;
    };
    match join {
        Some(Join::Any | Join::Quorum(_)) => {}
        None | Some(Join::All | Join::AllSucceeded | Join::AllDone | Join::NoneFailed) => {
            let message = "has no effect: only a `join` that is `any` or a quorum leaves somebody behind";
            field.error(ProblemCode::InvalidValue, message);
        }
    }
    node.keep("cancelLosers", json!(said));
    said.then_some(field.at)
}

/// Reads `onNoRoute`.
pub(super) fn on_no_route(node: &mut Fields<'_>) -> Option<OnNoRoute> {
    let field = node.take(&["onNoRoute"])?;
    let read = field.word(&[("fail", OnNoRoute::Fail), ("end", OnNoRoute::End)])?;
    node.keep("onNoRoute", field.value.clone());
    Some(read)
}
