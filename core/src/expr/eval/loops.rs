//! Macros that visit each item of a list, or each key of a map.

use super::fault::Fault;
use super::keyed::By;
use super::machine::{ABSORBED, Machine, Slots};
use super::nested::List;
use super::term::{Body, Loop, Term};
use super::value::{ITEM_BYTES, Value};

impl<'s, S: Slots<'s>> Machine<'s, '_, '_, S> {
    pub(super) fn run(&mut self, of: &'s Loop) -> Result<Value<'s>, Fault> {
        let range = match self.evaluate(&of.range)? {
            Value::List(items) => items,
            Value::Map(map) => {
                let keys: Vec<Value<'s>> = map.entries().iter().map(|(key, _)| key.to_value()).collect();
                self.meter.keep(ITEM_BYTES * keys.len())?;
                List::of(keys)?
            }
            other => return Err(Fault::new(format!("found {} where list or map is needed", other.kind().name()))),
        };
        self.meter.visit(range.len())?;
        let place = self.locals.len();
        self.locals.push(Value::Null);
        let result = match &of.body {
            Body::All(holds) => self.quantify(holds, &range, place, false),
            Body::Exists(holds) => self.quantify(holds, &range, place, true),
            Body::ExistsOne(holds) => self.exists_one(holds, &range, place),
            Body::Collect { filter, item } => self.collect(filter.as_ref(), item, &range, place),
            Body::Fold { initial, result } => self.fold(initial, result, &range, place),
            Body::Keyed { by, key } => self.keyed(*by, key, &range, place),
        };
        self.locals.truncate(place);
        result
    }

    /// `all` ends at the first false, `exists` at the first true; a fault counts only where none follows.
    fn quantify(
        &mut self,
        holds: &'s Term,
        range: &[Value<'s>],
        place: usize,
        deciding: bool,
    ) -> Result<Value<'s>, Fault> {
        let mut pending = None;
        for item in range {
            self.locals[place] = item.clone();
            match self.truth(holds, if deciding { "exists" } else { "all" }) {
                Ok(truth) if truth == deciding => return Ok(Value::Bool(deciding)),
                Ok(_) => {}
                Err(fault) if fault.is_limit() => return Err(fault),
                Err(fault) => {
                    self.meter.charge(ABSORBED)?;
                    pending.get_or_insert(fault);
                }
            }
        }
        pending.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn exists_one(&mut self, holds: &'s Term, range: &[Value<'s>], place: usize) -> Result<Value<'s>, Fault> {
        let mut found = 0_usize;
        for item in range {
            self.locals[place] = item.clone();
            found += usize::from(self.truth(holds, "exists_one")?);
        }
        Ok(Value::Bool(found == 1))
    }

    fn collect(
        &mut self,
        filter: Option<&'s Term>,
        item: &'s Term,
        range: &[Value<'s>],
        place: usize,
    ) -> Result<Value<'s>, Fault> {
        let mut made = Vec::new();
        for visited in range {
            self.locals[place] = visited.clone();
            let wanted = match filter {
                Some(filter) => self.truth(filter, "filter")?,
                None => true,
            };
            if wanted {
                made.push(self.evaluate(item)?);
            }
        }
        Value::list(made, self.meter)
    }

    fn fold(
        &mut self,
        initial: &'s Term,
        result: &'s Term,
        range: &[Value<'s>],
        place: usize,
    ) -> Result<Value<'s>, Fault> {
        // It stands outside of the loop.
        self.locals.truncate(place);
        let mut folded = self.evaluate(initial)?;
        for item in range {
            self.locals.truncate(place);
            self.locals.extend([folded, item.clone()]);
            folded = self.evaluate(result)?;
        }
        Ok(folded)
    }

    fn keyed(&mut self, by: By, key: &'s Term, range: &[Value<'s>], place: usize) -> Result<Value<'s>, Fault> {
        let mut keys = Vec::with_capacity(range.len());
        for item in range {
            self.locals[place] = item.clone();
            keys.push(self.evaluate(key)?);
        }
        self.meter.keep(ITEM_BYTES * keys.len())?;
        by.apply(range, keys, self.meter)
    }
}
