//! JSON of the engine as values: texts without escapes are borrowed, everything is charged while it is read.

use std::rc::Rc;

use super::fault::Fault;
use super::nested::List;
use super::value::{ENTRY_BYTES, ITEM_BYTES, Key, Map, Text, Value};
use crate::expr::work::Meter;

/// Reads JSON text of the engine. Whole numbers become `int` (`uint` above `i64`), others `double`.
pub(in super::super) fn read<'a>(text: &'a str, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    meter.scan(text.len())?;
    Reader { text, at: 0, meter }.value(0)
}

/// Deeper than any JSON of the engine.
const DEPTH_MAX: usize = 2 * crate::Json::DEPTH_MAX;

struct Reader<'a, 'm, 'w> {
    text: &'a str,
    at: usize,
    meter: &'m Meter<'w>,
}

impl<'a> Reader<'a, '_, '_> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        if depth > DEPTH_MAX {
            return Err(broken());
        }
        self.meter.charge(1)?;
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.map(depth),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => self.number(),
            None => Err(broken()),
        }
    }

    /// Returns the next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Fault> {
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Text<'a>, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut end = start;
        let mut escaped = false;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    end += 2;
                }
                Some(_) => end += 1,
                None => return Err(broken()),
            }
        }
        self.at = end + 1;
        if escaped {
            let text: String = serde_json::from_str(&self.text[start - 1..=end]).map_err(|_| broken())?;
            self.meter.keep(ITEM_BYTES + text.len())?;
            return Ok(Text::Made(text.into()));
        }
        Ok(Text::Borrowed(&self.text[start..end]))
    }

    fn number(&mut self) -> Result<Value<'a>, Fault> {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|b| matches!(b, b',' | b']' | b'}' | b' ' | b'\n' | b'\t' | b'\r'));
        let token = &rest[..end.unwrap_or(rest.len())];
        self.at += token.len();
        if token != "-0" && !token.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
            if let Ok(number) = token.parse::<i64>() {
                return Ok(Value::Int(number));
            }
            if let Ok(number) = token.parse::<u64>() {
                return Ok(Value::UInt(number));
            }
        }
        token.parse::<f64>().map(Value::Double).map_err(|_| broken())
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        let mut items = Vec::new();
        self.at += 1;
        while !self.ends(b']')? {
            items.push(self.value(depth + 1)?);
        }
        self.meter.keep(ITEM_BYTES * items.len())?;
        List::of(items).map(Value::List)
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        let mut entries = Vec::new();
        self.at += 1;
        while !self.ends(b'}')? {
            if self.peek() != Some(b'"') {
                return Err(broken());
            }
            let key = Key::Text(self.string()?);
            if self.peek() != Some(b':') {
                return Err(broken());
            }
            self.at += 1;
            entries.push((key, self.value(depth + 1)?));
        }
        self.meter.keep(ENTRY_BYTES * entries.len())?;
        Ok(Value::Map(Rc::new(Map::of(entries)?)))
    }

    /// Steps over a comma, or over the end of a container.
    fn ends(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                self.peek();
                Ok(false)
            }
            Some(_) => Ok(false),
            None => Err(broken()),
        }
    }
}

fn broken() -> Fault {
    Fault::new("the value is not JSON")
}
