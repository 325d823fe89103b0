//! Evaluation of an expression against the values of its slots.
//!
//! It recurses as deeply as the expression is nested, which the source and the lowering bound.

use std::cell::OnceCell;

use super::fault::Fault;
use super::operators::Operator;
use super::pattern::Patterns;
use super::term::{Access, Constant, Entry, Item, Term};
use super::time::Moment;
use super::value::{ENTRY_BYTES, Key, Kind, Map, Probe, Text, Value};
use super::{captures, functions, read};
use crate::expr::work::Meter;

/// What a fault costs that is absorbed: its words were made for nothing.
pub(super) const ABSORBED: u64 = 30;

/// Where the values of slots come from.
pub(in super::super) trait Slots<'s> {
    /// Returns the JSON text of a slot.
    fn text(&'s self, slot: usize, meter: &Meter<'_>) -> Result<&'s str, Fault>;
    /// Returns what time it is.
    fn now(&'s self) -> Moment;
    /// Tells whether the path of a slot leads anywhere.
    fn is_present(&'s self, slot: usize, meter: &Meter<'_>) -> Result<bool, Fault>;
}

/// An evaluation under way.
pub(in super::super) struct Machine<'s, 'm, 'w, S> {
    slots: &'s S,
    pub(super) meter: &'m Meter<'w>,
    read: Vec<OnceCell<Value<'s>>>,
    pub(super) locals: Vec<Value<'s>>,
    patterns: Patterns,
}

