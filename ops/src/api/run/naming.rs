//! What a run is called, and how it is found by that.

use std::collections::BTreeMap;

use headwater_core::run::{Description, StartWishes};
use headwater_core::{InvalidName, Json, NodeId};
use serde_json::{Map, Value};

use crate::api::Problem;
use crate::api::asked::Asked;
use crate::api::body::Fields;
use crate::codes::Code;

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
    let wishes = StartWishes { description: Description { name, labels, ..Description::default() }, targets };
    Ok((wishes != StartWishes::default()).then(|| Box::new(wishes)))
}

/// Takes the labels that runs are to have: `label=key:value`, as often as there are.
pub(super) fn labels_asked(asked: &mut Asked) -> Result<Option<Json>, Problem> {
    pairs(asked, "label", &|value| Value::from(value))
}

/// Takes the search attributes; what is a number or a truth value as JSON is one, all else a text.
pub(super) fn attributes_asked(asked: &mut Asked) -> Result<Option<Json>, Problem> {
    pairs(asked, "attribute", &|value| match Json::parse_strict(value).map(|json| json.to_value()) {
        Ok(scalar @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => scalar,
        Ok(Value::Null | Value::Array(_) | Value::Object(_)) | Err(_) => Value::from(value),
    })
}

fn pairs(asked: &mut Asked, name: &str, read: &dyn Fn(&str) -> Value) -> Result<Option<Json>, Problem> {
    let given = asked.take_each(name);
    let mut pairs = Map::new();
    for pair in &given {
        let Some((key, value)) = pair.split_once(':') else {
            let detail = format!("`{name}` is `key:value`");
            return Err(Problem::new(Code::InvalidParameter, detail).with("parameter", name));
        };
        if pairs.insert(key.to_owned(), read(value)).is_some_and(|before| before != read(value)) {
            let detail = format!("`{name}` asks for two values of one key");
            return Err(Problem::new(Code::InvalidParameter, detail).with("parameter", name));
        }
    }
    Ok((!pairs.is_empty()).then(|| Json::of(&pairs)))
}
