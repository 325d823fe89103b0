//! Regular expressions, for `matches` and those who look for groups: they take time linear in the text, and are charged for what they do.
//!
//! A pattern is compiled once for an evaluation, however often a loop comes by, and charged for by its size. Compiled
//! ones are kept by the thread, a bounded number of them: whether one was there changes the time it takes, never the
//! charge. The automaton is walked byte by byte, so that each state it has to make is charged.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, MatchKind, PatternID};

use super::fault::Fault;
use crate::expr::work::Meter;

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;
/// How much memory the program of one pattern may take.
const PROGRAM_BYTES_MAX: usize = 128 * 1024;
/// How much memory the states of one automaton may take before they are forgotten and made again.
const STATES_BYTES_MAX: usize = 512 * 1024;
/// How many compiled patterns one evaluation remembers.
const REMEMBERED_MAX: usize = 16;
/// How many compiled patterns, and how many bytes of them, a thread keeps.
const KEPT_MAX: usize = 64;
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many bytes are charged for at once where it is not known how far a walk goes.
const CHARGED_BYTES: usize = 32;
/// How many groups a pattern may have where they are looked for: as many as a replacement can name.
pub(super) const GROUPS_MAX: usize = 9;
/// About how many bytes it takes to follow a group in one state.
const GROUP_BYTES: usize = 32;

/// What compiling costs: for each byte of the pattern, for each thing that may stand for a class of characters, and
/// for each so many bytes of the program.
const COMPILE_BYTE: u64 = 20;
const COMPILE_CLASS: u64 = 2_000;
const PROGRAM_BYTES_PER_UNIT: u64 = 2;

/// Whether it matters what the groups of a pattern hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    Ignored,
    Kept,
}

/// A compiled pattern.
struct Program {
    dfa: DFA,
    /// For texts the automaton gives up on: `\b` beside characters that are not ASCII.
    slow: PikeVM,
    states: u64,
    bytes: usize,
    /// How many groups are followed.
    groups: usize,
}

/// The patterns of one evaluation.
#[derive(Default)]
pub(super) struct Patterns {
    known: VecDeque<Pattern>,
}

/// A pattern of an evaluation, and what it has remembered of the texts it was tried on.
pub(super) struct Pattern {
    source: String,
    of: Groups,
    program: Rc<Program>,
    states: Cache,
    threads: Option<pikevm::Cache>,
}

thread_local! {
    static KEPT: RefCell<VecDeque<(String, Groups, Rc<Program>)>> = const { RefCell::new(VecDeque::new()) };
}

impl Patterns {
    /// Tells whether a pattern is found in a text.
    pub(super) fn is_match(&mut self, text: &str, pattern: &str, meter: &Meter<'_>) -> Result<bool, Fault> {
        self.pattern("matches", pattern, Groups::Ignored, meter)?.is_match(text, meter)
    }

    /// Compiles a pattern for a function, or finds it again.
    pub(super) fn pattern(
        &mut self,
        function: &str,
        source: &str,
        of: Groups,
        meter: &Meter<'_>,
    ) -> Result<&mut Pattern, Fault> {
        meter.scan(source.len())?;
        if let Some(at) = self.known.iter().position(|known| known.of == of && known.source == source) {
            return Ok(&mut self.known[at]);
        }
        let program = program(function, source, of, meter)?;
        let states = program.dfa.create_cache();
        if self.known.len() == REMEMBERED_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Pattern { source: source.to_owned(), of, program, states, threads: None });
        let at = self.known.len() - 1;
        Ok(&mut self.known[at])
    }
}

