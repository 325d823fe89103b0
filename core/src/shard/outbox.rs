//! Which effects may not have been delivered: sent by this owner and not confirmed, or folded and not known to be. Each way has
//! a mark of its own, so that a shard without an owner holds up what is meant for it and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::reactions::Reactions;
use super::{Ahead, Bundle, Effect, Owner, Resending, Shard, Way, lane};
use crate::Sequence;

/// The effects of one bundle that may not have been delivered.
pub(super) type Inherited = (Sequence, Vec<Effect>);

/// How many ways a bundle names as being behind the others.
const BEHIND_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Bundles whose effects on a way have not all been delivered.
    undelivered: BTreeMap<Way, BTreeSet<Sequence>>,
    /// Folded effects that the owner before may not have delivered, by way, in their order.
    inherited: BTreeMap<Way, VecDeque<(Sequence, Effect)>>,
    /// Whole bundles of which something is still to be worked out, which is not done for what was delivered.
    unworked: BTreeMap<Sequence, Reactions>,
    delivered: Delivered,
    /// Ways on which nothing counts as delivered until the bundle of that place says what is sent again on them.
    kept: BTreeMap<Way, Sequence>,
}

/// Up to where folded bundles say that effects have been delivered.
#[derive(Debug)]
struct Delivered {
    done: Sequence,
    /// Where it is another place.
    behind: BTreeMap<Way, Sequence>,
}

impl Default for Delivered {
    fn default() -> Self {
        Self { done: Sequence::ZERO, behind: BTreeMap::new() }
    }
}

impl Delivered {
    fn on(&self, way: Way) -> Sequence {
        self.behind.get(&way).copied().unwrap_or(self.done)
    }

    fn go_back(&mut self, way: Way, mark: Sequence) {
        self.behind.remove(&way);
        if mark < self.done {
            self.behind.insert(way, mark);
        }
    }

    fn on_every_way(&self) -> Sequence {
        self.behind.values().copied().min().unwrap_or(self.done).min(self.done)
    }

    /// What was delivered once stays so. On ways that are kept nothing is.
    fn hear(&mut self, bundle: &Bundle, kept: &BTreeMap<Way, Sequence>) {
        let named = bundle.ahead.iter().flat_map(|ahead| &ahead.behind).map(|(way, _)| *way);
        let ways: BTreeSet<Way> = self.behind.keys().copied().chain(named).chain(kept.keys().copied()).collect();
        let mark = |way: Way| {
            if kept.contains_key(&way) { Sequence::ZERO } else { self.on(way).max(bundle.delivered_on(way)) }
        };
        let marks: Vec<_> = ways.into_iter().map(|way| (way, mark(way))).collect();
        self.done = self.done.max(bundle.ahead.as_ref().map_or(bundle.effects_done, |ahead| ahead.done));
        self.behind = marks.into_iter().filter(|(_, mark)| *mark < self.done).collect();
    }
}

impl Outbox {
    /// Makes one of an owner that has folded everything up to `last` and inherits nothing of it.
    pub fn delivered_up_to(last: Sequence) -> Self {
        Self { delivered: Delivered { done: last, behind: BTreeMap::new() }, ..Self::default() }
    }

    /// The commits of a bundle were folded.
    pub fn inherit(&mut self, shard: &Shard, sequence: Sequence, reactions: Reactions) {
        if reactions.later.is_empty() {
            let mut effects = reactions.effects;
            lane::number(shard.id, sequence, &mut effects);
            self.inherit_effects(shard, sequence, effects);
        } else {
            self.unworked.insert(sequence, reactions);
        }
    }

    /// Takes effects in, with their places. What nobody waits for is not inherited.
    pub fn inherit_effects(&mut self, shard: &Shard, sequence: Sequence, effects: Vec<Effect>) {
        for effect in effects {
            if let Some(way) = effect.way(&shard.map) {
                self.inherited.entry(way).or_default().push_back((sequence, effect));
            }
        }
    }

    /// A bundle was folded that says what has been delivered.
    pub fn delivered(&mut self, bundle: &Bundle) {
        let kept = &self.kept;
        self.inherited.retain(|way, effects| {
            let done = if kept.contains_key(way) { Sequence::ZERO } else { bundle.delivered_on(*way) };
            while effects.front().is_some_and(|(sequence, _)| *sequence <= done) {
                effects.pop_front();
            }
            !effects.is_empty()
        });
        self.delivered.hear(bundle, kept);
        let done = self.delivered.on_every_way();
        while self.unworked.first_key_value().is_some_and(|(sequence, _)| *sequence <= done) {
            self.unworked.pop_first();
        }
    }

