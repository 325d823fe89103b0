//! The one reader of JSON from outside: a single pass over the bytes that builds nothing.
//!
//! It judges by the text, never by a value that a parser made of it. Whatever it accepts every parser takes.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Flaw, InvalidJson, Json};

/// Objects of up to so many keys are compared pair by pair.
const PAIRS_MAX: usize = 16;
/// How much of a key is shown.
const KEY_CHARS_MAX: usize = 60;
/// How long a path grows before its middle is left out.
const PATH_BYTES_MAX: usize = 400;

/// Reads one value that fills the text.
pub(super) fn scan(text: &str) -> Result<(), InvalidJson> {
    let mut reader =
        Reader { text, bytes: text.as_bytes(), at: 0, open: [Level::default(); DEPTH], depth: 0, keys: Vec::new() };
    reader.read().map_err(|flaw| InvalidJson { path: reader.path(), flaw })
}

const DEPTH: usize = Json::DEPTH_MAX;

/// An array or object that is not closed yet.
#[derive(Clone, Copy, Default)]
struct Level {
    object: bool,
    /// Whether the reader is at a value inside, not at a key.
    inside: bool,
    /// Of the item or of the key's place among `keys`.
    position: usize,
    /// Where its keys begin.
    keys_from: usize,
}

/// A key without its quotes.
#[derive(Clone, Copy)]
struct Key {
    from: usize,
    to: usize,
    escaped: bool,
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    open: [Level; DEPTH],
    depth: usize,
    /// Of all objects that are open, the innermost last.
    keys: Vec<Key>,
}

