//! How long `90s` is.

use std::time::Duration;

use serde_json::Value;

use super::ProblemCode;
use super::document::Field;

/// The longest span a document may ask for: ten years.
pub(crate) const SPAN_MAX: Duration = Duration::from_secs(DAYS_MAX * 24 * 3600);
/// It in days.
pub(super) const DAYS_MAX: u64 = 10 * 366;

/// Says why a text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write `500ms`, `90s`, `5m`, `2h`, `1d`, `1w`, or several together like `1h30m`")]
pub struct InvalidSpan(String);

/// Reads a span like `90s` or `1h30m`; units are `ms, s, m, h, d, w`. At most ten years.
///
/// # Errors
/// Any other text.
pub fn parse_span(text: &str) -> Result<Duration, InvalidSpan> {
    let invalid = || InvalidSpan(text.chars().take(40).collect());
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = rest[digits..].trim_start();
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" | "sec" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(invalid()),
        };
        rest = rest[letters..].trim_start();
        let part = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|total| *total <= SPAN_MAX).ok_or_else(invalid)?;
    }
    Ok(total)
}

/// Reads a field that holds a span: a text, or a whole number of milliseconds.
pub(super) fn read(field: &Field<'_>, min: Duration) -> Option<Duration> {
    let span = match field.value {
        Value::String(text) => match parse_span(text) {
            Ok(span) => span,
            Err(invalid) => {
                field.error(ProblemCode::InvalidValue, invalid.to_string());
                return None;
            }
        },
        Value::Number(number) => match number.as_u64().map(Duration::from_millis).filter(|span| *span <= SPAN_MAX) {
            Some(span) => span,
            None => {
                field.error(ProblemCode::InvalidValue, "must be a whole number of milliseconds, at most ten years");
                return None;
            }
        },
        other => {
            field.wrong_kind("a duration like `90s` or a number of milliseconds", other);
            return None;
        }
    };
    if span < min {
        field.error(ProblemCode::InvalidValue, format!("must be at least {} ms", min.as_millis()));
        return None;
    }
    warn_of_millis(field, field.value);
    Some(span)
}

/// Warns of a bare number below a second under a name that does not say that it counts milliseconds.
pub(super) fn warn_of_millis(field: &Field<'_>, value: &Value) {
    let Some(millis) = value.as_u64().filter(|millis| (1..1000).contains(millis)) else { return };
    if !field.at.ends_with("Ms") {
        let message = format!("is {millis} milliseconds: write `{millis}s` for seconds, or `{millis}ms`");
        field.warning(ProblemCode::InvalidValue, message);
    }
}

/// Returns a span as the canonical form writes it: a number of milliseconds.
pub(super) fn millis(span: Duration) -> Value {
    Value::from(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_sum_of_numbers_with_units() {
        let cases = [("90s", 90_000), ("2h", 7_200_000), ("1d", 86_400_000), ("250ms", 250), ("1h30m", 5_400_000)];
        for (text, ms) in cases {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "5", "5x", "-5s", "1.5h", "99999999999999999999s", "4000w4000w", "5 5s"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
