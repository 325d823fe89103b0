//! What a shard may still hand to a worker.

use super::{Credit, Standing, Term};

/// The shard's side of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    term: Term,
    word: u64,
    lent: u64,
    handed: u64,
    unheard: u64,
    messages: u64,
}

impl Room {
    /// Makes the room of a session that was just met: nothing is lent.
    pub fn new(term: Term) -> Self {
        Self { term, word: 0, lent: 0, handed: 0, unheard: 0, messages: 0 }
    }

    /// Learns what the worker lends. Less than before takes back what has not been used; an old word changes
    /// nothing, and neither does one of another term.
    pub fn hear(&mut self, credit: Credit) {
        if credit.term == self.term && credit.word > self.word {
            (self.word, self.lent) = (credit.word, credit.lent.max(self.handed));
        }
    }

    /// Returns how many more tasks the worker takes.
    pub fn free(&self) -> u32 {
        u32::try_from(self.lent - self.handed).unwrap_or(u32::MAX)
    }

    /// Returns whether more is free than is held, as far as this shard knows.
    pub fn is_half_idle(&self) -> bool {
        self.lent - self.handed > self.unheard
    }

    /// Returns whether it holds so few that one more makes its next message carry more, as far as this shard knows.
    pub fn is_below(&self, tasks: u64) -> bool {
        self.unheard < tasks
    }

    /// Uses some of what [`Self::free`] says.
    pub fn hand(&mut self, tasks: u32) {
        self.handed = (self.handed + u64::from(tasks)).min(self.lent);
        self.unheard += u64::from(tasks);
    }

    /// Numbers a message with tasks.
    pub fn number(&mut self) {
        self.messages += 1;
    }

    /// Learns that the worker has spoken of a task, or that it is not expected to any more.
    pub fn heard(&mut self) {
        self.unheard = self.unheard.saturating_sub(1);
    }

    /// Returns what the worker is told.
    pub fn standing(&self, waiting: bool) -> Standing {
        let Self { term, handed, unheard, messages: message, .. } = *self;
        Standing { term, handed, unheard, message, waiting }
    }
}
