//! How large and how deep a JSON Schema is once its references are followed.
//!
//! The library writes each referred schema out where it is referred to, but for circles: forty schemas that each name
//! the next one twice would be compiled for ever, and a chain of thousands overflows the stack.

use std::collections::HashMap;

use serde_json::Value;

/// How many places a schema may have, references followed.
const PLACES_MAX: u64 = 100_000;
/// How deeply they may stand in one another.
const DEPTH_MAX: usize = 160;

/// Refuses a schema that becomes too large.
///
/// # Errors
/// What is too large, in words.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut unfolding = Unfolding { root: schema, named: HashMap::new(), known: HashMap::new() };
    unfolding.index(schema);
    let size = unfolding
        .size(schema, 0)
        .ok_or_else(|| format!("its references stand deeper than {DEPTH_MAX} levels in one another"))?;
    if size.places > PLACES_MAX {
        return Err(format!("it has more than {PLACES_MAX} places where its references are followed"));
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Size {
    places: u64,
    depth: usize,
}

struct Unfolding<'s> {
    root: &'s Value,
    /// What has an anchor or an id.
    named: HashMap<&'s str, &'s Value>,
    /// What is referred to, by address; nothing while it is measured.
    known: HashMap<*const Value, Option<Size>>,
}

impl<'s> Unfolding<'s> {
    fn index(&mut self, value: &'s Value) {
        match value {
            Value::Object(entries) => {
                for (key, entry) in entries {
                    if let ("$anchor" | "$dynamicAnchor" | "$id" | "id", Value::String(name)) = (key.as_str(), entry) {
                        self.named.insert(name.rsplit(['/', '#']).next().unwrap_or(name), value);
                    }
                    self.index(entry);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.index(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Measures what stands here; nothing when it is too deep.
    fn size(&mut self, value: &'s Value, depth: usize) -> Option<Size> {
        if depth > DEPTH_MAX {
            return None;
        }
        let mut size = Size { places: 1, depth: 0 };
        let mut add = |part: Size| {
            size.places = size.places.saturating_add(part.places);
            size.depth = size.depth.max(part.depth + 1);
        };
        match value {
            Value::Object(entries) => {
                for (key, entry) in entries {
                    match (key.as_str(), entry) {
                        ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                            add(self.referred(target, depth + 1)?);
                        }
                        ("const" | "enum" | "$defs" | "definitions", _) => {}
                        _ => add(self.size(entry, depth + 1)?),
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    add(self.size(item, depth + 1)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Some(size)
    }

    fn referred(&mut self, target: &str, depth: usize) -> Option<Size> {
        let nothing = Size { places: 1, depth: 0 };
        let pointer = target.strip_prefix('#').unwrap_or(target);
        let name = target.rsplit(['/', '#']).next().unwrap_or(target);
        let found = match (pointer, self.root.pointer(&decoded(pointer))) {
            ("", _) => Some(self.root),
            (_, Some(found)) => Some(found),
            (_, None) => self.named.get(name).copied(),
        };
        let Some(found) = found else { return Some(nothing) };
        let address = std::ptr::from_ref(found);
        match self.known.get(&address) {
            // It goes round in a circle, which the library sees.
            Some(None) => Some(nothing),
            Some(Some(size)) => Some(*size).filter(|size| depth + size.depth <= DEPTH_MAX),
            None => {
                self.known.insert(address, None);
                let size = self.size(found, depth)?;
                self.known.insert(address, Some(size));
                Some(size)
            }
        }
    }
}

/// Undoes the percent-encoding of a fragment, as far as a pointer may need it.
fn decoded(pointer: &str) -> String {
    let mut decoded = pointer.to_owned();
    for (code, character) in [("%24", "$"), ("%2F", "/"), ("%2f", "/"), ("%7E", "~"), ("%7e", "~"), ("%25", "%")] {
        decoded = decoded.replace(code, character);
    }
    decoded
}
