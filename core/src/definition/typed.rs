//! Which expressions certainly fail, as far as the schemas of input and state say what they see.
//!
//! It is looked at where definitions come in: journals hold such definitions from before, and their other nodes go on.

use serde_json::Value;

use super::ProblemCode;
use super::UNDONE;
use super::document::Findings;
use super::listed::{self, Listed};
use crate::expr::{Expression, PARAMS, Seen, Template, Verdict, Wanted};

/// Looks at each template and condition of a document, in whichever form.
pub(super) fn check(document: &Value, found: &Findings) {
    let schema = |names: [&str; 2]| names.iter().find_map(|name| document.get(name)).filter(|schema| is_known(schema));
    let input = schema(["inputSchema", "parametersSchema"]);
    let state = schema(["stateSchema", "contextSchema"]);
    let checks = Checks { seen: Seen { input, state, params: None }, bound: Vec::new(), found };
    if let Some(output) = document.get("output") {
        checks.template("/output", output);
    }
    if let Some(run) = document.get("run") {
        checks.template("/run", run);
    }
    for Listed { at, value: node, bound } in listed::nodes(document) {
        let checks = Checks { bound, ..checks };
        checks.condition(&at, node, "when");
        checks.member(&at, node, "params");
        checks.member(&at, node, "setAttributes");
        checks.acting(&at, node);
        if let Some(compensate) = node.get("compensate") {
            let bound = UNDONE.map(str::to_owned).into_iter().chain(checks.bound.iter().cloned()).collect();
            Checks { bound, ..checks }.acting(&format!("{at}/compensate"), compensate);
        }
        if let Some(reuse) = node.get("reuse") {
            checks.member(&format!("{at}/reuse"), reuse, "key");
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

/// Looks at each template of a document of an action that takes `params`.
pub(super) fn check_action(document: &Value, params: Option<&Value>, found: &Findings) {
    let seen = Seen { params: params.filter(|schema| is_known(schema)), ..Seen::default() };
    let checks = Checks { seen, bound: vec![PARAMS.to_owned()], found };
    for name in ["input", "action"] {
        checks.member("", document, name);
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
    /// Looks at what a node does, with the parameters that it has for that.
    fn acting(&self, at: &str, node: &Value) {
        let params = node.get("paramsSchema").filter(|schema| is_known(schema));
        let named = node.get(PARAMS).map(|_| PARAMS.to_owned());
        let bound = self.bound.iter().cloned().chain(named).collect();
        let checks = Checks { seen: Seen { params, ..self.seen }, bound, found: self.found };
        for name in ["input", "action"] {
            checks.member(at, node, name);
        }
    }

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
