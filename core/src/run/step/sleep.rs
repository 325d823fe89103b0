//! A node that ends when its time has come.

use std::time::Duration;

use serde_json::Value;

use super::kind::Kind;
use super::{Begins, Step};
use crate::Json;
use crate::Timestamp;
use crate::definition::{Pause, SPAN_MAX, parse_span};
use crate::expr::{self, EvaluationError};
use crate::run::RunFailure;
use crate::run::budget::Later;
use crate::run::state::Due;

pub(super) struct Sleep<'n> {
    /// What that is made of.
    pub pause: &'n Pause,
}

impl Kind for Sleep<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        let now = step.decision.now();
        let (template, code) = match self.pause {
            Pause::For(template) => (template, "sleep_duration"),
            Pause::Until(template) => (template, "wait_until_time"),
        };
        let span = step.render(template).map_err(|error| unevaluated(code, error)).and_then(|value| {
            let span = match self.pause {
                Pause::For(_) => span_of(&value).map(Some),
                Pause::Until(_) => span_until(&value, now),
            };
            span.map_err(|reason| RunFailure::new(code, reason))
        });
        match span {
            Ok(Some(span)) => step.schedule(input, Begins::Sleep(span)),
            Ok(None) => step.succeed(step.attempt(), Json::null(), Vec::new(), None),
            Err(failure) => step.fail(failure, None),
        }
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Time => step.succeed(step.attempt(), Json::null(), Vec::new(), None),
            // Nobody holds it who could be late or fail. Where some history says so, it begins anew.
            Due::Timeout | Due::Retry => {
                let input = step.input();
                self.begin(step, input)
            }
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}

pub(super) fn unevaluated(code: &str, error: EvaluationError) -> RunFailure {
    match error.limit {
        None => RunFailure::new(code, error.to_string()),
        Some(_) => error.into_failure(),
    }
}

/// A span from a rendered value: a number of milliseconds, or a text like `90s`, `2h`, `500ms`.
pub(super) fn span_of(value: &Json) -> Result<Duration, String> {
    match &value.to_value() {
        Value::Number(number) => number
            .as_u64()
            .map(Duration::from_millis)
            .ok_or_else(|| format!("a sleep takes a whole number of milliseconds, not {number}")),
        Value::String(text) => parse_span(text).or_else(|error| {
            // What lies between two times is seldom a whole number of milliseconds.
            let span = expr::read_span(text).filter(|span| *span <= SPAN_MAX);
            span.ok_or_else(|| error.to_string())
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err("a sleep takes a number of milliseconds or a text like 90s".to_owned())
        }
    }
}

/// How long it is until a rendered time: `None` where it has come.
pub(super) fn span_until(value: &Json, now: Timestamp) -> Result<Option<Duration>, String> {
    match &value.to_value() {
        Value::String(text) => match expr::span_until(text, now)? {
            span if span > SPAN_MAX => Err(format!("{text:?} is more than ten years away")),
            span => Ok(Some(span).filter(|span| !span.is_zero())),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("a wait_until takes an RFC 3339 time like 2026-01-31T08:00:00Z".to_owned())
        }
    }
}
