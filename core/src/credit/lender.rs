//! To which shard a worker lends what is free.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::homes::Homes;
use super::{Credit, Standing, Term};
use crate::{Epoch, ShardId};

/// The worker's side: what it has lent to whom.
#[derive(Debug, Clone, Default)]
pub struct Lender {
    shards: BTreeMap<ShardId, Loan>,
    homes: Homes,
}

/// What one shard was lent in its current term.
#[derive(Debug, Clone, Copy)]
struct Loan {
    term: Term,
    /// In all: what the next frame says.
    lent: u64,
    /// In all: what the shard may go by, as long as no lower word was answered.
    ceiling: u64,
    /// Numbers what was said to it.
    word: u64,
    /// Whether the shard is known to have heard the last of it.
    is_heard: bool,
    /// Say it again, even if there is nothing new.
    say_again: bool,
    /// Tasks that came from it, each once.
    taken: u64,
    /// In all, as it last said.
    handed: u64,
    /// Of those that came, how many are still held.
    held: u64,
    /// The newest message with tasks that was heard of.
    message: u64,
    waiting: bool,
    /// Whether it had used all that it was lent when it last said that tasks wait.
    is_short: bool,
}

impl Loan {
    fn new(term: Term) -> Self {
        Self {
            term,
            lent: 0,
            ceiling: 0,
            word: 0,
            is_heard: true,
            say_again: false,
            taken: 0,
            handed: 0,
            held: 0,
            message: 0,
            waiting: false,
            is_short: false,
        }
    }

    /// What may still come.
    fn idle(&self) -> u64 {
        self.ceiling.max(self.lent).saturating_sub(self.taken)
    }

    /// What may still come when everything said has been heard.
    fn unused(&self) -> u64 {
        self.lent.saturating_sub(self.taken)
    }
}

impl Lender {
    /// Makes the lender of a worker with so many slots: nothing is lent.
    pub fn new(slots: u64) -> Self {
        Self { shards: BTreeMap::new(), homes: Homes::new(slots) }
    }

    /// Learns how a shard stands: by its call, or with tasks that it hands over. A word of an older term than the one
    /// known is not listened to: returns whether it was.
    pub fn hear(&mut self, shard: ShardId, standing: Standing) -> bool {
        let Standing { term, handed, unheard, message, waiting } = standing;
        self.homes.know(shard, term.meeting);
        let loan = self.shards.entry(shard).or_insert_with(|| Loan::new(term));
        if term < loan.term {
            return false;
        }
        if term > loan.term {
            *loan = Loan { held: loan.held, word: loan.word, ..Loan::new(term) };
        }
        loan.handed = loan.handed.max(handed);
        // What was handed over and neither came nor is expected to come was lost, and will not come under this count.
        loan.taken = loan.taken.max(loan.handed.saturating_sub(unheard));
        loan.message = loan.message.max(message);
        loan.waiting = waiting;
        loan.is_short = waiting && loan.handed > 0 && loan.handed >= loan.lent;
        true
    }

    /// Returns whether the tasks of a message are to be taken: none heard before is as new. Ask before [`Self::hear`].
    pub fn is_news(&self, shard: ShardId, standing: Standing) -> bool {
        let Some(loan) = self.shards.get(&shard) else { return true };
        standing.term > loan.term || standing.term == loan.term && standing.message > loan.message
    }

    /// Returns whether a message comes before one that was sent earlier: an answer that is still on its way, or one that is lost.
    pub fn is_early(&self, shard: ShardId, standing: Standing) -> bool {
        let loan = self.shards.get(&shard).filter(|loan| loan.term == standing.term);
        loan.is_some_and(|loan| standing.message > loan.message + 1)
    }

    /// Learns that the frame with this credit was answered. Where nothing was said since, the shard goes by it now.
    pub fn answered(&mut self, shard: ShardId, credit: Credit, standing: Standing) {
        if !self.hear(shard, standing) {
            return;
        }
        let Some(loan) = self.shards.get_mut(&shard) else { return };
        loan.lent = loan.lent.max(loan.handed);
        if credit.term == standing.term && credit.word == loan.word {
            loan.ceiling = credit.lent.max(loan.handed);
            loan.is_heard = true;
        }
    }

    /// Learns that a shard has tasks waiting.
    pub fn called(&mut self, shard: ShardId, epoch: Epoch) {
        self.homes.know(shard, 0);
        let loan = self.shards.entry(shard).or_insert_with(|| Loan::new(Term::unmet(epoch)));
        if epoch > loan.term.epoch {
            *loan = Loan { held: loan.held, word: loan.word, ..Loan::new(Term::unmet(epoch)) };
        }
        loan.waiting |= epoch == loan.term.epoch;
        // It has been lent something, and calls all the same: then it does not know.
        loan.say_again |= loan.unused() > 0;
    }

    /// Learns that a task of a shard came, for the first time.
    pub fn took(&mut self, shard: ShardId) {
        if let Some(loan) = self.shards.get_mut(&shard) {
            loan.taken = (loan.taken + 1).min(loan.handed);
            loan.held += 1;
        }
    }

