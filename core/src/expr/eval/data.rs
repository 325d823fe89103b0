//! Functions of lists and maps.

use std::cmp::Ordering;
use std::rc::Rc;

use super::distinct::distinct;
use super::fault::Fault;
use super::functions::Function;
use super::nested::List;
use super::operators::{Operator, compare};
use super::value::{ENTRY_BYTES, ITEM_BYTES, Kind, Map, Value};
use crate::expr::work::{ITEMS_MAX, Meter};

/// Calls a function of lists or maps.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    match (function.name, arguments) {
        ("lists.range", [Value::Int(count)]) => range(function, *count, meter),
        ("sort", [Value::List(items)]) => sort(function, items, meter),
        ("distinct", [Value::List(items)]) => distinct(items, meter),
        ("flatten", [Value::List(items)]) => flatten(items, 1, meter),
        ("flatten", [Value::List(items), Value::Int(depth)]) => match usize::try_from(*depth) {
            Ok(depth) => flatten(items, depth, meter),
            Err(_) => Err(Fault::of_function(function.name, format!("the depth {depth} is negative"))),
        },
        ("slice", [Value::List(items), Value::Int(from), Value::Int(to)]) => slice(function, items, *from, *to, meter),
        ("sum", [Value::List(items)]) => sum(function.name, items, meter),
        ("min", [Value::List(items)]) => extreme(function, items, Ordering::Less, meter),
        ("max", [Value::List(items)]) => extreme(function, items, Ordering::Greater, meter),
        ("reverse", [Value::List(items)]) => {
            meter.keep(ITEM_BYTES * items.len())?;
            List::of(items.iter().rev().cloned().collect()).map(Value::List)
        }
        ("merge", [Value::Map(left), Value::Map(right)]) => merge(left, right, meter),
        ("keys", [Value::Map(map)]) => {
            meter.keep(ITEM_BYTES * map.entries().len())?;
            List::of(map.entries().iter().map(|(key, _)| key.to_value()).collect()).map(Value::List)
        }
        ("values", [Value::Map(map)]) => {
            meter.keep(ITEM_BYTES * map.entries().len())?;
            List::of(map.entries().iter().map(|(_, value)| value.clone()).collect()).map(Value::List)
        }
        _ => Err(function.unfit(arguments)),
    }
}

/// Returns how many rounds it takes to put so many things in order.
pub(super) fn rounds(count: usize) -> usize {
    (usize::BITS - count.leading_zeros()) as usize
}

fn range<'a>(function: Function, count: i64, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let items = u64::try_from(count);
    let items = items.map_err(|_| Fault::of_function(function.name, format!("{count} is negative")))?;
    if items > ITEMS_MAX {
        return Err(Fault::limit(format!("`{}`: more than {ITEMS_MAX} items", function.name)));
    }
    meter.keep(ITEM_BYTES * items as usize)?;
    List::of((0..count).map(Value::Int).collect()).map(Value::List)
}

/// What is put in order.
const TAKEN: &str = "takes numbers, texts, timestamps or durations";

/// Makes sure that each two of the items have an order: all are numbers, or all are texts, and so on. Returns how many bytes
/// the texts have.
pub(super) fn check_order(name: &str, items: &[Value<'_>], meter: &Meter<'_>) -> Result<usize, Fault> {
    meter.charge(items.len() as u64)?;
    let (mut bytes, mut found) = (0_usize, None);
    for item in items {
        let sort = match item {
            Value::Double(number) if number.is_nan() => {
                return Err(Fault::of_function(name, "NaN has no order"));
            }
            // They have an order among each other.
            Value::Int(_) | Value::UInt(_) | Value::Double(_) => Kind::Double,
            Value::Text(text) => {
                bytes = bytes.saturating_add(text.as_str().len());
                Kind::Text
            }
            Value::Timestamp(_) => Kind::Timestamp,
            Value::Duration(_) => Kind::Duration,
            Value::Null
            | Value::Bool(_)
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Type(_)
            | Value::Optional(_) => {
                let kind = item.kind().name();
                return Err(Fault::of_function(name, format!("{TAKEN}, not {kind}")));
            }
        };
        if *found.get_or_insert(sort) != sort {
            return Err(Fault::of_function(name, format!("{TAKEN}, of one of these alone")));
        }
    }
    Ok(bytes)
}

pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.as_str().cmp(right.as_str()),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.cmp(right),
        (Value::Duration(left), Value::Duration(right)) => left.cmp(right),
        _ => compare(left, right).unwrap_or(Ordering::Equal),
    }
}

