//! The functions an expression may call: CEL's own, those for texts, numbers, lists and maps, encodings.
//!
//! None reads a clock, none is random. A function charges for what it reads before it reads it, and for what it makes
//! before it makes it.

use std::rc::Rc;

use super::fault::Fault;
use super::operators;
use super::value::{ITEM_BYTES, Kind, Value};
use super::{data, encodings, format, numbers, texts, time};
use crate::expr::work::Meter;

/// Names that may stand before a dot and a function.
pub(in super::super) const NAMESPACES: [&str; 9] =
    ["base64", "hash", "json", "lists", "math", "optional", "regex", "time", "url"];

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Style {
    /// `size(x)`, `math.abs(x)`.
    Free,
    /// `x.size()`.
    Member,
}

/// A function, by its full name (`math.greatest` is `math.@max` after macros).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Function {
    pub(super) name: &'static str,
    run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Size,
    Type,
    Dyn,
    Bytes,
    Text,
    Number,
    Data,
    Encoding,
    Format,
    Matches,
    Regex,
    Optional,
    Time,
}

/// Name, style, arguments (the receiver counted), and who runs it.
const FUNCTIONS: [(&str, Style, usize, Run); 109] = [
    ("base64.decode", Style::Free, 1, Run::Encoding),
    ("base64.encode", Style::Free, 1, Run::Encoding),
    ("bool", Style::Free, 1, Run::Number),
    ("bytes", Style::Free, 1, Run::Bytes),
    ("charAt", Style::Member, 2, Run::Text),
    ("contains", Style::Member, 2, Run::Text),
    ("distinct", Style::Member, 1, Run::Data),
    ("double", Style::Free, 1, Run::Number),
    ("duration", Style::Free, 1, Run::Time),
    ("dyn", Style::Free, 1, Run::Dyn),
    ("endsWith", Style::Member, 2, Run::Text),
    ("flatten", Style::Member, 1, Run::Data),
    ("flatten", Style::Member, 2, Run::Data),
    ("format", Style::Member, 2, Run::Format),
    ("getDate", Style::Member, 1, Run::Time),
    ("getDate", Style::Member, 2, Run::Time),
    ("getDayOfMonth", Style::Member, 1, Run::Time),
    ("getDayOfMonth", Style::Member, 2, Run::Time),
    ("getDayOfWeek", Style::Member, 1, Run::Time),
    ("getDayOfWeek", Style::Member, 2, Run::Time),
    ("getDayOfYear", Style::Member, 1, Run::Time),
    ("getDayOfYear", Style::Member, 2, Run::Time),
    ("getFullYear", Style::Member, 1, Run::Time),
    ("getFullYear", Style::Member, 2, Run::Time),
    ("getHours", Style::Member, 1, Run::Time),
    ("getHours", Style::Member, 2, Run::Time),
    ("getMilliseconds", Style::Member, 1, Run::Time),
    ("getMilliseconds", Style::Member, 2, Run::Time),
    ("getMinutes", Style::Member, 1, Run::Time),
    ("getMinutes", Style::Member, 2, Run::Time),
    ("getMonth", Style::Member, 1, Run::Time),
    ("getMonth", Style::Member, 2, Run::Time),
    ("getSeconds", Style::Member, 1, Run::Time),
    ("getSeconds", Style::Member, 2, Run::Time),
    ("hasValue", Style::Member, 1, Run::Optional),
    ("hash.sha256", Style::Free, 1, Run::Encoding),
    ("indexOf", Style::Member, 2, Run::Text),
    ("indexOf", Style::Member, 3, Run::Text),
    ("int", Style::Free, 1, Run::Number),
    ("join", Style::Member, 1, Run::Text),
    ("join", Style::Member, 2, Run::Text),
    ("json.decode", Style::Free, 1, Run::Encoding),
    ("json.encode", Style::Free, 1, Run::Encoding),
    ("keys", Style::Member, 1, Run::Data),
    ("lastIndexOf", Style::Member, 2, Run::Text),
    ("lastIndexOf", Style::Member, 3, Run::Text),
    ("lists.range", Style::Free, 1, Run::Data),
    ("lowerAscii", Style::Member, 1, Run::Text),
    ("matches", Style::Free, 2, Run::Matches),
    ("matches", Style::Member, 2, Run::Matches),
    ("math.@max", Style::Free, 1, Run::Number),
    ("math.@max", Style::Free, 2, Run::Number),
    ("math.@min", Style::Free, 1, Run::Number),
    ("math.@min", Style::Free, 2, Run::Number),
    ("math.abs", Style::Free, 1, Run::Number),
    ("math.bitAnd", Style::Free, 2, Run::Number),
    ("math.bitNot", Style::Free, 1, Run::Number),
    ("math.bitOr", Style::Free, 2, Run::Number),
    ("math.bitShiftLeft", Style::Free, 2, Run::Number),
    ("math.bitShiftRight", Style::Free, 2, Run::Number),
    ("math.bitXor", Style::Free, 2, Run::Number),
    ("math.ceil", Style::Free, 1, Run::Number),
    ("math.floor", Style::Free, 1, Run::Number),
    ("math.isFinite", Style::Free, 1, Run::Number),
    ("math.isInf", Style::Free, 1, Run::Number),
    ("math.isNaN", Style::Free, 1, Run::Number),
    ("math.round", Style::Free, 1, Run::Number),
    ("math.sign", Style::Free, 1, Run::Number),
    ("math.sqrt", Style::Free, 1, Run::Number),
    ("math.trunc", Style::Free, 1, Run::Number),
    ("max", Style::Member, 1, Run::Data),
    ("merge", Style::Member, 2, Run::Data),
    ("min", Style::Member, 1, Run::Data),
    ("optional.none", Style::Free, 0, Run::Optional),
    ("optional.of", Style::Free, 1, Run::Optional),
    ("optional.ofNonZeroValue", Style::Free, 1, Run::Optional),
    ("or", Style::Member, 2, Run::Optional),
    ("orValue", Style::Member, 2, Run::Optional),
    ("regex.extract", Style::Free, 2, Run::Regex),
    ("regex.extractAll", Style::Free, 2, Run::Regex),
    ("regex.replace", Style::Free, 3, Run::Regex),
    ("replace", Style::Member, 3, Run::Text),
    ("replace", Style::Member, 4, Run::Text),
    ("reverse", Style::Member, 1, Run::Text),
    ("size", Style::Free, 1, Run::Size),
    ("size", Style::Member, 1, Run::Size),
    ("slice", Style::Member, 3, Run::Data),
    ("sort", Style::Member, 1, Run::Data),
    ("split", Style::Member, 2, Run::Text),
    ("split", Style::Member, 3, Run::Text),
    ("startsWith", Style::Member, 2, Run::Text),
    ("string", Style::Free, 1, Run::Text),
    ("substring", Style::Member, 2, Run::Text),
    ("substring", Style::Member, 3, Run::Text),
    ("sum", Style::Member, 1, Run::Data),
    ("time.format", Style::Free, 2, Run::Time),
    ("time.format", Style::Free, 3, Run::Time),
    ("time.parse", Style::Free, 2, Run::Time),
    ("time.parse", Style::Free, 3, Run::Time),
    ("time.truncate", Style::Free, 2, Run::Time),
    ("time.truncate", Style::Free, 3, Run::Time),
    ("timestamp", Style::Free, 1, Run::Time),
    ("trim", Style::Member, 1, Run::Text),
    ("type", Style::Free, 1, Run::Type),
    ("uint", Style::Free, 1, Run::Number),
    ("upperAscii", Style::Member, 1, Run::Text),
    ("url.encode", Style::Free, 1, Run::Encoding),
    ("value", Style::Member, 1, Run::Optional),
    ("values", Style::Member, 1, Run::Data),
];

