//! Points in time, to the nanosecond.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::{Lapse, TEXT_BYTES_MAX};
use crate::time::is_rfc_3339;

/// A point in time, from the first nanosecond of the year 1 to the last of the year 9999, in UTC. It is shown in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super::super) struct Moment(SignedDuration);

/// 1970-01-01T00:00:00 on some clock.
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

impl Moment {
    pub(super) const OUTSIDE: &'static str = "the time is outside the years 0001 to 9999";

    fn of(since_epoch: SignedDuration) -> Option<Self> {
        let (seconds, nanos) = (since_epoch.as_secs(), since_epoch.subsec_nanos());
        let floor = seconds - i64::from(nanos < 0);
        (SECONDS_MIN..=SECONDS_MAX).contains(&floor).then_some(Self(since_epoch))
    }

    pub(super) fn of_seconds(seconds: i64) -> Option<Self> {
        Self::of(SignedDuration::from_secs(seconds))
    }

    /// Finds the time at which a clock so many seconds before UTC shows this.
    pub(super) fn at(clock: DateTime, offset_seconds: i32) -> Option<Self> {
        let since_epoch = clock.duration_since(EPOCH);
        since_epoch.checked_sub(SignedDuration::from_secs(offset_seconds.into())).and_then(Self::of)
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// Why it is not that, as the rest of a sentence.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        const REASON: &str = "is not an RFC 3339 time in the years 0001 to 9999, like `2025-11-26T12:00:00Z`";
        if text.len() > TEXT_BYTES_MAX || !is_rfc_3339(text) {
            return Err(REASON);
        }
        let zone = text.rfind(['Z', 'z', '+', '-']).ok_or(REASON)?;
        let clock: DateTime = text[..zone].parse().map_err(|_| REASON)?;
        let offset = match text[zone..].split_once(':') {
            Some((hours, minutes)) => {
                let minutes: i32 = minutes.parse().map_err(|_| REASON)?;
                let hours_ahead: i32 = hours.parse().map_err(|_| REASON)?;
                let minutes = if hours.starts_with('-') { -minutes } else { minutes };
                3600 * hours_ahead + 60 * minutes
            }
            None => 0,
        };
        Self::at(clock, offset).ok_or(REASON)
    }

    /// Returns the whole seconds since 1970, the earlier of the two it stands between.
    pub(in super::super) fn seconds(self) -> i64 {
        self.0.as_secs() - i64::from(self.0.subsec_nanos() < 0)
    }

    pub(in super::super) fn plus(self, lapse: Lapse) -> Option<Self> {
        self.0.checked_add(lapse.get()).and_then(Self::of)
    }

    pub(in super::super) fn minus(self, lapse: Lapse) -> Option<Self> {
        self.0.checked_sub(lapse.get()).and_then(Self::of)
    }

    /// Returns how long after `other` it is. All times lie closer together than the longest lapse.
    pub(in super::super) fn since(self, other: Self) -> Option<Lapse> {
        self.0.checked_sub(other.0).and_then(Lapse::of)
    }

    /// Returns what a clock shows that is so many seconds before UTC; nothing where it shows another year than 1 to 9999.
    pub(super) fn clock(self, offset_seconds: i32) -> Option<DateTime> {
        let since_epoch = self.0.checked_add(SignedDuration::from_secs(offset_seconds.into()))?;
        let clock = EPOCH.checked_add(since_epoch).ok()?;
        (clock.year() >= 1).then_some(clock)
    }

    /// Returns the nearest time the table of zones can be asked about: it ends a day before the last year does.
    pub(super) fn in_table(self) -> jiff::Timestamp {
        jiff::Timestamp::from_duration(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Returns the time of the table.
    pub(super) fn of_table(time: jiff::Timestamp) -> Option<Self> {
        Self::of(time.as_duration())
    }

    pub(in super::super) fn parts(self) -> (i64, i32) {
        (self.0.as_secs(), self.0.subsec_nanos())
    }
}

impl From<crate::Timestamp> for Moment {
    fn from(time: crate::Timestamp) -> Self {
        // From 1970 to 9999.
        Self(SignedDuration::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = self.clock(0).unwrap_or(EPOCH);
        let (date, time) = (clock.date(), clock.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), date.month(), date.day())?;
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        write_fraction(f, time.subsec_nanosecond())?;
        f.write_str("Z")
    }
}

/// Writes a fraction of a second, without zeros at its end.
pub(super) fn write_fraction(f: &mut fmt::Formatter<'_>, nanos: i32) -> fmt::Result {
    match nanos {
        0 => Ok(()),
        nanos => write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment() -> impl Strategy<Value = Moment> {
        let edges = prop_oneof![Just(SECONDS_MIN), Just(SECONDS_MAX), Just(0), SECONDS_MIN..=SECONDS_MAX];
        (edges, prop_oneof![Just(0), 0..1_000_000_000_i64]).prop_map(|(seconds, nanos)| {
            let since = SignedDuration::from_secs(seconds) + SignedDuration::from_nanos(nanos);
            Moment::of(since).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_time_reads_back_what_it_shows(time in moment()) {
            prop_assert_eq!(Moment::read(&time.to_string()), Ok(time));
        }

        #[test]
        fn what_lies_between_two_times_leads_from_one_to_the_other(from in moment(), to in moment()) {
            let lapse = to.since(from).expect("all times are near enough");
            prop_assert_eq!(from.plus(lapse), Some(to));
            prop_assert_eq!(to.minus(lapse), Some(from));
            prop_assert_eq!(Lapse::read(&lapse.to_string()), Ok(lapse));
        }
    }

    #[test]
    fn a_time_of_the_engine_is_the_same_time() {
        for micros in [0, 1, 1_700_000_000_123_456, u64::MAX] {
            let time = crate::Timestamp::from_micros(micros);
            assert_eq!(Moment::read(&time.to_string()), Ok(Moment::from(time)), "{time}");
        }
    }
}