impl Pattern {
    fn is_match(&mut self, text: &str, meter: &Meter<'_>) -> Result<bool, Fault> {
        let (dfa, cache) = (&self.program.dfa, &mut self.states);
        let new_state = 20 + self.program.states / 4;
        // Two or three nanoseconds a byte.
        meter.charge(2 + text.len() as u64 / 8)?;
        let start = dfa.start_state_forward(cache, &Input::new(text));
        let Ok(mut state) = start else { return self.is_match_slowly(text, meter) };
        for byte in text.as_bytes() {
            let mut next = if state.is_tagged() { state } else { dfa.next_state_untagged(cache, state, *byte) };
            if state.is_tagged() || next.is_unknown() {
                meter.charge(new_state)?;
                match dfa.next_state(cache, state, *byte) {
                    Ok(made) => next = made,
                    Err(_) => return self.is_match_slowly(text, meter),
                }
            }
            if next.is_tagged() {
                if next.is_match() {
                    return Ok(true);
                }
                if next.is_dead() {
                    return Ok(false);
                }
                if next.is_quit() {
                    return self.is_match_slowly(text, meter);
                }
            }
            state = next;
        }
        match dfa.next_eoi_state(cache, state) {
            Ok(end) if end.is_quit() => self.is_match_slowly(text, meter),
            Ok(end) => Ok(end.is_match()),
            Err(_) => self.is_match_slowly(text, meter),
        }
    }

    /// Takes time in the size of the text times that of the program.
    fn is_match_slowly(&self, text: &str, meter: &Meter<'_>) -> Result<bool, Fault> {
        let program = &self.program;
        meter.charge((text.len() as u64 + 16).saturating_mul(program.states / 4 + 1))?;
        Ok(program.slow.is_match(&mut program.slow.create_cache(), text))
    }
}

impl Pattern {
    /// Returns how many groups are followed.
    pub(super) fn groups(&self) -> usize {
        self.program.groups
    }

    /// Returns how far to look for the next match from a place on: to its end, or to that of the text where the automaton
    /// gives up. Nothing if there is no match.
    pub(super) fn limit(&mut self, text: &str, from: usize, meter: &Meter<'_>) -> Result<Option<usize>, Fault> {
        let (dfa, cache) = (&self.program.dfa, &mut self.states);
        let new_state = 20 + self.program.states / 4;
        meter.charge(2)?;
        let start = dfa.start_state_forward(cache, &Input::new(text).span(from..text.len()));
        let Ok(mut state) = start else { return Ok(Some(text.len())) };
        let mut end = None;
        for (walked, byte) in text.as_bytes()[from..].iter().enumerate() {
            if walked % CHARGED_BYTES == 0 {
                meter.charge(CHARGED_BYTES as u64 / 8)?;
            }
            let mut next = if state.is_tagged() { state } else { dfa.next_state_untagged(cache, state, *byte) };
            if state.is_tagged() || next.is_unknown() {
                meter.charge(new_state)?;
                match dfa.next_state(cache, state, *byte) {
                    Ok(made) => next = made,
                    Err(_) => return Ok(Some(text.len())),
                }
            }
            if next.is_tagged() {
                if next.is_match() {
                    end = Some(from + walked);
                }
                if next.is_dead() {
                    return Ok(end);
                }
                if next.is_quit() {
                    return Ok(Some(text.len()));
                }
            }
            state = next;
        }
        match dfa.next_eoi_state(cache, state) {
            Ok(last) if last.is_match() => Ok(Some(text.len())),
            Ok(last) if !last.is_quit() => Ok(end),
            Ok(_) | Err(_) => Ok(Some(text.len())),
        }
    }

    /// Finds the first match and its groups. Takes time in what is looked at times the size of the program.
    pub(super) fn capture(
        &mut self,
        input: &Input<'_>,
        slots: &mut [Option<NonMaxUsize>],
        meter: &Meter<'_>,
    ) -> Result<(), Fault> {
        let program = &self.program;
        let followed = 1 + program.groups;
        let each = program.states * (1 + followed as u64) / 8 + 1;
        meter.charge((input.get_span().len() as u64 + 2).saturating_mul(each))?;
        let threads = match &mut self.threads {
            Some(threads) => threads,
            threads @ None => {
                meter.keep(program.states as usize * followed * GROUP_BYTES)?;
                threads.insert(program.slow.create_cache())
            }
        };
        slots.fill(None);
        program.slow.search_slots(threads, input, slots);
        Ok(())
    }
}

