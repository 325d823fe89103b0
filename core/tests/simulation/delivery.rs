//! How bundles reach the journal and effects their targets, with every misfortune on the way.

use std::rc::Rc;

use headwater_core::desk::Input;
use headwater_core::protocol::ShardReply;
use headwater_core::shard::{Append, AssetNotice, Effect, Rejection, Submission, WorkflowKey};
use headwater_core::{BundleId, Sequence, ShardId};

use crate::cluster::{Asker, Cluster, Happening, MILLI, SECOND, Wish};
use crate::pipeline::{Dies, Pipeline};
use crate::seat::Ticket;

impl Cluster {
    /// Sends the bundle in flight, perhaps not for the first time.
    pub fn send_append(&mut self, seat: usize) {
        let append = self.seats[seat].appending.clone().expect("there is something to send");
        let bundle = append.id;
        // It may never arrive, arrive long after the owner read back, or arrive without a word.
        if !self.mishap(4) {
            let heard = !self.mishap(5);
            let delay = if self.mishap(4) { self.chance.between(SECOND, 6 * SECOND) } else { self.latency() };
            self.at(delay, Happening::AppendArrives { seat, append, heard });
        }
        self.at(2 * SECOND, Happening::AppendUnclear { seat, bundle });
    }

    pub fn append_arrives(&mut self, seat: usize, append: &Rc<Append>, heard: bool) {
        let shard = self.seats[seat].shard;
        let dies = self.pipeline.as_mut().and_then(Pipeline::dies);
        if dies == Some(Dies::Before) {
            return self.die(seat);
        }
        let journal = &mut self.journals[usize::from(shard.number())];
        let stored = journal.append(&append.bytes, append.expected, &self.values);
        match stored {
            Some(sequence) => {
                let bundle = journal.entries.last().expect("it was just stored").bundle.clone();
                let words = self.audit.landed(seat, sequence, &bundle);
                self.note(format_args!("{shard}:{sequence} epoch {} by seat {seat}", bundle.epoch));
                for word in words {
                    self.note(format_args!("    {word}"));
                }
            }
            None => self.note(format_args!("shard {shard} refuses seat {seat} to append after {}", append.expected)),
        }
        if dies == Some(Dies::Behind) {
            return self.die(seat);
        }
        if heard {
            self.later(Happening::AppendAnswered { seat, bundle: append.id, stored });
        }
    }

    pub fn append_answered(&mut self, seat: usize, bundle: BundleId, stored: Option<Sequence>) {
        if !self.is_in_flight(seat, bundle) {
            return;
        }
        match stored {
            Some(sequence) => self.appended(seat, sequence),
            None => self.read_back(seat, bundle),
        }
    }

    fn is_in_flight(&self, seat: usize, bundle: BundleId) -> bool {
        self.seats[seat].is_alive() && self.seats[seat].appending.as_ref().is_some_and(|append| append.id == bundle)
    }

    /// Reads the end of the journal and compares: a repeated append that landed is refused like anybody else's.
    pub fn read_back(&mut self, seat: usize, bundle: BundleId) {
        if !self.is_in_flight(seat, bundle) {
            return;
        }
        let expected = self.seats[seat].appending.as_ref().expect("it is in flight").expected;
        let journal = &self.journals[usize::from(self.seats[seat].shard.number())];
        let end = journal.end();
        if end <= expected {
            return self.send_append(seat);
        }
        match end == expected.next() && journal.last() == Some(bundle) {
            true => self.appended(seat, end),
            false => self.step_down(seat, "fenced"),
        }
    }

    fn appended(&mut self, seat: usize, sequence: Sequence) {
        let append = self.seats[seat].appending.take().expect("it was in flight");
        let shard = self.seats[seat].shard;
        let entries = &self.journals[usize::from(shard.number())].entries;
        let entry = &entries[sequence.get() as usize - 1];
        assert_eq!(entry.bundle.id, append.id, "what is acknowledged is in the journal");
        self.put(seat, [Input::Appended(sequence)]);
        if self.seats[seat].is_alive() && !self.seats[seat].owner().is_appending() && self.chance.percent(25) {
            self.compare_owner(seat);
        }
    }

    /// Sends the effects of one bundle on their ways.
    pub fn deliver(&mut self, seat: usize, sequence: Sequence, effects: Vec<Effect>) {
        for way in effects.iter().filter_map(|effect| effect.way(&self.map)) {
            *self.seats[seat].tickets.entry((way, sequence)).or_default() += 1;
        }
        for effect in effects {
            if let Some(way) = effect.way(&self.map) {
                self.send(seat, effect, (way, sequence));
            }
        }
    }

    fn send(&mut self, seat: usize, effect: Effect, ticket: Ticket) {
        match effect {
            Effect::CancelTasks { .. } => unreachable!("nobody waits for it"),
            Effect::PublishAsset(notice) => {
                self.seats[seat].notices.push_back((notice, ticket));
                if self.seats[seat].notices.len() == 1 {
                    self.next_notice(seat);
                }
            }
            Effect::PublishDefinition { workspace, workflow, version, document, starts: _, paused: _ } => {
                let key = WorkflowKey { workspace, workflow };
                let delay = if self.mishap(30) { self.chance.below(3 * SECOND) } else { self.latency() };
                self.at(delay, Happening::DefinitionArrives { seat, key, version, document, ticket });
            }
            Effect::Submit(submission) => self.give(seat, *submission, ticket),
        }
    }