    /// Learns that a task of a shard is held no longer.
    pub fn let_go(&mut self, shard: ShardId) {
        if let Some(loan) = self.shards.get_mut(&shard) {
            loan.held = loan.held.saturating_sub(1);
        }
    }

    /// Returns how many tasks may still come, from all shards together.
    pub fn idle(&self) -> u64 {
        self.shards.values().map(Loan::idle).sum()
    }

    /// Shares out the slots that hold nothing; some of them may be lent already. Returns the shards that are to be told.
    ///
    /// What `freed` names goes back to the shard it came from, once for each time it is named, unless tasks wait: then it
    /// goes to one with tasks waiting whose `turn` it is; turns are to go up with time. Where nothing is left for one that
    /// has tasks waiting, another that has none is asked to give half of what it does not use back; where what is left falls
    /// short for one, as long as the other keeps some.
    pub fn share(&mut self, free: u64, freed: &[ShardId], turn: u64) -> Vec<ShardId> {
        let mut told = Vec::new();
        let mut spare = free.saturating_sub(self.idle());
        let mut freed = freed.iter();
        while spare > 0 {
            let back = if self.is_wanted() { None } else { freed.next().copied() };
            let Some(shard) = back.filter(|shard| self.shards.contains_key(shard)).or_else(|| self.neediest(turn))
            else {
                break;
            };
            let Some(loan) = self.shards.get_mut(&shard) else { break };
            loan.lent += 1;
            spare -= u64::from(loan.lent > loan.ceiling);
            loan.ceiling = loan.ceiling.max(loan.lent);
            if !told.contains(&shard) {
                told.push(shard);
            }
        }
        told.extend(self.take_back());
        let again = self.shards.iter().filter(|(shard, loan)| loan.say_again && !told.contains(shard));
        let again: Vec<_> = again.map(|(shard, _)| *shard).collect();
        told.extend(again);
        told
    }

    fn is_wanted(&self) -> bool {
        self.shards.values().any(|loan| loan.waiting)
    }

    /// The shard that has least, of those whose turn it is: with tasks waiting if there are any.
    fn neediest(&self, turn: u64) -> Option<ShardId> {
        let loan = |shard: &ShardId| self.shards.get(shard);
        if self.is_wanted() {
            let waits = |shard: ShardId| loan(&shard).is_some_and(|loan| loan.waiting);
            let in_turn = self.homes.first(turn, waits);
            return in_turn.min_by_key(|shard| loan(shard).map(|loan| loan.unused() + loan.held));
        }
        let bare = self.shards.iter().find(|(_, loan)| loan.unused() == 0 && loan.held == 0);
        match bare.filter(|_| self.homes.can_reserve()) {
            Some((shard, _)) => Some(*shard),
            None => self.homes.first(0, |_| true).min_by_key(|shard| loan(shard).map(Loan::unused)),
        }
    }

    /// Takes credit back for a shard that has tasks waiting and none, or too little: one shard at a time.
    fn take_back(&mut self) -> Option<ShardId> {
        let unserved = self.shards.values().any(|loan| loan.waiting && loan.unused() == 0);
        // Tasks that are quick have left their slots already, which are lent again.
        let short = self.shards.values().any(|loan| loan.waiting && loan.is_short);
        let taking_back = self.shards.values().any(|loan| loan.ceiling > loan.lent);
        if !(unserved || short) || taking_back {
            return None;
        }
        let kept = u64::from(!unserved);
        let idle = self.shards.iter_mut().filter(|(_, loan)| !loan.waiting && loan.unused() > kept);
        let (shard, loan) = idle.min_by_key(|(_, loan)| Reverse(loan.unused()))?;
        loan.lent -= (loan.unused() - kept).div_ceil(2);
        Some(*shard)
    }

    /// Returns the credit to put into the next frame for a shard.
    pub fn credit(&mut self, shard: ShardId) -> Credit {
        match self.shards.get_mut(&shard) {
            Some(loan) => {
                loan.word += 1;
                (loan.is_heard, loan.say_again) = (false, false);
                Credit { term: loan.term, word: loan.word, lent: loan.lent }
            }
            None => Credit { term: Term::unmet(Epoch::FIRST), word: 0, lent: 0 },
        }
    }

    /// Has everything said again that no shard is known to have heard, and asks those again that were said to have tasks
    /// waiting and do not use what they have: with each heartbeat.
    pub fn doubt(&mut self) {
        for loan in self.shards.values_mut() {
            loan.say_again |= !loan.is_heard || loan.waiting && loan.unused() > 0;
        }
    }

    /// Takes everything back that has not been used: the worker stops. Returns the shards that are to be told.
    pub fn close(&mut self) -> Vec<ShardId> {
        for loan in self.shards.values_mut() {
            loan.lent = loan.lent.min(loan.handed.max(loan.taken));
            loan.waiting = false;
        }
        self.shards.keys().copied().collect()
    }
}
