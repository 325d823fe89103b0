//! What a release from quarantine means for the tables: they say of its aggregate what its record says.
//!
//! What they said before came from commits that nobody folded, or was not told them at all. A record speaks of an aggregate as a
//! whole, and so of rows of any earlier batch: the changes of a batch are parted where one is released.

use headwater_core::run::RunEvent;
use headwater_core::shard::{AggregateId, Event, ReleaseBy, Shown};
use headwater_core::{Json, Revision};

use super::asset::known;
use super::{Changes, CommitHead, MigratedRow};
use crate::tables::Known;

/// An aggregate that was released.
#[derive(Debug)]
pub struct ReleasedRow {
    pub aggregate: AggregateId,
    /// Of the commit.
    pub revision: Revision,
    pub known: Known,
    pub shown: Shown,
    /// An [`headwater_core::Actor`]: who asked that a run ends so.
    pub ended_by: Option<Json>,
}

/// Takes the release off the front of a commit's events; `None`: it is no release.
///
/// # Errors
/// Why its record cannot be read.
pub(super) fn take(
    aggregate: &AggregateId,
    head: CommitHead<'_>,
    revision: Revision,
    events: &mut Vec<Event>,
) -> Result<Option<ReleasedRow>, String> {
    let Some(Event::Released(release)) = events.first() else { return Ok(None) };
    let shown = release.record.shown()?;
    let fits = match (aggregate, &shown) {
        (AggregateId::Run(_), Shown::Run(_) | Shown::Ended(_) | Shown::Nothing)
        | (AggregateId::Asset(_), Shown::Asset(_))
        | (AggregateId::Workflow(_), Shown::Workflow(_))
        | (AggregateId::Action(_), Shown::Action(_))
        | (AggregateId::Memo(_) | AggregateId::Definition(..), Shown::Nothing) => true,
        (
            AggregateId::Run(_)
            | AggregateId::Asset(_)
            | AggregateId::Workflow(_)
            | AggregateId::Action(_)
            | AggregateId::Memo(_)
            | AggregateId::Definition(..),
            Shown::Run(_) | Shown::Ended(_) | Shown::Asset(_) | Shown::Workflow(_) | Shown::Action(_) | Shown::Nothing,
        ) => false,
    };
    if !fits {
        return Err("a release with the record of another kind of aggregate".to_owned());
    }
    let ended_by = match &release.by {
        ReleaseBy::End {} => head.by.cloned(),
        ReleaseBy::Refold {} | ReleaseBy::Skip { .. } => None,
    };
    events.remove(0);
    // Where its nodes stand is in the record, or follows from the end.
    events.retain(|event| !matches!(event, Event::Run(RunEvent::NodeCancelled { .. })));
    Ok(Some(ReleasedRow { aggregate: aggregate.clone(), revision, known: known(head), shown, ended_by }))
}

/// What a batch is parted by.
#[derive(Debug)]
pub enum Parting {
    Released(Box<ReleasedRow>),
    /// A run goes over to another version.
    Migrated(MigratedRow),
}

impl Changes {
    /// Begins the part behind what speaks of rows of earlier batches.
    pub(super) fn part(&mut self, parting: Parting) -> &mut Changes {
        let mut then = Changes::default();
        // The row is there, whatever was read before.
        if let Parting::Released(row) = &parting
            && let (AggregateId::Asset(key), Shown::Asset(_)) = (&row.aggregate, &row.shown)
        {
            then.assets.of(key, row.known);
        }
        let at = self.parts.len();
        self.parts.push((parting, then));
        &mut self.parts[at].1
    }
}
