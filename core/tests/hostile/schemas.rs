//! Schemas that could be tried for ever.

use headwater_core::Json;
use headwater_core::definition::{Schema, SchemaRefusal};
use headwater_core::expr::Work;
use serde_json::{Value, json};

use crate::keys;

/// Schemas that could be tried for ever, and values for them.
pub fn schemas() -> Vec<(&'static str, Value, Value)> {
    let mut fork = serde_json::Map::new();
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/s{}", n + 1)});
        fork.insert(format!("s{n}"), json!({"anyOf": [next, next]}));
    }
    fork.insert("s40".to_owned(), json!({"type": "string"}));
    let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [
        {"properties": {"a": {"$ref": "#/$defs/t"}}, "required": ["b"]},
        {"properties": {"a": {"$ref": "#/$defs/t"}}, "required": ["c"]},
        {"type": "string"},
    ]}}});
    let deep = (0..60).fold(json!(1), |inner, _| json!({"a": inner, "b": 1}));
    let words = json!((0..2000).map(|n| format!("word{n}")).collect::<Vec<_>>());
    let ab = "ab".repeat(200_000);
    let circle = chain(40);
    vec![
        ("alternatives of alternatives", json!({"$ref": "#/$defs/s0", "$defs": fork}), json!(1)),
        ("a tree of alternatives", tree, deep.clone()),
        ("a list of words", json!({"items": {"enum": words}}), json!(vec!["no"; 100_000])),
        ("patterns", json!({"items": {"pattern": "(a?){60}a{60}"}}), json!(vec!["a".repeat(59); 5000])),
        ("a long text", json!({"pattern": "^[ab]*a[ab]{300}c"}), json!(ab)),
        ("two patterns", json!({"pattern": "^(a+)+$"}), json!("a".repeat(400_000) + "b")),
        ("look-around", json!({"items": {"pattern": "^(?=(a+)+$)"}}), json!(vec!["a".repeat(40) + "b"; 5000])),
        ("within characters", json!({"pattern": "(?-u:\\B)|\\bq"}), json!("a-".repeat(200_000) + "aä")),
        (
            "within characters of keys",
            json!({"patternProperties": {"\\bq|(?s-u:\\B)": {}}}),
            json!({"a-".repeat(200_000) + "aä": 1}),
        ),
        ("patterns of keys", json!({"patternProperties": {"(k?){20}x": {}, "k{10}y": {}}}), keys(20_000)),
        ("names", json!({"additionalProperties": false}), keys(20_000)),
        ("unique items", json!({"uniqueItems": true}), json!((0..60_000).map(|n| json!([n])).collect::<Vec<_>>())),
        ("regex formats", json!({"items": {"format": "regex"}}), json!(vec!["(a{1,50}){1,50}\\w\\pL"; 3000])),
        ("a fork", json!({"$ref": "#/$defs/s28", "$defs": fork}), json!(1)),
        ("a chain", json!({"$ref": "#/$defs/c0", "$defs": chain(20_000)}), json!(1)),
        ("a long circle", json!({"$ref": "#/$defs/c0", "$defs": circle}), deep),
        ("itself", json!({"$ref": "#"}), json!(1)),
        ("itself among others", json!({"anyOf": [{"$ref": "#"}, {"type": "string"}]}), json!(1)),
        ("unevaluated", json!({"$ref": "#/$defs/s0", "unevaluatedProperties": false, "$defs": fork}), json!({"a": 1})),
    ]
}

fn chain(length: usize) -> Value {
    let links = (0..length).map(|n| (format!("c{n}"), json!({"allOf": [{"$ref": format!("#/$defs/c{}", n + 1)}]})));
    let mut links: serde_json::Map<String, Value> = links.collect();
    links.insert(format!("c{length}"), json!({"properties": {"a": {"$ref": "#/$defs/c0"}}}));
    links.into()
}

#[test]
fn a_schema_that_unfolds_without_end_is_refused() {
    let mut refused = Vec::new();
    for (name, schema, _) in schemas() {
        if let Err(reason) = Schema::compile(&schema) {
            assert!(reason.contains("references"), "{name}: {reason}");
            refused.push(name);
        }
    }
    assert_eq!(refused, ["alternatives of alternatives", "a chain", "unevaluated"]);
}

#[test]
fn whatever_a_schema_does_is_counted() {
    for (name, schema, value) in schemas() {
        let Ok(schema) = Schema::compile(&schema) else { continue };
        let work = Work::of_a_decision();
        let value = Json::of(&value);
        let kept = schema.check_within(&value, &work);
        assert!(work.spent() > 0, "{name}");
        if let Err(SchemaRefusal::Breach(breaches)) = kept {
            assert!(breaches.to_string().len() < 8000, "{name}");
        }
    }
}

#[test]
fn a_schema_of_an_older_definition_may_look_around() {
    let schema = Schema::compile(&json!({"type": "string", "pattern": "^(?!no).*$"})).unwrap();
    assert_eq!(schema.check(&Json::of(&"yes")), Ok(()));
    assert!(schema.check(&Json::of(&"no")).is_err());
    let breach = Schema::compile(&json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}));
    let breach = breach.unwrap().check(&Json::of(&json!({"a": 1, "b": "x"}))).unwrap_err();
    let SchemaRefusal::Breach(breaches) = breach else { panic!("{breach}") };
    assert_eq!(breaches.iter().map(|breach| &*breach.path).collect::<Vec<_>>(), ["/a", "/b"]);
    let told = breaches.to_string();
    assert!(told.contains("\"string\"") && told.contains("\"integer\""), "{told}");
}
