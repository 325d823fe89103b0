//! What is quarantined, and how it is released: the rule is the shard's, the history comes from whoever drives the desk.

use super::releases::Releasing;
use super::{Asker, Caller, Desk, Moment, Output};
use crate::protocol::{Quarantined, ShardReply};
use crate::shard::{AggregateId, RefoldOrder, Refolded, Rejection, ReleaseBy, Shard};

/// How many quarantined aggregates one answer names.
pub const QUARANTINED_SHOWN_MAX: usize = 500;
/// How many parked wishes one turn takes up.
const TAKE_UP_BURST: usize = 256;

/// Lists what is quarantined: one aggregate, or the first of all.
pub(super) fn listed(shard: &Shard, aggregate: Option<&AggregateId>) -> ShardReply {
    let mut all: Vec<_> = shard.quarantined().filter(|(id, _)| aggregate.is_none_or(|only| only == *id)).collect();
    all.sort_unstable_by_key(|(aggregate, _)| *aggregate);
    let shown = all.iter().take(QUARANTINED_SHOWN_MAX).map(|(aggregate, quarantine)| Quarantined {
        aggregate: (*aggregate).clone(),
        quarantine: (*quarantine).clone(),
        parked: shard.parked_for(aggregate) as u64,
    });
    ShardReply::Quarantine { total: all.len() as u64, aggregates: shown.collect() }
}

impl<R, T> Desk<R, T> {
    /// Asks for the history of what is to be released.
    pub(super) fn begin_release(
        &mut self,
        aggregate: AggregateId,
        by: ReleaseBy,
        asked: Releasing,
        out: &mut Vec<Output<R, T>>,
    ) {
        let place = asked.place;
        if self.owner.shard().has_granted(asked.id) {
            return self.owner.hold(Caller(Asker::Shard(place)));
        }
        match self.releases.begin(&self.owner, aggregate, by, asked) {
            Ok(order) => out.extend(order.map(Output::Refold)),
            Err(rejection) => self.answers.refuse(place, rejection, out),
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
        let mut asked = self.releases.end(order).into_iter();
        let Some(Releasing { id, actor, place }) = asked.next() else { return };
        // Who asks twice is told what became of the first.
        for twice in asked {
            self.answers.refuse(twice.place, Rejection::NotOwner, out);
        }
        match outcome {
            Ok(refolded) => {
                self.owner.release(Caller(Asker::Shard(place)), id, actor, refolded, at.wall);
                if let AggregateId::Run(run) = order.aggregate
                    && let Some(run) = self.owner.shard().run(run)
                {
                    self.workers.hold_all(run, at);
                }
            }
            Err(reason) => self.answers.refuse(place, Rejection::NotReleased { reason }, out),
        }
    }

    /// Decides what waited for a release.
    pub(super) fn take_up_parked(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        for _ in 0..TAKE_UP_BURST {
            if self.owner.is_full() || !self.parking.can_take_up(self.owner.shard(), out) {
                return;
            }
            let (compiled, hands) = (self.parking.for_released(), self.workers.hands());
            self.owner.take_up(|| Caller(Asker::Nobody), compiled, at.wall, hands);
            // One in any case: whatever else there is, what was parked goes on.
            if self.pace.is_burst_over(&self.owner) {
                return;
            }
        }
    }
}
