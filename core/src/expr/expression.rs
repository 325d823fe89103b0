//! One CEL expression, parsed once.

use cel::IdedExpr;
use cel::common::ast::Expr;

use super::library::ENVIRONMENT;
use super::lower::{self, Slot};
use super::path::{Found, Path, Root, Step};
use super::program::Program;
use super::{EvaluationError, Scope, source, value};
use crate::Json;

/// A parsed expression.
#[derive(Debug)]
pub struct Expression {
    source: String,
    plan: Plan,
}

/// How it is evaluated.
#[derive(Debug)]
enum Plan {
    /// By taking a path, without CEL.
    Path(Path),
    Program(Box<Program>),
}

/// Says why a text is not an expression the engine takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ExpressionProblem {
    /// What is wrong, with the place where CEL can tell it.
    pub reason: String,
}

impl Expression {
    /// Parses a source of at most 4,096 bytes and 32 levels.
    ///
    /// # Errors
    /// Syntax errors, unknown variables and functions, a source over the limits.
    pub fn parse(text: &str) -> Result<Self, ExpressionProblem> {
        source::check(text)?;
        let plan = parse(text).map_err(|reason| ExpressionProblem { reason: with_dash_hint(text, reason) })?;
        Ok(Self { source: text.trim().to_owned(), plan })
    }

    /// Returns the source, without white space around it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the ids of the nodes whose output it names literally (`nodes.a.output`, `nodes["a"].output`).
    pub fn node_references(&self) -> Vec<String> {
        self.first_keys(Root::Nodes)
    }

    /// Returns the ids of the assets it names literally (`assets["id"].payload`).
    pub fn asset_references(&self) -> Vec<String> {
        self.first_keys(Root::Assets)
    }

    /// Returns the keys of the run's state it names literally (`state.k`).
    pub fn state_references(&self) -> Vec<String> {
        self.first_keys(Root::State)
    }

    /// Returns the keys of the run's input it names literally (`input.k`).
    pub fn input_references(&self) -> Vec<String> {
        self.first_keys(Root::Input)
    }

    /// Evaluates to a JSON value. A plain path costs a scan of what lies on the way; a whole value a reference count.
    ///
    /// # Errors
    /// A missing key, a type error, an overflow: the reason in words.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Json, EvaluationError> {
        let result = match &self.plan {
            Plan::Path(path) => path.resolve(scope).and_then(|found| match &found {
                Found::Made(json) => value::check_made(json.as_str()).map(|()| found.into_json()),
                Found::Whole(_) | Found::Part(_) => Ok(found.into_json()),
            }),
            Plan::Program(program) => program.evaluate(scope),
        };
        result.map_err(|reason| self.error(reason))
    }

    /// Evaluates to a truth value.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; a value other than `true` or `false` is an error too.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        let result = match &self.plan {
            Plan::Path(path) => path.resolve(scope).and_then(|found| match found.text() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err("the value is not true or false".to_owned()),
            }),
            Plan::Program(program) => program.holds(scope),
        };
        result.map_err(|reason| self.error(reason))
    }

    fn paths(&self) -> Box<dyn Iterator<Item = &Path> + '_> {
        match &self.plan {
            Plan::Path(path) => Box::new(std::iter::once(path)),
            Plan::Program(program) => Box::new(program.slots.iter().map(Slot::path)),
        }
    }

    /// The distinct first steps below a variable, in order of appearance.
    fn first_keys(&self, root: Root) -> Vec<String> {
        let mut keys = Vec::new();
        for path in self.paths() {
            if let (true, Some(Step::Key(key))) = (path.root == root, path.steps.first())
                && !keys.contains(key)
            {
                keys.push(key.clone());
            }
        }
        keys
    }

    fn error(&self, reason: String) -> EvaluationError {
        EvaluationError { source_text: self.source.chars().take(200).collect(), reason }
    }
}

fn parse(text: &str) -> Result<Plan, String> {
    if text.trim().is_empty() {
        return Err("the expression is empty".to_owned());
    }
    let mut expr: IdedExpr = ENVIRONMENT.parser().parse(text).map_err(|errors| match errors.errors.first() {
        Some(error) => format!("not an expression: {} (column {})", error.msg, error.pos.1),
        None => "not an expression".to_owned(),
    })?;
    let mut slots = lower::lower(&mut expr)?;
    match (&expr.expr, slots.as_slice()) {
        (Expr::Ident(name), [Slot::Value(_)]) if lower::slot_number(name) == Some(0) => match slots.remove(0) {
            Slot::Value(path) => Ok(Plan::Path(path)),
            slot @ Slot::Presence(_) => Ok(Plan::Program(Box::new(Program { expr, slots: vec![slot] }))),
        },
        _ => Ok(Plan::Program(Box::new(Program { expr, slots }))),
    }
}

/// CEL reads `nodes.zip-report.output` as a subtraction; says how such a name is written.
fn with_dash_hint(text: &str, reason: String) -> String {
    for (root, _) in Root::ALL {
        for (at, _) in text.match_indices(&format!("{root}.")) {
            let rest = &text[at + root.len() + 1..];
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next().unwrap_or("");
            let dashed = name.split('-').count() > 1 && name.split('-').all(|part| !part.is_empty());
            if dashed {
                return format!("{reason}; a name with dashes is written `{root}[\"{name}\"]`");
            }
        }
    }
    reason
}