/// Compiles a pattern, unless the thread has kept it. The charge is the same.
fn program(function: &str, pattern: &str, of: Groups, meter: &Meter<'_>) -> Result<Rc<Program>, Fault> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(Fault::limit(format!("`{function}`: the pattern is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    let classes = pattern.bytes().filter(|byte| matches!(byte, b'\\' | b'[' | b'.')).count() as u64;
    meter.charge(COMPILE_BYTE * (10 + pattern.len() as u64) + COMPILE_CLASS * classes)?;
    let program = match kept(pattern, of) {
        Some(program) => program,
        None => {
            let program = compile(function, pattern, of).or_else(|fault| {
                // As far as it got, it was work too.
                meter.charge(if fault.is_limit() { PROGRAM_BYTES_MAX as u64 } else { 0 })?;
                Err(fault)
            });
            let program = Rc::new(program?);
            keep(pattern, of, &program);
            program
        }
    };
    meter.charge(program.bytes as u64 / PROGRAM_BYTES_PER_UNIT)?;
    if program.groups > GROUPS_MAX {
        let groups = program.groups;
        let reason = format!("the pattern has {groups} groups, and may have {GROUPS_MAX}: write (?:…) for the others");
        return Err(Fault::of_function(function, reason));
    }
    Ok(program)
}

fn compile(function: &str, pattern: &str, of: Groups) -> Result<Program, Fault> {
    let captures = match of {
        Groups::Ignored => WhichCaptures::None,
        Groups::Kept => WhichCaptures::All,
    };
    // With `utf8` the virtual machine steps byte by byte over each empty match within a character, from the beginning:
    // in the square of the text. Whoever asks where a match is leaves those out.
    let configuration = NFA::config().nfa_size_limit(Some(PROGRAM_BYTES_MAX)).which_captures(captures).utf8(false);
    let nfa = NFA::compiler().configure(configuration).build(pattern).map_err(|error| {
        if error.size_limit().is_some() {
            let bytes = PROGRAM_BYTES_MAX;
            return Fault::limit(format!("`{function}`: the pattern is a program of more than {bytes} bytes"));
        }
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        let reason: String = reason.chars().take(200).collect();
        Fault::of_function(function, format!("not a regular expression: {reason}"))
    })?;
    let (states, bytes) = (nfa.states().len() as u64, nfa.memory_usage());
    let groups = nfa.group_info().group_len(PatternID::ZERO).saturating_sub(1);
    let lazy = Config::new()
        .match_kind(MatchKind::LeftmostFirst)
        .unicode_word_boundary(true)
        .cache_capacity(STATES_BYTES_MAX)
        .skip_cache_capacity_check(true);
    let unbuilt = || Fault::of_function(function, "the regular expression cannot be built");
    let dfa = DFA::builder().configure(lazy).build_from_nfa(nfa.clone()).map_err(|_| unbuilt())?;
    let slow = PikeVM::new_from_nfa(nfa).map_err(|_| unbuilt())?;
    Ok(Program { dfa, slow, states, bytes, groups })
}

fn kept(pattern: &str, of: Groups) -> Option<Rc<Program>> {
    KEPT.with_borrow(|kept| {
        kept.iter().find(|(known, groups, _)| *groups == of && known == pattern).map(|(.., program)| Rc::clone(program))
    })
}

fn keep(pattern: &str, of: Groups, program: &Rc<Program>) {
    KEPT.with_borrow_mut(|kept| {
        kept.push_back((pattern.to_owned(), of, Rc::clone(program)));
        let mut bytes: usize = kept.iter().map(|(.., program)| program.bytes).sum();
        while kept.len() > KEPT_MAX || bytes > KEPT_BYTES_MAX {
            let Some((.., gone)) = kept.pop_front() else { return };
            bytes -= gone.bytes;
        }
    });
}
