//! What an owner inherits: effects that may not have been delivered, and whatever active runs wait for.

use std::time::Duration;

use super::answers::Answers;
use super::appends::Appends;
use super::pace::Pace;
use super::releases::Releases;
use super::workers::Workers;
use super::{Asker, Caller, Desk, DeskSettings, Line, Moment, Names, Output, Parking};
use crate::shard::{Effect, Owner, Shard};
use crate::{LeaseSecret, Sequence};

/// What was outstanding at the take-over, kept back until holders had time to show themselves.
#[derive(Debug)]
pub(super) struct Inheritance(Option<(Duration, Vec<Effect>)>);

impl Inheritance {
    /// What an owner that has folded its journal inherits, kept back until then; and what it has to deliver at once.
    fn of<C>(owner: &mut Owner<C>, due: Duration) -> (Self, Vec<(Sequence, Vec<Effect>)>) {
        let inherited = owner.inherit();
        let (kept, deliveries): (Vec<_>, Vec<_>) =
            inherited.into_iter().partition(|(sequence, _)| *sequence == Sequence::ZERO);
        let kept = kept.into_iter().next().map(|(_, effects)| (due, effects));
        (Self(kept), deliveries)
    }

    pub fn is_settled(&self) -> bool {
        self.0.is_none()
    }

    /// Takes out what is still outstanding when its time has come, under ids of its own.
    fn take_due(&mut self, shard: &Shard, names: &mut Names, now: Duration) -> Vec<Effect> {
        let Some((_, before)) = self.0.take_if(|(due, _)| *due <= now) else { return Vec::new() };
        let mut effects = shard.still_outstanding(before);
        for effect in &mut effects {
            match effect {
                Effect::Submit(submission) => submission.id = names.command(),
                Effect::CancelTasks { .. } | Effect::PublishAsset(_) | Effect::PublishDefinition { .. } => {}
            }
        }
        effects
    }
}

impl<R, T> Desk<R, T> {
    /// Sits an owner that has folded its journal down. The first output is the bundle that opens its epoch and fences every
    /// owner before. `seed` is 64 random bits and `secret` 128: no other desk has the
    /// same, and nobody else knows them.
    pub fn open(
        mut owner: Owner<Caller<T>>,
        settings: &DeskSettings,
        seed: u64,
        secret: LeaseSecret,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) -> Self {
        owner.limit_runs(settings.run_limits);
        let (inheritance, deliveries) = Inheritance::of(&mut owner, at.steady + settings.lease_ttl);
        let mut desk = Self {
            answers: Answers::of(owner.shard().id(), settings),
            workers: Workers::of(&owner, settings, secret, at),
            parking: Parking::new(),
            line: Line::new(owner.shard().decision_work_max()),
            releases: Releases::default(),
            inheritance,
            names: Names::of(seed),
            pace: Pace::of(owner.shard()),
            appends: Appends::default(),
            owner,
        };
        desk.next_append(at, out);
        out.extend(deliveries.into_iter().map(|(sequence, effects)| Output::Deliver { sequence, effects }));
        desk
    }

    pub(super) fn offer_inherited(&mut self, at: Moment) {
        let effects = self.inheritance.take_due(self.owner.shard(), &mut self.names, at.steady);
        if !effects.is_empty() {
            self.owner.ask_anew(Caller(Asker::Nobody), effects);
        }
    }
}
