//! The places in JSON that was read before: it is known to be right.

use super::{At, Place, Sought};

/// Goes through a text that is one document, and tells of the places that are sought.
pub(super) fn walk(text: &str, sought: &mut Sought<'_>) {
    let document = sought.item(Some(Sought::WHOLE), 0);
    let mut walk = Walk { text, at: 0, line: 1, column: 1, counted: 0 };
    walk.value(document, sought);
}

struct Walk<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    /// Of the byte at `counted`, on the same line as `at`.
    column: usize,
    counted: usize,
}

impl<'t> Walk<'t> {
    /// As deep as the document, which the reader has bounded.
    fn value(&mut self, spot: At, sought: &mut Sought<'_>) {
        if let Some(spot) = spot {
            let place = self.place();
            sought.see_value(spot, place);
        }
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                while let Some(b'"') = self.peek() {
                    let place = spot.map(|_| self.place());
                    let name = self.string();
                    let below = spot.and_then(|_| sought.field(spot, &unescaped(name)));
                    if let Some((below, place)) = below.zip(place) {
                        sought.see_name(below, place);
                    }
                    self.skip(b':');
                    self.value(below, sought);
                    self.skip(b',');
                }
                self.skip(b'}');
            }
            Some(b'[') => {
                self.at += 1;
                let mut position = 0;
                while self.peek().is_some_and(|byte| byte != b']') {
                    let below = sought.item(spot, position);
                    self.value(below, sought);
                    self.skip(b',');
                    position += 1;
                }
                self.skip(b']');
            }
            Some(b'"') => drop(self.string()),
            Some(_) => {
                let rest = &self.text[self.at..];
                self.at += rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()).max(1);
            }
            None => {}
        }
    }

    /// Goes to the next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
            if byte == b'\n' {
                (self.line, self.column, self.counted) = (self.line + 1, 1, self.at);
            }
        }
    }

    fn skip(&mut self, byte: u8) {
        self.at += usize::from(self.peek() == Some(byte));
    }

    /// Goes behind a text, and returns it with its quotes.
    fn string(&mut self) -> &'t str {
        let from = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        &self.text[from..self.at.min(bytes.len())]
    }

    fn place(&mut self) -> Place {
        self.peek();
        self.column += self.text[self.counted..self.at].chars().count();
        self.counted = self.at;
        Place { line: self.line, column: self.column }
    }
}

fn unescaped(quoted: &str) -> std::borrow::Cow<'_, str> {
    let plain = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
    let undone = quoted.contains('\\').then(|| serde_json::from_str(quoted).ok()).flatten();
    undone.map_or(plain.into(), |name: String| name.into())
}
