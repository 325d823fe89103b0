//! What happened in many runs behind many places, in one statement.

use headwater_core::RunId;
use uuid::Uuid;

use super::runs::recorded;
use super::{Reads, RecordedEvent};
use crate::columns::bigint;
use crate::database::DatabaseError;

/// What a run has behind a place.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    pub(crate) events: Vec<RecordedEvent>,
    /// The length of their commits in bytes.
    pub(crate) bytes: usize,
    /// Nothing was left out: the run ends, for now, with the last of them.
    pub(crate) is_all: bool,
}

/// How many commits of one place are read at once.
const COMMITS_MAX: usize = 16;
/// Behind so many bytes of one place no further commit is read.
pub(crate) const SMALL_BYTES_MAX: usize = 64 << 10;
/// Behind so many bytes in all no further commit is read.
pub(crate) const ALL_BYTES_MAX: usize = 8 << 20;

/// The commits behind each place: from the one that holds the place's revision itself, which starts at or before it. The
/// lengths are those of the values as they are stored: nothing is read that is not returned.
const SQL: &str = "
    SELECT place, revision, time, shard, sequence, actor, cause, events, stored
    FROM (SELECT s.place, k.*, sum(k.bytes) OVER (ORDER BY s.place, k.revision) - k.bytes AS all_before
          FROM unnest($1::uuid[], $2::int8[]) WITH ORDINALITY AS s (run_id, after, place)
          CROSS JOIN LATERAL (
              SELECT c.*, sum(c.bytes) OVER (ORDER BY c.revision) - c.bytes AS before
              FROM (SELECT revision, event_count, time, shard, sequence, actor, cause, events, stored,
                           octet_length(events)::int8 AS bytes
                    FROM commits
                    WHERE run_id = s.run_id AND revision + event_count - 1 > s.after AND revision >= coalesce(
                        (SELECT max(revision) FROM commits WHERE run_id = s.run_id AND revision <= s.after), 0)
                    ORDER BY revision LIMIT $3::int8) c) k
          WHERE k.before < $4::int8 AND (k.before + k.bytes <= $4::int8 OR $6)) x
    WHERE all_before < $5::int8 ORDER BY place, revision";

impl Reads {
    /// Returns what runs have behind revisions: one for each place that is asked for, in that order; fewer where there is too
    /// much to read at once. Without `large` whatever goes beyond [`SMALL_BYTES_MAX`] is as if it were not there yet.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] or [`DatabaseError::Unfit`].
    pub(crate) async fn behind(&self, places: &[(RunId, u64)], large: bool) -> Result<Vec<Behind>, DatabaseError> {
        let (runs, afters): (Vec<Uuid>, Vec<i64>) =
            places.iter().map(|(run, after)| (run.as_uuid(), bigint(*after))).unzip();
        let bounds = [COMMITS_MAX, SMALL_BYTES_MAX, ALL_BYTES_MAX].map(|bound| bigint(bound as u64));
        let rows = self.rows(SQL, &[&runs, &afters, &bounds[0], &bounds[1], &bounds[2], &large]).await?;
        let mut found: Vec<(usize, Behind)> = places.iter().map(|_| (0, Behind::default())).collect();
        let (mut all_bytes, mut last) = (0, 0);
        for row in &rows {
            last = usize::try_from(row.get::<_, i64>("place")).unwrap_or(1).saturating_sub(1);
            let Some((commits, behind)) = found.get_mut(last) else { continue };
            let bytes = row.get::<_, &str>("events").len();
            all_bytes += bytes;
            *commits += 1;
            behind.bytes += bytes;
            let after = places[last].1;
            behind.events.extend(recorded(row).into_iter().filter(|event| event.revision > after));
        }
        let is_cut = all_bytes >= ALL_BYTES_MAX;
        if is_cut {
            found.truncate(last + 1);
        }
        for (place, (commits, behind)) in found.iter_mut().enumerate() {
            behind.is_all = *commits < COMMITS_MAX && behind.bytes < SMALL_BYTES_MAX && !(is_cut && place == last);
        }
        Ok(found.into_iter().map(|(_, behind)| behind).collect())
    }
}