/// Charges for putting so many items in order, whose texts have so many bytes.
pub(super) fn charge_order(items: usize, bytes: usize, meter: &Meter<'_>) -> Result<(), Fault> {
    // In each round an item is compared once, at most as far as it goes.
    let rounds = rounds(items);
    meter.charge((items * rounds) as u64 / 2)?;
    meter.scan(bytes.saturating_mul(rounds))
}

fn sort<'a>(function: Function, items: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let bytes = check_order(function.name, items, meter)?;
    charge_order(items.len(), bytes, meter)?;
    meter.keep(ITEM_BYTES * items.len())?;
    let mut sorted = items.to_vec();
    sorted.sort_by(order);
    List::of(sorted).map(Value::List)
}

/// The least or the greatest; the first of equal ones, in its kind.
fn extreme<'a>(
    function: Function,
    items: &[Value<'a>],
    wanted: Ordering,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let bytes = check_order(function.name, items, meter)?;
    meter.scan(bytes)?;
    let extreme = items.iter().reduce(|best, item| if order(item, best) == wanted { item } else { best });
    extreme.cloned().ok_or_else(|| Fault::of_function(function.name, "the list is empty"))
}

pub(super) fn sum<'a>(name: &str, items: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    meter.charge(items.len() as u64)?;
    let is_summand = |kind: Kind| kind.is_number() || kind == Kind::Duration;
    if let Some(other) = items.iter().find(|item| !is_summand(item.kind())) {
        let reason = format!("takes numbers or durations, not {}", other.kind().name());
        return Err(Fault::of_function(name, reason));
    }
    let Some((first, rest)) = items.split_first() else { return Ok(Value::Int(0)) };
    rest.iter().try_fold(first.clone(), |sum, item| Operator::Add.apply(&sum, item, meter))
}

/// Puts the items of lists in the place of the lists, so many levels down.
fn flatten<'a>(items: &[Value<'a>], depth: usize, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let mut flat = Vec::new();
    pour(items, depth, &mut flat, meter)?;
    List::of(flat).map(Value::List)
}

/// Goes as deep as the lists are nested.
fn pour<'a>(items: &[Value<'a>], depth: usize, flat: &mut Vec<Value<'a>>, meter: &Meter<'_>) -> Result<(), Fault> {
    meter.keep(ITEM_BYTES * items.len())?;
    for item in items {
        match item {
            Value::List(inner) if depth > 0 => pour(inner, depth - 1, flat, meter)?,
            item => flat.push(item.clone()),
        }
    }
    Ok(())
}

fn slice<'a>(
    function: Function,
    items: &[Value<'a>],
    from: i64,
    to: i64,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let places = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let part = places.and_then(|(from, to)| items.get(from..to));
    let part = part.ok_or_else(|| {
        let reason = format!("{from} to {to} is not a part of a list of {} items", items.len());
        Fault::of_function(function.name, reason)
    })?;
    meter.keep(ITEM_BYTES * part.len())?;
    List::of(part.to_vec()).map(Value::List)
}

fn merge<'a>(left: &Map<'a>, right: &Map<'a>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let entries = left.entries().len() + right.entries().len();
    meter.keep(ENTRY_BYTES * entries)?;
    meter.scan(left.key_bytes().saturating_add(right.key_bytes()))?;
    Ok(Value::Map(Rc::new(left.merged(right)?)))
}
