//! The table of members: who lives, as far as this process has heard.

use std::collections::HashMap;
use std::time::Duration;

use headwater_core::ownership::Peer;
use headwater_core::{MemberId, ShardId};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::bucket::{Bucket, Slot};
use crate::complaints::Complaints;
use crate::{Broker, ExchangeError, topology};

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Different for every start of the process, so that it does not take its predecessor's leases for its own.
    pub incarnation: String,
    /// It gives its shards up and wants no more.
    #[serde(default)]
    pub leaving: bool,
    /// How long its silence is borne.
    pub ttl_ms: u64,
    /// Shards it could not drive lately, and leaves to others where there are others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<ShardId>,
}

/// The members as this process sees them. Silence is measured by the local clock alone.
#[derive(Default)]
pub(super) struct View {
    members: HashMap<MemberId, Seen>,
}

struct Seen {
    member: Member,
    heard_at: Instant,
}

impl View {
    pub(super) fn learn(&mut self, slot: &Slot, now: Instant) {
        let Ok(id) = slot.key.parse::<MemberId>() else { return };
        match slot.value.as_ref().map(|value| serde_json::from_slice(value)) {
            Some(Ok(member)) => {
                self.members.insert(id, Seen { member, heard_at: now });
            }
            Some(Err(error)) => {
                static MALFORMED: Complaints = Complaints::new();
                if let Some(count) = MALFORMED.due() {
                    tracing::warn!(%error, key = slot.key, count, "the table of members holds something else");
                }
            }
            None => {
                self.members.remove(&id);
            }
        }
    }

    /// Forgets members that have been silent for too long.
    pub(super) fn bury(&mut self, now: Instant) {
        self.members.retain(|_, seen| now < seen.heard_at + Duration::from_millis(seen.member.ttl_ms));
    }

    /// Returns who lives, sorted.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let peer = |(id, Seen { member, .. }): (&MemberId, &Seen)| Peer {
            id: id.clone(),
            incarnation: member.incarnation.clone(),
            leaving: member.leaving,
            unfit: member.unfit.iter().copied().collect(),
        };
        let mut peers: Vec<_> = self.members.iter().map(peer).collect();
        peers.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        peers
    }
}

/// Returns the table of members as it stands, those that died within the last hour included.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn members(broker: &Broker) -> Result<Vec<(MemberId, Member)>, ExchangeError> {
    let mut watch = Bucket::new(broker, topology::MEMBERS).watch(">");
    let mut found = HashMap::new();
    while !watch.is_caught_up() {
        for slot in watch.next(broker.request_timeout()).await? {
            let member = slot.value.as_ref().and_then(|value| serde_json::from_slice(value).ok());
            match (slot.key.parse::<MemberId>(), member) {
                (Ok(id), Some(member)) => drop(found.insert(id, member)),
                (Ok(id), None) => drop(found.remove(&id)),
                (Err(_), _) => {}
            }
        }
    }
    Ok(found.into_iter().collect())
}
