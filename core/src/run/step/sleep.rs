//! A node that ends when its time has come.

use std::time::Duration;

use super::kind::Kind;
use super::{Begins, Step};
use crate::Json;
use crate::definition::{SPAN_MAX, parse_span};
use crate::expr::{self, EvaluationError, Template};
use crate::run::RunFailure;
use crate::run::budget::Later;
use crate::run::state::Due;

pub(super) struct Sleep<'n> {
    /// What the time it takes is made of.
    pub span: &'n Template,
}

impl Kind for Sleep<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        match step.render(self.span).map_err(unevaluated).and_then(|value| span_of(&value)) {
            Ok(span) => step.schedule(input, Begins::Sleep(span)),
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

fn unevaluated(error: EvaluationError) -> RunFailure {
    match error.limit {
        None => invalid(error.to_string()),
        Some(_) => error.into_failure(),
    }
}

fn invalid(message: impl Into<String>) -> RunFailure {
    RunFailure::new("sleep_duration", message)
}

/// A span from a rendered value: a number of milliseconds, or a text like `90s`, `2h`, `500ms`.
fn span_of(value: &Json) -> Result<Duration, RunFailure> {
    let value = value.to_value();
    match &value {
        serde_json::Value::Number(number) => number
            .as_u64()
            .map(Duration::from_millis)
            .ok_or_else(|| invalid(format!("a sleep takes a whole number of milliseconds, not {number}"))),
        serde_json::Value::String(text) => parse_span(text).or_else(|error| {
            // What lies between two times is seldom a whole number of milliseconds.
            let span = expr::read_span(text).filter(|span| *span <= SPAN_MAX);
            span.ok_or_else(|| invalid(error.to_string()))
        }),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err(invalid("a sleep takes a number of milliseconds or a text like 90s")),
    }
}
