//! JSON values with `${{ … }}` inside.

use serde_json::Value;

use super::check::{RESULT_BYTES_MAX, check_made};
use super::eval::Fault;
use super::{EvaluationError, Expression, ExpressionProblem, Scope, Work, source};
use crate::Json;

/// What opens an expression inside a text; `$${{` stands for the text `${{`.
const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// A JSON value in which texts may hold expressions.
///
/// A text that is exactly one `${{ … }}` keeps the value's type; otherwise expressions interpolate as text.
#[derive(Debug)]
pub struct Template {
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// Nothing to do.
    Ready(Json),
    /// Exactly one expression.
    Value(Expression),
    /// Expressions between pieces of text.
    Text(Vec<Piece>),
    Array(Vec<Shape>),
    /// Keys are ready to write, quotes included.
    Object(Vec<(String, Shape)>),
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Expression(Expression),
}

impl Template {
    /// Parses a value; every problem comes with its JSON Pointer below the value.
    ///
    /// # Errors
    /// All expressions that do not parse.
    pub fn parse(value: &Value) -> Result<Self, Vec<(String, ExpressionProblem)>> {
        Self::parse_among(value, &[])
    }

    /// Parses a value that stands where these names are bound beside the variables there always are.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_among(value: &Value, bound: &[String]) -> Result<Self, Vec<(String, ExpressionProblem)>> {
        let mut problems = Vec::new();
        let shape = shape(value, bound, &mut String::new(), &mut problems);
        if problems.is_empty() { Ok(Self { shape }) } else { Err(problems) }
    }

    /// Returns its expressions in document order, each with its JSON Pointer below the value.
    pub fn expressions(&self) -> Vec<(String, &Expression)> {
        let mut all = Vec::new();
        collect(&self.shape, &mut String::new(), &mut all);
        all
    }

    /// Returns the ids of the nodes whose output it names literally.
    pub fn node_references(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.expressions().iter().flat_map(|(_, expression)| expression.node_references()).collect();
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        ids
    }

    /// Returns the value if it holds no expression.
    pub fn constant(&self) -> Option<&Json> {
        match &self.shape {
            Shape::Ready(json) => Some(json),
            Shape::Value(_) | Shape::Text(_) | Shape::Array(_) | Shape::Object(_) => None,
        }
    }

    /// Renders the value, as the only thing a decision does: see [`Self::render_within`].
    ///
    /// # Errors
    /// As [`Self::render_within`].
    pub fn render(&self, scope: &Scope<'_>) -> Result<Json, EvaluationError> {
        self.render_within(scope, &Work::of_a_decision())
    }

    /// Renders the value. A template without expressions costs a reference count.
    ///
    /// # Errors
    /// The first expression that has no value here; a value made larger than [`super::RESULT_BYTES_MAX`] or deeper
    /// than any JSON of the engine; no work left in the decision.
    pub fn render_within(&self, scope: &Scope<'_>, work: &Work) -> Result<Json, EvaluationError> {
        match &self.shape {
            Shape::Ready(json) => Ok(json.clone()),
            Shape::Value(expression) => expression.evaluate_within(scope, work),
            shape @ (Shape::Text(_) | Shape::Array(_) | Shape::Object(_)) => {
                let mut out = String::new();
                write(shape, scope, work, &mut out)?;
                work.scan(2 * out.len()).map_err(|limit| failed(limit.into()))?;
                check_made(&out).map_err(failed)?;
                Ok(Json::joined(out).expect("pieces of JSON, joined as JSON"))
            }
        }
    }
}

fn shape(value: &Value, bound: &[String], at: &mut String, problems: &mut Vec<(String, ExpressionProblem)>) -> Shape {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Shape::Ready(Json::of(value)),
        Value::String(text) => text_shape(text, bound).unwrap_or_else(|problem| {
            problems.push((at.clone(), problem));
            Shape::Ready(Json::null())
        }),
        Value::Array(items) => {
            let mut parts = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                parts.push(below(&index.to_string(), item, bound, at, problems));
            }
            if parts.iter().all(is_ready) { ready_or(value, Shape::Array(parts)) } else { Shape::Array(parts) }
        }
        Value::Object(entries) => {
            let mut parts = Vec::with_capacity(entries.len());
            for (key, entry) in entries {
                if key.contains(OPEN) {
                    let reason = format!("the key {key:?} holds an expression; only values may");
                    problems.push((format!("{at}/{}", escape(key)), ExpressionProblem { reason }));
                }
                parts.push((Json::of(key).as_str().to_owned(), below(&escape(key), entry, bound, at, problems)));
            }
            let ready = parts.iter().all(|(_, part)| is_ready(part));
            if ready { ready_or(value, Shape::Object(parts)) } else { Shape::Object(parts) }
        }
    }
}

