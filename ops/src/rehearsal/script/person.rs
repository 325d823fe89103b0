//! What people answer, and how long after they were asked.

use std::time::Duration;

use headwater_core::{ActorName, Attempt, BranchId, Json, NodeAddress};

use super::reading::{At, Problems};

/// An answer to whatever a node asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Without a branch: in every branch.
    pub node: NodeAddress,
    /// Absent: each time that it asks.
    pub attempt: Option<Attempt>,
    pub by: ActorName,
    pub value: Json,
    /// Since the node asked.
    pub after: Duration,
    /// How often it is sent.
    pub times: u64,
}

/// How often one answer is sent at most.
const TIMES_MAX: u64 = 100;

impl Answered {
    pub(super) fn read(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let fields = at.fields(&["node", "attempt", "by", "value", "after", "times"], problems)?;
        let node = fields.need("node", problems).and_then(|node| node.parsed(problems));
        let by = fields.need("by", problems).and_then(|by| by.parsed(problems));
        let value = fields.get("value").map_or_else(Json::null, |value| value.json());
        let attempt = fields.get("attempt").map(|attempt| attempt.whole(1, u64::from(u32::MAX), problems));
        let after = fields.get("after").map(|after| after.span(problems));
        let times = fields.get("times").map(|times| times.whole(1, TIMES_MAX, problems));
        let attempt = attempt.map_or(Some(None), |attempt| attempt.map(Some))?;
        Some(Self {
            node: node?,
            attempt: attempt.and_then(|number| u32::try_from(number).ok()).map(Attempt::new),
            by: by?,
            value,
            after: after.unwrap_or(Some(Duration::ZERO))?,
            times: times.unwrap_or(Some(1))?,
        })
    }

    /// Returns whether it answers what is asked there.
    pub fn is_to(&self, node: &NodeAddress, attempt: Attempt) -> bool {
        let is_there = self.node == *node || (self.node.branch() == BranchId::ROOT && self.node.node() == node.node());
        is_there && self.attempt.is_none_or(|of| of == attempt)
    }
}
