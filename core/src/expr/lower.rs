//! What is done to a parsed expression once: variables are checked, every literal path becomes one slot, and names and
//! macros become what they mean.
//!
//! `input.a.b > 1 && has(state.k)` is lowered to `@0 > 1 && @1`, where slot 0 is the path `input.a.b` and slot 1
//! the presence of `state.k`. So an evaluation reads only what the expression names.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators};

use super::eval::{self, Access, Body, Constant, Entry, Function, Item, Kind, Loop, Operator, Style, Term};
use super::macros::{Macro, Parts, Reduction, parts, reduction};
use super::path::{Path, Root, Step};

/// How deeply loops may stand in one another's bodies.
const LOOP_NESTING_MAX: usize = 3;

/// The variable that stands at no path: a time is no JSON.
const NOW: &str = "now";

/// What a slot of a lowered expression stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// The value at a path.
    Value(Path),
    /// Whether there is one: `has(…)`. Unlike CEL's own, false too when something on the way is missing.
    Presence(Path),
}

impl Slot {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Value(path) | Self::Presence(path) => path,
        }
    }
}

/// A lowered expression.
pub(super) struct Lowered {
    pub(super) term: Term,
    pub(super) slots: Vec<Slot>,
    /// Whether it asks for something, beside its paths, that releases before 0.2 do not know.
    pub(super) has_later_words: bool,
}

/// Lowers an expression.
///
/// # Errors
/// An unknown variable or function, `nodes` without a literal id, loops too deep: in words.
pub(super) fn lower(expr: &IdedExpr, bound: &[String]) -> Result<Lowered, String> {
    let mut lowering = Lowering { bound, slots: Vec::new(), locals: Vec::new(), loops: 0, has_later_words: false };
    let term = lowering.term(expr)?;
    let Lowering { slots, has_later_words, .. } = lowering;
    Ok(Lowered { term, slots, has_later_words })
}

struct Lowering<'n> {
    /// Names that are bound around the expression.
    bound: &'n [String],
    slots: Vec<Slot>,
    /// Variables in scope: of loops, and what `optMap` binds.
    locals: Vec<String>,
    loops: usize,
    has_later_words: bool,
}

