//! What is done to a parsed expression once: variables are checked, and every literal path becomes one slot.
//!
//! `input.a.b > 1 && has(state.k)` is lowered to `@0 > 1 && @1`, where slot 0 is the path `input.a.b` and slot 1
//! the presence of `state.k`. So an evaluation converts only what the expression names.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators};

use super::library;
use super::path::{Path, Root, Step};

/// How deeply loops may stand in one another's bodies.
const LOOP_NESTING_MAX: usize = 3;

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

/// Lowers an expression in place and returns its slots.
///
/// # Errors
/// An unknown variable or function, `nodes` without a literal id, loops too deep: in words.
pub(super) fn lower(expr: &mut IdedExpr) -> Result<Vec<Slot>, String> {
    let mut lowering = Lowering { slots: Vec::new(), locals: Vec::new(), loops: 0 };
    lowering.visit(expr)?;
    Ok(lowering.slots)
}

/// Returns the slot an identifier of a lowered expression stands for.
pub(super) fn slot_number(identifier: &str) -> Option<usize> {
    identifier.strip_prefix('@')?.parse().ok()
}

struct Lowering {
    slots: Vec<Slot>,
    /// Loop variables in scope.
    locals: Vec<String>,
    loops: usize,
}

impl Lowering {
    fn visit(&mut self, expr: &mut IdedExpr) -> Result<(), String> {
        if let Some(slot) = self.slot_of(expr)? {
            let number = self.slots.iter().position(|known| *known == slot).unwrap_or(self.slots.len());
            if number == self.slots.len() {
                self.slots.push(slot);
            }
            expr.expr = Expr::Ident(format!("@{number}"));
            return Ok(());
        }
        match &mut expr.expr {
            Expr::Unspecified => Err("the expression is empty".to_owned()),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.check_variable(name),
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|item| self.visit_kept(item)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| self.visit_entry(entry)),
            Expr::Struct(made) => Err(format!("there is no type `{}` to construct", made.type_name)),
            Expr::Call(_) => self.visit_call(expr),
            Expr::Comprehension(_) => self.visit_loop(expr),
        }
    }

    fn visit_entry(&mut self, entry: &mut IdedEntryExpr) -> Result<(), String> {
        match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                self.visit(&mut entry.key)?;
                self.visit_kept(&mut entry.value)
            }
            EntryExpr::StructField(field) => self.visit(&mut field.value),
        }
    }

    /// Visits what becomes part of a new value: that is what can grow without end.
    fn visit_kept(&mut self, expr: &mut IdedExpr) -> Result<(), String> {
        self.visit(expr)?;
        if !matches!(expr.expr, Expr::Literal(_)) {
            charge(expr, library::KEEP);
        }
        Ok(())
    }

    fn visit_call(&mut self, expr: &mut IdedExpr) -> Result<(), String> {
        let Expr::Call(call) = &mut expr.expr else { return Ok(()) };
        let namespace = match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(name), .. }) if library::NAMESPACES.contains(&name.as_str()) => {
                Some(name.clone()).filter(|name| !self.locals.contains(name))
            }
            _ => None,
        };
        let function = match &namespace {
            Some(namespace) => format!("{namespace}.{}", call.func_name),
            None => call.func_name.clone(),
        };
        if !library::knows(&function) {
            return Err(format!("there is no function `{function}`"));
        }
        if let (None, Some(target)) = (&namespace, &mut call.target) {
            self.visit(target)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.visit(argument))?;
        let guarded = library::GUARDED.iter().find(|(name, _)| *name == function);
        if let (Some((_, guarded)), Some(target)) = (guarded, call.target.take_if(|_| guarded.is_some())) {
            call.args.insert(0, *target);
            call.args.push(budget(expr.id));
            call.func_name = (*guarded).to_owned();
        } else if function == operators::ADD && !self.appends(call) {
            charge(expr, library::KEEP);
        }
        Ok(())
    }

    /// Tells the step of a loop that collects, which CEL runs in place as long as it looks like this.
    fn appends(&self, call: &CallExpr) -> bool {
        matches!(&call.args[..], [IdedExpr { expr: Expr::Ident(name), .. }, _] if name.starts_with('@') && slot_number(name).is_none())
    }

    fn visit_loop(&mut self, expr: &mut IdedExpr) -> Result<(), String> {
        let Expr::Comprehension(body) = &mut expr.expr else { return Ok(()) };
        self.visit(&mut body.iter_range)?;
        self.visit(&mut body.accu_init)?;
        self.loops += 1;
        if self.loops > LOOP_NESTING_MAX {
            return Err(format!("loops stand deeper than {LOOP_NESTING_MAX} in one another"));
        }
        let before = self.locals.len();
        self.locals.extend([body.iter_var.clone(), body.accu_var.clone()]);
        self.locals.extend(body.iter_var2.clone());
        self.visit(&mut body.loop_cond)?;
        self.visit(&mut body.loop_step)?;
        self.visit(&mut body.result)?;
        self.locals.truncate(before);
        self.loops -= 1;
        charge(&mut body.iter_range, library::ITEMS);
        Ok(())
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
            check_node_path(slot.path())?;
        }
        Ok(slot)
    }

    /// Reads a variable with literal steps below it.
    fn path_of(&self, expr: &IdedExpr) -> Option<Path> {
        match &expr.expr {
            Expr::Ident(name) if !self.locals.contains(name) => {
                Root::named(name).map(|root| Path { root, steps: Vec::new() })
            }
            Expr::Select(select) if !select.test => {
                let mut path = self.path_of(&select.operand)?;
                path.steps.push(Step::Key(select.field.clone()));
                Some(path)
            }
            Expr::Call(call) if call.func_name == operators::INDEX && call.target.is_none() => {
                let [operand, index] = call.args.as_slice() else { return None };
                let step = match &index.expr {
                    Expr::Literal(LiteralValue::String(key)) => Step::Key(key.inner().to_owned()),
                    Expr::Literal(LiteralValue::Int(index)) => Step::Index(usize::try_from(*index.inner()).ok()?),
                    _ => return None,
                };
                let mut path = self.path_of(operand)?;
                path.steps.push(step);
                Some(path)
            }
            _ => None,
        }
    }

    fn check_variable(&self, name: &str) -> Result<(), String> {
        if self.locals.iter().any(|local| local == name) || library::TYPES.contains(&name) {
            return Ok(());
        }
        let known: Vec<&str> = Root::ALL.iter().map(|(name, _)| *name).collect();
        let instead = match name {
            "parameters" | "params" => ": write `input`",
            "context" | "shared" => ": write `state`",
            "steps" | "step" | "jobs" => ": write `nodes.<id>.output`",
            "item" | "index" => ": `forEach` is not in this release",
            _ => "",
        };
        Err(format!("there is no variable `{name}`{instead} (there are {})", known.join(", ")))
    }
}

fn budget(id: u64) -> IdedExpr {
    IdedExpr { id, expr: Expr::Ident(library::BUDGET.to_owned()) }
}

/// Puts a guard around an expression.
fn charge(expr: &mut IdedExpr, guard: &str) {
    let id = expr.id;
    let args = vec![std::mem::take(expr), budget(id)];
    *expr = IdedExpr { id, expr: Expr::Call(CallExpr { func_name: guard.to_owned(), target: None, args }) };
}

fn check_node_path(path: &Path) -> Result<(), String> {
    match path.steps.as_slice() {
        [Step::Key(_), Step::Key(output), ..] if output == "output" => Ok(()),
        [Step::Key(id), ..] => Err(format!("of `nodes[{id:?}]` there is only `.output`")),
        _ => {
            Err("`nodes` needs the id of a node, written out: `nodes.<id>.output` or `nodes[\"<id>\"].output`"
                .to_owned())
        }
    }
}
