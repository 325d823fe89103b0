//! `wait_signal`: somebody outside says something to the run.

use serde_json::{Map, Value, json};

use super::{Input, Kind, Read, Said, missing};
use crate::definition::document::{Field, Fields};
use crate::definition::template::{Use, template};
use crate::definition::{Execution, ProblemCode};
use crate::expr::Template;
use crate::{SignalKey, SignalName};

pub(super) static KIND: Kind = Kind {
    word: "wait_signal",
    read,
    input: Input::Nothing("a node that waits for a signal has no input: what it goes on with comes with the signal"),
};

/// What `reply` sees of the signal that was taken.
pub(crate) const SIGNAL: &str = "signal";

/// How many signals one node may wait for.
pub const SIGNALS_AWAITED_MAX: usize = 10;

/// What a node waits for: the first of these.
#[derive(Debug)]
pub struct WaitSignal {
    /// One to [`SIGNALS_AWAITED_MAX`].
    pub signals: Vec<SignalWanted>,
    /// What an update is answered with that it takes; it sees `signal {name, key, payload}`. Absent: `null`.
    pub reply: Option<Template>,
}

/// A signal that a node waits for.
#[derive(Debug)]
pub struct SignalWanted {
    pub name: SignalName,
    /// Renders to a text or a number. Absent: signals without a key.
    pub key: Option<Template>,
}

fn read(node: &mut Fields<'_>, said: Said<'_>, uses: &mut Vec<Use>) -> Option<Read> {
    let mut own = match said {
        Said::Word(field) => {
            missing(&field, "name", "write `action: {kind: wait_signal, name: approved}`");
            return None;
        }
        Said::Object(own) => own,
    };
    let several = own.take(&["signals"]);
    let reply = own.take(&["reply"]);
    let said = reply.as_ref().map(|field| field.value.clone());
    let reply = reply
        .map(|field| field.findings().binding(&[SIGNAL], || template(&field.at, field.value, field.findings(), uses)));
    let (signals, mut source) = match several {
        Some(field) => {
            own.finish();
            several_of(&field, uses)?
        }
        None => {
            let one = wanted(&mut own, uses);
            own.finish();
            let (signal, source) = one?;
            (vec![signal], source)
        }
    };
    let reply = match reply {
        Some(read) => Some(read?),
        None => None,
    };
    source.extend(said.map(|said| ("reply".to_owned(), said)));
    node.keep("action", Value::Object(source));
    Some(Execution::Listens(Box::new(WaitSignal { signals, reply })).into())
}

/// Reads the signals of which the first is waited for, and what is kept of the action.
fn several_of(field: &Field<'_>, uses: &mut Vec<Use>) -> Option<(Vec<SignalWanted>, Map<String, Value>)> {
    let listed = field.items();
    if !(1..=SIGNALS_AWAITED_MAX).contains(&listed.len()) {
        let message = format!("a node waits for 1 to {SIGNALS_AWAITED_MAX} signals, the first of which it takes");
        field.error(ProblemCode::InvalidValue, message);
        return None;
    }
    let (mut signals, mut sources) = (Vec::new(), Vec::new());
    for one in listed {
        let mut fields = one.fields()?;
        let read = wanted(&mut fields, uses);
        fields.finish();
        let (signal, mut source) = read?;
        source.remove("kind");
        signals.push(signal);
        sources.push(Value::Object(source));
    }
    let source = Map::from_iter([("kind".to_owned(), json!(KIND.word)), ("signals".to_owned(), Value::Array(sources))]);
    Some((signals, source))
}

/// Reads `name` and `key`.
fn wanted(fields: &mut Fields<'_>, uses: &mut Vec<Use>) -> Option<(SignalWanted, Map<String, Value>)> {
    let name = fields.need(&["name"]).and_then(|field| field.name::<SignalName>());
    let key = fields.take(&["key"]);
    let mut source = Map::from_iter([("kind".to_owned(), json!(KIND.word))]);
    let key = match key {
        Some(field) => {
            let parsed = template(&field.at, field.value, field.findings(), uses)?;
            if let Some(constant) = parsed.constant()
                && let Err(reason) = key_of(&constant.to_value())
            {
                field.error(ProblemCode::InvalidValue, reason);
                return None;
            }
            source.insert("key".to_owned(), field.value.clone());
            Some(parsed)
        }
        None => None,
    };
    let name = name?;
    source.insert("name".to_owned(), json!(name.as_str()));
    Some((SignalWanted { name, key }, source))
}

/// Reads a rendered key.
///
/// # Errors
/// Why it is none.
pub(crate) fn key_of(value: &Value) -> Result<SignalKey, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err("the key of a signal is a text or a number".to_owned());
        }
    };
    text.parse().map_err(|invalid: crate::InvalidName| invalid.to_string())
}
