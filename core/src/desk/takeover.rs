//! What an owner inherits: effects that may not have been delivered, and whatever active runs wait for.

use std::time::Duration;

use super::{Caller, Desk, DeskSettings, Frames, Leases, Moment, Names, Output, Parking, Rooms, Watchers};
use crate::Sequence;
use crate::protocol::Task;
use crate::shard::{Effect, Owner};

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
    /// owner before. `seed` is 64 random bits: no other desk has the same.
    pub fn open(
        mut owner: Owner<Caller<T>>,
        settings: DeskSettings,
        seed: u64,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) -> Self {
        let mut inheritance = Inheritance::default();
        let mut deliveries = Vec::new();
        for (sequence, effects) in owner.inherit() {
            if sequence == Sequence::ZERO {
                inheritance.0 = Some((at.steady + settings.lease_ttl, effects));
            } else {
                // The owner before may have offered these tasks: whoever takes one asks first.
                let claimed = |effect| match effect {
                    Effect::OfferTask(task) => Effect::OfferTask(Task { claim_first: true, ..task }),
                    other => other,
                };
                let effects = effects.into_iter().map(claimed).collect();
                deliveries.push(Output::Deliver { sequence, effects });
            }
        }
        let mut desk = Self {
            owner,
            work: Frames::new(),
            commands: Frames::new(),
            leases: Leases::new(settings.lease_ttl),
            rooms: Rooms::new(settings.lease_ttl),
            handed: Vec::new(),
            watchers: Watchers::default(),
            parking: Parking::new(),
            inheritance,
            names: Names { own: seed, count: 0 },
            refusals: 0,
            settings,
        };
        desk.next_append(out);
        out.append(&mut deliveries);
        desk
    }

    pub(super) fn offer_inherited(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        let Some((_, before)) = self.inheritance.0.take_if(|(due, _)| *due <= at.steady) else { return };
        let is_held = |task: &Task| self.leases.holder(task.lease).is_some();
        let effects = self.owner.shard().still_outstanding(before, is_held);
        if !effects.is_empty() {
            out.push(Output::Deliver { sequence: Sequence::ZERO, effects });
        }
    }
}
