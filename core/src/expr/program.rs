//! The evaluation of a lowered expression by CEL.

use std::sync::OnceLock;

use cel::common::types::CelBool;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, ExecutionError, IdedExpr, Value};

use super::Scope;
use super::library::{BUDGET, Budget, ENVIRONMENT};
use super::lower::{Slot, slot_number};
use super::path::Found;
use super::value::{self, OwnedVal};
use crate::Json;

/// A lowered expression with its slots.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) expr: IdedExpr,
    pub(super) slots: Vec<Slot>,
}

impl Program {
    /// Evaluates to JSON; the reason for a failure in words.
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Json, String> {
        self.run(scope, value::write)
    }

    /// Evaluates to a truth value; anything else is a failure.
    pub(super) fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        self.run(scope, |result| match result.downcast_ref::<CelBool>() {
            Some(truth) => Ok(*truth.inner()),
            None => Err(format!("the result is of the type {}, not true or false", result.get_type().name())),
        })
    }

    fn run<T>(&self, scope: &Scope<'_>, finish: impl FnOnce(&dyn Val) -> Result<T, String>) -> Result<T, String> {
        let variables = Variables::bind(&self.slots, scope);
        let mut context = Context::with_env(ENVIRONMENT.clone());
        context.set_variable_resolver(&variables);
        match Value::resolve_val(&self.expr, &context) {
            Ok(result) => finish(&*result),
            Err(error) => Err(variables.explain(&error)),
        }
    }
}

/// The slots of an expression, cut out of a scope at once, converted when they are first used.
struct Variables<'r> {
    slots: Vec<Bound<'r>>,
    budget: Budget,
}

enum Bound<'r> {
    Value { found: Result<Found<'r>, String>, read: OnceLock<Result<OwnedVal, String>> },
    Presence(CelBool),
}

impl<'r> Variables<'r> {
    fn bind(slots: &[Slot], scope: &Scope<'r>) -> Self {
        let bind = |slot: &Slot| match slot {
            Slot::Value(path) => Bound::Value { found: path.resolve(scope), read: OnceLock::new() },
            Slot::Presence(path) => Bound::Presence(CelBool::from(path.resolve(scope).is_ok())),
        };
        Self { slots: slots.iter().map(bind).collect(), budget: Budget::full() }
    }

    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::UndeclaredReference(name) => match slot_number(name).and_then(|n| self.slots.get(n)) {
                Some(Bound::Value { found: Err(missing), .. }) => missing.clone(),
                Some(_) | None => format!("there is no function `{name}` for these values"),
            },
            ExecutionError::NoSuchKey(key) => format!("there is no key `{key}`"),
            ExecutionError::IndexOutOfBounds(index) => match index {
                Value::Int(index) => format!("there is no item {index}"),
                _ => "there is no item at that index".to_owned(),
            },
            ExecutionError::NoSuchOverload(overload) => {
                let types = overload.argument_types().join(", ");
                format!("`{}` cannot take ({types})", operator_name(overload.function()))
            }
            ExecutionError::UnexpectedType { got, want } => format!("found {got} where {want} is needed"),
            ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
                let operator = operator_name(operator);
                format!("`{operator}` cannot take ({}, {})", left.type_of(), right.type_of())
            }
            ExecutionError::ValuesNotComparable(left, right) => {
                format!("a {} and a {} have no order", left.type_of(), right.type_of())
            }
            ExecutionError::UnsupportedKeyType(key) => format!("a {} cannot be a key", key.type_of()),
            ExecutionError::FunctionError { function, message } => {
                format!("`{function}`: {}", message.chars().take(200).collect::<String>())
            }
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
            ExecutionError::Overflow(operator, ..) => {
                format!("`{}` leaves the range of its numbers", operator_name(operator))
            }
            ExecutionError::DuplicateKey(_) => "a map names a key twice".to_owned(),
            // Their own text may print whole values, in no fixed order.
            _ => "the values do not fit the operation".to_owned(),
        }
    }
}

/// Returns an operator as it is written, where CEL has a name for it.
fn operator_name(function: &str) -> &str {
    match function {
        "add" | "_+_" => "+",
        "sub" | "_-_" => "-",
        "mul" | "_*_" => "*",
        "div" | "_/_" => "/",
        "rem" | "_%_" => "%",
        "negate" | "-_" => "-",
        "@in" => "in",
        "_._" => ".",
        "_[_]" => "[]",
        other => other.trim_matches('_'),
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if variable == BUDGET {
            return Some(CowVal::Borrowed(&self.budget));
        }
        match self.slots.get(slot_number(variable)?)? {
            Bound::Presence(truth) => Some(CowVal::Borrowed(truth)),
            Bound::Value { found, read } => {
                let found = found.as_ref().ok()?;
                let read = read.get_or_init(|| value::read(found.text()));
                read.as_ref().ok().map(|value| CowVal::Borrowed(value.as_ref()))
            }
        }
    }
}
