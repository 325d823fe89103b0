//! Which expressions certainly fail, as far as the schemas of input and state say what they see.
//!
//! It is looked at where definitions come in: journals hold such definitions from before, and their other nodes go on.

use serde_json::Value;

use super::ProblemCode;
use super::document::Findings;
use super::listed::{self, Listed};
use crate::expr::{Expression, Seen, Template, Verdict, Wanted};

/// Looks at each template and condition of a document, in whichever form.
pub(super) fn check(document: &Value, found: &Findings) {
    let schema = |names: [&str; 2]| names.iter().find_map(|name| document.get(name)).filter(|schema| is_known(schema));
    let input = schema(["inputSchema", "parametersSchema"]);
    let state = schema(["stateSchema", "contextSchema"]);
    let checks = Checks { seen: Seen { input, state }, bound: Vec::new(), found };
    if let Some(output) = document.get("output") {
        checks.template("/output", output);
    }
    if let Some(run) = document.get("run") {
        checks.template("/run", run);
    }
    for Listed { at, value: node, bound } in listed::nodes(document) {
        let checks = Checks { bound, ..checks };
        checks.condition(&at, node, "when");
        for name in ["input", "action", "setAttributes"] {
            checks.member(&at, node, name);
        }
        if let Some(each) = node.get("forEach") {
            checks.member(&format!("{at}/forEach"), each, "items");
        }
        for (at, consumed) in listed::entries_of(node, &at, "consumes") {
            for name in ["partition", "producerInput"] {
                checks.member(&at, consumed, name);
            }
        }
    }
    for Listed { at, value: transition, bound } in listed::transitions(document) {
        let checks = Checks { bound, ..checks };
        checks.condition(&at, transition, "when");
        checks.condition(&at, transition, "until");
    }
}

/// Of another language than JSON Schema nothing is known.
fn is_known(schema: &Value) -> bool {
    let dialect = schema.get("$schema").map(|dialect| dialect.as_str().unwrap_or_default());
    dialect.is_none_or(|dialect| dialect.contains("://json-schema.org/"))
}

struct Checks<'v> {
    seen: Seen<'v>,
    bound: Vec<String>,
    found: &'v Findings,
}

impl Checks<'_> {
    fn member(&self, at: &str, of: &Value, name: &str) {
        if let Some(value) = of.get(name) {
            self.template(&format!("{at}/{name}"), value);
        }
    }

    /// What does not parse has been told of.
    fn template(&self, at: &str, value: &Value) {
        for (pointer, expression) in Template::parse_among(value, &self.bound).iter().flat_map(Template::expressions) {
            self.tell(&format!("{at}{pointer}"), expression, Wanted::Json);
        }
    }

    fn condition(&self, at: &str, of: &Value, name: &str) {
        let Some(text) = of.get(name).and_then(Value::as_str) else { return };
        if let Ok(expression) = Expression::parse_among(super::template::bare(text), &self.bound) {
            self.tell(&format!("{at}/{name}"), &expression, Wanted::Truth);
        }
    }

    fn tell(&self, at: &str, expression: &Expression, wanted: Wanted) {
        let source: String = expression.source().chars().take(80).collect();
        match expression.verdict(&self.seen, wanted) {
            Some(Verdict::Fails(reason)) => {
                let message = format!("`{source}` would fail whatever the run's input: {reason}");
                self.found.error(at, ProblemCode::BadExpression, message);
            }
            Some(Verdict::FailsForWholeNumbers(reason)) => {
                let message = format!("`{source}` fails unless whole numbers are written `1.0`: {reason}");
                self.found.warning(at, ProblemCode::BadExpression, message);
            }
            None => {}
        }
    }
}
