//! `format`: a text with values in the places of its verbs.

use super::encodings;
use super::fault::Fault;
use super::functions::Function;
use super::time;
use super::value::{ITEM_BYTES, Text, Value};
use crate::expr::work::Meter;

/// How many digits `%.Nf` writes after the point at most.
const DIGITS_MAX: usize = 20;
/// How many `%f` writes.
const DIGITS: usize = 6;

enum Verb {
    /// `%%`
    Percent,
    /// `%s`
    Any,
    /// `%d`
    Whole,
    /// `%f`, `%.2f`: how many digits after the point.
    Fixed(usize),
}

/// Calls `format`.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    let [Value::Text(text), Value::List(values)] = arguments else { return Err(function.unfit(arguments)) };
    let mut rest = text.as_str();
    meter.charge(rest.len() as u64 / 8)?;
    let mut values = values.iter();
    let mut written = Written { text: String::new(), meter };
    meter.keep(ITEM_BYTES)?;
    while let Some((before, after)) = rest.split_once('%') {
        written.put(before)?;
        let (verb, length) = verb(function, after)?;
        rest = &after[length..];
        if let Verb::Percent = verb {
            written.put("%")?;
            continue;
        }
        let value =
            values.next().ok_or_else(|| Fault::of_function(function.name, "there are fewer values than verbs"))?;
        written.write(function, &verb, value)?;
    }
    written.put(rest)?;
    match values.len() {
        0 => Ok(Value::Text(Text::Made(written.text.into()))),
        left => Err(Fault::of_function(function.name, format!("there are {left} values more than verbs"))),
    }
}

/// Reads a verb behind its `%`, and how long it is.
fn verb(function: Function, after: &str) -> Result<(Verb, usize), Fault> {
    let unknown = || {
        let shown: String = after.chars().take(4).collect();
        Fault::of_function(function.name, format!("`%{shown}` does not begin with one of %s, %d, %f, %.2f and %%"))
    };
    match after.as_bytes().first() {
        Some(b'%') => Ok((Verb::Percent, 1)),
        Some(b's') => Ok((Verb::Any, 1)),
        Some(b'd') => Ok((Verb::Whole, 1)),
        Some(b'f') => Ok((Verb::Fixed(DIGITS), 1)),
        Some(b'.') => {
            let digits = after[1..].bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || after.as_bytes().get(1 + digits) != Some(&b'f') {
                return Err(unknown());
            }
            let wanted = after[1..=digits].parse().ok().filter(|wanted| *wanted <= DIGITS_MAX);
            let too_many =
                || Fault::of_function(function.name, format!("more than {DIGITS_MAX} digits after the point"));
            Ok((Verb::Fixed(wanted.ok_or_else(too_many)?), digits + 2))
        }
        Some(_) | None => Err(unknown()),
    }
}

struct Written<'m, 'w> {
    text: String,
    meter: &'m Meter<'w>,
}

impl Written<'_, '_> {
    fn put(&mut self, part: &str) -> Result<(), Fault> {
        self.meter.keep(part.len())?;
        self.text.push_str(part);
        Ok(())
    }

    fn write(&mut self, function: Function, verb: &Verb, value: &Value<'_>) -> Result<(), Fault> {
        self.meter.charge(5)?;
        match (verb, value) {
            (Verb::Any, Value::Text(text)) => self.put(text.as_str()),
            (Verb::Any, Value::Timestamp(time)) => self.put(&time::shown(time, self.meter)?),
            (Verb::Any, Value::Duration(lapse)) => self.put(&time::shown(lapse, self.meter)?),
            (Verb::Any, value) => self.put(encodings::json(function, value, self.meter)?.as_str()),
            (Verb::Whole, Value::Int(number)) => self.put(&number.to_string()),
            (Verb::Whole, Value::UInt(number)) => self.put(&number.to_string()),
            (Verb::Fixed(digits), Value::Double(number)) => self.put(&fixed(*number, *digits)),
            (Verb::Fixed(digits), Value::Int(number)) => self.put(&with_zeros(number, *digits)),
            (Verb::Fixed(digits), Value::UInt(number)) => self.put(&with_zeros(number, *digits)),
            (Verb::Whole, other) => Err(unfit(function, "%d", "a whole number", other)),
            (Verb::Fixed(_), other) => Err(unfit(function, "%f", "a number", other)),
            (Verb::Percent, _) => self.put("%"),
        }
    }
}

fn fixed(number: f64, digits: usize) -> String {
    match number {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        number => format!("{number:.digits$}"),
    }
}

/// Whole numbers keep all their digits.
fn with_zeros(number: impl std::fmt::Display, digits: usize) -> String {
    let point = if digits > 0 { "." } else { "" };
    format!("{number}{point}{}", "0".repeat(digits))
}

fn unfit(function: Function, verb: &str, wanted: &str, found: &Value<'_>) -> Fault {
    Fault::of_function(function.name, format!("`{verb}` takes {wanted}, not {}", found.kind().name()))
}
