//! Functions of texts. Places in a text are counted in characters.

use super::fault::Fault;
use super::functions::{Function, count};
use super::nested::List;
use super::time;
use super::value::{ITEM_BYTES, Text, Value};
use crate::expr::work::Meter;

/// Calls a function of texts.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    if function.name == "string" {
        return string(function, arguments, meter);
    }
    if function.name == "join" {
        return join(function, arguments, meter);
    }
    let Some(Value::Text(receiver)) = arguments.first() else { return Err(function.unfit(arguments)) };
    let text = receiver.as_str();
    // To search takes much longer than to scan, at worst.
    let searches = ["contains", "indexOf", "lastIndexOf", "replace", "split"].contains(&function.name);
    meter.charge(if searches { text.len() as u64 / 2 } else { text.len() as u64 / 8 })?;
    match (function.name, &arguments[1..]) {
        ("contains", [Value::Text(part)]) => Ok(Value::Bool(text.contains(part.as_str()))),
        ("startsWith", [Value::Text(part)]) => Ok(Value::Bool(text.starts_with(part.as_str()))),
        ("endsWith", [Value::Text(part)]) => Ok(Value::Bool(text.ends_with(part.as_str()))),
        ("indexOf", [Value::Text(part)]) => {
            let found = text.find(part.as_str());
            Ok(found.map_or(Value::Int(-1), |at| count(text[..at].chars().count())))
        }
        ("indexOf", [Value::Text(part), Value::Int(from)]) => index_of(text, part.as_str(), *from),
        ("lastIndexOf", [Value::Text(part)]) => {
            let found = text.rfind(part.as_str());
            Ok(found.map_or(Value::Int(-1), |at| count(text[..at].chars().count())))
        }
        ("lastIndexOf", [Value::Text(part), Value::Int(from)]) => last_index_of(text, part.as_str(), *from),
        ("charAt", [Value::Int(at)]) => {
            let start = byte_of("charAt", text, *at)?;
            let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
            piece(receiver, start, end, meter)
        }
        ("substring", [Value::Int(from)]) => {
            let start = byte_of("substring", text, *from)?;
            piece(receiver, start, text.len(), meter)
        }
        ("substring", [Value::Int(from), Value::Int(to)]) => {
            if from > to {
                return Err(Fault::of_function("substring", format!("it would start at {from} and end at {to}")));
            }
            let (start, end) = (byte_of("substring", text, *from)?, byte_of("substring", text, *to)?);
            piece(receiver, start, end, meter)
        }
        ("trim", []) => {
            let trimmed = text.trim();
            let start = text.len() - text.trim_start().len();
            piece(receiver, start, start + trimmed.len(), meter)
        }
        ("lowerAscii", []) => Value::made(text.to_ascii_lowercase(), meter),
        ("upperAscii", []) => Value::made(text.to_ascii_uppercase(), meter),
        ("reverse", []) => {
            meter.charge(text.len() as u64 / 4)?;
            Value::made(text.chars().rev().collect(), meter)
        }
        ("replace", [Value::Text(from), Value::Text(to)]) => replace(text, from, to, usize::MAX, meter),
        ("replace", [Value::Text(from), Value::Text(to), Value::Int(times)]) => {
            replace(text, from, to, usize::try_from(*times).unwrap_or(usize::MAX), meter)
        }
        ("split", [Value::Text(by)]) => split(receiver, by.as_str(), usize::MAX, meter),
        ("split", [Value::Text(by), Value::Int(parts)]) => {
            split(receiver, by.as_str(), usize::try_from(*parts).unwrap_or(usize::MAX), meter)
        }
        _ => Err(function.unfit(arguments)),
    }
}

fn string<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    match arguments {
        [Value::Text(text)] => Ok(Value::Text(text.clone())),
        [Value::Bool(truth)] => Value::made(truth.to_string(), meter),
        [Value::Int(number)] => Value::made(number.to_string(), meter),
        [Value::UInt(number)] => Value::made(number.to_string(), meter),
        [Value::Double(number)] => Value::made(number.to_string(), meter),
        [Value::Timestamp(time)] => Value::made(time::shown(time, meter)?, meter),
        [Value::Duration(lapse)] => Value::made(time::shown(lapse, meter)?, meter),
        [Value::Bytes(bytes)] => {
            meter.scan(bytes.len())?;
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| Fault::of_function("string", "the bytes are not UTF-8"))?;
            meter.keep(ITEM_BYTES + text.len())?;
            Ok(Value::Text(Text::Made(text.into())))
        }
        _ => Err(function.unfit(arguments)),
    }
}

