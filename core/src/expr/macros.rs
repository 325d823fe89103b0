//! Macros: what the parser made of CEL's own, and ours, which it leaves as calls of functions.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use super::eval::By;

pub(super) enum Macro<'e> {
    Loop(Parts<'e>),
    Bind,
}

pub(super) enum Parts<'e> {
    All(&'e IdedExpr),
    Exists(&'e IdedExpr),
    ExistsOne(&'e IdedExpr),
    Collect { filter: Option<&'e IdedExpr>, item: &'e IdedExpr },
}

/// Undoes what the parser made of a macro; its accumulator cannot be written in CEL.
pub(super) fn parts(made: &ComprehensionExpr) -> Option<Macro<'_>> {
    let is_result = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == made.accu_var);
    if made.iter_var == "#unused" {
        return Some(Macro::Bind);
    }
    let Expr::Call(step) = &made.loop_step.expr else { return None };
    let parts = match (step.func_name.as_str(), step.args.as_slice()) {
        (operators::LOGICAL_AND, [result, holds]) if is_result(result) => Parts::All(holds),
        (operators::LOGICAL_OR, [result, holds]) if is_result(result) => Parts::Exists(holds),
        (operators::ADD, [result, item]) if is_result(result) => Parts::Collect { filter: None, item: only(item)? },
        (operators::CONDITIONAL, [condition, then, result]) if is_result(result) => {
            let Expr::Call(then) = &then.expr else { return None };
            match (&made.accu_init.expr, then.args.as_slice()) {
                (Expr::Literal(LiteralValue::Int(_)), _) => Parts::ExistsOne(condition),
                (_, [_, item]) => Parts::Collect { filter: Some(condition), item: only(item)? },
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Macro::Loop(parts))
}

/// Takes the item out of a list of one.
fn only(list: &IdedExpr) -> Option<&IdedExpr> {
    match &list.expr {
        Expr::List(list) => match list.elements.as_slice() {
            [item] => Some(item),
            _ => None,
        },
        _ => None,
    }
}

/// A macro of ours.
pub(super) enum Reduction<'e> {
    /// `list.fold(acc, initial, item, result)`
    Fold { acc: &'e str, initial: &'e IdedExpr, item: &'e str, result: &'e IdedExpr },
    /// `list.sortBy(item, key)` and its like.
    Keyed { by: By, item: &'e str, key: &'e IdedExpr },
}

/// Recognizes a macro of ours; nothing where a function is called.
///
/// # Errors
/// How it is written, in words.
pub(super) fn reduction(call: &CallExpr) -> Result<Option<Reduction<'_>>, String> {
    let name = call.func_name.as_str();
    match (By::named(name), call.args.as_slice()) {
        (None, [acc, initial, item, result]) if name == "fold" => match (variable(acc), variable(item)) {
            (Some(acc), Some(item)) if acc != item => Ok(Some(Reduction::Fold { acc, initial, item, result })),
            _ => Err("`fold` takes the names of two variables: `list.fold(acc, initial, item, expression)`".to_owned()),
        },
        (None, _) if name == "fold" => Err("`fold` is written `list.fold(acc, initial, item, expression)`".to_owned()),
        (None, _) => Ok(None),
        (Some(by), [item, key]) => match variable(item) {
            Some(item) => Ok(Some(Reduction::Keyed { by, item, key })),
            None => Err(format!("`{name}` takes the name of a variable first: `list.{name}(item, expression)`")),
        },
        // A list of numbers has a sum without one, too.
        (Some(By::Sum), _) => Ok(None),
        (Some(_), _) => Err(format!("`{name}` is written `list.{name}(item, expression)`")),
    }
}

fn variable(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}
