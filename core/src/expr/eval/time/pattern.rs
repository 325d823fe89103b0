//! Times as somebody likes them written: `%Y-%m-%d`.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

use super::zone::Zone;
use super::{Moment, TEXT_BYTES_MAX, TIME};
use crate::expr::eval::fault::Fault;
use crate::expr::eval::functions::Function;
use crate::expr::eval::value::{ITEM_BYTES, Text, Value};
use crate::expr::work::Meter;

/// What may stand behind a `%`. None of it depends on a language, or on what the library calls a zone.
const LETTERS: &str = "YmdeHIMSpPAaBbjuwVGFTRz";

/// About how many bytes a byte of a pattern becomes at most: `%A` is `Wednesday`.
const GROWTH: usize = 6;

pub(super) fn format<'a>(
    function: Function,
    time: Moment,
    pattern: &str,
    zone: &Zone,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let failed = |reason: String| Fault::of_function(function.name, reason);
    check(function, pattern, meter)?;
    let offset = zone.offset_seconds(time);
    let clock = time.clock(offset).ok_or_else(|| failed(Moment::OUTSIDE.to_owned()))?;
    let mut parts = BrokenDownTime::from(clock);
    parts.set_offset(Offset::from_seconds(offset).ok());
    meter.keep(ITEM_BYTES + GROWTH * pattern.len())?;
    let text = parts.to_string(pattern).map_err(|error| failed(error.to_string()))?;
    Ok(Value::Text(Text::Made(text.into())))
}

pub(super) fn parse(
    function: Function,
    text: &str,
    pattern: &str,
    zone: &Zone,
    meter: &Meter<'_>,
) -> Result<Moment, Fault> {
    let failed = |reason: String| Fault::of_function(function.name, reason);
    check(function, pattern, meter)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(failed(format!("the text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    // To say why it is not so written takes longer than to find that out.
    meter.charge(3 * TIME + 2 * text.len() as u64)?;
    let unlike = |error: jiff::Error| {
        let reason: String = error.to_string().chars().take(300).collect();
        failed(format!("{text:?} is not written as {pattern:?}: {reason}"))
    };
    let parts = BrokenDownTime::parse(pattern, text).map_err(unlike)?;
    let clock = parts.to_datetime().map_err(unlike)?;
    let moment = match parts.offset() {
        Some(offset) => Moment::at(clock, offset.seconds()),
        None => zone.moment(clock),
    };
    moment.ok_or_else(|| failed(Moment::OUTSIDE.to_owned()))
}

/// Refuses what does not stand in the papers.
fn check(function: Function, pattern: &str, meter: &Meter<'_>) -> Result<(), Fault> {
    if pattern.len() > TEXT_BYTES_MAX {
        return Err(Fault::of_function(function.name, format!("the pattern is longer than {TEXT_BYTES_MAX} bytes")));
    }
    meter.charge(TIME + 2 * pattern.len() as u64)?;
    let mut rest = pattern;
    while let Some((_, after)) = rest.split_once('%') {
        let bytes = after.as_bytes();
        let length = match bytes {
            [b'%', ..] => 1,
            [letter, ..] if LETTERS.as_bytes().contains(letter) => 1,
            [b':', b'z', ..] | [b'1'..=b'9', b'f', ..] | [b'.', b'f', ..] => 2,
            [b'f', ..] => 1,
            [b'.', b'1'..=b'9', b'f', ..] => 3,
            _ => {
                let shown: String = after.chars().take(4).collect();
                let reason = format!("`%{shown}` does not begin with a part of a time that is known here");
                return Err(Fault::of_function(function.name, reason));
            }
        };
        rest = &after[length..];
    }
    Ok(())
}
