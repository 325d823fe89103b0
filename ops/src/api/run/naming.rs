//! What a run is called, and how it is found by that.

use std::collections::BTreeMap;

use headwater_core::run::{Description, StartWishes};
use headwater_core::{InvalidName, Json, NodeId};
use serde_json::Value;

use crate::api::Problem;
use crate::api::asked::Asked;
use crate::api::body::Fields;
use crate::codes::Code;

/// How often one list may be asked for each of labels, search attributes and values of the input.
const CONDITIONS_MAX: usize = 8;
/// The most targets of a start.
const TARGETS_MAX: usize = 1_000;

/// Reads `name`, `labels` and `targets` of a start; whether they can be so, the shard decides.
pub(super) fn wishes(fields: &mut Fields) -> Result<Option<Box<StartWishes>>, Problem> {
    let name = fields.field::<String>("name", "a text")?;
    let labels = fields.field::<BTreeMap<String, String>>("labels", "an object of texts")?.unwrap_or_default();
    let targets = fields.field::<Vec<String>>("targets", "a list of node ids")?.unwrap_or_default();
    if targets.len() > TARGETS_MAX {
        let detail = format!("these are {} targets, and {TARGETS_MAX} are the most", targets.len());
        return Err(Problem::new(Code::InvalidField, detail).with("field", "targets"));
    }
    let invalid = |error: InvalidName| Problem::new(Code::TargetInvalid, error.to_string());
    let targets: Vec<NodeId> = targets.iter().map(|id| id.parse().map_err(invalid)).collect::<Result<_, Problem>>()?;
    let wishes = StartWishes {
        description: Description { name, labels, ..Description::default() },
        targets,
        ..StartWishes::default()
    };
    Ok((wishes != StartWishes::default()).then(|| Box::new(wishes)))
}

/// Takes the labels that runs are to have: `label=key:value`, as often as there are.
pub(super) fn labels_asked(asked: &mut Asked) -> Result<Vec<(String, String)>, Problem> {
    pairs(asked, "label", &str::to_owned)
}

/// Takes the search attributes; what is a number or a truth value as JSON is one, all else a text.
pub(super) fn attributes_asked(asked: &mut Asked) -> Result<Vec<(String, Json)>, Problem> {
    pairs(asked, "attribute", &scalar)
}

/// Takes the values that the input of a run is to have, read as those of search attributes.
///
/// # Errors
/// Also where no run is found by such a value.
pub(super) fn inputs_asked(asked: &mut Asked) -> Result<Vec<(String, Json)>, Problem> {
    let pairs = pairs(asked, "input", &scalar)?;
    match pairs.iter().find(|(key, value)| !headwater_projector::is_found(key, value.as_str())) {
        None => Ok(pairs),
        Some((key, _)) => {
            let short: String = key.chars().take(80).collect();
            let detail = format!(
                "no run is found by this value of `{short}`: the key is one as of labels, the value has {} bytes of JSON at most",
                headwater_projector::INPUT_VALUE_BYTES_MAX
            );
            Err(Problem::new(Code::InvalidParameter, detail).with("parameter", "input"))
        }
    }
}

fn scalar(value: &str) -> Json {
    match Json::parse_strict(value).map(|json| (json.to_value(), json)) {
        Ok((Value::Bool(_) | Value::Number(_) | Value::String(_), scalar)) => scalar,
        Ok((Value::Null | Value::Array(_) | Value::Object(_), _)) | Err(_) => Json::of(&value),
    }
}

fn pairs<T: PartialEq>(asked: &mut Asked, name: &str, read: &dyn Fn(&str) -> T) -> Result<Vec<(String, T)>, Problem> {
    let invalid = |detail: String| Problem::new(Code::InvalidParameter, detail).with("parameter", name);
    let given = asked.take_each(name);
    if given.len() > CONDITIONS_MAX {
        return Err(invalid(format!("`{name}` is given {} times, and {CONDITIONS_MAX} are the most", given.len())));
    }
    let mut pairs: Vec<(String, T)> = Vec::new();
    for pair in &given {
        let Some((key, value)) = pair.split_once(':') else { return Err(invalid(format!("`{name}` is `key:value`"))) };
        let value = read(value);
        match pairs.iter().find(|(before, _)| before == key) {
            None => pairs.push((key.to_owned(), value)),
            Some((_, before)) if *before == value => {}
            Some(_) => return Err(invalid(format!("`{name}` asks for two values of one key"))),
        }
    }
    Ok(pairs)
}
