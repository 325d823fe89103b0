//! What other shards have heard of a journal: each is a witness of what it was sent.

use std::time::Duration;

use headwater_core::protocol::{ShardReply, ShardRequest};
use headwater_core::shard::{EffectPlace, HoldReason, Sighting, Witness};
use headwater_core::{Incarnation, Sequence, ShardId};
use headwater_streams::holds::Hold;
use headwater_streams::{Broker, requests, subject};

use super::held::hold_for;

/// How long a take-over waits for other shards. One that does not answer says nothing.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// How many are asked at most, so that a start of many shards is not a flood of questions.
const ASKED_MAX: u16 = 32;

/// Returns the furthest place of `shard` that another has heard, and which one. Those next to it in number are asked, as far as
/// anybody drives them.
pub(super) async fn furthest(broker: &Broker, shard: ShardId, shards: u16) -> Option<(ShardId, Sequence)> {
    let others = (1..shards).map(|step| (u32::from(shard.number()) + u32::from(step)) % u32::from(shards));
    let others =
        others.filter_map(|number| ShardId::new(u16::try_from(number).ok()?).ok()).take(usize::from(ASKED_MAX));
    let asked = others.map(|other| async move {
        let Heard { place, .. } = heard_by(broker, other, shard).await?;
        Some((other, place?.sequence))
    });
    let heard = futures_util::future::join_all(asked).await;
    heard.into_iter().flatten().max_by_key(|(_, reached)| *reached)
}

/// Returns how the journal of `shard`, which ends at `end`, contradicts what other shards have heard of it.
pub(super) async fn contradiction(broker: &Broker, shard: ShardId, shards: u16, end: Sequence) -> Option<Hold> {
    let (other, reached) = furthest(broker, shard, shards).await?;
    let witness = Witness::Shard { shard: other };
    let reason = (reached > end).then_some(HoldReason::Behind { witness, reached, end })?;
    // Kept with the hold: the witness may not be there to be asked again.
    Some(Hold { saw: Some(Sighting { witness, at: reached, digest: None }), ..hold_for(reason) })
}

/// What a shard says that it has heard of another.
pub(super) struct Heard {
    pub place: Option<EffectPlace>,
    /// Of the one that says so.
    pub incarnation: Incarnation,
}

/// Asks `other` what it has heard of a shard. `None`: it does not say.
pub(super) async fn heard_by(broker: &Broker, other: ShardId, of: ShardId) -> Option<Heard> {
    let asked = serde_json::to_vec(&[ShardRequest::NameHeard { of }]).expect("requests have text keys only");
    let answer = requests::request(broker, &subject::cmd_subject(other), asked.into(), ANSWER_WAIT).await.ok()?;
    let replies: Vec<ShardReply> = serde_json::from_slice(&answer).ok()?;
    match replies.into_iter().next()? {
        ShardReply::Heard { place, incarnation } => Some(Heard { place, incarnation }),
        ShardReply::Done { .. }
        | ShardReply::Ended { .. }
        | ShardReply::Replied { .. }
        | ShardReply::Asset { .. }
        | ShardReply::Action { .. }
        | ShardReply::Run { .. }
        | ShardReply::Runs { .. }
        | ShardReply::Queue { .. }
        | ShardReply::Digest { .. }
        | ShardReply::Quarantine { .. }
        | ShardReply::Driven { .. }
        | ShardReply::Refused { .. } => None,
    }
}