fn join<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let (items, separator) = match arguments {
        [Value::List(items)] => (items, ""),
        [Value::List(items), Value::Text(separator)] => (items, separator.as_str()),
        _ => return Err(function.unfit(arguments)),
    };
    meter.charge(items.len() as u64)?;
    let pieces: Option<Vec<&str>> = items
        .iter()
        .map(|item| match item {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let pieces = pieces.ok_or_else(|| Fault::of_function("join", "takes a list of texts"))?;
    let separators = separator.len().saturating_mul(pieces.len().saturating_sub(1));
    let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>().saturating_add(separators);
    meter.keep(bytes.saturating_add(ITEM_BYTES))?;
    Ok(Value::Text(Text::Made(pieces.join(separator).into())))
}

fn replace<'a>(
    text: &str,
    from: &Text<'_>,
    to: &Text<'_>,
    limit: usize,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let times = text.matches(from.as_str()).count().min(limit);
    meter.charge(times as u64)?;
    meter.keep(times.saturating_mul(to.as_str().len()).saturating_add(text.len() + ITEM_BYTES))?;
    Ok(Value::Text(Text::Made(text.replacen(from.as_str(), to.as_str(), limit).into())))
}

/// Splits into at most so many parts, the last holding the rest; by nothing means between characters.
fn split<'a>(receiver: &Text<'a>, by: &str, parts: usize, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let text = receiver.as_str();
    let found = match by {
        "" => text.chars().count(),
        by => text.matches(by).count() + 1,
    }
    .min(parts);
    let made = matches!(receiver, Text::Made(_));
    meter.keep(found.saturating_mul(ITEM_BYTES + 8).saturating_add(if made { text.len() } else { 0 }))?;
    meter.charge(2 * found as u64)?;
    let mut items = Vec::with_capacity(found);
    let mut start = 0;
    while items.len() < found {
        let last = items.len() + 1 == found;
        let rest = &text[start..];
        let (end, next) = match by {
            _ if last => (text.len(), text.len()),
            "" => {
                let end = start + rest.chars().next().map_or(0, char::len_utf8);
                (end, end)
            }
            by => rest.find(by).map_or((text.len(), text.len()), |at| (start + at, start + at + by.len())),
        };
        items.push(Value::Text(part(receiver, start, end)));
        start = next;
    }
    List::of(items).map(Value::List)
}

/// A part of a text: of a text of the run without copying it.
fn part<'a>(text: &Text<'a>, start: usize, end: usize) -> Text<'a> {
    match text {
        Text::Borrowed(text) => Text::Borrowed(&text[start..end]),
        Text::Made(text) => Text::Made(text[start..end].into()),
    }
}

pub(super) fn piece<'a>(text: &Text<'a>, start: usize, end: usize, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    if matches!(text, Text::Made(_)) {
        meter.keep(ITEM_BYTES + end - start)?;
    }
    Ok(Value::Text(part(text, start, end)))
}

/// Returns where a character begins; the place after the last is one too.
fn byte_of(function: &str, text: &str, at: i64) -> Result<usize, Fault> {
    let out_of_range = || Fault::of_function(function, format!("the text has no place {at}"));
    let at = usize::try_from(at).map_err(|_| out_of_range())?;
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    places.nth(at).ok_or_else(out_of_range)
}

fn index_of<'a>(text: &str, part: &str, from: i64) -> Result<Value<'a>, Fault> {
    let length = text.chars().count();
    if part.is_empty() && from >= 0 {
        return Ok(Value::Int(from.min(i64::try_from(length).unwrap_or(i64::MAX))));
    }
    let start = byte_of("indexOf", text, from)?;
    if start == text.len() {
        return Err(Fault::of_function("indexOf", format!("the text has no place {from}")));
    }
    Ok(text[start..].find(part).map_or(Value::Int(-1), |at| count(text[..start + at].chars().count())))
}

fn last_index_of<'a>(text: &str, part: &str, from: i64) -> Result<Value<'a>, Fault> {
    let length = text.chars().count();
    if part.is_empty() && from >= 0 {
        return Ok(Value::Int(from.min(i64::try_from(length).unwrap_or(i64::MAX))));
    }
    let start = byte_of("lastIndexOf", text, from)?;
    if start == text.len() {
        return Err(Fault::of_function("lastIndexOf", format!("the text has no place {from}")));
    }
    // What begins at `start` or before ends at most so far.
    let end = text.floor_char_boundary((start + part.len()).min(text.len()));
    let found = text[..end].rfind(part);
    Ok(found.map_or(Value::Int(-1), |at| count(text[..at].chars().count())))
}
