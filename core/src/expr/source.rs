//! The text of an expression, before the parser sees it: deep or long sources overflow the parser's stack.

use super::ExpressionProblem;

/// The longest source, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 4096;
/// How deeply brackets may be nested.
pub(super) const NESTING_MAX: usize = 32;
/// How many operators, dots and brackets there may be: each can add one level to the tree.
pub(super) const OPERATORS_MAX: usize = 512;

/// Refuses what the parser must not see.
pub(super) fn check(source: &str) -> Result<(), ExpressionProblem> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(problem(format!("the expression is longer than {SOURCE_BYTES_MAX} bytes")));
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for (_, byte) in Code::of(source) {
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                operators += 1;
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' | b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'?' | b'<' | b'>' | b'=' | b'&' | b'|' | b',' => {
                operators += 1;
            }
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(problem(format!("the expression is nested deeper than {NESTING_MAX} levels")));
        }
        if operators > OPERATORS_MAX {
            return Err(problem(format!("the expression has more than {OPERATORS_MAX} operators")));
        }
    }
    // `a in b in c` adds a level without any of the bytes above.
    if source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| *word == "in").count() > NESTING_MAX
    {
        return Err(problem(format!("the expression has more than {NESTING_MAX} `in`")));
    }
    Ok(())
}

/// Finds the `}}` that ends an expression which starts at the beginning of `text`.
pub(super) fn end_of_expression(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    for (at, byte) in Code::of(text) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn problem(reason: String) -> ExpressionProblem {
    ExpressionProblem { reason }
}

/// The bytes of a source that are neither in a literal text nor in a comment.
struct Code<'s> {
    bytes: &'s [u8],
    at: usize,
}

impl<'s> Code<'s> {
    fn of(source: &'s str) -> Self {
        Self { bytes: source.as_bytes(), at: 0 }
    }

    /// Skips a literal text whose quote stands at `self.at`.
    fn skip_text(&mut self) {
        let quote = self.bytes[self.at];
        let raw = self.prefix_is_raw();
        let triple = self.bytes[self.at..].starts_with(&[quote, quote, quote]);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        while self.at < self.bytes.len() {
            let byte = self.bytes[self.at];
            if byte == b'\\' && !raw {
                self.at += 2;
            } else if byte == quote && (!triple || self.bytes[self.at..].starts_with(&[quote, quote, quote])) {
                self.at += width;
                return;
            } else if byte == b'\n' && !triple {
                return; // not a text after all: the parser will say so
            } else {
                self.at += 1;
            }
        }
    }

    fn prefix_is_raw(&self) -> bool {
        let before = &self.bytes[..self.at];
        let letters = before.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        matches!(&before[before.len() - letters..], b"r" | b"R" | b"br" | b"bR" | b"Br" | b"BR" | b"rb" | b"Rb")
    }
}

impl Iterator for Code<'_> {
    type Item = (usize, u8);

    fn next(&mut self) -> Option<(usize, u8)> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            match byte {
                b'"' | b'\'' => self.skip_text(),
                b'/' if self.bytes.get(self.at + 1) == Some(&b'/') => {
                    while self.bytes.get(self.at).is_some_and(|b| *b != b'\n') {
                        self.at += 1;
                    }
                }
                _ => {
                    self.at += 1;
                    return Some((self.at - 1, byte));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_and_comments_do_not_count() {
        let text = format!("'{}' + r\"\\\" + \"\"\"{}\"\"\" // {}", "(".repeat(40), "[".repeat(40), "{".repeat(40));
        assert_eq!(check(&text), Ok(()));
        assert!(check(&format!("{}1{}", "(".repeat(33), ")".repeat(33))).is_err());
        assert!(check(&"-".repeat(600)).is_err());
        assert!(check(&format!("1{}", " in 1".repeat(40))).is_err());
        assert!(check(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn an_expression_ends_at_the_first_closing_pair_that_is_its_own() {
        assert_eq!(end_of_expression("input.x }} tail }}"), Some(8));
        assert_eq!(end_of_expression("{'a': {'b': 1}} }}"), Some(16));
        assert_eq!(end_of_expression("'}}' }}"), Some(5));
        assert_eq!(end_of_expression("input.x }"), None);
    }
}
