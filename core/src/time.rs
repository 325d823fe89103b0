//! Points in time. The core never reads a clock: every time is an argument.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// A point in time: whole microseconds since 1970-01-01T00:00:00Z, from 1970 to 9999-12-30.
///
/// In the journal and the worker protocol it is that integer; people see RFC 3339 (`Display`, `FromStr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// Lenient, for journals: later than the year 9999 becomes its last microsecond.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_micros)
    }
}

/// Reads a time where somebody outside writes it: later than the year 9999 is refused.
pub(crate) fn strict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::try_from_micros(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// Says that a text is not an RFC 3339 time from 1970 to 9999-12-30.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time in the years 1970 to 9999")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    const MICROS_MAX: u64 = 253_402_207_199_999_999;
    /// The latest time there is.
    pub const MAX: Self = Self(Self::MICROS_MAX);

    /// Wraps microseconds since the epoch; later than the year 9999 becomes its last microsecond.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros.min(Self::MICROS_MAX))
    }

    /// Reads microseconds since the epoch that somebody outside wrote.
    ///
    /// # Errors
    /// What is later than the year 9999 is refused.
    pub fn try_from_micros(micros: u64) -> Result<Self, InvalidTimestamp> {
        if micros <= Self::MICROS_MAX { Ok(Self(micros)) } else { Err(InvalidTimestamp(micros.to_string())) }
    }

    /// Returns microseconds since the epoch.
    pub fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time `span` later, saturating at the end of the year 9999.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Returns how long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0 as i64).expect("the constructor keeps it in range");
        write!(f, "{time:.6}")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = || InvalidTimestamp(text.chars().take(80).collect());
        // The library reads other notations of ISO 8601, too.
        if !is_rfc_3339(text) {
            return Err(invalid());
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        match u64::try_from(time.as_microsecond()) {
            Ok(micros) if micros <= Self::MICROS_MAX => Ok(Self(micros)),
            _ => Err(invalid()),
        }
    }
}

/// Returns whether a text has the shape of a `date-time` of RFC 3339, section 5.6; whether there is such a day is not looked at.
pub(crate) fn is_rfc_3339(text: &str) -> bool {
    let is_shaped = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte == other,
            })
    };
    let Some((moment, rest)) = text.as_bytes().split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let offset = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (digits > 0).then(|| &fraction[digits..])
        }
        None => Some(rest),
    };
    is_shaped(moment, b"0000-00-00T00:00:00")
        && offset.is_some_and(|offset| {
            matches!(offset, b"Z" | b"z")
                || is_shaped(offset, b"+00:00") && offset[1..3] <= b"23"[..] && offset[4..] <= b"59"[..]
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_what_it_shows() {
        for micros in [0, 1, 1_700_000_000_123_456, Timestamp::MICROS_MAX] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
        assert_eq!(Timestamp::from_micros(1_000_000).to_string(), "1970-01-01T00:00:01.000000Z");
    }

    #[test]
    fn a_time_of_an_old_journal_can_be_shown_whatever_it_is() {
        for micros in [u64::MAX, 1_764_100_000_000_000_000, Timestamp::MICROS_MAX + 1] {
            let time: Timestamp = serde_json::from_str(&micros.to_string()).unwrap();
            assert_eq!(time.to_string(), "9999-12-30T21:59:59.999999Z");
            assert!(Timestamp::try_from_micros(micros).is_err());
        }
    }

    #[test]
    fn a_time_outside_the_years_is_refused() {
        for bad in ["1969-12-31T23:59:59Z", "+294277-01-01T00:00:00Z", "yesterday", ""] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_read_in_the_notation_of_rfc_3339_and_no_other() {
        let noon = Timestamp::from_micros(1_764_158_400_000_000);
        for good in [
            "2025-11-26T12:00:00Z",
            "2025-11-26t12:00:00z",
            "2025-11-26 12:00:00Z",
            "2025-11-26T12:00:00.000000009Z",
            "2025-11-26T12:00:00-00:00",
            "2025-11-27T11:59:00+23:59",
        ] {
            let read = good.parse::<Timestamp>();
            assert!(read.as_ref().is_ok_and(|read| *read == noon), "{good}: {read:?}");
        }
        for bad in [
            "2025-11-26T12:00:00",
            "2025-11-26T12:00Z",
            "2025-11-26T12:00:00,5Z",
            "2025-11-26T12:00:00.Z",
            "2025-11-26T12:00:00+24:00",
            "2025-11-26T12:00:00+25:00",
            "2025-11-26T12:00:00+12:60",
            "2025-11-26T12:00:00+1200",
            "2025-11-26T12:00:00+12",
            "2025-11-26T12:00:00+12:00:00",
            "2025-11-26T12:00:00Z[UTC]",
            "2025-11-26T12:00:00+01:00[Europe/Paris]",
            "20251126T120000Z",
            "+002025-11-26T12:00:00Z",
            "2025-330T12:00:00Z",
            "2025-W48-3T12:00:00Z",
            " 2025-11-26T12:00:00Z",
            "2025-11-26T12:00:00Z ",
            "2025-11-31T12:00:00Z",
            "２025-11-26T12:00:00Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
