//! What an owner inherits: effects that may not have been delivered, and whatever active runs wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Asker, Caller, Desk, DeskSettings, Frames, Leases, Line, Moment, Names, Output, Parking, Rooms, Watchers};
use crate::credit::Hands;
use crate::shard::{Effect, Owner, Shard};
use crate::{CommandId, LeaseSecret, Sequence};

/// What was outstanding at the take-over, kept back until holders had time to show themselves.
#[derive(Debug, Default)]
pub(super) struct Inheritance(Option<(Duration, Vec<Effect>)>);

impl Inheritance {
    pub fn is_settled(&self) -> bool {
        self.0.is_none()
    }
}

impl<R, T> Desk<R, T> {
    /// Sits an owner that has folded its journal down. The first output is the bundle that opens its epoch and fences every
    /// owner before. `seed` is 64 random bits and `secret` 128: no other desk has the
    /// same, and nobody else knows them.
    pub fn open(
        mut owner: Owner<Caller<T>>,
        settings: DeskSettings,
        seed: u64,
        secret: LeaseSecret,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) -> Self {
        let mut inheritance = Inheritance::default();
        let mut deliveries = Vec::new();
        for (sequence, effects) in owner.inherit() {
            if sequence == Sequence::ZERO {
                inheritance.0 = Some((at.steady + settings.lease_ttl, effects));
            } else {
                deliveries.push(Output::Deliver { sequence, effects });
            }
        }
        let leases = held(owner.shard(), settings.lease_ttl, at);
        let done_before = owner.shard().work_spent();
        let line = Line::new(owner.shard().decision_work_max());
        let mut desk = Self {
            owner,
            work: Frames::new(),
            commands: Frames::new(),
            leases,
            rooms: Rooms::new(settings.lease_ttl, Hands::new(secret)),
            handed: BTreeMap::new(),
            watchers: Watchers::default(),
            parking: Parking::new(),
            line,
            releasing: Vec::new(),
            inheritance,
            names: Names { own: seed, count: 0 },
            refusals: 0,
            appending_since: None,
            appended_at: None,
            met: 0,
            done_before,
            passed_over: 0,
            is_open: false,
            settings,
        };
        desk.next_append(at, out);
        out.append(&mut deliveries);
        desk
    }

    pub(super) fn offer_inherited(&mut self, at: Moment) {
        let Some((_, before)) = self.inheritance.0.take_if(|(due, _)| *due <= at.steady) else { return };
        let mut effects = self.owner.shard().still_outstanding(before);
        for effect in &mut effects {
            match effect {
                Effect::Submit(submission) => submission.id = CommandId::from_uuid(self.names.next()),
                Effect::CancelTasks { .. } | Effect::PublishAsset(_) | Effect::PublishDefinition { .. } => {}
            }
        }
        if !effects.is_empty() {
            self.owner.ask_anew(Caller(Asker::Nobody), effects);
        }
    }
}

/// Whoever was granted an attempt has one lease time to show itself, and is told again what it may not have heard.
fn held(shard: &Shard, ttl: Duration, at: Moment) -> Leases {
    let mut leases = Leases::new(ttl);
    shard.active().for_each(|run| leases.hold_all(run, at));
    leases
}
