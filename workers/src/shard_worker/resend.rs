//! What is sent again to a shard that began anew: it has not heard all that its earlier incarnation had.

use std::time::Duration;

use headwater_core::shard::Resending;
use headwater_core::{Incarnation, ShardId};
use tokio::sync::watch;

use super::deliver::Outlets;
use super::heard::{Heard, heard_by};
use super::recover::{Recovered, recover};
use super::release::{ReleaseError, append_next};

/// How often a shard that began anew is asked what it has heard.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Waits until some shard has begun an incarnation that `toward` is behind, and says what it has heard of this one.
pub(super) async fn needed(
    outlets: &Outlets,
    shard: ShardId,
    toward: impl Fn(ShardId) -> Incarnation,
    mut incarnations: watch::Receiver<Vec<Incarnation>>,
) -> Vec<Resending> {
    loop {
        let behind: Vec<_> = {
            let known = incarnations.borrow_and_update();
            let numbered = (0_u16..).zip(known.iter()).filter_map(|(number, begun)| {
                let other = ShardId::new(number).ok().filter(|other| *other != shard)?;
                (*begun > toward(other)).then_some((other, *begun))
            });
            numbered.collect()
        };
        if behind.is_empty() {
            if incarnations.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        }
        let mut found = Vec::new();
        for (to, begun) in behind {
            // An owner of before says nothing of the new one.
            if let Some(Heard { place: heard, incarnation }) = heard_by(&outlets.broker, to, shard).await
                && incarnation == begun
            {
                found.push(Resending { to, incarnation, heard });
            }
        }
        if !found.is_empty() {
            return found;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Writes into the journal of a shard what is sent again. Whoever folds it next inherits that, in its order.
///
/// # Errors
/// See [`ReleaseError`]; try again.
pub(super) async fn say(outlets: &Outlets, shard: ShardId, resends: Vec<Resending>) -> Result<(), ReleaseError> {
    let recovered = recover::<()>(&outlets.broker, shard, &outlets.map).await.map_err(ReleaseError::Recover)?;
    let Recovered { journal, mut owner, .. } = recovered;
    owner.inherit();
    for resending in resends {
        let Resending { to, incarnation, .. } = &resending;
        tracing::warn!(%shard, %to, %incarnation, "what another shard has lost is sent again");
        owner.resend(resending);
    }
    append_next(&outlets.broker, &journal, &mut owner).await
}
