//! `callback`: somebody outside ends the attempt, by a token that only this attempt has.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::wait_signal::key_of;
use super::{Input, Kind, Read, Said};
use crate::definition::document::Fields;
use crate::definition::template::{Use, template};
use crate::definition::{Execution, ProblemCode};
use crate::expr::Template;

pub(super) static KIND: Kind = Kind { word: "callback", read, input: Input::Anything };

/// The shortest silence that somebody outside may be given: each sign of life is a fact.
pub const CALLBACK_SILENCE_MIN: Duration = Duration::from_secs(1);

/// What ends a node that is ended from outside.
#[derive(Debug)]
pub struct Callback {
    /// Renders to a text or a number: what is said under it, before the node is reached too, ends the node. Absent: only its token
    /// does.
    pub key: Option<Template>,
}

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    let mut own = match said {
        Said::Word(_) => {
            node.keep("action", json!({ "kind": KIND.word }));
            return Some(Execution::Callback(Box::new(Callback { key: None })).into());
        }
        Said::Object(own) => own,
    };
    let (key, input) = (own.take(&["key"]), own.take(&["input"]));
    own.finish();
    let mut source = Map::from_iter([("kind".to_owned(), json!(KIND.word))]);
    let key = match key {
        None => None,
        Some(field) => {
            let parsed = template(&field.at, field.value, field.findings(), uses)?;
            if let Some(Err(reason)) = parsed.constant().map(|constant| key_of(&constant.to_value())) {
                field.error(ProblemCode::InvalidValue, reason);
                return None;
            }
            source.insert("key".to_owned(), field.value.clone());
            Some(parsed)
        }
    };
    node.keep("action", Value::Object(source));
    let input = input.map(|field| (field.at.clone(), field.value.clone()));
    Some(Read { input, ..Execution::Callback(Box::new(Callback { key })).into() })
}
