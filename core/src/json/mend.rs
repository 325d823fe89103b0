//! What was taken in before the reader was strict, made readable.

use std::borrow::Cow;

use super::scan::{behind_string, special, unit};

/// How deeply what is mended may be nested: below what parsers take, with what is put around it.
const DEPTH_MAX: usize = 96;

/// Makes a text that has the grammar of JSON one that every parser takes: half a surrogate becomes U+FFFD, a number
/// beyond the doubles the largest one, and what is nested deeper than 96 levels `null`.
pub(super) fn mend(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut mended, mut kept, mut at, mut depth) = (String::new(), 0, 0, 0_usize);
    let mut replace = |from: usize, to: usize, by: &str| {
        mended.push_str(&text[kept..from]);
        mended.push_str(by);
        kept = to;
    };
    while let Some(byte) = bytes.get(at) {
        let from = at;
        match byte {
            b'"' => at = string(bytes, at, &mut replace),
            b'-' | b'0'..=b'9' => {
                at = from + bytes[from..].iter().take_while(|byte| is_numeric(**byte)).count();
                let literal = &text[from..at];
                let could_be = literal.len() > 300 || literal.bytes().any(|byte| matches!(byte, b'e' | b'E'));
                let number = if could_be { literal.parse().unwrap_or(0.0_f64) } else { 0.0 };
                if number.is_infinite() {
                    replace(from, at, if number > 0.0 { "1.7976931348623157e308" } else { "-1.7976931348623157e308" });
                }
            }
            b'[' | b'{' if depth == DEPTH_MAX => {
                at = after(bytes, at);
                replace(from, at, "null");
            }
            b'[' | b'{' => (at, depth) = (at + 1, depth + 1),
            b']' | b'}' => (at, depth) = (at + 1, depth.saturating_sub(1)),
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[kept..]);
    Cow::Owned(mended)
}

fn is_numeric(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Mends a string; returns where it ends.
fn string(bytes: &[u8], from: usize, replace: &mut impl FnMut(usize, usize, &str)) -> usize {
    let mut at = from + 1;
    loop {
        at = special(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => match unit(bytes, at) {
                Some(0xd800..=0xdbff) if matches!(unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
                Some(0xd800..=0xdfff) => {
                    replace(at, at + 6, "\\ufffd");
                    at += 6;
                }
                Some(_) => at += 6,
                None => at += 2,
            },
            Some(b'"') | None => return (at + 1).min(bytes.len()),
            Some(_) => at += 1,
        }
    }
}

/// Returns where an array or object ends that begins at a place.
fn after(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = behind_string(bytes, at) - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return at + 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}