impl Lowering<'_> {
    fn term(&mut self, expr: &IdedExpr) -> Result<Term, String> {
        if let Some(slot) = self.slot_of(expr)? {
            let number = self.slots.iter().position(|known| *known == slot).unwrap_or(self.slots.len());
            let term = match slot {
                Slot::Value(_) => Term::Slot(number),
                Slot::Presence(_) => Term::Presence(number),
            };
            if number == self.slots.len() {
                self.slots.push(slot);
            }
            return Ok(term);
        }
        match &expr.expr {
            Expr::Unspecified => Err("the expression is empty".to_owned()),
            Expr::Literal(literal) => Ok(Term::Constant(constant(literal))),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) if select.test => {
                Ok(Term::Has(Box::new(self.term(&select.operand)?), select.field.clone()))
            }
            Expr::Select(_) => self.steps(expr),
            Expr::List(list) => {
                let items = list.elements.iter().enumerate().map(|(at, item)| {
                    Ok(Item { value: self.term(item)?, optional: list.optional_indices.contains(&at) })
                });
                items.collect::<Result<_, String>>().map(Term::List)
            }
            Expr::Map(map) => {
                map.entries.iter().map(|entry| self.entry(entry)).collect::<Result<_, _>>().map(Term::Map)
            }
            Expr::Struct(made) => Err(format!("there is no type `{}` to construct", made.type_name)),
            Expr::Call(call) => self.call(expr, call),
            Expr::Comprehension(made) => self.comprehension(made),
        }
    }

    fn terms(&mut self, exprs: &[IdedExpr]) -> Result<Vec<Term>, String> {
        exprs.iter().map(|expr| self.term(expr)).collect()
    }

    fn pair(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<Box<[Term; 2]>, String> {
        Ok(Box::new([self.term(left)?, self.term(right)?]))
    }

    fn entry(&mut self, entry: &IdedEntryExpr) -> Result<Entry, String> {
        match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                Ok(Entry { key: self.term(&entry.key)?, value: self.term(&entry.value)?, optional: entry.optional })
            }
            EntryExpr::StructField(field) => Err(format!("`{}` is not the key of a map", field.field)),
        }
    }

    /// Lowers a chain of steps (`x.a[i].?b`) without going deeper for each.
    fn steps(&mut self, expr: &IdedExpr) -> Result<Term, String> {
        let mut chain = Vec::new();
        let mut base = expr;
        while let Some((operand, step)) = step_of(base) {
            chain.push((base, step));
            base = operand;
        }
        let literal = match &base.expr {
            Expr::Ident(name) if !self.locals.contains(name) && self.root_of(name).is_some() => {
                chain.iter().rev().take_while(|(_, step)| step.literal().is_some()).count()
            }
            _ => 0,
        };
        let mut taken = chain.drain(chain.len() - literal..);
        let base = self.term(taken.next().map_or(base, |(expr, _)| expr))?;
        drop(taken);
        let steps = chain.into_iter().rev().map(|(_, step)| self.access(step)).collect::<Result<_, _>>()?;
        Ok(Term::Steps(Box::new(base), steps))
    }

    fn access(&mut self, step: Syntax<'_>) -> Result<Access, String> {
        match step {
            Syntax::Field(field) => Ok(Access::Field(field.to_owned())),
            Syntax::MaybeField(field) => Ok(Access::MaybeField(field.to_owned())),
            Syntax::Index(index) => self.term(index).map(Access::Index),
            Syntax::MaybeIndex(index) => self.term(index).map(Access::MaybeIndex),
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Term, String> {
        if step_of(expr).is_some() {
            return self.steps(expr);
        }
        let name = call.func_name.as_str();
        match (name, &call.target, call.args.as_slice()) {
            (operators::CONDITIONAL, None, [condition, then, otherwise]) => {
                Ok(Term::Choose(Box::new([self.term(condition)?, self.term(then)?, self.term(otherwise)?])))
            }
            (operators::LOGICAL_AND, None, [left, right]) => self.pair(left, right).map(Term::And),
            (operators::LOGICAL_OR, None, [left, right]) => self.pair(left, right).map(Term::Or),
            (operators::LOGICAL_NOT, None, [of]) => Ok(Term::Not(Box::new(self.term(of)?))),
            (operators::NEGATE, None, [of]) => Ok(Term::Negate(Box::new(self.term(of)?))),
            (_, None, [left, right]) => match Operator::ALL.iter().find(|(known, ..)| *known == name) {
                Some((_, _, operator)) => Ok(Term::Binary(*operator, self.pair(left, right)?)),
                None => self.function(call),
            },
            _ => self.function(call),
        }
    }

    fn function(&mut self, call: &CallExpr) -> Result<Term, String> {
        let namespace = match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(name), .. })
                if eval::NAMESPACES.contains(&name.as_str()) && !self.locals.contains(name) =>
            {
                Some(name.as_str())
            }
            _ => None,
        };
        let (name, receiver) = match (namespace, call.target.as_deref()) {
            (Some(namespace), _) => (format!("{namespace}.{}", call.func_name), None),
            (None, receiver) => (call.func_name.clone(), receiver),
        };
        if let Some(list) = receiver
            && let Some(of) = reduction(call)?
        {
            self.has_later_words = true;
            return self.reduction(list, of);
        }
        if !eval::knows(&name) {
            return Err(format!("there is no function `{name}`"));
        }
        self.has_later_words |= eval::is_later(&name);
        let style = if receiver.is_some() { Style::Member } else { Style::Free };
        let mut arguments = Vec::with_capacity(call.args.len() + 1);
        if let Some(receiver) = receiver {
            arguments.push(self.term(receiver)?);
        }
        arguments.extend(self.terms(&call.args)?);
        Ok(match Function::find(&name, style, arguments.len()) {
            Some(function) => Term::Call(function, arguments),
            None => Term::Unfit(name, arguments),
        })
    }

    /// Recognizes a macro by what the parser makes of it.
    fn comprehension(&mut self, made: &ComprehensionExpr) -> Result<Term, String> {
        match parts(made) {
            Some(Macro::Bind) => {
                let value = self.term(&made.accu_init)?;
                let result = self.in_loop(&[&made.accu_var], |lowering| lowering.term(&made.result))?;
                Ok(Term::Let(Box::new([value, result])))
            }
            Some(Macro::Loop(parts)) => {
                let range = self.term(&made.iter_range)?;
                let body = self.in_loop(&[&made.iter_var], |lowering| lowering.body(&parts))?;
                Ok(Term::Loop(Box::new(Loop { range, body })))
            }
            None => Err("there is no such macro".to_owned()),
        }
    }

    fn reduction(&mut self, list: &IdedExpr, of: Reduction<'_>) -> Result<Term, String> {
        let range = self.term(list)?;
        let body = match of {
            Reduction::Fold { acc, initial, item, result } => {
                let initial = self.term(initial)?;
                Body::Fold { initial, result: self.in_loop(&[acc, item], |lowering| lowering.term(result))? }
            }
            Reduction::Keyed { by, item, key } => {
                Body::Keyed { by, key: self.in_loop(&[item], |lowering| lowering.term(key))? }
            }
        };
        Ok(Term::Loop(Box::new(Loop { range, body })))
    }

    fn body(&mut self, parts: &Parts<'_>) -> Result<Body, String> {
        match parts {
            Parts::All(holds) => self.term(holds).map(Body::All),
            Parts::Exists(holds) => self.term(holds).map(Body::Exists),
            Parts::ExistsOne(holds) => self.term(holds).map(Body::ExistsOne),
            Parts::Collect { filter, item } => {
                let filter = filter.map(|filter| self.term(filter)).transpose()?;
                Ok(Body::Collect { filter, item: self.term(item)? })
            }
        }
    }

    /// Lowers what a loop does with its variables.
    fn in_loop<T>(&mut self, locals: &[&str], lower: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.loops == LOOP_NESTING_MAX {
            return Err(format!("loops stand deeper than {LOOP_NESTING_MAX} in one another"));
        }
        self.loops += 1;
        self.locals.extend(locals.iter().map(|local| (*local).to_owned()));
        let lowered = lower(self);
        self.locals.truncate(self.locals.len() - locals.len());
        self.loops -= 1;
        lowered
    }

    fn slot_of(&self, expr: &IdedExpr) -> Result<Option<Slot>, String> {
        let slot = match &expr.expr {
            Expr::Select(select) if select.test => self.path_of(&select.operand).map(|mut path| {
                path.steps.push(Step::Key(select.field.clone()));
                Slot::Presence(path)
            }),
            _ => self.path_of(expr).map(Slot::Value),
        };
        if let Some(slot) = &slot
            && slot.path().root == Root::Nodes
        {
            slot.path().check_of_node()?;
        }
        Ok(slot)
    }

    /// Reads a variable with literal steps below it.
    fn path_of(&self, expr: &IdedExpr) -> Option<Path> {
        let mut steps = Vec::new();
        let mut base = expr;
        loop {
            let (operand, step) = match (&base.expr, step_of(base)) {
                (Expr::Ident(name), _) if !self.locals.contains(name) => {
                    let root = self.root_of(name)?;
                    if root == Root::Bound {
                        steps.push(Step::Key(name.clone()));
                    }
                    steps.reverse();
                    return Some(Path { root, steps });
                }
                (_, Some(step)) => step,
                _ => return None,
            };
            steps.push(step.literal()?);
            base = operand;
        }
    }

    /// Finds a variable; a name that is bound goes before one there always is.
    fn root_of(&self, name: &str) -> Option<Root> {
        if self.bound.iter().any(|bound| bound == name) { Some(Root::Bound) } else { Root::named(name) }
    }

    fn variable(&mut self, name: &str) -> Result<Term, String> {
        if let Some(place) = self.locals.iter().rposition(|local| local == name) {
            return Ok(Term::Local(place));
        }
        if name == NOW {
            self.has_later_words = true;
            return Ok(Term::Now);
        }
        if let Some(kind) = Kind::named(name) {
            self.has_later_words |= kind.is_later();
            return Ok(Term::Constant(Constant::Kind(kind)));
        }
        let known: Vec<&str> = Root::ALL.iter().map(|(name, _)| *name).chain([NOW]).collect();
        let instead = match name {
            "parameters" | "params" => ": write `input`",
            "context" | "shared" => ": write `state`",
            "steps" | "step" | "jobs" => ": write `nodes.<id>.output`",
            "item" | "index" => ": it is bound in the body of a `forEach`",
            _ => "",
        };
        Err(format!("there is no variable `{name}`{instead} (there are {})", known.join(", ")))
    }
}

