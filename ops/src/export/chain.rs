//! How a changed byte shows: each line begins with a digest of what it says and of the line before.

use std::io::{self, BufRead, Read as _};

use headwater_core::shard::digest;

/// How many bytes one line may have: a large value, and room for what stands around it.
pub const LINE_BYTES_MAX: u64 = 40 << 20;

const BEFORE: &str = "{\"chain\":\"";
const BETWEEN: &str = "\",\"said\":";
const AFTER: &str = "}";

/// Says which line is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("line {line} is not as it was written: it, or what stood before it, was changed")]
    Changed { line: u64 },
    #[error("line {line} is not one of an exported run")]
    Foreign { line: u64 },
    #[error("line {line} has more than {LINE_BYTES_MAX} bytes")]
    TooLong { line: u64 },
    #[error("line {line} cannot be read")]
    Unreadable { line: u64, source: io::Error },
}

/// The lines so far.
#[derive(Debug, Default)]
pub struct Chain {
    last: String,
    lines: u64,
}

impl Chain {
    /// Returns the next line, which says this.
    pub fn line(&mut self, said: &str) -> String {
        self.last = self.after(said);
        self.lines += 1;
        format!("{BEFORE}{}{BETWEEN}{said}{AFTER}\n", self.last)
    }

    fn after(&self, said: &str) -> String {
        digest(format!("{}{said}", self.last).as_bytes())
    }

    /// Returns how many lines there were.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads what the next line says; `None`: there is none.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn read(&mut self, from: &mut impl BufRead) -> Result<Option<String>, Broken> {
        let line = self.lines + 1;
        let mut text = String::new();
        let read = from.take(LINE_BYTES_MAX).read_line(&mut text);
        if read.map_err(|source| Broken::Unreadable { line, source })? == 0 {
            return Ok(None);
        }
        let Some(text) = text.strip_suffix('\n') else {
            let is_long = text.len() as u64 >= LINE_BYTES_MAX;
            return Err(if is_long { Broken::TooLong { line } } else { Broken::Changed { line } });
        };
        let parts = text.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER));
        let (chain, said) = parts.and_then(|rest| rest.split_once(BETWEEN)).ok_or(Broken::Foreign { line })?;
        let expected = self.after(said);
        if chain != expected {
            return Err(Broken::Changed { line });
        }
        (self.last, self.lines) = (expected, line);
        Ok(Some(said.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<String>, Broken> {
        let (mut chain, mut from, mut said) = (Chain::default(), text, Vec::new());
        while let Some(line) = chain.read(&mut from)? {
            said.push(line);
        }
        Ok(said)
    }

    #[test]
    fn whatever_byte_is_changed_is_noticed_at_its_line_or_behind_it() {
        let mut chain = Chain::default();
        let said = ["{\"a\":1}", "{\"b\":\"x\\\"}\"}", "[]"];
        let text: String = said.iter().map(|said| chain.line(said)).collect();
        assert_eq!(read(text.as_bytes()).unwrap(), said);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let before = text[..at].matches('\n').count() as u64;
            let (Broken::Changed { line }
            | Broken::Foreign { line }
            | Broken::TooLong { line }
            | Broken::Unreadable { line, .. }) = read(&changed).unwrap_err();
            assert_eq!(line, before + 1, "byte {at}");
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert!(read([lines[0], lines[2]].concat().as_bytes()).is_err(), "a line that is missing");
        assert!(read([lines[1], lines[0]].concat().as_bytes()).is_err(), "lines in another order");
        assert!(read(&text.as_bytes()[..text.len() - 1]).is_err(), "a line that is cut off");
    }
}
