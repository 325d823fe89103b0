//! `regex.extract`, `regex.extractAll`, `regex.replace`: what a pattern finds in a text, and where.
//!
//! The automaton says where the next match ends, charged byte by byte. Groups are looked for no further than that, so
//! that all matches together cost the slow way through the text once. Matches follow one another as in RE2: an empty one
//! does not touch the one before it.

use std::ops::Range;

use regex_automata::Input;
use regex_automata::util::primitives::NonMaxUsize;

use super::fault::Fault;
use super::functions::Function;
use super::nested::List;
use super::pattern::{GROUPS_MAX, Groups, Pattern, Patterns};
use super::texts::piece;
use super::value::{ITEM_BYTES, Text, Value};
use crate::expr::work::Meter;

/// Calls a function of regular expressions.
pub(super) fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    patterns: &mut Patterns,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let [Value::Text(text), Value::Text(pattern), rest @ ..] = arguments else { return Err(function.unfit(arguments)) };
    let pattern = patterns.pattern(function.name, pattern.as_str(), Groups::Kept, meter)?;
    let mut search = Search::of(pattern, text.as_str());
    match (function.name, rest) {
        ("regex.extract", []) => extract(function, text, &mut search, meter),
        ("regex.extractAll", []) => extract_all(function, text, &mut search, meter),
        ("regex.replace", [Value::Text(by)]) => replace(function, text.as_str(), &mut search, by.as_str(), meter),
        _ => Err(function.unfit(arguments)),
    }
}

/// What is wanted of a match: its only group, or the whole where there is none.
fn wanted(function: Function, search: &Search<'_, '_>) -> Result<usize, Fault> {
    match search.pattern.groups() {
        groups @ (0 | 1) => Ok(groups),
        groups => {
            let reason =
                format!("the pattern has {groups} groups, and at most one is extracted: write (?:…) for the others");
            Err(Fault::of_function(function.name, reason))
        }
    }
}

fn extract<'a>(
    function: Function,
    text: &Text<'a>,
    search: &mut Search<'_, '_>,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let wanted = wanted(function, search)?;
    if search.next(meter)?.is_none() {
        return Ok(Value::none());
    }
    match search.group(wanted) {
        Some(part) => Value::some(piece(text, part.start, part.end, meter)?),
        None => Ok(Value::none()),
    }
}

fn extract_all<'a>(
    function: Function,
    text: &Text<'a>,
    search: &mut Search<'_, '_>,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let wanted = wanted(function, search)?;
    let mut parts = Vec::new();
    while search.next(meter)?.is_some() {
        if let Some(part) = search.group(wanted) {
            meter.keep(ITEM_BYTES)?;
            parts.push(piece(text, part.start, part.end, meter)?);
        }
    }
    List::of(parts).map(Value::List)
}

fn replace<'a>(
    function: Function,
    text: &str,
    search: &mut Search<'_, '_>,
    by: &str,
    meter: &Meter<'_>,
) -> Result<Value<'a>, Fault> {
    let pieces = pieces(function, by, search.pattern.groups(), meter)?;
    let mut replaced = String::new();
    let mut put = |part: &str| {
        meter.keep(part.len())?;
        replaced.push_str(part);
        Ok::<_, Fault>(())
    };
    let mut done = 0;
    while let Some(found) = search.next(meter)? {
        put(&text[done..found.start])?;
        for piece in &pieces {
            match piece {
                Piece::Literal(literal) => put(literal)?,
                Piece::Group(group) => put(search.group(*group).map_or("", |part| &text[part]))?,
            }
        }
        done = found.end;
    }
    put(&text[done..])?;
    meter.keep(ITEM_BYTES)?;
    Ok(Value::Text(Text::Made(replaced.into())))
}

/// A part of a replacement.
enum Piece<'r> {
    Literal(&'r str),
    /// `\1`; `\0` is the whole match.
    Group(usize),
}

/// Reads a replacement as RE2 does: `\0` to `\9` are groups, `\\` is one `\`.
fn pieces<'r>(function: Function, by: &'r str, groups: usize, meter: &Meter<'_>) -> Result<Vec<Piece<'r>>, Fault> {
    meter.charge(by.len() as u64 / 8)?;
    let escapes = by.bytes().filter(|byte| *byte == b'\\').count();
    meter.keep(2 * ITEM_BYTES * escapes)?;
    let mut pieces = Vec::new();
    let mut rest = by;
    while let Some((before, after)) = rest.split_once('\\') {
        pieces.push(Piece::Literal(before));
        match after.as_bytes().first() {
            Some(digit @ b'0'..=b'9') => {
                let group = usize::from(digit - b'0');
                if group > groups {
                    let reason = format!("the replacement names the group {group}, and the pattern has {groups}");
                    return Err(Fault::of_function(function.name, reason));
                }
                pieces.push(Piece::Group(group));
            }
            Some(b'\\') => pieces.push(Piece::Literal("\\")),
            Some(_) | None => {
                let reason = "a `\\` in the replacement stands before a digit or another `\\`";
                return Err(Fault::of_function(function.name, reason));
            }
        }
        rest = &after[1..];
    }
    pieces.push(Piece::Literal(rest));
    Ok(pieces)
}