/// One step as it is written.
enum Syntax<'e> {
    Field(&'e str),
    Index(&'e IdedExpr),
    MaybeField(&'e str),
    MaybeIndex(&'e IdedExpr),
}

impl Syntax<'_> {
    /// Returns the step if it is written out.
    fn literal(&self) -> Option<Step> {
        match self {
            Self::Field(field) => Some(Step::Key((*field).to_owned())),
            Self::Index(IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }) => {
                Some(Step::Key(key.inner().to_owned()))
            }
            Self::Index(IdedExpr { expr: Expr::Literal(LiteralValue::Int(index)), .. }) => {
                usize::try_from(*index.inner()).ok().map(Step::Index)
            }
            Self::Index(_) | Self::MaybeField(_) | Self::MaybeIndex(_) => None,
        }
    }
}

/// Splits the last step off.
fn step_of(expr: &IdedExpr) -> Option<(&IdedExpr, Syntax<'_>)> {
    match &expr.expr {
        Expr::Select(select) if !select.test => Some((&select.operand, Syntax::Field(&select.field))),
        Expr::Call(call) if call.target.is_none() => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX, [of, index]) => Some((of, Syntax::Index(index))),
            (operators::OPT_INDEX, [of, index]) => Some((of, Syntax::MaybeIndex(index))),
            (operators::OPT_SELECT, [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }]) => {
                Some((of, Syntax::MaybeField(field.inner())))
            }
            _ => None,
        },
        _ => None,
    }
}

fn constant(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Null => Constant::Null,
        LiteralValue::Boolean(truth) => Constant::Bool(*truth.inner()),
        LiteralValue::Int(number) => Constant::Int(*number.inner()),
        LiteralValue::UInt(number) => Constant::UInt(*number.inner()),
        LiteralValue::Double(number) => Constant::Double(*number.inner()),
        LiteralValue::String(text) => Constant::Text(text.inner().to_owned()),
        LiteralValue::Bytes(bytes) => Constant::Bytes(bytes.inner().to_vec()),
    }
}
