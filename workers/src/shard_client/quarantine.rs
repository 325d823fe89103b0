//! What is quarantined, and releasing it. Frames of their own: a shard whose owner is older cannot read them, and whoever else
//! asks it something need not wait for that.

use std::time::Duration;

use headwater_core::protocol::{Quarantined, ShardReply, ShardRequest};
use headwater_core::shard::{AggregateId, Position, Rejection, ReleaseBy};
use headwater_core::{Actor, CommandId, ShardId};

use super::replies::is_passing;
use super::{ClientError, ShardClient};

impl ShardClient {
    /// Returns how many aggregates a shard has quarantined, and the first of them; of one aggregate only where `aggregate`
    /// is given.
    ///
    /// # Errors
    /// [`ClientError::Indeterminate`] when nobody answers in time.
    pub async fn list_quarantine(
        &self,
        shard: ShardId,
        aggregate: Option<AggregateId>,
        within: Duration,
    ) -> Result<(u64, Vec<Quarantined>), ClientError> {
        let asked = ShardRequest::ListQuarantine { aggregate };
        self.ask_until_answered(shard, &[asked], within, |replies| match replies.into_iter().next() {
            Some(ShardReply::Quarantine { total, aggregates }) => Ok(Some((total, aggregates))),
            Some(ShardReply::Refused { rejection }) => refused(rejection),
            Some(
                ShardReply::Done { .. }
                | ShardReply::Ended { .. }
                | ShardReply::Replied { .. }
                | ShardReply::Asset { .. }
                | ShardReply::Action { .. }
                | ShardReply::Run { .. }
                | ShardReply::Runs { .. }
                | ShardReply::Queue { .. }
                | ShardReply::Heard { .. }
                | ShardReply::Digest { .. }
                | ShardReply::Driven { .. },
            )
            | None => Ok(None),
        })
        .await
    }

    /// Releases an aggregate; returns the place of the release. Asking again under the same id is safe.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it is not quarantined, or cannot be released so; [`ClientError::Indeterminate`] when
    /// nobody answers in time: it may have happened.
    pub async fn release(
        &self,
        shard: ShardId,
        id: CommandId,
        aggregate: AggregateId,
        by: ReleaseBy,
        actor: Option<Actor>,
        within: Duration,
    ) -> Result<Position, ClientError> {
        let asked = ShardRequest::Release { id, aggregate, by, actor };
        self.ask_until_answered(shard, &[asked], within, |replies| match replies.into_iter().next() {
            Some(ShardReply::Done { position, .. }) => Ok(Some(position)),
            Some(ShardReply::Refused { rejection }) => refused(rejection),
            Some(
                ShardReply::Quarantine { .. }
                | ShardReply::Ended { .. }
                | ShardReply::Replied { .. }
                | ShardReply::Asset { .. }
                | ShardReply::Action { .. }
                | ShardReply::Run { .. }
                | ShardReply::Runs { .. }
                | ShardReply::Queue { .. }
                | ShardReply::Heard { .. }
                | ShardReply::Digest { .. }
                | ShardReply::Driven { .. },
            )
            | None => Ok(None),
        })
        .await
    }
}

fn refused<T>(rejection: Rejection) -> Result<Option<T>, ClientError> {
    if is_passing(&rejection) { Ok(None) } else { Err(ClientError::Refused(rejection)) }
}
