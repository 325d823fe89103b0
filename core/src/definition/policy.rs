//! How often a node is tried, how long, when it is ready, and what follows when nothing does.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::document::{Field, Fields};
use super::{Action, Backoff, Jitter, Join, OnNoRoute, ProblemCode, RetryPolicy, span};

/// The most tries a document may ask for, other than `unlimited`.
const ATTEMPTS_MAX: u64 = 10_000;
/// The most error codes a retry policy may name.
const CODES_MAX: usize = 100;
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
    if action.is_some_and(|action| !action.has_worker()) {
        places.into_iter().for_each(|name| warn(name, "has no effect: no worker carries this action out"));
    } else if timeout.zip(heartbeat_timeout).is_some_and(|(timeout, silence)| silence >= timeout) {
        warn(places[1], "has no effect: the node's `timeout` is over by then");
    }
    (timeout, heartbeat_timeout)
}

/// Reads `retry`.
pub(super) fn retry(node: &mut Fields<'_>) -> Option<RetryPolicy> {
    let field = node.take(&["retry", "retryPolicy"])?;
    let like = |given: &Value| given.is_u64().then(|| format!("{{maxAttempts: {given}}}"));
    let mut fields = field.fields_like(like)?;
    let mut policy = RetryPolicy::default();
    if let Some(field) = fields.take(&["maxAttempts"]) {
        if field.value.as_str() == Some("unlimited") {
            policy.attempts_max = None;
            fields.keep("maxAttempts", json!("unlimited"));
        } else if let Some(attempts) = field.number(1, ATTEMPTS_MAX) {
            policy.attempts_max = Some(attempts as u32);
            fields.keep("maxAttempts", json!(attempts));
        }
    }
    if let Some(field) = fields.take(&["backoff", "strategy"]) {
        let words = [
            ("none", Backoff::None),
            ("fixed", Backoff::Fixed),
            ("linear", Backoff::Linear),
            ("exponential", Backoff::Exponential),
        ];
        if let Some(backoff) = field.word(&words) {
            policy.backoff = backoff;
            fields.keep("backoff", field.value.clone());
        }
    }
    if let Some(delay) = time(&mut fields, &["delayMs", "delay", "initialDelayMs", "initialDelay"], Duration::ZERO) {
        policy.delay = delay;
    }
    match time(&mut fields, &["maxDelayMs", "maxDelay"], Duration::ZERO) {
        Some(delay_max) if delay_max < policy.delay => {
            fields.error(ProblemCode::InvalidValue, "the first delay is longer than the longest (`maxDelayMs`)");
        }
        Some(delay_max) => policy.delay_max = delay_max,
        None => policy.delay_max = policy.delay_max.max(policy.delay),
    }
    if let Some(field) = fields.take(&["jitter"]) {
        let jitter = match field.value {
            Value::Bool(true) => Some(Jitter::Full),
            Value::Bool(false) => Some(Jitter::None),
            _ => field.word(&[("none", Jitter::None), ("full", Jitter::Full)]),
        };
        if let Some(jitter) = jitter {
            policy.jitter = jitter;
            fields.keep("jitter", json!(if jitter == Jitter::Full { "full" } else { "none" }));
        }
    }
    if let Some(field) = fields.take(&["nonRetryable"]) {
        policy.non_retryable = codes(&field);
        fields.keep("nonRetryable", json!(policy.non_retryable));
    }
    let source = fields.finish();
    node.keep("retry", Value::Object(source));
    Some(policy)
}

fn codes(field: &Field<'_>) -> Vec<String> {
    let items = field.items();
    field.at_most(CODES_MAX, items.len(), "codes", "let the handler say which failures are permanent");
    items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
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

/// Reads `onNoRoute`.
pub(super) fn on_no_route(node: &mut Fields<'_>) -> Option<OnNoRoute> {
    let field = node.take(&["onNoRoute"])?;
    let read = field.word(&[("fail", OnNoRoute::Fail), ("end", OnNoRoute::End)])?;
    node.keep("onNoRoute", field.value.clone());
    Some(read)
}
