//! Which releases from quarantine are under way: their histories are being read.

use super::frames::FramePlace;
use crate::shard::{AggregateId, Owner, RefoldOrder, Rejection, ReleaseBy};
use crate::{Actor, CommandId};

/// How many releases are under way at once: each reads the journal.
const RELEASING_MAX: usize = 8;

/// Who asked for a release.
#[derive(Debug)]
pub(super) struct Releasing {
    pub id: CommandId,
    pub actor: Option<Actor>,
    pub place: FramePlace,
}

/// The releases under way. What several ask for in the same way is read once.
#[derive(Debug, Default)]
pub(super) struct Releases {
    under_way: Vec<(RefoldOrder, Releasing)>,
}

impl Releases {
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Begins one; returns what is to be read, unless it is being read.
    ///
    /// # Errors
    /// `NotQuarantined`, or `Overloaded` for one too many.
    pub fn begin<C>(
        &mut self,
        owner: &Owner<C>,
        aggregate: AggregateId,
        by: ReleaseBy,
        asked: Releasing,
    ) -> Result<Option<RefoldOrder>, Rejection> {
        let quarantine = owner.shard().quarantine(&aggregate).ok_or(Rejection::NotQuarantined)?;
        if self.under_way.len() >= RELEASING_MAX {
            return Err(Rejection::Overloaded);
        }
        let through = quarantine.since.unwrap_or(owner.last());
        let order = RefoldOrder { aggregate, by, at: quarantine.at, through };
        let is_first = self.under_way.iter().all(|(other, _)| *other != order);
        self.under_way.push((order.clone(), asked));
        Ok(is_first.then_some(order))
    }

    /// Ends those that this was read for; who asked first comes first.
    pub fn end(&mut self, read: &RefoldOrder) -> Vec<Releasing> {
        self.under_way.extract_if(.., |(order, _)| *order == *read).map(|(_, asked)| asked).collect()
    }

    /// Gives back everybody who asked.
    pub fn abandon(self) -> impl Iterator<Item = FramePlace> {
        self.under_way.into_iter().map(|(_, asked)| asked.place)
    }
}
