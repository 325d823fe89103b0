//! Durations, to the nanosecond.

use std::fmt;

use jiff::SignedDuration;

use super::TEXT_BYTES_MAX;
use super::moment::write_fraction;

/// How much time lies between two times: 10,000 years forth or back at most. It is shown in seconds: `5400s`, `-1.5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super::super) struct Lapse(SignedDuration);

const SECONDS_MAX: i64 = 315_576_000_000;

const NANOS: i128 = 1_000_000_000;

/// What stands behind a number, and how many nanoseconds that is.
const UNITS: [(&str, i128); 12] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS),
    ("sec", NANOS),
    ("m", 60 * NANOS),
    ("min", 60 * NANOS),
    ("h", 3600 * NANOS),
    ("d", 86_400 * NANOS),
    ("w", 604_800 * NANOS),
];

impl Lapse {
    pub(super) fn of(span: SignedDuration) -> Option<Self> {
        let bound = SignedDuration::from_secs(SECONDS_MAX);
        (-bound..=bound).contains(&span).then_some(Self(span))
    }

    /// Returns so many nanoseconds: less than 300 years.
    pub(super) fn of_nanos(nanos: i64) -> Self {
        Self(SignedDuration::from_nanos(nanos))
    }

    pub(in super::super) fn get(self) -> SignedDuration {
        self.0
    }

    /// Reads a sum of numbers with units like `1h30m`, `-1.5s` or `90s`.
    ///
    /// # Errors
    /// Why it is not that, as the rest of a sentence.
    pub(in super::super::super) fn read(text: &str) -> Result<Self, &'static str> {
        const REASON: &str = "is not a duration of at most 10,000 years, like `1h30m`, `90s`, `1.5s` or `-2d`";
        let trimmed = text.trim();
        let (is_negative, mut rest) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        if rest.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(REASON);
        }
        if rest == "0" {
            return Ok(Self(SignedDuration::ZERO));
        }
        let mut total = 0_i128;
        while !rest.is_empty() {
            let (part, after) = part(rest).ok_or(REASON)?;
            total = total.checked_add(part).filter(|total| *total <= i128::from(SECONDS_MAX) * NANOS).ok_or(REASON)?;
            rest = after.trim_start();
        }
        let total = if is_negative { -total } else { total };
        // Within the bounds, as the sum is.
        Self::of(SignedDuration::new((total / NANOS) as i64, (total % NANOS) as i32)).ok_or(REASON)
    }

    pub(in super::super) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::of)
    }

    pub(in super::super) fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).and_then(Self::of)
    }

    pub(in super::super) fn negated(self) -> Self {
        Self(-self.0)
    }

    pub(in super::super) fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Returns it in whole hours, minutes or seconds, or the milliseconds beside the seconds: nothing else is asked of it.
    pub(super) fn part(self, function: &str) -> Option<i64> {
        match function {
            "getHours" => Some(self.0.as_secs() / 3600),
            "getMinutes" => Some(self.0.as_secs() / 60),
            "getSeconds" => Some(self.0.as_secs()),
            "getMilliseconds" => Some(i64::from(self.0.subsec_millis())),
            _ => None,
        }
    }

    pub(in super::super) fn parts(self) -> (i64, i32) {
        (self.0.as_secs(), self.0.subsec_nanos())
    }
}

/// Reads a number and its unit, in nanoseconds; what is less than one is dropped.
fn part(text: &str) -> Option<(i128, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, mut rest) = text.split_at(digits(text));
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at(digits(after));
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let unit = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or(rest);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let below: i128 = if fraction.is_empty() {
        0
    } else {
        // Eighteen digits of a week are less than a nanosecond.
        let kept = &fraction[..fraction.len().min(18)];
        number(kept)?.checked_mul(*nanos)? / 10_i128.pow(kept.len() as u32)
    };
    let total = number(whole)?.checked_mul(*nanos)?.checked_add(below)?;
    Some((total, &rest[unit.len()..]))
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_negative() {
            f.write_str("-")?;
        }
        write!(f, "{}", self.0.as_secs().unsigned_abs())?;
        write_fraction(f, self.0.subsec_nanos().abs())?;
        f.write_str("s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_sum_of_numbers_with_units() {
        let cases = [
            ("90s", "90s"),
            ("1h30m", "5400s"),
            ("1h 30 min", "5400s"),
            ("2d", "172800s"),
            ("1w", "604800s"),
            ("1.5h", "5400s"),
            (".5s", "0.5s"),
            ("-1m1.25s", "-61.25s"),
            ("+3ms", "0.003s"),
            ("1us", "0.000001s"),
            ("1µs1μs", "0.000002s"),
            ("999999999ns", "0.999999999s"),
            ("0.9ns", "0s"),
            ("0", "0s"),
            ("-0", "0s"),
            ("0.000000000000000000000000001w", "0s"),
            ("315576000000s", "315576000000s"),
        ];
        for (text, shown) in cases {
            let read = Lapse::read(text).map(|lapse| lapse.to_string());
            assert_eq!(read.as_deref(), Ok(shown), "{text}");
        }
        let long = "1s".repeat(200);
        let digits = format!("{}s", "9".repeat(90));
        let refused = ["", "-", "s", "5", "1.s.", "5x", "--5s", "5 5s", "1e3s", "5S", "315576000001s", "٣s"];
        for bad in refused.into_iter().chain([long.as_str(), digits.as_str()]) {
            assert!(Lapse::read(bad).is_err(), "{bad}");
        }
    }
}
