//! What of a definition is refused where definitions come in, though journals may hold it and go on.

use serde_json::Value;

use super::{Automation, Partitioning};
use crate::definition::document::{Field, Findings};
use crate::definition::listed::{self, Listed};
use crate::definition::reusable::check_written;
use crate::definition::{Definition, Problem, ProblemCode, Schema, pattern, typed};

/// Says what of a definition is refused where definitions come in, though journals may hold it and go on; and what is warned of
/// there.
pub fn refused_at_the_door(definition: &Definition) -> Vec<Problem> {
    let (source, found) = (definition.source.to_value(), Findings::default());
    check_document(&source, &found);
    typed::check(&source, &found);
    found.into_document_order(&source)
}

/// Looks at every asset that any node of a document declares, in whichever form.
pub(in crate::definition) fn check_document(document: &Value, found: &Findings) {
    for name in ["inputSchema", "stateSchema", "outputSchema"] {
        if let Some(schema) = document.get(name) {
            check_patterns(&Field::new(format!("/{name}"), schema, found));
        }
    }
    for Listed { at, value, .. } in listed::nodes(document) {
        for name in ["paramsSchema", "outputSchema"] {
            if let Some(schema) = value.get(name) {
                check_patterns(&Field::new(format!("{at}/{name}"), schema, found));
            }
        }
        let written = value.get("params").zip(value.get("paramsSchema").and_then(|of| Schema::compile(of).ok()));
        if let Some((params, schema)) = written {
            check_written(&Field::new(format!("{at}/params"), params, found), &schema);
        }
        for side in ["produces", "consumes"] {
            listed::entries_of(value, &at, side).for_each(|(at, declared)| check(&at, declared, found));
        }
    }
}

fn check(at: &str, declared: &Value, found: &Findings) {
    let field = |name: &str| declared.get(name).map(|value| Field::new(format!("{at}/{name}"), value, found));
    if let Some(key) = field("partition").filter(|key| key.value.is_array() || key.value.is_object()) {
        let message = "a partition is one key, a text: consume each partition in a node of its own";
        key.error(ProblemCode::InvalidValue, message);
    }
    if let Some(schema) = field("schema") {
        check_patterns(&schema);
    }
    if let Some(partitioning) = field("partitioning") {
        Partitioning::read(&partitioning);
    }
    if let Some(automation) = field("autoMaterialize") {
        Automation::read(&automation);
    }
}

/// Refuses patterns of a schema that look within characters.
pub(in crate::definition) fn check_patterns(schema: &Field<'_>) {
    if let Some(pattern) = pattern::within_characters(schema.value) {
        let shown: String = pattern.chars().take(80).collect();
        let message =
            format!("the pattern {shown:?} turns Unicode off, which patterns of schemas cannot: leave the `u` out");
        schema.error(ProblemCode::BadSchema, message);
    }
}
