//! Which incarnations of the shards' journals there are: whatever is said of an earlier one is refused.

use std::cmp::Ordering;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use headwater_core::shard::Position;
use headwater_core::{Incarnation, Revision, RunId, ShardId};
use headwater_streams::journals::{JetStreamJournals, Journals as _};
use tokio::sync::watch;

use super::shards::HEAD_WAIT;
use super::{Api, Problem};
use crate::codes::Code;

/// Which incarnation each shard is in, as this process knows.
#[derive(Debug)]
pub struct Incarnations {
    /// Empty before the map of shards was heard.
    known: watch::Receiver<Vec<Incarnation>>,
    journals: JetStreamJournals,
}

impl Incarnations {
    /// Goes by what is heard of the map, and asks the broker where nothing was.
    pub fn new(known: watch::Receiver<Vec<Incarnation>>, journals: JetStreamJournals) -> Self {
        Self { known, journals }
    }

    /// Returns the incarnation of a shard. While nobody says, the first.
    pub async fn of(&self, shard: ShardId) -> Incarnation {
        let known = self.heard(shard);
        match known {
            Some(incarnation) => incarnation,
            None => self.ask(shard).await.unwrap_or_default(),
        }
    }

    fn heard(&self, shard: ShardId) -> Option<Incarnation> {
        let known = self.known.borrow();
        (!known.is_empty()).then(|| known.get(usize::from(shard.number())).copied().unwrap_or_default())
    }

    async fn ask(&self, shard: ShardId) -> Option<Incarnation> {
        let asked = tokio::time::timeout(HEAD_WAIT, self.journals.incarnations(&[shard])).await;
        asked.ok()?.ok()?.first().copied()
    }

    /// Waits until this process has heard of an incarnation, for a moment.
    pub async fn hear(&self, shard: ShardId, incarnation: Incarnation, within: Duration) {
        let mut known = self.known.clone();
        let heard = |known: &Vec<Incarnation>| {
            known.get(usize::from(shard.number())).is_some_and(|known| *known >= incarnation)
        };
        drop(tokio::time::timeout(within, known.wait_for(heard)).await);
    }

    /// Waits until a shard is in another incarnation than this one, as far as this process hears.
    pub async fn replaced(&self, shard: ShardId, incarnation: Incarnation) {
        let mut known = self.known.clone();
        let is_another = |known: &Vec<Incarnation>| {
            !known.is_empty() && known.get(usize::from(shard.number())).copied().unwrap_or_default() != incarnation
        };
        if known.wait_for(is_another).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Refuses a position of an incarnation that was given up, or that nobody has begun.
    pub async fn check(&self, position: Position) -> Result<(), Problem> {
        let Position { shard, sequence } = position;
        match sequence.incarnation().cmp(&self.of(shard).await) {
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(given_up(shard, format!("the token names {position}"))),
            Ordering::Greater => match self.ask(shard).await {
                Some(begun) if begun < sequence.incarnation() => {
                    let detail = format!("{position} is of an incarnation of shard {shard} that has not begun");
                    Err(Problem::new(Code::InvalidToken, detail))
                }
                // A broker that does not answer says nothing about the token.
                Some(_) | None => Ok(()),
            },
        }
    }
}

fn given_up(shard: ShardId, what: String) -> Problem {
    let detail = format!(
        "{what}, and shard {shard} was released from hold since: its journal is what was found then, and what was written to \
         it before may be gone"
    );
    Problem::new(Code::IncarnationReplaced, detail).with("shard", shard.number())
}

/// Where a reader of a run's events stands. Text form: the revision, behind `incarnation.` where that is not the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    pub incarnation: Incarnation,
    pub revision: Revision,
}

impl EventCursor {
    /// Refuses a cursor into a history that was given up, or that nobody has begun.
    pub async fn check(self, api: &Api, run: RunId) -> Result<Revision, Problem> {
        let shard = run.shard();
        // Before the first event nothing was told that could have changed.
        if self.revision == Revision::new(0) {
            return Ok(self.revision);
        }
        match self.incarnation.cmp(&api.shards.incarnations.of(shard).await) {
            Ordering::Equal => Ok(self.revision),
            Ordering::Less => Err(given_up(shard, format!("the cursor {self} is of a history before"))),
            Ordering::Greater => match api.shards.incarnations.ask(shard).await {
                Some(begun) if begun < self.incarnation => {
                    let detail = format!("{self} is of an incarnation of shard {shard} that has not begun");
                    Err(Problem::new(Code::InvalidCursor, detail))
                }
                Some(_) | None => Ok(self.revision),
            },
        }
    }
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { incarnation, revision } = self;
        if incarnation.is_first() { write!(f, "{revision}") } else { write!(f, "{incarnation}.{revision}") }
    }
}

impl FromStr for EventCursor {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (incarnation, revision) = text.split_once('.').unwrap_or(("0", text));
        Ok(Self { incarnation: incarnation.parse().map(Incarnation::new)?, revision: Revision::new(revision.parse()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_shows_and_names_no_incarnation_where_there_was_one_only() {
        for text in ["0", "17", "1.17", "8000.1"] {
            assert_eq!(text.parse::<EventCursor>().unwrap().to_string(), text);
        }
        for garbled in ["", ".", "1.", ".7", "-1", "1.2.3", "x", "1.x"] {
            assert!(garbled.parse::<EventCursor>().is_err(), "{garbled}");
        }
    }
}
