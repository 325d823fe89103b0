//! Functions that write values and bytes as texts, and read them back.

use std::rc::Rc;

use sha2::Digest as _;

use super::fault::Fault;
use super::functions::Function;
use super::value::{ENTRY_BYTES, ITEM_BYTES, Key, Map, Text, Value};
use super::{read, write};
use crate::Json;
use crate::expr::work::Meter;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The largest text that is read as JSON.
const TEXT_BYTES_MAX: usize = 1 << 20;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Calls a function of encodings.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    match (function.name, arguments) {
        ("json.encode", [value]) => Value::made(json(function, value, meter)?.as_str().to_owned(), meter),
        ("json.decode", [Value::Text(text)]) => decode_json(function, text, meter),
        ("base64.decode", [Value::Text(text)]) => {
            meter.charge(text.as_str().len() as u64 / 4)?;
            meter.keep(ITEM_BYTES + text.as_str().len())?;
            decode_base64(text.as_str()).map(Value::Bytes).map_err(|reason| Fault::of_function(function.name, reason))
        }
        ("url.encode", [Value::Text(text)]) => encode_url(text.as_str(), meter),
        ("base64.encode", [Value::Text(text)]) => encode_base64(text.as_str().as_bytes(), meter),
        ("base64.encode", [Value::Bytes(bytes)]) => encode_base64(bytes, meter),
        ("hash.sha256", [Value::Text(text)]) => sha256(text.as_str().as_bytes(), meter),
        ("hash.sha256", [Value::Bytes(bytes)]) => sha256(bytes, meter),
        _ => Err(function.unfit(arguments)),
    }
}

/// Writes a value as JSON, for a function.
pub(super) fn json(function: Function, value: &Value<'_>, meter: &Meter<'_>) -> Result<Json, Fault> {
    weigh(value, meter)?;
    write::write(value, meter).map_err(|fault| fault.within(function.name))
}

/// Charges for writing a value before that begins: it may turn out at the end that it has no JSON.
fn weigh(value: &Value<'_>, meter: &Meter<'_>) -> Result<(), Fault> {
    match value {
        Value::Text(text) => meter.charge(1 + text.as_str().len() as u64 / 4),
        Value::List(items) => {
            meter.charge(1)?;
            items.iter().try_for_each(|item| weigh(item, meter))
        }
        Value::Map(map) => {
            meter.charge(1 + 4 * map.entries().len() as u64)?;
            meter.charge(map.key_bytes() as u64 / 4)?;
            map.entries().iter().try_for_each(|(_, value)| weigh(value, meter))
        }
        Value::Optional(Some(held)) => {
            meter.charge(1)?;
            weigh(held, meter)
        }
        Value::Int(_) | Value::UInt(_) | Value::Double(_) => meter.charge(3),
        Value::Timestamp(_) | Value::Duration(_) => meter.charge(1),
        Value::Null | Value::Bool(_) | Value::Bytes(_) | Value::Type(_) | Value::Optional(None) => meter.charge(1),
    }
}

fn decode_json<'a>(function: Function, text: &Text<'a>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let bytes = text.as_str().len();
    if bytes > TEXT_BYTES_MAX {
        return Err(Fault::limit(format!("`{}`: the text is larger than {TEXT_BYTES_MAX} bytes", function.name)));
    }
    meter.charge(10 + bytes as u64 / 2)?;
    Json::check(text.as_str()).map_err(|invalid| {
        let reason: String = invalid.to_string().chars().take(200).collect();
        Fault::of_function(function.name, reason)
    })?;
    match text {
        Text::Borrowed(text) => read::read(text, meter),
        Text::Made(text) => owned(&read::read(text, meter)?, meter),
    }
}

/// Copies a value, so that it does not borrow from the text it was read from.
fn owned<'a>(value: &Value<'_>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    meter.charge(1)?;
    Ok(match value {
        Value::Null => Value::Null,
        Value::Bool(truth) => Value::Bool(*truth),
        Value::Int(number) => Value::Int(*number),
        Value::UInt(number) => Value::UInt(*number),
        Value::Double(number) => Value::Double(*number),
        Value::Text(text) => Value::Text(owned_text(text, meter)?),
        Value::Bytes(bytes) => Value::Bytes(Rc::clone(bytes)),
        Value::List(items) => {
            let items = items.iter().map(|item| owned(item, meter)).collect::<Result<_, _>>()?;
            Value::list(items, meter)?
        }
        Value::Map(map) => {
            meter.keep(ENTRY_BYTES * map.entries().len())?;
            let entries = map.entries().iter().map(|(key, value)| {
                let key = match key {
                    Key::Bool(key) => Key::Bool(*key),
                    Key::Int(key) => Key::Int(*key),
                    Key::UInt(key) => Key::UInt(*key),
                    Key::Text(key) => Key::Text(owned_text(key, meter)?),
                };
                Ok((key, owned(value, meter)?))
            });
            Value::Map(Rc::new(Map::of(entries.collect::<Result<_, Fault>>()?)?))
        }
        Value::Type(kind) => Value::Type(*kind),
        Value::Timestamp(time) => Value::Timestamp(*time),
        Value::Duration(lapse) => Value::Duration(*lapse),
        Value::Optional(None) => Value::none(),
        Value::Optional(Some(held)) => Value::some(owned(held, meter)?)?,
    })
}

fn owned_text<'a>(text: &Text<'_>, meter: &Meter<'_>) -> Result<Text<'a>, Fault> {
    meter.keep(ITEM_BYTES + text.as_str().len())?;
    Ok(Text::Made(text.as_str().into()))
}

/// The standard alphabet, with padding (RFC 4648, section 4).
fn encode_base64<'a>(bytes: &[u8], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    meter.charge(bytes.len() as u64 / 4)?;
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place > chunk.len() { '=' } else { char::from(BASE64[sextet]) });
        }
    }
    Value::made(text, meter)
}

/// Takes padding or none. What two texts could stand for is refused: bits left over must be zero.
fn decode_base64(text: &str) -> Result<Rc<[u8]>, String> {
    let digits = match text.len() % 4 {
        0 => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text),
        _ => text,
    };
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for (place, digit) in digits.bytes().enumerate() {
        let sextet = sextet(digit).ok_or_else(|| format!("the text is not base64: see its byte {place}"))?;
        bits = bits << 6 | sextet;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 255) as u8);
            bits &= (1 << held) - 1;
        }
    }
    if held >= 6 || bits != 0 {
        return Err("the text is not base64: bits are left over at its end".to_owned());
    }
    Ok(bytes.into())
}

fn sextet(digit: u8) -> Option<u32> {
    match digit {
        b'A'..=b'Z' => Some(u32::from(digit - b'A')),
        b'a'..=b'z' => Some(u32::from(digit - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(digit - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn sha256<'a>(bytes: &[u8], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    meter.charge(20 + bytes.len() as u64 / 4)?;
    Value::made(sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(), meter)
}

/// Keeps what RFC 3986 calls unreserved.
fn encode_url<'a>(text: &str, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let is_kept = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    meter.charge(text.len() as u64 / 4)?;
    let kept = text.bytes().filter(is_kept).count();
    let made = 3 * text.len() - 2 * kept;
    meter.keep(ITEM_BYTES + made)?;
    let mut url = String::with_capacity(made);
    for byte in text.bytes() {
        if is_kept(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Ok(Value::Text(Text::Made(url.into())))
}
