//! JSON text to CEL values, and back.

use std::collections::HashMap;
use std::fmt;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::Json;

/// The largest value an expression or a template makes, in bytes of JSON. Values handed on whole are not counted.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;
/// How deeply a result may be nested, as deep as any JSON inside the engine.
const RESULT_DEPTH_MAX: usize = Json::DEPTH_MAX;

/// A CEL value that owns everything it needs.
pub(super) type OwnedVal = Box<dyn Val>;

/// Reads JSON text of the engine. Whole numbers become `int` (`uint` above `i64`), others `double`.
pub(super) fn read(text: &str) -> Result<OwnedVal, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Reader.deserialize(&mut reader).map_err(|e| e.to_string())
}

struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = OwnedVal;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<OwnedVal, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = OwnedVal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, value: bool) -> Result<OwnedVal, E> {
        Ok(Box::new(CelBool::from(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<OwnedVal, E> {
        Ok(Box::new(CelInt::from(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<OwnedVal, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }
    fn visit_f64<E>(self, value: f64) -> Result<OwnedVal, E> {
        Ok(Box::new(CelDouble::from(value)))
    }
    fn visit_unit<E>(self) -> Result<OwnedVal, E> {
        Ok(Box::new(CelNull))
    }
    fn visit_str<E>(self, value: &str) -> Result<OwnedVal, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }
    fn visit_string<E>(self, value: String) -> Result<OwnedVal, E> {
        Ok(Box::new(CelString::from(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OwnedVal, A::Error> {
        let mut list: Vec<OwnedVal> = Vec::new();
        while let Some(item) = items.next_element_seed(Reader)? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<OwnedVal, A::Error> {
        let mut map: HashMap<CelMapKey<'static>, OwnedVal> = HashMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(CelMapKey::from(key), entries.next_value_seed(Reader)?);
        }
        Ok(Box::new(CelMap::from(map)))
    }
}

/// Writes a result as JSON, keys sorted.
///
/// # Errors
/// What JSON cannot hold (bytes, types, infinite numbers) and what is too large or too deep, in words.
pub(super) fn write(value: &dyn Val) -> Result<Json, String> {
    let mut out = String::new();
    append(&mut out, value, 0)?;
    check_made(&out)?;
    Json::joined(out).map_err(|e| e.to_string())
}

/// Refuses JSON that is too large or too deep to be handed on. Embedding value in value, a chain of nodes could make
/// one that no parser takes.
pub(super) fn check_made(text: &str) -> Result<(), String> {
    if text.len() > RESULT_BYTES_MAX {
        return Err(format!("the result is larger than {RESULT_BYTES_MAX} bytes"));
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > RESULT_DEPTH_MAX {
            return Err(format!("the result is nested deeper than {RESULT_DEPTH_MAX} levels"));
        }
    }
    Ok(())
}

fn append(out: &mut String, value: &dyn Val, depth: usize) -> Result<(), String> {
    if depth > RESULT_DEPTH_MAX {
        return Err(format!("the result is nested deeper than {RESULT_DEPTH_MAX} levels"));
    }
    if out.len() > RESULT_BYTES_MAX {
        return Err(format!("the result is larger than {RESULT_BYTES_MAX} bytes"));
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        append_text(out, text.inner())?;
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        out.push_str(&number.inner().to_string());
    } else if let Some(truth) = value.downcast_ref::<CelBool>() {
        out.push_str(if *truth.inner() { "true" } else { "false" });
    } else if value.downcast_ref::<CelNull>().is_some() {
        out.push_str("null");
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        if !number.inner().is_finite() {
            return Err(format!("the result is {}, which JSON has no number for", number.inner()));
        }
        out.push_str(Json::of(number.inner()).as_str());
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        out.push_str(&number.inner().to_string());
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        append_list(out, list, depth)?;
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        append_map(out, map, depth)?;
    } else if let Some(optional) = value.downcast_ref::<cel::common::types::CelOptional>() {
        match optional.inner() {
            Some(value) => append(out, value, depth + 1)?,
            None => out.push_str("null"),
        }
    } else {
        return Err(format!("the result is of the type {}, which JSON cannot hold", value.get_type().name()));
    }
    Ok(())
}

fn append_list(out: &mut String, list: &CelList<'_>, depth: usize) -> Result<(), String> {
    out.push('[');
    for (at, item) in list.inner().iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        append(out, item.as_ref(), depth + 1)?;
    }
    out.push(']');
    Ok(())
}

fn append_map(out: &mut String, map: &CelMap<'_>, depth: usize) -> Result<(), String> {
    let mut entries: Vec<(String, &dyn Val)> = Vec::with_capacity(map.inner().len());
    for (key, value) in map.inner() {
        let key = match key {
            CelMapKey::String(key) => key.inner().to_owned(),
            CelMapKey::Int(key) => key.inner().to_string(),
            CelMapKey::UInt(key) => key.inner().to_string(),
            CelMapKey::Bool(key) => key.inner().to_string(),
        };
        entries.push((key, value.as_ref()));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("the result has two keys that are {:?} in JSON", pair[0].0));
    }
    out.push('{');
    for (at, (key, value)) in entries.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        append_text(out, &key)?;
        out.push(':');
        append(out, value, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn append_text(out: &mut String, text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("the result holds the character U+0000, which the database cannot store".to_owned());
    }
    out.push_str(Json::of(&text).as_str());
    Ok(())
}
