//! Whose catalogue is read, and as of when (ADR 22).

use std::borrow::Cow;

use headwater_core::shard::Position;
use headwater_core::{Timestamp, WorkspaceId};
use tokio_postgres::types::ToSql;

use crate::columns::{Time, bigint, smallint};

/// What every read of the catalogue is given.
#[derive(Debug, Clone)]
pub struct View {
    pub workspace: WorkspaceId,
    /// Absent: as it is now.
    pub as_of: Option<AsOf>,
}

/// A moment of the catalogue: of the shards that are named everything up to a place, of all others everything that was
/// committed at or before a time.
///
/// What it selects is only certain once all of that is projected; whoever makes one waits for it.
#[derive(Debug, Clone)]
pub struct AsOf {
    time: Time,
    /// Those that are named, and the last sequence of each.
    shards: Vec<i16>,
    sequences: Vec<i64>,
}

type Parameters<'p> = Vec<&'p (dyn ToSql + Sync)>;

impl AsOf {
    /// Selects what was committed until `time`, and of these shards exactly what stands up to these places instead.
    pub fn new(time: Timestamp, places: &[Position]) -> Self {
        Self {
            time: Time(time),
            shards: places.iter().map(|place| smallint(place.shard)).collect(),
            sequences: places.iter().map(|place| bigint(place.sequence.get())).collect(),
        }
    }
}

impl View {
    /// Sees a workspace as it is now.
    pub fn now(workspace: WorkspaceId) -> Self {
        Self { workspace, as_of: None }
    }

    /// Returns `own` parameters with those of the moment behind them.
    pub(super) fn parameters<'p>(&'p self, own: &[&'p (dyn ToSql + Sync)]) -> Parameters<'p> {
        let mut all = own.to_vec();
        if let Some(AsOf { time, shards, sequences }) = &self.as_of {
            all.extend([time as &(dyn ToSql + Sync), shards, sequences]);
        }
        all
    }

    /// Returns the condition under which a row that says by which commit it is there was there. The parameters of the moment
    /// stand behind `own` others, here and below.
    fn there(&self, own: usize, row: &str, time: &str) -> String {
        let [moment, shards, sequences] = [own + 1, own + 2, own + 3];
        format!(
            "CASE WHEN {row}.shard = ANY (${shards}::int2[])
                  THEN {row}.sequence <= (${sequences}::int8[])[array_position(${shards}::int2[], {row}.shard)]
                  ELSE {row}.{time} <= ${moment}::timestamptz END"
        )
    }

    /// Returns what has the columns of `workflows` and the rows it had, beside `pinned_version`, and `started_version`: the one
    /// that starts where none is named.
    pub(super) fn workflows(&self, own: usize) -> String {
        let pins = |there: &str| {
            format!(
                "LEFT JOIN LATERAL (SELECT p.version FROM workflow_pins p
                                    WHERE (p.workspace, p.slug) = (w.workspace, w.slug) AND {there}
                                    ORDER BY p.revision DESC LIMIT 1) p ON true"
            )
        };
        if self.as_of.is_none() {
            let pins = pins("true");
            return format!(
                "(SELECT w.*, p.version AS pinned_version, coalesce(p.version, w.current_version) AS started_version
                  FROM workflows w {pins})"
            );
        }
        let (there, pins) = (self.there(own, "s", "selected_at"), pins(&self.there(own, "p", "pinned_at")));
        format!(
            "(SELECT w.workspace, w.slug, s.version AS current_version, w.created_at, s.selected_at AS updated_at,
                     p.version AS pinned_version, coalesce(p.version, s.version) AS started_version
              FROM workflows w
              CROSS JOIN LATERAL (SELECT s.version, s.selected_at FROM workflow_selections s
                                  WHERE (s.workspace, s.slug) = (w.workspace, w.slug) AND {there}
                                  ORDER BY s.revision DESC LIMIT 1) s
              {pins})"
        )
    }

    /// Returns the condition under which a row of `workflow_defs` as `d` was there: versions are numbered in the order in
    /// which they come, so it or a later one has been current.
    pub(super) fn definition_is_there(&self, own: usize) -> Cow<'static, str> {
        if self.as_of.is_none() {
            return "true".into();
        }
        let there = self.there(own, "k", "selected_at");
        format!(
            "EXISTS (SELECT FROM workflow_selections k
                     WHERE (k.workspace, k.slug) = (d.workspace, d.slug) AND k.version >= d.version AND {there})"
        )
        .into()
    }

    /// Returns the condition under which a row of `assets` as `a` was there.
    pub(super) fn asset_is_there(&self, own: usize) -> Cow<'static, str> {
        if self.as_of.is_none() { "true".into() } else { self.there(own, "a", "known_at").into() }
    }

    /// Returns what has the columns of `assets`, those of the first commit left out, and the rows it had.
    pub(super) fn assets(&self, own: usize) -> Cow<'static, str> {
        if self.as_of.is_none() {
            return "assets".into();
        }
        let there = self.asset_is_there(own);
        self.latest_of(own, &format!("(SELECT * FROM assets a WHERE {there})")).into()
    }

    /// Returns the same of such rows of `assets` as a page has: which they are must not depend on their latest versions, or those
    /// of all would be searched for.
    ///
    /// An asset may have a million versions, so the last that was there is searched for by halves: `low` is the revision of
    /// one that was, none from `high` on was.
    pub(super) fn latest_of(&self, own: usize, assets: &str) -> String {
        if self.as_of.is_none() {
            return assets.to_owned();
        }
        let recorded = self.there(own, "p", "recorded_at");
        format!(
            "(SELECT a.workspace, a.asset_key, a.asset_id,
                     v.revision AS latest_revision, v.partition AS latest_partition, v.version AS latest_version
              FROM {assets} a
              CROSS JOIN LATERAL (
                  WITH RECURSIVE halves (low, high) AS (
                      SELECT 0::int8, coalesce(a.latest_revision, 0) + 1
                      UNION ALL
                      SELECT CASE WHEN m.there THEN m.revision ELSE h.low END,
                             CASE WHEN m.there THEN h.high ELSE (h.low + h.high) / 2 END
                      FROM halves h
                      CROSS JOIN LATERAL (
                          SELECT p.revision, {recorded} AS there FROM asset_versions p
                          WHERE p.workspace = a.workspace AND p.asset_key = a.asset_key
                                AND p.revision >= (h.low + h.high) / 2
                          ORDER BY p.revision LIMIT 1) m
                      WHERE h.low + 1 < h.high)
                  SELECT max(low) AS revision FROM halves) l
              LEFT JOIN asset_versions v ON v.workspace = a.workspace AND v.asset_key = a.asset_key
                                            AND v.revision = l.revision)"
        )
    }
}
