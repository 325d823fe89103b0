//! Templates and conditions in documents: parsed where they stand, with what they name.

use serde_json::Value;

use super::document::{Field, Findings, escaped};
use super::{ProblemCode, hints};
use crate::expr::{Expression, Template};

const OLD_TEMPLATE: &str = "is an older spelling: write `${{ input.x }}` for a parameter, `${{ state.x }}` for what a \
    step stored and `${{ nodes.<id>.output }}` for its result";

/// What an expression names, to be checked once all nodes are known.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) at: String,
    pub(super) input: Vec<String>,
    pub(super) nodes: Vec<String>,
    pub(super) state: Vec<String>,
    pub(super) assets: Vec<String>,
    /// The variables.
    pub(super) roots: Vec<String>,
    /// Whether releases before 0.2 do not know what it asks for.
    pub(super) has_later_words: bool,
}

impl Use {
    fn of(at: String, expression: &Expression) -> Self {
        Self {
            at,
            input: expression.input_references(),
            nodes: expression.node_references(),
            state: expression.state_references(),
            assets: expression.asset_references(),
            roots: expression.roots(),
            has_later_words: expression.has_later_words(),
        }
    }
}

/// Reads a value that may hold expressions.
pub(super) fn template(at: &str, value: &Value, found: &Findings, uses: &mut Vec<Use>) -> Option<Template> {
    each_text(at, value, &mut |path, text| {
        if text.as_str().is_some_and(is_old) {
            let shown: String = text.as_str().unwrap_or_default().chars().take(80).collect();
            found.error(path, ProblemCode::BadExpression, format!("{shown:?} {OLD_TEMPLATE}"));
        } else if let Some((unmarked, instead)) =
            text.as_str().and_then(|text| hints::unmarked_expression(text, &found.bound()))
        {
            let [shown, instead] = [unmarked, &instead].map(|text| text.chars().take(80).collect::<String>());
            let message = format!("`{shown}` is text here, no expression: an expression is written `{instead}`");
            found.warning(path, ProblemCode::BadExpression, message);
        }
    });
    let bound = found.bound();
    match Template::parse_among(value, &bound) {
        Ok(template) => {
            for (pointer, expression) in template.expressions() {
                uses.push(Use::of(format!("{at}{pointer}"), expression));
            }
            Some(template)
        }
        Err(problems) => {
            for (pointer, problem) in problems {
                found.error(&format!("{at}{pointer}"), ProblemCode::BadExpression, problem.reason);
            }
            each_text(at, value, &mut |path, text| {
                if let Ok(template) = Template::parse_among(text, &bound) {
                    uses.extend(template.expressions().iter().map(|(_, one)| Use::of(path.to_owned(), one)));
                }
            });
            None
        }
    }
}

/// Reads a condition: bare CEL, or CEL in `${{ … }}`. Returns its canonical source too.
pub(super) fn condition(field: &Field<'_>) -> Option<(Expression, Use)> {
    let text = match field.value {
        Value::Bool(truth) => truth.to_string(),
        _ => field.text()?.to_owned(),
    };
    match Expression::parse_among(bare(&text), &field.findings().bound()) {
        Ok(expression) => {
            let used = Use::of(field.at.clone(), &expression);
            Some((expression, used))
        }
        Err(problem) => {
            field.error(ProblemCode::BadExpression, problem.reason);
            None
        }
    }
}

/// Takes what stands around a condition away.
pub(super) fn bare(text: &str) -> &str {
    let trimmed = text.trim();
    trimmed.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(trimmed).trim()
}

/// Finds `{{ parameters.… }}` and the like, which an earlier product used.
fn is_old(text: &str) -> bool {
    text.match_indices("{{").any(|(start, _)| {
        let inner = text[start + 2..].trim_start();
        let known = ["parameters.", "steps.", "shared.", "context."].iter().any(|old| inner.starts_with(old));
        known && !text[..start].ends_with('$')
    })
}

/// Visits every text in a value with its path.
fn each_text(at: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::String(_) => visit(at, value),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                each_text(&format!("{at}/{index}"), item, visit);
            }
        }
        Value::Object(entries) => {
            for (key, entry) in entries {
                each_text(&format!("{at}/{}", escaped(key)), entry, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
