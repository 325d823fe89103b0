//! What is quarantined, and how it is released: the rule is the shard's, the history comes from whoever drives the desk.

use super::{Asker, Caller, Desk, FramePlace, Moment, Output};
use crate::protocol::{Quarantined, ShardReply};
use crate::shard::{AggregateId, RefoldOrder, Refolded, Rejection, ReleaseBy};
use crate::{Actor, CommandId, RunId};

/// How many quarantined aggregates one answer names.
pub const QUARANTINED_SHOWN_MAX: usize = 500;
/// How many parked wishes one turn takes up.
const TAKE_UP_BURST: usize = 256;
/// How many releases are under way at once: each reads the journal.
const RELEASING_MAX: usize = 8;

/// A release whose history is being read.
#[derive(Debug)]
pub(super) struct Releasing {
    order: RefoldOrder,
    id: CommandId,
    actor: Option<Actor>,
    pub place: FramePlace,
}

impl<R, T> Desk<R, T> {
    pub(super) fn list_quarantine(
        &mut self,
        place: FramePlace,
        aggregate: Option<&AggregateId>,
        out: &mut Vec<Output<R, T>>,
    ) {
        let shard = self.owner.shard();
        let mut all: Vec<_> = shard.quarantined().filter(|(id, _)| aggregate.is_none_or(|only| only == *id)).collect();
        all.sort_unstable_by_key(|(aggregate, _)| *aggregate);
        let shown = all.iter().take(QUARANTINED_SHOWN_MAX).map(|(aggregate, quarantine)| Quarantined {
            aggregate: (*aggregate).clone(),
            quarantine: (*quarantine).clone(),
            parked: shard.parked_for(aggregate) as u64,
        });
        let reply = ShardReply::Quarantine { total: all.len() as u64, aggregates: shown.collect() };
        self.reply(place, reply, out);
    }

    /// Asks for the history of what is to be released.
    pub(super) fn begin_release(
        &mut self,
        place: FramePlace,
        id: CommandId,
        aggregate: AggregateId,
        by: ReleaseBy,
        actor: Option<Actor>,
        out: &mut Vec<Output<R, T>>,
    ) {
        if self.owner.shard().has_granted(id) {
            return self.owner.hold(Caller(Asker::Shard(place)));
        }
        let Some(quarantine) = self.owner.shard().quarantine(&aggregate) else {
            return self.refuse_command(place, Rejection::NotQuarantined, out);
        };
        if self.releasing.len() >= RELEASING_MAX {
            return self.refuse_command(place, Rejection::Overloaded, out);
        }
        let order =
            RefoldOrder { aggregate, by, at: quarantine.at, through: quarantine.since.unwrap_or(self.owner.last()) };
        let is_first = self.releasing.iter().all(|releasing| releasing.order != order);
        self.releasing.push(Releasing { order: order.clone(), id, actor, place });
        if is_first {
            out.push(Output::Refold(order));
        }
    }

    /// Releases what was folded anew; its commit is answered as any.
    pub(super) fn end_release(
        &mut self,
        order: &RefoldOrder,
        outcome: Result<Refolded, String>,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        let mut asked = self.releasing.extract_if(.., |releasing| releasing.order == *order).collect::<Vec<_>>();
        // Who asks twice is told what became of the first.
        for twice in asked.drain(1.min(asked.len())..) {
            self.refuse_command(twice.place, Rejection::NotOwner, out);
        }
        let Some(Releasing { order: _, id, actor, place }) = asked.pop() else { return };
        match outcome {
            Ok(refolded) => {
                self.owner.release(Caller(Asker::Shard(place)), id, actor, refolded, at.wall);
                if let AggregateId::Run(run) = order.aggregate {
                    self.hold_released(run, at);
                }
            }
            Err(reason) => self.refuse_command(place, Rejection::NotReleased { reason }, out),
        }
    }

    /// The holders of its attempts have one lease time to show themselves, as after a take-over.
    fn hold_released(&mut self, run: RunId, at: Moment) {
        let Some(run) = self.owner.shard().run(run) else { return };
        self.leases.hold_all(run, at);
    }

    /// Decides what waited for a release.
    pub(super) fn take_up_parked(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        for _ in 0..TAKE_UP_BURST {
            if self.owner.is_full() || !self.parking.can_take_up(self.owner.shard(), out) {
                return;
            }
            let (compiled, hands) = (self.parking.for_released.clone(), &mut self.rooms.hands);
            self.owner.take_up(|| Caller(Asker::Nobody), compiled, at.wall, hands);
            // One in any case: whatever else there is, what was parked goes on.
            if self.is_burst_over() {
                return;
            }
        }
    }
}