/// A container without expressions is ready as it stands, unless a text in it has an escape to undo.
fn ready_or(value: &Value, parts: Shape) -> Shape {
    let mut out = String::new();
    append_ready(&parts, &mut out);
    Shape::Ready(Json::joined(out).unwrap_or_else(|_| Json::of(value)))
}

fn append_ready(shape: &Shape, out: &mut String) {
    match shape {
        Shape::Ready(json) => out.push_str(json.as_str()),
        Shape::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                append_ready(item, out);
            }
            out.push(']');
        }
        Shape::Object(entries) => {
            out.push('{');
            for (at, (key, entry)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(key);
                out.push(':');
                append_ready(entry, out);
            }
            out.push('}');
        }
        Shape::Value(_) | Shape::Text(_) => {}
    }
}

fn is_ready(shape: &Shape) -> bool {
    matches!(shape, Shape::Ready(_))
}

fn below(
    step: &str,
    value: &Value,
    bound: &[String],
    at: &mut String,
    problems: &mut Vec<(String, ExpressionProblem)>,
) -> Shape {
    let length = at.len();
    at.push('/');
    at.push_str(step);
    let shape = shape(value, bound, at, problems);
    at.truncate(length);
    shape
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn text_shape(text: &str, bound: &[String]) -> Result<Shape, ExpressionProblem> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        if rest[..at].ends_with('$') {
            literal.push_str(&rest[..at]);
            literal.push_str(&OPEN[1..]);
            rest = &rest[at + OPEN.len()..];
            continue;
        }
        literal.push_str(&rest[..at]);
        let inner = &rest[at + OPEN.len()..];
        let end = source::end_of_expression(inner)
            .ok_or_else(|| ExpressionProblem { reason: format!("`{OPEN}` is not closed by `{CLOSE}`") })?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Expression(Expression::parse_among(&inner[..end], bound)?));
        rest = &inner[end + CLOSE.len()..];
    }
    literal.push_str(rest);
    if pieces.is_empty() {
        return Ok(Shape::Ready(Json::of(&literal)));
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    match pieces.pop() {
        Some(Piece::Expression(expression)) if pieces.is_empty() => Ok(Shape::Value(expression)),
        last => {
            pieces.extend(last);
            Ok(Shape::Text(pieces))
        }
    }
}

fn collect<'t>(shape: &'t Shape, at: &mut String, all: &mut Vec<(String, &'t Expression)>) {
    let length = at.len();
    match shape {
        Shape::Ready(_) => {}
        Shape::Value(expression) => all.push((at.clone(), expression)),
        Shape::Text(pieces) => all.extend(pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Expression(expression) => Some((at.clone(), expression)),
        })),
        Shape::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push_str(&format!("/{index}"));
                collect(item, at, all);
                at.truncate(length);
            }
        }
        Shape::Object(entries) => {
            for (key, entry) in entries {
                let key: String = serde_json::from_str(key).expect("keys are kept as JSON texts");
                at.push_str(&format!("/{}", escape(&key)));
                collect(entry, at, all);
                at.truncate(length);
            }
        }
    }
}

fn failed(fault: Fault) -> EvaluationError {
    let (reason, limit) = fault.into_parts();
    EvaluationError { source_text: "the whole value".to_owned(), reason, limit }
}

fn write(shape: &Shape, scope: &Scope<'_>, work: &Work, out: &mut String) -> Result<(), EvaluationError> {
    if out.len() > RESULT_BYTES_MAX {
        return check_made(out).map_err(failed);
    }
    match shape {
        Shape::Ready(json) => out.push_str(json.as_str()),
        Shape::Value(expression) => expression.with_text(scope, work, |value| out.push_str(value))?,
        Shape::Text(pieces) => {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Literal(literal) => text.push_str(literal),
                    Piece::Expression(expression) => {
                        let bytes = expression.with_text(scope, work, |value| {
                            interpolate(value, &mut text);
                            value.len()
                        })?;
                        work.scan(bytes).map_err(|limit| failed(limit.into()))?;
                    }
                }
                if text.len() > RESULT_BYTES_MAX {
                    return check_made(&text).map_err(failed);
                }
            }
            out.push_str(Json::of(&text).as_str());
        }
        Shape::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(item, scope, work, out)?;
            }
            out.push(']');
        }
        Shape::Object(entries) => {
            out.push('{');
            for (at, (key, entry)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(key);
                out.push(':');
                write(entry, scope, work, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// `null` as nothing, texts as they are, everything else as JSON.
fn interpolate(value: &str, text: &mut String) {
    if value == "null" {
        return;
    }
    match serde_json::from_str::<String>(value) {
        Ok(plain) => text.push_str(&plain),
        Err(_) => text.push_str(value),
    }
}