/// A way through a text from match to match.
struct Search<'p, 't> {
    pattern: &'p mut Pattern,
    text: &'t str,
    at: usize,
    /// Where the last match ended.
    ended: Option<usize>,
    /// Where the groups of the last match begin and end.
    slots: [Option<NonMaxUsize>; 2 * (1 + GROUPS_MAX)],
}

impl<'p, 't> Search<'p, 't> {
    fn of(pattern: &'p mut Pattern, text: &'t str) -> Self {
        Self { pattern, text, at: 0, ended: None, slots: [None; 2 * (1 + GROUPS_MAX)] }
    }

    /// Finds the next match, as bytes of the text.
    fn next(&mut self, meter: &Meter<'_>) -> Result<Option<Range<usize>>, Fault> {
        while self.at <= self.text.len() {
            let Some(limit) = self.pattern.limit(self.text, self.at, meter)? else { break };
            let input = Input::new(self.text).span(self.at..limit);
            let slots = &mut self.slots[..2 * (1 + self.pattern.groups())];
            self.pattern.capture(&input, slots, meter)?;
            let Some(found) = self.place(0) else { break };
            let is_next = found.is_empty() && self.ended == Some(found.end);
            if is_next || self.text.get(found.clone()).is_none() {
                // Nothing is found within a character, either.
                self.at = found.start + 1;
                self.at += (self.at..self.text.len()).take_while(|at| !self.text.is_char_boundary(*at)).count();
                continue;
            }
            self.at = found.end;
            self.ended = Some(found.end);
            return Ok(Some(found));
        }
        self.at = self.text.len() + 1;
        Ok(None)
    }

    /// Returns what a group holds, if it took part in the last match.
    fn group(&self, group: usize) -> Option<Range<usize>> {
        self.place(group).filter(|place| self.text.get(place.clone()).is_some())
    }

    fn place(&self, group: usize) -> Option<Range<usize>> {
        let start = (*self.slots.get(2 * group)?)?.get();
        let end = (*self.slots.get(2 * group + 1)?)?.get();
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::nfa::thompson::pikevm::PikeVM;

    use super::*;
    use crate::expr::work::Work;

    type Match = Vec<Option<Range<usize>>>;

    fn ours(pattern: &str, text: &str) -> Result<Vec<Match>, Fault> {
        let work = Work::of_a_decision();
        let meter = Meter::of(&work);
        let mut patterns = Patterns::default();
        let pattern = patterns.pattern("test", pattern, Groups::Kept, &meter)?;
        let mut search = Search::of(pattern, text);
        let mut all = Vec::new();
        while search.next(&meter)?.is_some() {
            all.push((0..=search.pattern.groups()).map(|group| search.group(group)).collect());
        }
        Ok(all)
    }

    fn theirs(pattern: &str, text: &str) -> Vec<Match> {
        let machine = PikeVM::new(pattern).expect("ours took it");
        let mut cache = machine.create_cache();
        let found = machine.captures_iter(&mut cache, text);
        found.map(|found| found.iter().map(|group| group.map(|span| span.range())).collect()).collect()
    }

    fn pattern() -> BoxedStrategy<String> {
        let leaves =
            ["a", "b", "ä", ".", "", "\\w", "\\b", "\\B", "^", "$", "(?-u:\\B)", "(?-u:\\b)", "[^a]", "(?i:A)"];
        let leaf = proptest::sample::select(leaves.to_vec()).prop_map(str::to_owned);
        leaf.prop_recursive(4, 16, 2, |inner| {
            let repeated = proptest::sample::select(vec!["*", "+", "?", "*?", "+?", "??", "{2}"]);
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
                (inner.clone(), repeated).prop_map(|(a, by)| format!("(?:{a}){by}")),
                inner.prop_map(|a| format!("({a})")),
            ]
        })
        .boxed()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        /// Whatever way the automaton shortens, what is found is what the virtual machine finds alone.
        #[test]
        fn each_match_is_the_one_that_is_found_the_slow_way(pattern in pattern(), text in "[abä -]{0,10}") {
            match ours(&pattern, &text) {
                Ok(found) => prop_assert_eq!(found, theirs(&pattern, &text)),
                Err(fault) => prop_assert!(fault.into_parts().0.contains("groups")),
            }
        }
    }
}
