//! Whether what a workflow declares of an asset goes with what the others declare.

use serde_json::Value;

use super::{Declaration, ProducerDeclaration};
use crate::{AssetId, Json, NodeId};

/// Something that does not go together, seen from the workflow that declares it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The node of that workflow.
    pub node: NodeId,
    pub kind: ClashKind,
    /// What does not go together and what to do, for people.
    pub message: String,
}

/// Which of the declarations do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClashKind {
    /// The node produces what another workflow produces too.
    SeveralProducers,
    /// What the node promises of the asset is less than an existing consumer needs.
    PromisesTooLittle,
    /// What the node needs of the asset is more than a producer promises.
    NeedsTooMuch,
}

/// Compares what one workflow declares of an asset with what the others do. `others` holds no declaration of the same
/// workflow.
///
/// Schemas are compared as far as they say for certain what every value has: `type`, `required`, `properties`, `items`,
/// `enum` and `const`, at any depth. A side without a schema promises and needs nothing.
pub fn clashes(asset: &AssetId, own: &Declaration, others: &[Declaration]) -> Vec<Clash> {
    let mut found = Vec::new();
    let rivals: Vec<_> =
        others.iter().filter(|other| !other.producers.is_empty()).map(|other| other.workflow.to_string()).collect();
    for producer in &own.producers {
        if !rivals.is_empty() {
            let message = format!(
                "`{asset}` is produced by {} too; `primary: true` at one place says which is started for consumers",
                rivals.join(" and ")
            );
            found.push(Clash { node: producer.node.clone(), kind: ClashKind::SeveralProducers, message });
        }
        for other in others.iter().chain([own]) {
            for consumer in &other.consumers {
                let Some(gap) = gap(&producer.schema, &consumer.schema) else { continue };
                let message = format!(
                    "{} (node `{}`) consumes `{asset}` and {gap}: promise it here, or change the consumer first",
                    other.workflow, consumer.node
                );
                found.push(Clash { node: producer.node.clone(), kind: ClashKind::PromisesTooLittle, message });
            }
        }
    }
    let producers = || others.iter().flat_map(|other| other.producers.iter().map(move |producer| (other, producer)));
    for consumer in &own.consumers {
        for (other, ProducerDeclaration { node, schema, .. }) in producers() {
            let Some(gap) = gap(schema, &consumer.schema) else { continue };
            let message = format!("{} (node `{node}`) produces `{asset}`; the schema here {gap}", other.workflow);
            found.push(Clash { node: consumer.node.clone(), kind: ClashKind::NeedsTooMuch, message });
        }
    }
    found
}

/// Says what values that keep to `promised` may lack for `needed`, in words that follow "it".
fn gap(promised: &Option<Json>, needed: &Option<Json>) -> Option<String> {
    let (promised, needed) = (promised.as_ref()?.to_value(), needed.as_ref()?.to_value());
    let mut gaps = Vec::new();
    compare(&promised, &needed, "", &mut gaps);
    (!gaps.is_empty()).then(|| gaps.join(" and "))
}

fn compare(promised: &Value, needed: &Value, at: &str, gaps: &mut Vec<String>) {
    let Value::Object(needed) = needed else { return };
    let promise = |keyword: &str| promised.get(keyword);
    // What a reference stands for is not looked up: nothing is certain then.
    if needed.contains_key("$ref") || promise("$ref").is_some() {
        return;
    }
    let place = if at.is_empty() { "the payload" } else { at };
    let types = |types: &Value| -> Vec<String> {
        let one = types.as_str().map(str::to_owned).into_iter();
        one.chain(types.as_array().into_iter().flatten().filter_map(|t| t.as_str().map(str::to_owned))).collect()
    };
    if let (Some(promised), Some(wanted)) = (promise("type").map(types), needed.get("type").map(types)) {
        let fits = |is: &String| wanted.contains(is) || (is == "integer" && wanted.iter().any(|w| w == "number"));
        if let Some(other) = promised.iter().find(|is| !fits(is)) {
            gaps.push(format!("needs {place} to be {}, not {other}", wanted.join(" or ")));
            return;
        }
    }
    let values = |schema: &dyn Fn(&str) -> Option<Value>| -> Option<Vec<Value>> {
        schema("const").map(|only| vec![only]).or_else(|| schema("enum").and_then(|some| some.as_array().cloned()))
    };
    let promised_values = values(&|keyword| promise(keyword).cloned());
    if let (Some(promised), Some(wanted)) = (promised_values, values(&|keyword| needed.get(keyword).cloned()))
        && let Some(other) = promised.iter().find(|value| !wanted.contains(value))
    {
        gaps.push(format!("does not take {other} as {place}"));
    }
    let names = |names: Option<&Value>| -> Vec<String> {
        names
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let sure = names(promise("required"));
    for name in names(needed.get("required")) {
        if !sure.contains(&name) {
            gaps.push(format!("requires {at}/{name}"));
        }
    }
    if let Some(Value::Object(properties)) = needed.get("properties") {
        for (name, needed) in properties {
            if let Some(promised) = promise("properties").and_then(|properties| properties.get(name)) {
                compare(promised, needed, &format!("{at}/{name}"), gaps);
            }
        }
    }
    if let (Some(promised), Some(needed)) = (promise("items"), needed.get("items")) {
        compare(promised, needed, &format!("{at}/-"), gaps);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(promised: Value, needed: Value) -> String {
        gap(&Some(Json::of(&promised)), &Some(Json::of(&needed))).unwrap_or_default()
    }

    #[test]
    fn what_is_not_promised_for_certain_is_named() {
        let cases = [
            (json!({"required": ["a", "b"]}), json!({"required": ["a"]}), ""),
            (json!({"required": ["a"]}), json!({"required": ["a", "b"]}), "requires /b"),
            (json!({}), json!({"required": ["a"]}), "requires /a"),
            (json!(true), json!({"required": ["a"]}), "requires /a"),
            (json!({"type": "integer"}), json!({"type": "number"}), ""),
            (json!({"type": "number"}), json!({"type": "integer"}), "needs the payload to be integer, not number"),
            (
                json!({"type": ["string", "null"]}),
                json!({"type": "string"}),
                "needs the payload to be string, not null",
            ),
            (json!({"properties": {"a": {}}}), json!({"properties": {"a": {"type": "string"}}}), ""),
            (
                json!({"properties": {"a": {"type": "array", "items": {"required": ["x"]}}}}),
                json!({"properties": {"a": {"items": {"required": ["x", "y"]}}}}),
                "requires /a/-/y",
            ),
            (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), ""),
            (json!({"enum": ["a", "c"]}), json!({"enum": ["a", "b"]}), "does not take \"c\" as the payload"),
            (json!({"const": 1}), json!({"const": 2}), "does not take 1 as the payload"),
            (json!({"$ref": "#/$defs/a"}), json!({"required": ["a"]}), ""),
            (json!({"type": "object"}), json!(true), ""),
        ];
        for (promised, needed, expected) in cases {
            assert_eq!(told(promised.clone(), needed.clone()), expected, "{promised} for {needed}");
        }
        assert_eq!(gap(&None, &Some(Json::of(&json!({"required": ["a"]})))), None, "no schema promises nothing");
    }
}
