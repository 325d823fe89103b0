//! Values that hold others. How deep they are is known: what goes through them by recursion must end on an ordinary stack.

use std::ops::Deref;
use std::rc::Rc;

use super::fault::Fault;
use super::value::Value;

/// How deeply values may be nested: deeper than any input, with all that one expression puts around it.
const DEPTH_MAX: u16 = 256;

/// A list.
#[derive(Debug)]
pub(in super::super) struct List<'a> {
    items: Vec<Value<'a>>,
    depth: u16,
}

/// What an optional holds.
#[derive(Debug)]
pub(in super::super) struct Held<'a> {
    value: Value<'a>,
    depth: u16,
}

impl<'a> List<'a> {
    /// Makes a list; whoever calls charges for it.
    pub(super) fn of(items: Vec<Value<'a>>) -> Result<Rc<Self>, Fault> {
        let depth = depth_around(&items)?;
        Ok(Rc::new(Self { items, depth }))
    }
}

impl<'a> Held<'a> {
    pub(super) fn of(value: Value<'a>) -> Result<Rc<Self>, Fault> {
        let depth = depth_around(std::slice::from_ref(&value))?;
        Ok(Rc::new(Self { value, depth }))
    }
}

impl<'a> Deref for List<'a> {
    type Target = [Value<'a>];

    fn deref(&self) -> &[Value<'a>] {
        &self.items
    }
}

impl<'a> Deref for Held<'a> {
    type Target = Value<'a>;

    fn deref(&self) -> &Value<'a> {
        &self.value
    }
}

/// Returns how deep something is that holds these.
///
/// # Errors
/// It would be too deep.
pub(super) fn depth_around<'v, 'a: 'v>(values: impl IntoIterator<Item = &'v Value<'a>>) -> Result<u16, Fault> {
    let deepest = values.into_iter().map(depth).max().unwrap_or(0);
    if deepest >= DEPTH_MAX {
        return Err(Fault::limit(format!("a value is nested deeper than {DEPTH_MAX} levels")));
    }
    Ok(deepest + 1)
}

fn depth(value: &Value<'_>) -> u16 {
    match value {
        Value::List(list) => list.depth,
        Value::Map(map) => map.depth(),
        Value::Optional(Some(held)) => held.depth,
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Type(_)
        | Value::Optional(None)
        | Value::Timestamp(_)
        | Value::Duration(_) => 0,
    }
}
