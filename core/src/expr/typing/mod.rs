//! What an expression can be worth, as far as schemas say what it sees: so that what certainly fails is refused early.
//!
//! Sound, not complete: an error is certain for every value that keeps the schemas. Where anything could succeed (an
//! optional, a value no schema describes, the body of a loop over nothing) nothing is said.
//!
//! | module | question it answers |
//! |---|---|
//! | `kinds` | of which kinds can a value be, and what does its schema say of its parts |
//! | `signatures` | what does a function take and give |

mod kinds;
mod signatures;

use serde_json::Value;

use super::eval::{Access, Body, Constant, Kind, Loop, Operator, Term};
use super::lower::Slot;
use super::path::{Path, Root, Step};
use kinds::{ANY, JSON, Kinds, Type};

/// What the parameters of an action are bound to.
pub(crate) const PARAMS: &str = "params";

/// What schemas say of what expressions see.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen<'v> {
    pub(crate) input: Option<&'v Value>,
    pub(crate) state: Option<&'v Value>,
    /// Of the parameters of an action.
    pub(crate) params: Option<&'v Value>,
}

/// What an expression must be worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Truth,
    Json,
}

/// What is certain of an expression that has no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It fails, whatever it sees.
    Fails(String),
    /// It fails where whole numbers are written without a point; a schema's `integer` allows `1.0`, which is a double.
    FailsForWholeNumbers(String),
}

/// Looks whether a lowered expression can have a value.
pub(super) fn verdict(term: &Term, slots: &[Slot], seen: &Seen<'_>, wanted: Wanted) -> Option<Verdict> {
    let of = |is_written_plainly| Checker { slots, seen, is_written_plainly, locals: Vec::new() }.check(term, wanted);
    match of(false) {
        Err(reason) => Some(Verdict::Fails(reason)),
        Ok(()) => of(true).err().map(Verdict::FailsForWholeNumbers),
    }
}

struct Checker<'e, 'v> {
    slots: &'e [Slot],
    seen: &'e Seen<'v>,
    /// Whether whole numbers are taken to be written without a point.
    is_written_plainly: bool,
    /// What stands behind variables outside of loops.
    locals: Vec<Type<'v>>,
}