/// Returns whether there is a function of that name.
pub(in super::super) fn knows(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// Returns whether releases before 0.2 do not know a function of that name.
pub(in super::super) fn is_later(name: &str) -> bool {
    FUNCTIONS.iter().filter(|(known, ..)| *known == name).any(|(.., run)| match run {
        Run::Data | Run::Encoding | Run::Format | Run::Regex | Run::Time => true,
        Run::Size | Run::Type | Run::Dyn | Run::Bytes | Run::Text | Run::Number | Run::Matches | Run::Optional => false,
    })
}

impl Function {
    /// Finds a function by name, the way it is called, and how many arguments there are, the receiver counted.
    pub(in super::super) fn find(name: &str, style: Style, arguments: usize) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(known, s, count, _)| *known == name && *s == style && *count == arguments);
        found.map(|(name, _, _, run)| Self { name, run: *run })
    }

    pub(in super::super) fn name(self) -> &'static str {
        self.name
    }

    pub(super) fn is_matches(self) -> bool {
        self.run == Run::Matches
    }

    pub(super) fn is_regex(self) -> bool {
        self.run == Run::Regex
    }

    /// Calls it.
    pub(super) fn call<'a>(self, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
        match (self.run, arguments) {
            (Run::Size, [value]) => self.size(value, meter),
            (Run::Type, [value]) => Ok(Value::Type(value.kind())),
            (Run::Dyn, [value]) => Ok(value.clone()),
            (Run::Bytes, [Value::Text(text)]) => {
                meter.keep(ITEM_BYTES + text.as_str().len())?;
                Ok(Value::Bytes(text.as_str().as_bytes().into()))
            }
            (Run::Bytes, [Value::Bytes(bytes)]) => Ok(Value::Bytes(Rc::clone(bytes))),
            (Run::Text, [Value::List(_)]) if self.name == "reverse" => data::call(self, arguments, meter),
            (Run::Text, _) => texts::call(self, arguments, meter),
            (Run::Number, _) => numbers::call(self, arguments, meter),
            (Run::Data, _) => data::call(self, arguments, meter),
            (Run::Encoding, _) => encodings::call(self, arguments, meter),
            (Run::Format, _) => format::call(self, arguments, meter),
            (Run::Optional, _) => self.optional(arguments),
            (Run::Time, _) => time::call(self, arguments, meter),
            (Run::Size | Run::Type | Run::Dyn | Run::Bytes | Run::Matches | Run::Regex, _) => {
                Err(self.unfit(arguments))
            }
        }
    }

    pub(super) fn unfit(self, arguments: &[Value<'_>]) -> Fault {
        unfit(self.name, arguments)
    }

    fn size<'a>(self, value: &Value<'a>, meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
        let size = match value {
            Value::Text(text) => {
                meter.scan(text.as_str().len())?;
                text.as_str().chars().count()
            }
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) => items.len(),
            Value::Map(map) => map.entries().len(),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Double(_)
            | Value::Type(_)
            | Value::Optional(_)
            | Value::Timestamp(_)
            | Value::Duration(_) => return Err(self.unfit(std::slice::from_ref(value))),
        };
        Ok(count(size))
    }

    fn optional<'a>(self, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
        match (self.name, arguments) {
            ("optional.none", []) => Ok(Value::none()),
            ("optional.of", [value]) => Value::some(value.clone()),
            ("optional.ofNonZeroValue", [value]) if is_zero(value) => Ok(Value::none()),
            ("optional.ofNonZeroValue", [value]) => Value::some(value.clone()),
            ("hasValue", [Value::Optional(held)]) => Ok(Value::Bool(held.is_some())),
            ("value", [Value::Optional(Some(held))]) => Ok(Value::clone(held)),
            ("value", [Value::Optional(None)]) => Err(Fault::of_function("value", "the optional is empty")),
            ("or", [Value::Optional(Some(_)), _]) => Ok(arguments[0].clone()),
            ("or", [Value::Optional(None), _]) => Ok(arguments[1].clone()),
            ("orValue", [Value::Optional(Some(held)), _]) => Ok(Value::clone(held)),
            ("orValue", [Value::Optional(None), other]) => Ok(other.clone()),
            _ => Err(self.unfit(arguments)),
        }
    }
}

