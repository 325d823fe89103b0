//! Parts of a time.

use jiff::ToSpan as _;
use jiff::civil::{DateTime, Time, date};

use super::zone::Zone;
use super::{Lapse, Moment};

/// Returns what a function of CEL calls a part of what a clock shows.
pub(super) fn of_clock(function: &str, clock: DateTime) -> Option<i64> {
    match function {
        "getFullYear" => Some(clock.year().into()),
        "getMonth" => Some(i64::from(clock.month()) - 1),
        "getDate" => Some(clock.day().into()),
        "getDayOfMonth" => Some(i64::from(clock.day()) - 1),
        "getDayOfWeek" => Some(clock.weekday().to_sunday_zero_offset().into()),
        "getDayOfYear" => Some(i64::from(clock.day_of_year()) - 1),
        "getHours" => Some(clock.hour().into()),
        "getMinutes" => Some(clock.minute().into()),
        "getSeconds" => Some(clock.second().into()),
        "getMilliseconds" => Some(clock.millisecond().into()),
        _ => None,
    }
}

/// Goes back to where a unit of time began on the clocks of a zone. An hour and what is shorter begins as the clock is set
/// then; a day and what is longer at its first moment.
///
/// # Errors
/// An unknown unit, or a time that is in no year of ours: in words.
pub(super) fn truncate(time: Moment, unit: &str, zone: &Zone) -> Result<Moment, String> {
    let clock = zone.clock(time)?;
    let day = clock.date();
    let back = |nanos: i64| time.minus(Lapse::of_nanos(nanos));
    let (minutes, nanos) = (i64::from(clock.minute()), i64::from(clock.subsec_nanosecond()));
    let since_minute = i64::from(clock.second()) * 1_000_000_000 + nanos;
    let begun = match unit {
        "second" => back(nanos),
        "minute" => back(since_minute),
        "hour" => back(minutes * 60_000_000_000 + since_minute),
        "day" | "week" | "month" | "quarter" | "year" => {
            let first = match unit {
                "day" => Ok(day),
                "week" => day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
                "month" => Ok(day.first_of_month()),
                "quarter" => Ok(date(day.year(), day.month() - (day.month() - 1) % 3, 1)),
                _ => Ok(day.first_of_year()),
            };
            first.ok().and_then(|first| zone.beginning(first.to_datetime(Time::midnight())))
        }
        _ => {
            let shown: String = unit.chars().take(40).collect();
            let units = "`second`, `minute`, `hour`, `day`, `week`, `month`, `quarter` and `year`";
            return Err(format!("{shown:?} is none of {units}"));
        }
    };
    begun.ok_or_else(|| Moment::OUTSIDE.to_owned())
}