impl<'v> Checker<'_, 'v> {
    fn check(&mut self, term: &Term, wanted: Wanted) -> Result<(), String> {
        let kinds = self.infer(term)?.kinds;
        match wanted {
            Wanted::Truth if !kinds.has(Kind::Bool) => Err(format!("it is {kinds}, never true or false")),
            Wanted::Json if !kinds.meets(JSON) => Err(format!("it is {kinds}, which JSON cannot hold")),
            Wanted::Truth | Wanted::Json => Ok(()),
        }
    }

    /// Finds what a term can be worth.
    ///
    /// # Errors
    /// Why it certainly has no value.
    fn infer(&mut self, term: &Term) -> Result<Type<'v>, String> {
        match term {
            Term::Constant(constant) => Ok(Type::of(of_constant(constant))),
            Term::Slot(slot) => self.path(self.slots[*slot].path()),
            Term::Presence(_) => Ok(Type::of(Kind::Bool)),
            Term::Now => Ok(Type::of(Kind::Timestamp)),
            Term::Local(place) => Ok(self.locals.get(*place).copied().unwrap_or(Type::ANY)),
            Term::Not(of) => {
                let of = self.infer(of)?.kinds;
                let fits = of.has(Kind::Bool).then_some(Type::of(Kind::Bool));
                fits.ok_or_else(|| format!("`!` cannot take {of}"))
            }
            Term::Negate(of) => {
                let of = self.infer(of)?.kinds;
                let kinds = of.and(Kinds::of(&[Kind::Int, Kind::Double, Kind::Duration]));
                if kinds.is_empty() { Err(format!("`-` cannot take {of}")) } else { Ok(Type::with(kinds)) }
            }
            // One side may decide, whatever the other is.
            Term::And(sides) | Term::Or(sides) => match (self.truth(&sides[0]), self.truth(&sides[1])) {
                (Err(reason), Err(_)) => Err(reason),
                _ => Ok(Type::of(Kind::Bool)),
            },
            Term::Choose(parts) => {
                self.truth(&parts[0])?;
                match (self.infer(&parts[1]), self.infer(&parts[2])) {
                    (Ok(then), Ok(otherwise)) => Ok(Type::with(then.kinds.or(otherwise.kinds))),
                    (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(only),
                    (Err(reason), Err(_)) => Err(reason),
                }
            }
            Term::Binary(operator, sides) => {
                let (left, right) = (self.infer(&sides[0])?.kinds, self.infer(&sides[1])?.kinds);
                binary(*operator, left, right).map(Type::with)
            }
            Term::Steps(of, steps) => self.steps(of, steps),
            Term::Has(of, field) => {
                let of = self.infer(of)?.kinds;
                let fits = of.meets(Kinds::of(&[Kind::Map, Kind::Optional]));
                let fits = fits.then_some(Type::of(Kind::Bool));
                fits.ok_or_else(|| format!("{of} has no key `{field}`"))
            }
            Term::List(items) => {
                items.iter().try_for_each(|item| self.infer(&item.value).map(drop))?;
                Ok(Type::of(Kind::List))
            }
            Term::Map(entries) => {
                for entry in entries {
                    let key = self.infer(&entry.key)?.kinds;
                    if !key.meets(Kinds::of(&[Kind::Bool, Kind::Int, Kind::UInt, Kind::Text])) {
                        return Err(format!("{key} cannot be a key"));
                    }
                    self.infer(&entry.value)?;
                }
                Ok(Type::of(Kind::Map))
            }
            Term::Call(function, arguments) => {
                let given = arguments.iter().map(|argument| self.infer(argument).map(|of| of.kinds));
                let given: Vec<Kinds> = given.collect::<Result<_, _>>()?;
                signatures::result(function.name(), &given).map(Type::with)
            }
            Term::Unfit(name, arguments) => {
                arguments.iter().try_for_each(|argument| self.infer(argument).map(drop))?;
                let plural = if arguments.len() == 1 { "" } else { "s" };
                Err(format!("there is no `{name}` that is called like this with {} value{plural}", arguments.len()))
            }
            Term::Loop(of) => self.reduced(of),
            Term::Let(parts) => {
                let value = self.infer(&parts[0])?;
                self.locals.push(value);
                let result = self.infer(&parts[1]);
                self.locals.pop();
                result
            }
        }
    }

    fn truth(&mut self, term: &Term) -> Result<(), String> {
        let kinds = self.infer(term)?.kinds;
        if kinds.has(Kind::Bool) { Ok(()) } else { Err(format!("true or false is needed, and there is {kinds}")) }
    }

    /// A loop may be over nothing: what its body does is not certain.
    fn reduced(&mut self, of: &Loop) -> Result<Type<'v>, String> {
        let range = self.infer(&of.range)?;
        if !range.kinds.meets(Kinds::of(&[Kind::List, Kind::Map])) {
            return Err(format!("a list or a map is needed, and there is {}", range.kinds));
        }
        match &of.body {
            Body::All(_) | Body::Exists(_) | Body::ExistsOne(_) => Ok(Type::of(Kind::Bool)),
            Body::Collect { .. } => Ok(Type::of(Kind::List)),
            Body::Fold { initial, .. } => self.infer(initial).map(|_| Type::ANY),
            Body::Keyed { .. } => Ok(Type::ANY),
        }
    }

    fn path(&self, path: &Path) -> Result<Type<'v>, String> {
        let (root, first) = match (path.root, path.steps.as_slice()) {
            (Root::Input, _) => (self.seen.input, 0),
            // Each value in it was checked with the whole.
            (Root::State, [_, ..]) => (self.seen.state, 0),
            (Root::Bound, [Step::Key(key), ..]) if key == PARAMS => (self.seen.params, 1),
            (Root::Nodes, [_, Step::Key(word)]) if word == "status" => return Ok(Type::of(Kind::Text)),
            (Root::Nodes, [_, Step::Key(word)]) if word == "attempts" => return Ok(Type::of(Kind::Int)),
            (Root::State | Root::Nodes | Root::Assets | Root::Error | Root::Run | Root::Trigger | Root::Bound, _) => {
                (None, 0)
            }
        };
        let Some(mut here) = root.map(|schema| self.described(schema)) else { return Ok(Type::with(JSON)) };
        for (at, step) in path.steps.iter().enumerate().skip(first) {
            let name = || Path { root: path.root, steps: path.steps[..at].to_vec() };
            here = match step {
                Step::Key(key) if !here.kinds.has(Kind::Map) => {
                    return Err(format!("`{}` is {}: it has no key `{key}`", name(), here.kinds));
                }
                Step::Key(key) => {
                    let member = here.member(key, self.is_written_plainly);
                    // Of such keys of the input itself is told where names are looked at.
                    let member = member.or((at == 0 && first == 0).then_some(Type::ANY));
                    member.ok_or_else(|| format!("the schema of `{}` allows no key `{key}`", name()))?
                }
                Step::Index(index) if !here.kinds.has(Kind::List) => {
                    return Err(format!("`{}` is {}: it has no item {index}", name(), here.kinds));
                }
                Step::Index(_) => here.item(self.is_written_plainly),
            };
        }
        Ok(here)
    }

    fn described(&self, schema: &'v Value) -> Type<'v> {
        Type::described(schema, self.is_written_plainly)
    }

    fn steps(&mut self, of: &Term, steps: &[Access]) -> Result<Type<'v>, String> {
        let mut here = self.infer(of)?;
        for step in steps {
            if here.kinds.has(Kind::Optional) {
                // It may hold anything, or nothing: then no further step is taken.
                return Ok(Type::ANY);
            }
            here = match step {
                Access::Field(field) if !here.kinds.has(Kind::Map) => {
                    return Err(format!("{} has no key `{field}`", here.kinds));
                }
                Access::Field(field) => {
                    let member = here.member(field, self.is_written_plainly);
                    member.ok_or_else(|| format!("the schema allows no key `{field}` there"))?
                }
                Access::Index(index) => {
                    self.infer(index)?;
                    if !here.kinds.meets(Kinds::of(&[Kind::List, Kind::Map])) {
                        return Err(format!("{} has no items", here.kinds));
                    }
                    Type::ANY
                }
                Access::MaybeField(_) => Type::of(Kind::Optional),
                Access::MaybeIndex(index) => self.infer(index).map(|_| Type::of(Kind::Optional))?,
            };
        }
        Ok(here)
    }
}

fn of_constant(constant: &Constant) -> Kind {
    match constant {
        Constant::Null => Kind::Null,
        Constant::Bool(_) => Kind::Bool,
        Constant::Int(_) => Kind::Int,
        Constant::UInt(_) => Kind::UInt,
        Constant::Double(_) => Kind::Double,
        Constant::Text(_) => Kind::Text,
        Constant::Bytes(_) => Kind::Bytes,
        Constant::Kind(_) => Kind::Type,
    }
}

/// What an operator makes of values of these kinds.
fn binary(operator: Operator, left: Kinds, right: Kinds) -> Result<Kinds, String> {
    let mut results = Kinds::NONE;
    for (a, b) in left.pairs(right) {
        results = results.or(operator.result(a, b).map_or(Kinds::NONE, Kinds::one));
    }
    if !results.is_empty() {
        return Ok(results);
    }
    let number = |kinds: Kinds| kinds.iter().all(Kind::is_number);
    let hint = if number(left) && number(right) { ": write double(…) or int(…)" } else { "" };
    Err(format!("`{}` cannot take {left} and {right}{hint}", operator.sign()))
}