impl<'t> Reader<'t> {
    fn read(&mut self) -> Result<(), Flaw> {
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'{') => {
                    self.enter(true)?;
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.enter(false)?;
                    if self.peek() != Some(b']') {
                        self.open[self.depth - 1].inside = true;
                        continue;
                    }
                }
                Some(b'"') => drop(self.string()?),
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(_) | None => return Err(self.syntax("a value is expected")),
            }
            if self.leave()? {
                return Ok(());
            }
        }
    }

    fn enter(&mut self, object: bool) -> Result<(), Flaw> {
        if self.depth == DEPTH {
            return Err(Flaw::TooDeep);
        }
        self.open[self.depth] = Level { object, inside: false, position: 0, keys_from: self.keys.len() };
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Goes on after a value: to the next one (`false`), or to the end of the text (`true`).
    fn leave(&mut self) -> Result<bool, Flaw> {
        loop {
            self.skip_space();
            let Some(level) = self.depth.checked_sub(1).map(|at| &mut self.open[at]) else {
                return if self.at == self.bytes.len() {
                    Ok(true)
                } else {
                    Err(self.syntax("nothing more is expected"))
                };
            };
            match (self.bytes.get(self.at), level.object) {
                (Some(b','), false) => {
                    level.position += usize::from(level.inside);
                    self.at += 1;
                    return Ok(false);
                }
                (Some(b','), true) => {
                    level.inside = false;
                    self.at += 1;
                    self.skip_space();
                    self.key()?;
                    return Ok(false);
                }
                (Some(b']'), false) => {}
                (Some(b'}'), true) => {
                    level.inside = false;
                    let from = level.keys_from;
                    self.check_keys(from)?;
                    self.keys.truncate(from);
                }
                (_, false) => return Err(self.syntax("`,` or `]` is expected")),
                (_, true) => return Err(self.syntax("`,` or `}` is expected")),
            }
            self.at += 1;
            self.depth -= 1;
        }
    }

    fn key(&mut self) -> Result<(), Flaw> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a key in quotes is expected"));
        }
        let key = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.syntax("`:` is expected"));
        }
        self.at += 1;
        let level = &mut self.open[self.depth - 1];
        (level.position, level.inside) = (self.keys.len(), true);
        self.keys.push(key);
        Ok(())
    }

    fn check_keys(&self, from: usize) -> Result<(), Flaw> {
        let keys = &self.keys[from..];
        let twice = if keys.len() <= PAIRS_MAX {
            keys.iter().enumerate().find(|(at, key)| keys[..*at].iter().any(|other| self.same(key, other)))
        } else {
            let mut seen = HashSet::with_capacity(keys.len());
            keys.iter().enumerate().find(|(_, key)| !seen.insert(self.plain(key)))
        };
        twice.map_or(Ok(()), |(_, key)| Err(Flaw::DuplicateKey(shown(&self.plain(key)))))
    }

    fn same(&self, a: &Key, b: &Key) -> bool {
        if a.escaped || b.escaped {
            return self.plain(a) == self.plain(b);
        }
        self.bytes[a.from..a.to] == self.bytes[b.from..b.to]
    }

    /// Returns the key without escapes.
    fn plain(&self, key: &Key) -> Cow<'t, str> {
        let raw = &self.text[key.from..key.to];
        let undone = key.escaped.then(|| serde_json::from_str(&self.text[key.from - 1..=key.to]).ok()).flatten();
        undone.map_or(Cow::Borrowed(raw), Cow::Owned)
    }

    fn string(&mut self) -> Result<Key, Flaw> {
        self.at += 1;
        let (from, mut escaped) = (self.at, false);
        loop {
            self.at = special(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.syntax("a control character must be escaped")),
                None => return Err(self.syntax("the text is not closed")),
            }
        }
        self.at += 1;
        Ok(Key { from, to: self.at - 1, escaped })
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let Some(b'u') = self.bytes.get(self.at + 1) else {
            let known =
                matches!(self.bytes.get(self.at + 1), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'));
            self.at += 2;
            return if known { Ok(()) } else { Err(self.syntax("there is no such escape")) };
        };
        match unit(self.bytes, self.at) {
            None => Err(self.syntax("four hexadecimal digits are expected after `\\u`")),
            Some(0) => Err(Flaw::NulCharacter),
            Some(0xd800..=0xdbff) if matches!(unit(self.bytes, self.at + 6), Some(0xdc00..=0xdfff)) => {
                self.at += 12;
                Ok(())
            }
            Some(0xd800..=0xdfff) => Err(Flaw::LoneSurrogate),
            Some(_) => {
                self.at += 6;
                Ok(())
            }
        }
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let from = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(self.syntax("a number has digits, and no zero before others"));
        }
        let (mut real, mut exponent) = (false, false);
        if self.peek() == Some(b'.') {
            (self.at, real) = (self.at + 1, true);
            if self.digits() == 0 {
                return Err(self.syntax("a digit is expected after the point"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            (self.at, real, exponent) = (self.at + 1, true, true);
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.syntax("a digit is expected in the exponent"));
            }
        }
        let literal = &self.text[from..self.at];
        let fits = match (real, exponent) {
            (false, _) => whole < 19 || literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok(),
            // Too short to leave the range of a double.
            (true, false) if literal.len() < 300 => true,
            (true, _) => return if is_double(literal) { Ok(()) } else { Err(Flaw::NotADouble(shown(literal))) },
        };
        if fits { Ok(()) } else { Err(Flaw::NumberOutOfRange(shown(literal))) }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - from
    }

    fn word(&mut self, word: &str) -> Result<(), Flaw> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax("a value is expected"));
        }
        self.at += word.len();
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn syntax(&self, wanted: &str) -> Flaw {
        let at = self.at.min(self.bytes.len());
        let before = &self.bytes[..at];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Flaw::Syntax(format!("{wanted} at line {line} column {column}"))
    }

    /// Returns where the reader stands, as a JSON Pointer.
    fn path(&self) -> String {
        let mut path = String::new();
        for level in self.open[..self.depth].iter().filter(|level| level.inside) {
            if path.len() > PATH_BYTES_MAX {
                path.push_str("/…");
                break;
            }
            path.push('/');
            match level.object {
                true => {
                    path.push_str(&shown(&self.plain(&self.keys[level.position])).replace('~', "~0").replace('/', "~1"))
                }
                false => path.push_str(&level.position.to_string()),
            }
        }
        path
    }
}

/// Returns whether a literal has a double: neither infinite nor, unless every digit is 0, zero.
pub(super) fn is_double(literal: &str) -> bool {
    let digits = literal.split(['e', 'E']).next().unwrap_or_default();
    match literal.parse::<f64>() {
        Ok(0.0) => !digits.bytes().any(|byte| matches!(byte, b'1'..=b'9')),
        Ok(number) => number.is_finite(),
        Err(_) => false,
    }
}

/// Reads `\uXXXX` at a place.
pub(super) fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = bytes.get(at..at + 6)? else { return None };
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}

/// Finds the next quote, backslash or control character of a string, eight bytes at a time.
pub(super) fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = ONES * u64::from(b'"');
        let slash = ONES * u64::from(b'\\');
        let hits = below(word, 0x20) | below(word ^ quote, 1) | below(word ^ slash, 1);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Returns whether a text that is JSON is nested more deeply than so many levels.
pub(super) fn is_deeper_than(text: &str, levels: usize) -> bool {
    let bytes = text.as_bytes();
    // Every level takes two.
    if bytes.len() <= 2 * levels {
        return false;
    }
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at = if *byte == b'"' { behind_string(bytes, at) } else { at + 1 };
        match byte {
            b'[' | b'{' if depth == levels => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Returns the place behind a string that begins at this one.
pub(super) fn behind_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    loop {
        at = special(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return (at + 1).min(bytes.len()),
            Some(_) => at += 1,
        }
    }
}

/// Cuts what is long.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(KEY_CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
