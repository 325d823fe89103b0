//! The failure of an answer that nobody expected: whether and when another try is worth it, and what programs may ask.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Serialize;

use super::body;
use crate::sdk::HandlerError;

/// How much of the body goes into the failure's message, and into its details.
const EXCERPT_CHARS: usize = 300;
const BODY_BYTES_MAX: usize = 1024;
/// A longer header is nobody's business.
const HEADER_CHARS_MAX: usize = 200;

/// What of the answer programs may ask: `error.details`.
#[derive(Debug, Serialize)]
struct Details {
    status: u16,
    headers: Headers,
    body: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Headers {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
}

/// Makes the failure; `now` is what the worker's clock says.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> HandlerError {
    let later = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let later: Option<String> = later.map(|later| later.chars().take(HEADER_CHARS_MAX).collect());
    let said = later.as_ref().map(|when| format!(" (Retry-After: {when})")).unwrap_or_default();
    let mut text = body::excerpt(headers, body, BODY_BYTES_MAX).replace('\0', "\u{fffd}");
    text.truncate(text.floor_char_boundary(BODY_BYTES_MAX));
    let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
    let asked = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let asked = later.as_deref().filter(|_| asked).and_then(|later| span(later, now));
    let details = Details { status: status.as_u16(), headers: Headers { retry_after: later }, body: text };
    let error = HandlerError::new("http_status", format!("the answer was {status}{said}: {excerpt}"));
    let error = error.with_details(&details);
    let error = asked.into_iter().fold(error, HandlerError::retry_after);
    let again = matches!(status.as_u16(), 408 | 425 | 429) || !(status.is_client_error() || status.is_redirection());
    if again { error } else { error.permanent() }
}

/// Reads a `Retry-After`: whole seconds, or a date, counted by our own clock (RFC 9110, section 10.2.3). What is neither, or
/// is over, says nothing. How much of it is heeded, the engine knows.
fn span(said: &str, now: SystemTime) -> Option<Duration> {
    let said = said.trim();
    if !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(said.parse().unwrap_or(u64::MAX)));
    }
    httpdate::parse_http_date(said).ok()?.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_seconds_or_a_date_to_come_and_nothing_else() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun Nov  6 08:49:47 1994", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", None),
            ("-5", None),
            ("1.5", None),
            ("+3", None),
            ("", None),
            ("soon", None),
            ("1994-11-06T08:49:47Z", None),
        ];
        for (said, seconds) in cases {
            assert_eq!(span(said, now), seconds.map(Duration::from_secs), "{said:?}");
        }
    }
}
