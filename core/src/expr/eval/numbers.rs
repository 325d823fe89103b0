//! Functions of numbers, and conversions to them.

use std::cmp::Ordering;

use super::fault::Fault;
use super::functions::Function;
use super::operators::compare;
use super::value::Value;
use crate::expr::work::Meter;

/// Calls a function of numbers.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let wrong = |reason: &str| Err(Fault::of_function(function.name, reason));
    if let [Value::Text(text)] = arguments {
        meter.scan(text.as_str().len())?;
    }
    match (function.name, arguments) {
        ("bool", [Value::Bool(_)])
        | ("int", [Value::Int(_)])
        | ("uint", [Value::UInt(_)])
        | ("double", [Value::Double(_)]) => Ok(arguments[0].clone()),
        ("bool", [Value::Text(text)]) => match text.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => wrong("the text is not true or false"),
        },
        ("int", [Value::UInt(number)]) => match i64::try_from(*number) {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => wrong("the number is outside the range of int"),
        },
        // The bounds are exclusive: they are the doubles next to the range, or on its edge.
        ("int", [Value::Double(number)]) if *number > i64::MIN as f64 && *number < i64::MAX as f64 => {
            Ok(Value::Int(*number as i64))
        }
        ("int", [Value::Double(_)]) => wrong("the number is outside the range of int"),
        ("int", [Value::Timestamp(time)]) => Ok(Value::Int(time.seconds())),
        ("int", [Value::Text(text)]) => match text.as_str().parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(error) => wrong(&format!("the text is not an int: {error}")),
        },
        ("uint", [Value::Int(number)]) => match u64::try_from(*number) {
            Ok(number) => Ok(Value::UInt(number)),
            Err(_) => wrong("the number is outside the range of uint"),
        },
        ("uint", [Value::Double(number)]) if *number >= 0.0 && *number < u64::MAX as f64 => {
            Ok(Value::UInt(*number as u64))
        }
        ("uint", [Value::Double(_)]) => wrong("the number is outside the range of uint"),
        ("uint", [Value::Text(text)]) => match text.as_str().parse() {
            Ok(number) => Ok(Value::UInt(number)),
            Err(error) => wrong(&format!("the text is not a uint: {error}")),
        },
        ("double", [Value::Int(number)]) => Ok(Value::Double(*number as f64)),
        ("double", [Value::UInt(number)]) => Ok(Value::Double(*number as f64)),
        ("double", [Value::Text(text)]) => match text.as_str().parse() {
            Ok(number) => Ok(Value::Double(number)),
            Err(error) => wrong(&format!("the text is not a double: {error}")),
        },
        ("math.@max", _) => extreme(function, arguments, Ordering::Greater, meter),
        ("math.@min", _) => extreme(function, arguments, Ordering::Less, meter),
        _ => math(function, arguments),
    }
}

fn math<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let value = match (function.name, arguments) {
        ("math.ceil", [Value::Double(x)]) => Value::Double(x.ceil()),
        ("math.floor", [Value::Double(x)]) => Value::Double(x.floor()),
        ("math.round", [Value::Double(x)]) => Value::Double(x.round()),
        ("math.trunc", [Value::Double(x)]) => Value::Double(x.trunc()),
        ("math.isInf", [Value::Double(x)]) => Value::Bool(x.is_infinite()),
        ("math.isNaN", [Value::Double(x)]) => Value::Bool(x.is_nan()),
        ("math.isFinite", [Value::Double(x)]) => Value::Bool(x.is_finite()),
        ("math.abs", [Value::Double(x)]) => Value::Double(x.abs()),
        ("math.abs", [Value::UInt(x)]) => Value::UInt(*x),
        ("math.abs", [Value::Int(x)]) => {
            let abs = x.checked_abs();
            Value::Int(abs.ok_or_else(|| Fault::of_function(function.name, "the number is outside the range of int"))?)
        }
        ("math.sign", [Value::Double(x)]) => Value::Double(match x.partial_cmp(&0.0) {
            Some(Ordering::Greater) => 1.0,
            Some(Ordering::Less) => -1.0,
            Some(Ordering::Equal) => 0.0,
            None => *x,
        }),
        ("math.sign", [Value::Int(x)]) => Value::Int(x.signum()),
        ("math.sign", [Value::UInt(x)]) => Value::UInt(u64::from(*x != 0)),
        ("math.sqrt", [Value::Double(x)]) => Value::Double(x.sqrt()),
        ("math.sqrt", [Value::Int(x)]) => Value::Double((*x as f64).sqrt()),
        ("math.sqrt", [Value::UInt(x)]) => Value::Double((*x as f64).sqrt()),
        ("math.bitAnd", [Value::Int(a), Value::Int(b)]) => Value::Int(a & b),
        ("math.bitAnd", [Value::UInt(a), Value::UInt(b)]) => Value::UInt(a & b),
        ("math.bitOr", [Value::Int(a), Value::Int(b)]) => Value::Int(a | b),
        ("math.bitOr", [Value::UInt(a), Value::UInt(b)]) => Value::UInt(a | b),
        ("math.bitXor", [Value::Int(a), Value::Int(b)]) => Value::Int(a ^ b),
        ("math.bitXor", [Value::UInt(a), Value::UInt(b)]) => Value::UInt(a ^ b),
        ("math.bitNot", [Value::Int(x)]) => Value::Int(!x),
        ("math.bitNot", [Value::UInt(x)]) => Value::UInt(!x),
        ("math.bitShiftLeft", [Value::Int(x), Value::Int(by)]) => {
            Value::Int(shift(function, *by)?.map_or(0, |by| x << by))
        }
        ("math.bitShiftLeft", [Value::UInt(x), Value::Int(by)]) => {
            Value::UInt(shift(function, *by)?.map_or(0, |by| x << by))
        }
        // The sign is not extended.
        ("math.bitShiftRight", [Value::Int(x), Value::Int(by)]) => {
            Value::Int(shift(function, *by)?.map_or(0, |by| ((*x as u64) >> by) as i64))
        }
        ("math.bitShiftRight", [Value::UInt(x), Value::Int(by)]) => {
            Value::UInt(shift(function, *by)?.map_or(0, |by| x >> by))
        }
        _ => return Err(function.unfit(arguments)),
    };
    Ok(value)
}

/// Returns by how many bits to shift; nothing when all are shifted out.
fn shift(function: Function, by: i64) -> Result<Option<u32>, Fault> {
    if by < 0 {
        return Err(Fault::of_function(function.name, format!("cannot shift by {by}")));
    }
    Ok(u32::try_from(by).ok().filter(|by| *by < u64::BITS))
}

/// The greatest or the least of some numbers; the first of equal ones, in its kind.
fn extreme<'a>(
    function: Function,
    arguments: &[Value<'a>],
    wanted: Ordering,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let numbers = match arguments {
        [Value::List(items)] => items,
        numbers => numbers,
    };
    meter.charge(numbers.len() as u64)?;
    if !numbers.iter().all(|number| number.kind().is_number()) {
        return Err(function.unfit(arguments));
    }
    let mut numbers = numbers.iter();
    let mut extreme = numbers.next().ok_or_else(|| Fault::of_function(function.name, "the list is empty"))?;
    for number in numbers {
        let order = compare(number, extreme);
        let order = order.ok_or_else(|| Fault::of_function(function.name, "NaN has no order"))?;
        if order == wanted {
            extreme = number;
        }
    }
    Ok(extreme.clone())
}
