//! What a moment of the catalogue is made of, and whether all of it can be read (ADR 22).

use headwater_core::shard::Position;
use headwater_core::{Sequence, ShardId, Timestamp};
use headwater_projector::parse::parse;
use headwater_projector::queries;
use headwater_streams::clock::now;
use headwater_streams::journals::{Entry, Journals as _, Stretch, StretchError};
use tokio::sync::SemaphorePermit;

use super::catalogue::{AS_OF, AsOf};
use super::token::Token;
use super::{Api, CATCH_UP_WAIT, Problem};
use crate::codes::Code;

/// How many entries before a place are read where its own holds no commit: at first, and at most.
const STRETCH_MIN: u64 = 64;
const STRETCH_MAX: u64 = 16_384;

impl Api {
    /// Returns which commits a moment holds, once all of them can be read.
    ///
    /// # Errors
    /// [`Code::NotYet`], [`Code::InvalidToken`], [`Code::IncarnationReplaced`], [`Code::NotCaughtUp`] and the like, and what a
    /// broker or a database can do.
    pub async fn settle(&self, as_of: &AsOf) -> Result<queries::AsOf, Problem> {
        let (time, places) = match as_of {
            AsOf::Time(time) => {
                self.refuse_to_come(*time).await?;
                (*time, &[][..])
            }
            AsOf::Token(token) => {
                self.catch_up(token).await?;
                let times = token.positions().iter().map(|&position| self.time_of(position));
                let times = futures_util::future::try_join_all(times);
                let slow = |_| Problem::new(Code::Unavailable, "the journals do not say in time of when the token is");
                let times = tokio::time::timeout(CATCH_UP_WAIT, times).await.map_err(slow)??;
                (times.into_iter().max().unwrap_or_default(), token.positions())
            }
        };
        self.see_until(time, places).await?;
        Ok(queries::AsOf::new(time, places))
    }

    /// Refuses a time that neither this process's clock nor any commit has come to.
    async fn refuse_to_come(&self, time: Timestamp) -> Result<(), Problem> {
        let now = now();
        if time <= now {
            return Ok(());
        }
        let cursors = self.reads.cursors().await?;
        if cursors.iter().filter_map(|cursor| cursor.time).any(|committed| committed.0 >= time) {
            return Ok(());
        }
        Err(Problem::new(Code::NotYet, format!("{time} is still to come: it is {now}")).with("parameter", AS_OF))
    }

    /// Returns the time of the last commit at or before a position; of none, that of nothing.
    async fn time_of(&self, position: Position) -> Result<Timestamp, Problem> {
        let Position { shard, sequence } = position;
        if sequence.in_stream() == Sequence::ZERO {
            return Ok(Timestamp::default());
        }
        let Some(entry) = self.shards.journals.entry(shard, sequence).await? else {
            return Err(not_shown(shard, sequence));
        };
        if let Some(time) = last_time(shard, &[entry]) {
            return Ok(time);
        }
        self.last_before(position, self.turns.walk().await).await
    }

    /// Looks back through a journal for the last commit before a place. Some entries hold no commit, and many may follow each other:
    /// they are read in ever longer stretches, and so in `_turn`, which is held until then.
    async fn last_before(&self, position: Position, _turn: SemaphorePermit<'_>) -> Result<Timestamp, Problem> {
        let Position { shard, sequence } = position;
        let (mut before, mut width) = (sequence, STRETCH_MIN);
        while before.in_stream() > Sequence::FIRST {
            let first = before.get() - width.min(before.in_stream().get() - 1);
            let (from, end) = (Sequence::new(first), Sequence::new(before.get() - 1));
            let mut stretch = Stretch::new(&self.shards.journals, shard, from, end);
            let mut last = None;
            loop {
                let mut entries = stretch.next().await.map_err(|error| match error {
                    StretchError::Gone { at } => not_shown(shard, at),
                    StretchError::Exchange(error) => error.into(),
                })?;
                if entries.is_empty() {
                    break;
                }
                entries.retain(|entry| entry.sequence <= end);
                last = last_time(shard, &entries).or(last);
            }
            if let Some(time) = last {
                return Ok(time);
            }
            (before, width) = (from, (width * 4).min(STRETCH_MAX));
        }
        Ok(Timestamp::default())
    }

    /// Waits until everything can be read that was committed at or before a time, where no place says up to where. A shard
    /// that has committed something later has nothing to add (`SHD-2`); of the others all that there is is waited for.
    async fn see_until(&self, time: Timestamp, named: &[Position]) -> Result<(), Problem> {
        let cursors = self.reads.cursors().await?;
        let is_past = |shard: &ShardId| {
            let mut of_shard = cursors.iter().filter(|cursor| cursor.shard == *shard);
            of_shard.any(|cursor| cursor.time.is_some_and(|committed| committed.0 > time))
        };
        let open: Vec<ShardId> = self
            .shards
            .all()
            .filter(|shard| named.iter().all(|place| place.shard != *shard) && !is_past(shard))
            .collect();
        let ends = self.shards.ends_of(&open).await;
        let ends =
            ends.ok_or_else(|| Problem::new(Code::Unavailable, "the broker does not say where the journals end"))?;
        self.see(&Token::of(ends), CATCH_UP_WAIT).await
    }
}

/// Returns the time of the last commit that these entries hold.
fn last_time(shard: ShardId, entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().rev().find_map(|entry| parse(shard, entry).commits.last().map(|commit| commit.time))
}

fn not_shown(shard: ShardId, at: Sequence) -> Problem {
    Problem::new(Code::Unavailable, format!("the journal of shard {shard} does not show its entry {at}"))
}
