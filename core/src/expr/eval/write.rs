//! Results as JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::fault::Fault;
use super::time;
use super::value::{Key, Map, Value};
use crate::Json;
use crate::expr::check::{RESULT_BYTES_MAX, RESULT_DEPTH_MAX, check_made};
use crate::expr::work::Meter;

/// Writes a result as JSON, keys sorted.
///
/// # Errors
/// What JSON cannot hold (bytes, types, infinite numbers) and what is too large or too deep, in words.
pub(in super::super) fn write(value: &Value<'_>, meter: &Meter<'_>) -> Result<Json, Fault> {
    let mut out = String::new();
    let appended = append(&mut out, value, 0, meter);
    meter.scan(2 * out.len())?;
    appended?;
    check_made(&out)?;
    Json::joined(out).map_err(|e| Fault::new(e.to_string()))
}

fn append(out: &mut String, value: &Value<'_>, depth: usize, meter: &Meter<'_>) -> Result<(), Fault> {
    if depth > RESULT_DEPTH_MAX {
        return Err(Fault::limit(format!("the result is nested deeper than {RESULT_DEPTH_MAX} levels")));
    }
    if out.len() > RESULT_BYTES_MAX {
        return Err(too_large());
    }
    match value {
        Value::Null | Value::Optional(None) => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => push(out, number),
        Value::UInt(number) => push(out, number),
        Value::Double(number) if number.is_finite() => out.push_str(Json::of(number).as_str()),
        Value::Double(number) => {
            return Err(Fault::new(format!("the result is {number}, which JSON has no number for")));
        }
        Value::Text(text) => append_text(out, text.as_str())?,
        Value::Timestamp(time) => append_text(out, &time::shown(time, meter)?)?,
        Value::Duration(lapse) => append_text(out, &time::shown(lapse, meter)?)?,
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                append(out, item, depth + 1, meter)?;
            }
            out.push(']');
        }
        Value::Map(map) => append_map(out, map, depth, meter)?,
        Value::Optional(Some(value)) => append(out, value, depth + 1, meter)?,
        Value::Bytes(_) | Value::Type(_) => {
            let kind = value.kind().name();
            return Err(Fault::new(format!("the result is of the type {kind}, which JSON cannot hold")));
        }
    }
    Ok(())
}

fn append_map(out: &mut String, map: &Map<'_>, depth: usize, meter: &Meter<'_>) -> Result<(), Fault> {
    let mut entries: Vec<(Cow<'_, str>, &Value<'_>)> = Vec::with_capacity(map.entries().len());
    for (key, value) in map.entries() {
        let key = match key {
            Key::Text(key) => Cow::Borrowed(key.as_str()),
            Key::Int(key) => Cow::Owned(key.to_string()),
            Key::UInt(key) => Cow::Owned(key.to_string()),
            Key::Bool(key) => Cow::Owned(key.to_string()),
        };
        entries.push((key, value));
    }
    if !entries.is_sorted_by(|a, b| a.0 < b.0) {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Fault::new(format!("the result has two keys that are {:?} in JSON", pair[0].0)));
        }
    }
    out.push('{');
    for (at, (key, value)) in entries.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        append_text(out, &key)?;
        out.push(':');
        append(out, value, depth + 1, meter)?;
    }
    out.push('}');
    Ok(())
}

fn append_text(out: &mut String, text: &str) -> Result<(), Fault> {
    if text.len() > RESULT_BYTES_MAX {
        return Err(too_large());
    }
    if text.contains('\0') {
        return Err(Fault::new("the result holds the character U+0000, which the database cannot store"));
    }
    if text.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        out.push_str(Json::of(&text).as_str());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
    Ok(())
}

fn push(out: &mut String, number: impl std::fmt::Display) {
    write!(out, "{number}").expect("a String takes everything");
}

fn too_large() -> Fault {
    Fault::limit(format!("the result is larger than {RESULT_BYTES_MAX} bytes"))
}
