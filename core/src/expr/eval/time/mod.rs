//! Times and durations: CEL's own functions, and `time.format`, `time.parse` and `time.truncate`.
//!
//! Nothing here reads a clock: what time it is stands in the scope.
//!
//! | module | question it answers |
//! |---|---|
//! | `moment` | what is a point in time, and how is it written |
//! | `lapse` | how is a duration written |
//! | `zone` | what does a clock show in a time zone, and when does it show that |
//! | `pattern` | how is a time written as somebody likes it |
//! | `part` | which year, day or minute is it, and when did that begin |

mod lapse;
mod moment;
mod part;
mod pattern;
mod zone;

use super::fault::Fault;
use super::functions::Function;
use super::value::{Text, Value};
use crate::expr::work::Meter;

pub(in super::super) use lapse::Lapse;
pub(in super::super) use moment::Moment;
use zone::Zone;

/// What it costs to read, write or take apart a time.
const TIME: u64 = 15;
/// The longest text that is read as a time, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// Calls a function of times.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], meter: &Meter<'_>) -> Result<Value<'a>, Fault> {
    meter.charge(TIME)?;
    match (function.name, arguments) {
        ("timestamp", [Value::Timestamp(_)]) | ("duration", [Value::Duration(_)]) => Ok(arguments[0].clone()),
        ("timestamp", [Value::Int(seconds)]) => Moment::of_seconds(*seconds)
            .map(Value::Timestamp)
            .ok_or_else(|| Fault::of_function(function.name, Moment::OUTSIDE)),
        ("timestamp", [Value::Text(text)]) => Moment::read(text.as_str()).map(Value::Timestamp).map_err(|reason| {
            let shown = beginning(text);
            Fault::of_function(function.name, format!("{shown:?} {reason}"))
        }),
        ("duration", [Value::Text(text)]) => {
            meter.charge(text.as_str().len().min(TEXT_BYTES_MAX) as u64)?;
            Lapse::read(text.as_str()).map(Value::Duration).map_err(|reason| {
                let shown = beginning(text);
                Fault::of_function(function.name, format!("{shown:?} {reason}"))
            })
        }
        ("time.format", [Value::Timestamp(time), Value::Text(pattern), rest @ ..]) => {
            let zone = zone(function, rest, arguments, meter)?;
            pattern::format(function, *time, pattern.as_str(), &zone, meter)
        }
        ("time.parse", [Value::Text(text), Value::Text(pattern), rest @ ..]) => {
            let zone = zone(function, rest, arguments, meter)?;
            pattern::parse(function, text.as_str(), pattern.as_str(), &zone, meter).map(Value::Timestamp)
        }
        ("time.truncate", [Value::Timestamp(time), Value::Text(unit), rest @ ..]) => {
            let zone = zone(function, rest, arguments, meter)?;
            part::truncate(*time, unit.as_str(), &zone)
                .map(Value::Timestamp)
                .map_err(|reason| Fault::of_function(function.name, reason))
        }
        (_, [Value::Timestamp(time), rest @ ..]) => {
            let zone = zone(function, rest, arguments, meter)?;
            let clock = zone.clock(*time).map_err(|reason| Fault::of_function(function.name, reason))?;
            part::of_clock(function.name, clock).map(Value::Int).ok_or_else(|| function.unfit(arguments))
        }
        (_, [Value::Duration(lapse)]) => {
            lapse.part(function.name).map(Value::Int).ok_or_else(|| function.unfit(arguments))
        }
        _ => Err(function.unfit(arguments)),
    }
}

/// Reads a duration that an expression left behind; nothing where it is one back, or none.
pub(crate) fn read_span(text: &str) -> Option<std::time::Duration> {
    Lapse::read(text).ok().and_then(|lapse| lapse.get().try_into().ok())
}

/// Checks whether a text is a time.
///
/// # Errors
/// Why it is not, as a sentence.
pub(crate) fn check_time(text: &str) -> Result<(), String> {
    read_time(text).map(drop)
}

/// Returns how long it is from `now` until the time that a text is: nothing once it has passed. Rounded up to a microsecond.
///
/// # Errors
/// Why the text is no time, as a sentence.
pub(crate) fn span_until(text: &str, now: crate::Timestamp) -> Result<std::time::Duration, String> {
    let span = read_time(text)?.since(Moment::from(now)).map(|lapse| lapse.get().try_into());
    let span: std::time::Duration = span.and_then(Result::ok).unwrap_or_default();
    Ok(std::time::Duration::from_micros(u64::try_from(span.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)))
}

fn read_time(text: &str) -> Result<Moment, String> {
    let shown = || text.chars().take(80).collect::<String>();
    Moment::read(text).map_err(|reason| format!("{:?} {reason}", shown()))
}

/// Writes a time or a duration.
pub(super) fn shown(what: &impl std::fmt::Display, meter: &Meter<'_>) -> Result<String, Fault> {
    meter.charge(TIME)?;
    Ok(what.to_string())
}

/// Reads the last argument, which may be left out: then it is UTC.
fn zone(function: Function, rest: &[Value<'_>], arguments: &[Value<'_>], meter: &Meter<'_>) -> Result<Zone, Fault> {
    match rest {
        [] => Ok(Zone::UTC),
        [Value::Text(name)] => {
            meter.charge(2 * TIME)?;
            Zone::named(name.as_str()).ok_or_else(|| {
                let shown = beginning(name);
                let reason = "is no time zone: write an IANA name like `Europe/Berlin`, or an offset like `+02:00`";
                Fault::of_function(function.name, format!("{shown:?} {reason}"))
            })
        }
        _ => Err(function.unfit(arguments)),
    }
}

fn beginning(text: &Text<'_>) -> String {
    text.as_str().chars().take(80).collect()
}