    fn give(&mut self, seat: usize, submission: Submission, ticket: Ticket) {
        let target = self.map.shard_of(&submission.command.target()).expect("every aggregate has a shard");
        if target == self.seats[seat].shard {
            self.seats[seat].local.push_back((submission, ticket));
            let delay = if self.mishap(10) { self.latency() } else { self.chance.below(MILLI) };
            return self.at(delay, Happening::Local { seat });
        }
        let lane = self.seats[seat].lanes.entry(target).or_default();
        lane.queue.push_back((submission, ticket));
        if lane.heard.is_empty() {
            self.next_of_lane(seat, target);
        }
    }

    /// Sends the first of a lane on their way, each after the one before.
    fn next_of_lane(&mut self, seat: usize, target: ShardId) {
        let count = self.chance.between(1, 3) as usize;
        let lane = self.seats[seat].lanes.get_mut(&target).expect("something is on it");
        let batch: Vec<_> = lane.queue.iter().take(count).map(|(submission, _)| submission.clone()).collect();
        lane.heard = batch.iter().map(|_| None).collect();
        let mut before = None;
        for (number, mut submission) in batch.into_iter().enumerate() {
            if let Some(from) = &mut submission.from {
                from.after = before.replace(from.place);
            }
            self.ask(Asker::Effect { seat, lane: target, number }, target, Wish::Submit(submission));
        }
    }

    pub fn lane_hears(&mut self, seat: usize, target: ShardId, number: usize, reply: ShardReply) {
        let lane = self.seats[seat].lanes.get_mut(&target).expect("it asked");
        lane.heard[number] = Some(reply);
        if lane.heard.iter().any(Option::is_none) {
            return;
        }
        // What came too early goes again, and all that is behind it.
        let came_too_early =
            |reply: &ShardReply| matches!(reply, ShardReply::Refused { rejection: Rejection::Gap { .. } });
        let heard: Vec<_> = std::mem::take(&mut lane.heard).into_iter().flatten().collect();
        let answered = heard.into_iter().take_while(|reply| !came_too_early(reply));
        let answered: Vec<_> = answered.zip(std::iter::from_fn(|| lane.queue.pop_front())).collect();
        for (reply, (submission, ticket)) in answered {
            let follows = match reply {
                ShardReply::Refused { rejection } => {
                    self.note(format_args!("shard {target} refuses seat {seat}: {rejection}"));
                    submission.refused(&rejection)
                }
                ShardReply::Done { granted, .. } => granted.and_then(|granted| submission.granted(&granted)),
                ShardReply::Queue { .. }
                | ShardReply::Quarantine { .. }
                | ShardReply::Heard { .. }
                | ShardReply::Digest { .. }
                | ShardReply::Ended { .. }
                | ShardReply::Replied { .. }
                | ShardReply::Asset { .. }
                | ShardReply::Action { .. }
                | ShardReply::Run { .. }
                | ShardReply::Runs { .. }
                | ShardReply::Driven { .. } => None,
            };
            match follows {
                // The bundle is delivered only when the consequence is durable too.
                Some(submission) => self.put(seat, [Input::Follows { submission, ticket }]),
                None => self.effect_done(seat, ticket),
            }
        }
        let lane = &self.seats[seat].lanes[&target];
        if lane.heard.is_empty() && !lane.queue.is_empty() && self.seats[seat].is_alive() {
            self.next_of_lane(seat, target);
        }
    }

    fn next_notice(&mut self, seat: usize) {
        if let Some((notice, ticket)) = self.seats[seat].notices.front().cloned() {
            self.later(Happening::NoticeArrives { seat, notice, ticket });
        }
    }

    pub fn notice_arrives(&mut self, seat: usize, notice: AssetNotice, ticket: Ticket) {
        self.audit.published(&notice);
        if self.seats[seat].is_alive() {
            if self.mishap(6) {
                return self.at(SECOND, Happening::NoticeArrives { seat, notice, ticket });
            }
            self.seats[seat].notices.pop_front();
            self.later(Happening::Delivered { seat, ticket });
            self.next_notice(seat);
        }
    }

    /// A process that is gone waits for no answer.
    pub fn forget_effects_of(&mut self, seat: usize) {
        self.asks.retain(|_, ask| !matches!(ask.asker, Asker::Effect { seat: asker, .. } if asker == seat));
    }

    pub fn delivered(&mut self, seat: usize, ticket: Ticket) {
        if self.seats[seat].is_alive() {
            self.effect_done(seat, ticket);
        }
    }

    /// Counts the effects of a bundle down; the last one confirms it.
    pub fn effect_done(&mut self, seat: usize, ticket: Ticket) {
        let (way, sequence) = ticket;
        let at = &mut self.seats[seat];
        let left = at.tickets.get_mut(&ticket).expect("an effect is done once");
        *left -= 1;
        if *left == 0 {
            at.tickets.remove(&ticket);
            self.put(seat, [Input::Delivered { way, sequence }]);
        }
    }
}
