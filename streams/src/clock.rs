//! The wall clock. `core` has none: whoever decides is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use headwater_core::Timestamp;

/// Returns the time, to the microsecond; the first moment of 1970 where the clock stands before it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
