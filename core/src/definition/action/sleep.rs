//! `sleep`: time passes.

use serde_json::{Value, json};

use super::{Input, Kind, Read, Said, missing};
use crate::definition::document::{Field, Fields};
use crate::definition::template::{Use, template};
use crate::definition::{Execution, Pause, ProblemCode, parse_span, span};
use crate::expr::Template;

pub(super) static KIND: Kind = Kind { word: "sleep", read, input: Input::Anything };

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    match said {
        Said::Word(field) => {
            missing(&field, "duration", "write `action: {kind: sleep, duration: 90s}`");
            None
        }
        Said::Object(mut own) => {
            let duration = own.need(&["duration", "durationMs"]);
            own.finish();
            let duration = duration?;
            let parsed = template(&duration.at, duration.value, duration.findings(), uses)?;
            check(&duration, &parsed);
            node.keep("action", json!({"kind": KIND.word, "duration": duration.value}));
            Some(Execution::Waits(Pause::For(parsed)).into())
        }
    }
}

/// Checks a duration that no expression has to make first.
fn check(field: &Field<'_>, duration: &Template) {
    let Some(constant) = duration.constant() else { return };
    let fits = match constant.to_value() {
        Value::String(text) => parse_span(&text).is_ok(),
        Value::Number(ms) => ms.as_u64().is_some(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if !fits {
        field.error(ProblemCode::InvalidValue, "must be a duration like `90s` or a number of milliseconds");
    }
    span::warn_of_millis(field, &constant.to_value());
}