impl<'s, 'm, 'w, S: Slots<'s>> Machine<'s, 'm, 'w, S> {
    pub(in super::super) fn new(slots: &'s S, count: usize, meter: &'m Meter<'w>) -> Self {
        let read = (0..count).map(|_| OnceCell::new()).collect();
        Self { slots, meter, read, locals: Vec::new(), patterns: Patterns::default() }
    }

    pub(in super::super) fn evaluate(&mut self, term: &'s Term) -> Result<Value<'s>, Fault> {
        self.meter.charge(1)?;
        match term {
            Term::Constant(constant) => Ok(constant.value()),
            Term::Slot(slot) => self.slot(*slot),
            Term::Presence(slot) => self.slots.is_present(*slot, self.meter).map(Value::Bool),
            Term::Now => Ok(Value::Timestamp(self.slots.now())),
            Term::Local(place) => Ok(self.locals[*place].clone()),
            Term::Not(of) => match self.evaluate(of)? {
                Value::Bool(truth) => Ok(Value::Bool(!truth)),
                other => Err(Fault::unfit("!", &[other.kind()])),
            },
            Term::Negate(of) => negate(self.evaluate(of)?),
            Term::And(sides) => self.connect(sides, false),
            Term::Or(sides) => self.connect(sides, true),
            Term::Choose(parts) => {
                let chosen = if self.truth(&parts[0], "?:")? { &parts[1] } else { &parts[2] };
                self.evaluate(chosen)
            }
            Term::Binary(operator, sides) => self.binary(*operator, sides),
            Term::Steps(of, steps) => self.steps(of, steps),
            Term::Has(of, field) => self.has(of, field),
            Term::List(items) => self.list(items),
            Term::Map(entries) => self.map(entries),
            Term::Call(function, arguments) => self.call(*function, arguments),
            Term::Unfit(name, arguments) => {
                let arguments = self.all(arguments)?;
                Err(functions::unfit(name, &arguments))
            }
            Term::Loop(of) => self.run(of),
            Term::Let(parts) => {
                let value = self.evaluate(&parts[0])?;
                self.locals.push(value);
                let result = self.evaluate(&parts[1]);
                self.locals.pop();
                result
            }
        }
    }

    fn slot(&mut self, slot: usize) -> Result<Value<'s>, Fault> {
        if let Some(value) = self.read[slot].get() {
            return Ok(value.clone());
        }
        let value = read::read(self.slots.text(slot, self.meter)?, self.meter)?;
        Ok(self.read[slot].get_or_init(|| value).clone())
    }

    pub(super) fn truth(&mut self, term: &'s Term, of: &str) -> Result<bool, Fault> {
        match self.evaluate(term)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(Fault::new(format!("`{of}` needs true or false, not {}", other.kind().name()))),
        }
    }

    /// `&&` is decided by false, `||` by true, whatever the other side is: a fault there is absorbed.
    fn connect(&mut self, sides: &'s [Term; 2], deciding: bool) -> Result<Value<'s>, Fault> {
        let sign = if deciding { "||" } else { "&&" };
        let left = match self.truth(&sides[0], sign) {
            Ok(truth) if truth == deciding => return Ok(Value::Bool(deciding)),
            Err(fault) if fault.is_limit() => return Err(fault),
            left => left,
        };
        if left.is_err() {
            self.meter.charge(ABSORBED)?;
        }
        match self.truth(&sides[1], sign) {
            Ok(truth) if truth == deciding => Ok(Value::Bool(deciding)),
            Err(fault) if fault.is_limit() => Err(fault),
            right => left.and(right).map(Value::Bool),
        }
    }

    fn binary(&mut self, operator: Operator, sides: &'s [Term; 2]) -> Result<Value<'s>, Fault> {
        let left = self.evaluate(&sides[0])?;
        let right = self.evaluate(&sides[1])?;
        operator.apply(&left, &right, self.meter)
    }

    fn all(&mut self, terms: &'s [Term]) -> Result<Vec<Value<'s>>, Fault> {
        terms.iter().map(|term| self.evaluate(term)).collect()
    }

    fn call(&mut self, function: functions::Function, arguments: &'s [Term]) -> Result<Value<'s>, Fault> {
        if let [only] = arguments {
            let argument = self.evaluate(only)?;
            return function.call(std::slice::from_ref(&argument), self.meter);
        }
        let arguments = self.all(arguments)?;
        match arguments.as_slice() {
            [Value::Text(text), Value::Text(pattern)] if function.is_matches() => {
                self.patterns.is_match(text.as_str(), pattern.as_str(), self.meter).map(Value::Bool)
            }
            arguments if function.is_regex() => captures::call(function, arguments, &mut self.patterns, self.meter),
            arguments => function.call(arguments, self.meter),
        }
    }

    fn list(&mut self, items: &'s [Item]) -> Result<Value<'s>, Fault> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match (self.evaluate(&item.value)?, item.optional) {
                (Value::Optional(held), true) => list.extend(held.map(|held| Value::clone(&held))),
                (value, _) => list.push(value),
            }
        }
        Value::list(list, self.meter)
    }

    fn map(&mut self, entries: &'s [Entry]) -> Result<Value<'s>, Fault> {
        let mut map = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = Key::of(self.evaluate(&entry.key)?)?;
            match (self.evaluate(&entry.value)?, entry.optional) {
                (Value::Optional(held), true) => map.extend(held.map(|held| (key, Value::clone(&held)))),
                (value, _) => map.push((key, value)),
            }
        }
        self.meter.keep(ENTRY_BYTES * map.len())?;
        Map::distinct(map).map(|map| Value::Map(map.into()))
    }

    fn has(&mut self, of: &'s Term, field: &str) -> Result<Value<'s>, Fault> {
        let of = self.evaluate(of)?;
        let (held, is_optional) = match &of {
            Value::Optional(None) => return Ok(Value::Bool(false)),
            Value::Optional(Some(held)) => (&***held, true),
            other => (other, false),
        };
        match held {
            Value::Map(map) => {
                let key = Probe::Text(field);
                self.meter.scan(map.search_bytes(key))?;
                Ok(Value::Bool(map.get(key).is_some()))
            }
            // As the library had it.
            Value::List(_) if is_optional => Ok(Value::Bool(false)),
            other => Err(Fault::unfit(".", &[other.kind(), Kind::Text])),
        }
    }

    fn steps(&mut self, of: &'s Term, steps: &'s [Access]) -> Result<Value<'s>, Fault> {
        let mut value = self.evaluate(of)?;
        for step in steps {
            if matches!(value, Value::Optional(None)) {
                return Ok(value);
            }
            self.meter.charge(1)?;
            value = match step {
                Access::Field(field) => self.step(value, &field_key(field), ".", false)?,
                Access::MaybeField(field) => self.step(value, &field_key(field), "?.", true)?,
                Access::Index(index) => {
                    let index = self.evaluate(index)?;
                    self.step(value, &index, "[]", false)?
                }
                Access::MaybeIndex(index) => {
                    let index = self.evaluate(index)?;
                    self.step(value, &index, "[?]", true)?
                }
            };
        }
        Ok(value)
    }

    /// Takes one step. Into an optional, and with `?`, the result is an optional.
    fn step(&self, value: Value<'s>, key: &Value<'s>, sign: &str, optional: bool) -> Result<Value<'s>, Fault> {
        let (value, optional) = match value {
            Value::Optional(Some(held)) => {
                if sign == "." && !matches!(**held, Value::List(_) | Value::Map(_)) {
                    return Err(Fault::unfit(sign, &[held.kind(), key.kind()]));
                }
                (Value::clone(&held), true)
            }
            value => (value, optional),
        };
        match self.member(&value, key, sign) {
            Err(fault) if fault.is_limit() => Err(fault),
            Err(_) if optional => self.meter.charge(ABSORBED).map(|()| Value::none()),
            Ok(member) if optional => Value::some(member),
            result => result,
        }
    }

    fn member(&self, value: &Value<'s>, key: &Value<'s>, sign: &str) -> Result<Value<'s>, Fault> {
        let unfit = || Fault::unfit(sign, &[value.kind(), key.kind()]);
        match value {
            Value::Map(map) => {
                let found = match Probe::of(key).ok_or_else(unfit)? {
                    Some(probe) => {
                        self.meter.scan(map.search_bytes(probe))?;
                        map.get(probe)
                    }
                    None => None,
                };
                found.cloned().ok_or_else(|| Fault::new(format!("there is no key `{}`", shown(key))))
            }
            Value::List(items) => {
                let index = match key {
                    Value::Int(index) => Some(i128::from(*index)),
                    Value::UInt(index) => Some(i128::from(*index)),
                    Value::Double(index) => super::operators::whole(*index),
                    _ => None,
                };
                let index = index.ok_or_else(unfit)?;
                let item = usize::try_from(index).ok().and_then(|index| items.get(index));
                item.cloned().ok_or_else(|| Fault::new(format!("there is no item {index}")))
            }
            _ => Err(unfit()),
        }
    }
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => Value::Int(*number),
            Self::UInt(number) => Value::UInt(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Text(text) => Value::Text(Text::Borrowed(text)),
            Self::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
            Self::Kind(kind) => Value::Type(*kind),
        }
    }
}

fn negate(value: Value<'_>) -> Result<Value<'_>, Fault> {
    match value {
        Value::Int(number) => {
            let negated = number.checked_neg();
            negated.map(Value::Int).ok_or_else(|| Fault::new("`-` leaves the range of its numbers"))
        }
        Value::Double(number) => Ok(Value::Double(-number)),
        Value::Duration(lapse) => Ok(Value::Duration(lapse.negated())),
        other => Err(Fault::unfit("-", &[other.kind()])),
    }
}

fn field_key(field: &str) -> Value<'_> {
    Value::Text(Text::Borrowed(field))
}

fn shown(key: &Value<'_>) -> String {
    match key {
        Value::Text(text) => text.as_str().chars().take(200).collect(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        other => other.kind().name().to_owned(),
    }
}
