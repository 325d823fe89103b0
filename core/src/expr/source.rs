//! The text of an expression, before the parser sees it: deep or long sources overflow the parser's stack.

use super::ExpressionProblem;

/// The longest source, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 4096;
/// How deeply brackets may be nested.
pub(super) const NESTING_MAX: usize = 32;
/// How deep the tree of an expression may become: brackets, and operators that stand in one another.
///
/// CEL evaluates by recursion and takes 25 KB of stack for a level (measured, unoptimised): forty take half of the
/// two megabytes a thread has.
pub(super) const DEPTH_MAX: usize = 40;

/// Refuses what the parser must not see.
pub(super) fn check(source: &str) -> Result<(), ExpressionProblem> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(problem(format!("the expression is longer than {SOURCE_BYTES_MAX} bytes")));
    }
    let mut levels = vec![Level::default()];
    for (at, byte) in Code::of(source) {
        let before = source.as_bytes()[..at].trim_ascii_end();
        match byte {
            b'(' | b'[' | b'{' => {
                if let Some(outer) = levels.last_mut() {
                    outer.chain += opening_cost(byte, before);
                }
                levels.push(Level::default());
            }
            b')' | b']' | b'}' if levels.len() > 1 => {
                levels.pop();
            }
            _ => {
                if let Some(level) = levels.last_mut() {
                    level.add(byte, before, &source.as_bytes()[at..]);
                }
            }
        }
        if levels.len() > NESTING_MAX + 1 {
            return Err(problem(format!("the expression is nested deeper than {NESTING_MAX} levels")));
        }
        if levels.iter().map(Level::depth).sum::<usize>() > DEPTH_MAX {
            let reason = format!("the expression is deeper than {DEPTH_MAX} levels of brackets and operators in a row");
            return Err(problem(reason));
        }
    }
    Ok(())
}

/// What stands open between two brackets.
#[derive(Default)]
struct Level {
    /// Operators that stand in one another: `1 + 1 + 1` is two.
    chain: usize,
    /// `&&` and `||`, which the parser balances.
    logic: usize,
    conditions: usize,
}

impl Level {
    fn depth(&self) -> usize {
        1 + self.chain + self.conditions + (usize::BITS - self.logic.leading_zeros()) as usize
    }

    fn add(&mut self, byte: u8, before: &[u8], rest: &[u8]) {
        match byte {
            b',' => *self = Self::default(),
            b'?' => self.conditions += 1,
            b'&' | b'|' if rest.starts_with(b"&&") || rest.starts_with(b"||") => {
                self.chain = 0;
                self.logic += 1;
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'!' => self.chain += 1,
            b'=' if !matches!(before.last(), Some(b'<' | b'>' | b'!' | b'=')) => self.chain += 1,
            b'i' if is_word_in(before, rest) => self.chain += 1,
            _ => {}
        }
    }
}

fn is_word_in(before: &[u8], rest: &[u8]) -> bool {
    // A word that ends with `in` counts too, as `before` has lost its white space: one level too many is harmless.
    let word_goes_on = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    rest.starts_with(b"in") && !word_goes_on(rest.get(2)) && !before.ends_with(b".")
}

/// How many levels a bracket adds around itself: calls of methods and look-ups stand around what they follow.
fn opening_cost(bracket: u8, before: &[u8]) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match bracket {
        b'(' => {
            let word = before.iter().rev().take_while(|byte| is_word(byte)).count();
            let method = word > 0 && before[..before.len() - word].trim_ascii_end().ends_with(b".");
            if method { 2 } else { 0 }
        }
        b'[' => usize::from(before.last().is_some_and(|byte| is_word(byte) || matches!(byte, b')' | b']'))),
        _ => 0,
    }
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
    }

    #[test]
    fn what_stands_side_by_side_is_not_deep() {
        let entries: Vec<String> =
            (0..60).map(|n| format!("'k{n}': input.a{n} + size(input.b) * 2 - x.f(1)")).collect();
        assert_eq!(check(&format!("{{{}}}", entries.join(", "))), Ok(()));
        let terms: Vec<String> = (0..100).map(|n| format!("!(input.a{n} == 'x')")).collect();
        assert_eq!(check(&terms.join(" && ")), Ok(()));
        assert_eq!(check(&format!("input{}", ".index".repeat(300))), Ok(()));
    }

    #[test]
    fn what_stands_in_one_another_is_deep() {
        let deep = [
            format!("{}1{}", "(".repeat(33), ")".repeat(33)),
            format!("1{}", " + 1".repeat(40)),
            format!("1{}", " in 1".repeat(40)),
            format!("'a'{}", ".trim()".repeat(30)),
            format!("{}1", "true ? 1 && 1 : ".repeat(40)),
            format!("{}1{}", "[1]+[".repeat(21), "]".repeat(21)),
        ];
        for source in deep {
            assert!(check(&source).is_err(), "{source}");
        }
    }

    #[test]
    fn an_expression_ends_at_the_first_closing_pair_that_is_its_own() {
        assert_eq!(end_of_expression("input.x }} tail }}"), Some(8));
        assert_eq!(end_of_expression("{'a': {'b': 1}} }}"), Some(16));
        assert_eq!(end_of_expression("'}}' }}"), Some(5));
        assert_eq!(end_of_expression("input.x }"), None);
    }
}
