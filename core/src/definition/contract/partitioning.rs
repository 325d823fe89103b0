//! `partitioning`: which partitions an asset has.

use std::collections::BTreeSet;
use std::time::Duration;

use super::declared::{Meaning, lenient};
use crate::definition::document::{Field, Fields};
use crate::definition::{ProblemCode, policy, span};
use crate::{Json, PartitionKey};

/// The most keys that may be written out.
const KEYS_MAX: usize = 10_000;
/// The most keys, or windows back, that may be asked for.
const COUNT_MAX: u64 = 1_000_000;
/// The longest name of a time zone, and the longest format of a key, in bytes.
const TEXT_BYTES_MAX: usize = 100;

/// Which partitions an asset has. Nothing reads it yet: partitions are made by their keys alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitioning {
    /// Those that are named: at least one, each once.
    Static { keys: Vec<PartitionKey> },
    /// One for each stretch of time.
    TimeWindow(TimeWindow),
    /// Whichever come.
    Dynamic {
        /// How many there may be, at least 1.
        keys_max: Option<u32>,
        /// How long one is kept that gets no version.
        retention: Option<Duration>,
    },
}

/// One partition for each stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeWindow {
    pub granularity: Granularity,
    /// The name of the time zone in whose days it counts, such as `Europe/Berlin`. Whether there is such a zone is not
    /// known here. Absent: UTC.
    pub timezone: Option<String>,
    /// How the start of a window is written as a key.
    pub format: Option<String>,
    /// How many windows back are looked after, at least 1.
    pub lookback: Option<u32>,
}

/// How long a stretch of time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

#[derive(Clone, Copy)]
enum Word {
    Static,
    TimeWindow,
    Dynamic,
    Every(Granularity),
}

/// The kinds, and short words for the commonest windows.
const WORDS: [(&str, Word); 7] = [
    ("static", Word::Static),
    ("timeWindow", Word::TimeWindow),
    ("dynamic", Word::Dynamic),
    ("hourly", Word::Every(Granularity::Hour)),
    ("daily", Word::Every(Granularity::Day)),
    ("weekly", Word::Every(Granularity::Week)),
    ("monthly", Word::Every(Granularity::Month)),
];

impl Partitioning {
    /// Reads it and says what is wrong. `None` for what has no meaning; an empty object has none, and nothing wrong.
    pub(super) fn read(field: &Field<'_>) -> Option<Self> {
        if field.value.as_object()?.is_empty() {
            return None;
        }
        let mut fields = field.fields()?;
        let word = fields.need(&["type", "kind"])?.word(&WORDS)?;
        let read = match word {
            Word::Static => keys(&mut fields).map(|keys| Self::Static { keys }),
            Word::TimeWindow => {
                let granularity = granularity(&mut fields);
                window(&mut fields, granularity)
            }
            Word::Every(granularity) => window(&mut fields, Some(granularity)),
            Word::Dynamic => {
                Some(Self::Dynamic { keys_max: count(&mut fields, &["maxKeys"]), retention: retention(&mut fields) })
            }
        };
        fields.finish();
        read
    }
}

impl Meaning for Partitioning {
    fn of(source: &Json) -> Option<Self> {
        lenient(source, Self::read)
    }
}

/// Reads the keys; `None` where one of them is none.
fn keys(fields: &mut Fields<'_>) -> Option<Vec<PartitionKey>> {
    let field = fields.need(&["keys"])?;
    let items = field.items();
    if field.value.as_array()?.is_empty() {
        field.error(ProblemCode::InvalidValue, "a static partitioning needs at least one key");
        return None;
    }
    if !field.at_most(KEYS_MAX, items.len(), "keys", "let them be `dynamic`") {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut keys = Vec::with_capacity(items.len());
    for item in &items {
        let key: Option<PartitionKey> = item.name();
        if let Some(key) = key.as_ref().filter(|key| !seen.insert((*key).clone())) {
            item.error(ProblemCode::Duplicate, format!("the key `{key}` stands here twice"));
        }
        keys.extend(key);
    }
    (keys.len() == items.len()).then_some(keys)
}

fn granularity(fields: &mut Fields<'_>) -> Option<Granularity> {
    let words = [
        ("minute", Granularity::Minute),
        ("hour", Granularity::Hour),
        ("day", Granularity::Day),
        ("week", Granularity::Week),
        ("month", Granularity::Month),
    ];
    fields.need(&["granularity"])?.word(&words)
}

fn window(fields: &mut Fields<'_>, granularity: Option<Granularity>) -> Option<Partitioning> {
    let timezone = text(fields, "timezone", "the name of a time zone like `Europe/Berlin` or `UTC`", |name| {
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'/');
        name.bytes().all(letters) && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.ends_with('/')
    });
    let format =
        text(fields, "format", "how a key is written, like `%Y-%m-%d`", |format| !format.chars().any(char::is_control));
    let lookback = count(fields, &["lookback", "lookbackWindows"]);
    Some(Partitioning::TimeWindow(TimeWindow { granularity: granularity?, timezone, format, lookback }))
}

fn text(fields: &mut Fields<'_>, name: &'static str, what: &str, fits: impl FnOnce(&str) -> bool) -> Option<String> {
    let field = fields.take(&[name])?;
    let text = field.text()?;
    if !(1..=TEXT_BYTES_MAX).contains(&text.len()) || !fits(text) {
        field.error(ProblemCode::InvalidValue, format!("must be {what}, of at most {TEXT_BYTES_MAX} bytes"));
        return None;
    }
    Some(text.to_owned())
}

fn count(fields: &mut Fields<'_>, spellings: &[&'static str]) -> Option<u32> {
    fields.take(spellings)?.number(1, COUNT_MAX).and_then(|count| u32::try_from(count).ok())
}

fn retention(fields: &mut Fields<'_>) -> Option<Duration> {
    let retention = policy::time(fields, &["retentionMs", "retention"], Duration::from_millis(1));
    let Some(field) = fields.take(&["retentionDays"]) else { return retention };
    if fields.has("retention") || fields.has("retentionMs") {
        let message = "`retention` and `retentionDays` are two spellings of the same field: keep one";
        field.error(ProblemCode::Duplicate, message);
    }
    field.number(1, span::DAYS_MAX).map(|days| Duration::from_secs(days * 24 * 3600))
}