/// Says which kinds a function was given in vain, with a hand where it is commonly wanted.
pub(super) fn unfit(name: &str, arguments: &[Value<'_>]) -> Fault {
    let kinds: Vec<Kind> = arguments.iter().map(Value::kind).collect();
    Fault::unfit(name, &kinds)
}

pub(super) fn count<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(_) | Value::UInt(_) | Value::Double(_) => {
            operators::compare(value, &Value::Int(0)) == Some(std::cmp::Ordering::Equal)
        }
        Value::Text(text) => text.as_str().is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.entries().is_empty(),
        Value::Duration(lapse) => lapse.is_zero(),
        Value::Type(_) | Value::Optional(_) | Value::Timestamp(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_stands_in_the_papers() {
        let text = include_str!("../../../../docs/definitions.md");
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '.').collect();
        let macros = [("math.@max", "math.greatest"), ("math.@min", "least")];
        for (name, ..) in FUNCTIONS {
            let written = macros.iter().find(|(known, _)| *known == name).map_or(name, |(_, written)| written);
            let bare = written.strip_prefix("math.").unwrap_or(written);
            // CEL's own conversions are named together.
            let is_conversion = Kind::named(name).is_some() || name == "dyn";
            assert!(
                is_conversion || words.contains(&written) || words.contains(&bare),
                "docs/definitions.md lacks {name}"
            );
        }
    }

    #[test]
    fn a_namespace_is_what_stands_before_a_dot() {
        for (name, style, ..) in FUNCTIONS {
            let namespace = name.split_once('.').map(|(namespace, _)| namespace);
            assert!(
                namespace.is_none_or(|namespace| NAMESPACES.contains(&namespace) && style == Style::Free),
                "{name}"
            );
        }
    }
}
