//! `wait_until`: a time comes.

use serde_json::{Value, json};

use super::{Input, Kind, Read, Said, missing};
use crate::definition::document::{Field, Fields};
use crate::definition::template::{Use, template};
use crate::definition::{Execution, Pause, ProblemCode};
use crate::expr::{self, Template};

pub(super) static KIND: Kind = Kind { word: "wait_until", read, input: Input::Anything };

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    match said {
        Said::Word(field) => {
            missing(&field, "time", "write `action: {kind: wait_until, time: \"${{ input.at }}\"}`");
            None
        }
        Said::Object(mut own) => {
            let time = own.need(&["time"]);
            own.finish();
            let time = time?;
            let parsed = template(&time.at, time.value, time.findings(), uses)?;
            check(&time, &parsed);
            node.keep("action", json!({"kind": KIND.word, "time": time.value}));
            Some(Execution::Waits(Pause::Until(parsed)).into())
        }
    }
}

/// Checks a time that no expression has to make first.
fn check(field: &Field<'_>, time: &Template) {
    let Some(constant) = time.constant() else { return };
    match constant.to_value() {
        Value::String(text) => {
            if let Err(reason) = expr::check_time(&text) {
                field.error(ProblemCode::InvalidValue, reason);
            }
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            field.wrong_kind("an RFC 3339 time like `2026-01-31T08:00:00Z`, or an expression of one", &other);
        }
    }
}
