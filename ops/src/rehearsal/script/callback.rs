//! What is called back, and how long after an attempt begins to wait for it.

use std::time::Duration;

use headwater_core::run::{CalledBack, read_callback};
use headwater_core::{Attempt, BranchId, Json, NodeAddress};
use serde_json::{Map, Value};

use super::reading::{At, Problems};

/// What somebody outside says of whichever attempt of a node waits for him.
#[derive(Debug, Clone, PartialEq)]
pub struct CallsBack {
    /// Without a branch: in every branch.
    pub node: NodeAddress,
    /// Absent: each time that it waits.
    pub attempt: Option<Attempt>,
    pub said: CalledBack,
    /// Since it waits.
    pub after: Duration,
    /// How often it is sent.
    pub times: u64,
}

/// How often one callback is sent at most.
const TIMES_MAX: u64 = 100;

impl CallsBack {
    pub(super) fn read(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let fields = at.fields(&["node", "attempt", "output", "error", "heartbeat", "after", "times"], problems)?;
        let node = fields.need("node", problems).and_then(|node| node.parsed(problems));
        let attempt = fields.get("attempt").map(|attempt| attempt.whole(1, u64::from(u32::MAX), problems));
        let after = fields.get("after").map(|after| after.span(problems));
        let times = fields.get("times").map(|times| times.whole(1, TIMES_MAX, problems));
        let said = ["output", "error"].into_iter().filter_map(|name| Some((name.to_owned(), fields.get(name)?.json())));
        let said: Map<String, Value> = said.map(|(name, value)| (name, value.to_value())).collect();
        let is_sign = fields.get("heartbeat").is_some_and(|sign| *sign.value == Value::Bool(true));
        let said = match is_sign && said.is_empty() {
            true => Ok(CalledBack::Alive {}),
            false => read_callback(&Json::of(&said)),
        };
        let said = said.map_err(|why| problems.add(&at.path, format!("{why}, or `heartbeat: true`"))).ok()?;
        let attempt = attempt.map_or(Some(None), |attempt| attempt.map(Some))?;
        Some(Self {
            node: node?,
            attempt: attempt.and_then(|number| u32::try_from(number).ok()).map(Attempt::new),
            said,
            after: after.unwrap_or(Some(Duration::ZERO))?,
            times: times.unwrap_or(Some(1))?,
        })
    }

    /// Returns whether it is about an attempt there.
    pub fn is_of(&self, node: &NodeAddress, attempt: Attempt) -> bool {
        let is_there = self.node == *node || (self.node.branch() == BranchId::ROOT && self.node.node() == node.node());
        is_there && self.attempt.is_none_or(|of| of == attempt)
    }
}