    /// Keeps what is folded on a way, whatever is said of its delivery, until the bundle of a place.
    pub fn keep(&mut self, way: Way, until: Sequence) {
        let kept = self.kept.entry(way).or_insert(until);
        *kept = until.max(*kept);
    }

    /// Returns whether everything that a bundle sends again is here.
    pub fn has_kept(&self, resending: &Resending, at: Sequence) -> bool {
        let way = resending.way();
        self.kept.get(&way).is_some_and(|until| *until >= at) || self.delivered.on(way) <= resending.mark()
    }

    /// A bundle was folded that sends on some ways again what was not heard.
    pub fn resent(&mut self, at: Sequence, resends: &[Resending]) {
        for resending in resends {
            let (way, mark) = (resending.way(), resending.mark());
            if self.kept.get(&way).is_some_and(|until| *until > at) {
                continue;
            }
            self.kept.remove(&way);
            self.delivered.go_back(way, mark);
            if let Some(effects) = self.inherited.get_mut(&way) {
                effects.retain(|(sequence, _)| *sequence > mark);
            }
        }
    }

    /// Returns what was inherited, by bundle, each in the order of the ways.
    pub fn inherited(&self, shard: &Shard) -> Vec<Inherited> {
        let mut by_bundle: BTreeMap<Sequence, Vec<Effect>> = BTreeMap::new();
        for (sequence, effect) in self.inherited.values().flatten() {
            by_bundle.entry(*sequence).or_default().push(effect.clone());
        }
        for (sequence, reactions) in &self.unworked {
            let mut effects = reactions.clone().worked_out(&shard.definitions.compiler);
            lane::number(shard.id, *sequence, &mut effects);
            effects.retain(|effect| {
                let way = effect.way(&shard.map);
                way.is_some_and(|way| *sequence > self.delivered.on(way))
            });
            effects.sort_by_key(|effect| effect.way(&shard.map));
            if !effects.is_empty() {
                by_bundle.insert(*sequence, effects);
            }
        }
        by_bundle.into_iter().collect()
    }

    /// Works out what is still to be, now that everything was folded.
    pub fn work_out(&mut self, shard: &Shard) {
        if !self.unworked.is_empty() {
            for (sequence, effects) in self.take_inherited(shard) {
                self.inherit_effects(shard, sequence, effects);
            }
        }
    }

    /// Gives away what was inherited.
    pub fn take_inherited(&mut self, shard: &Shard) -> Vec<Inherited> {
        let inherited = self.inherited(shard);
        (self.inherited, self.unworked) = (BTreeMap::new(), BTreeMap::new());
        inherited
    }

    /// The effects of a bundle leave.
    pub fn sent(&mut self, shard: &Shard, sequence: Sequence, effects: &[Effect]) {
        for way in effects.iter().filter_map(|effect| effect.way(&shard.map)) {
            self.undelivered.entry(way).or_default().insert(sequence);
        }
    }

    /// Returns whether anything was sent that is not confirmed.
    pub fn has_sent(&self) -> bool {
        !self.undelivered.is_empty()
    }

    /// All effects of a bundle on a way have been delivered.
    pub fn confirmed(&mut self, way: Way, sequence: Sequence) {
        if let Some(sequences) = self.undelivered.get_mut(&way) {
            sequences.remove(&sequence);
            if sequences.is_empty() {
                self.undelivered.remove(&way);
            }
        }
    }

    /// Returns the mark of every way on which something is under way.
    fn marks(&self) -> impl Iterator<Item = (Way, Sequence)> {
        let firsts = self.undelivered.iter().filter_map(|(way, sequences)| Some((*way, sequences.first()?)));
        firsts.map(|(way, first)| (way, Sequence::new(first.get() - 1)))
    }

    /// Returns up to where everything has been delivered, of what ends at `last`.
    pub fn done(&self, last: Sequence) -> Sequence {
        self.marks().map(|(_, mark)| mark).min().unwrap_or(last)
    }

    /// Returns which ways are behind the others, if any is: those that are most.
    pub fn ahead(&self, last: Sequence) -> Option<Ahead> {
        let mut behind: Vec<_> = self.marks().collect();
        behind.sort_unstable_by_key(|(way, mark)| (*mark, *way));
        let done = behind.get(BEHIND_MAX).map_or(last, |(_, mark)| *mark);
        behind.truncate(BEHIND_MAX);
        behind.retain(|(_, mark)| *mark < done);
        (!behind.is_empty()).then_some(Ahead { done, behind })
    }
}

impl<C> Owner<C> {
    /// Returns the first and the last bundle whose effects on a way have not all been delivered, of those that are durable.
    pub fn undelivered(&self, way: Way) -> Option<(Sequence, Sequence)> {
        let sequences = self.outbox.undelivered.get(&way)?;
        Some((*sequences.first()?, *sequences.last()?))
    }
}
