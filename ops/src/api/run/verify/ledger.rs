//! Whether a row of `commits` is what its journal has.

use headwater_core::shard::AggregateId;
use headwater_core::{RunId, Sequence, ShardId};
use headwater_projector::parse::{ParsedCommit, parse};
use headwater_projector::queries::LedgerRow;
use headwater_streams::journals::{JetStreamJournals, Journals as _};

use super::difference::{Differences, What};
use crate::api::Problem;

/// Reads the bundles that rows name, one after the other.
pub struct Reader<'a> {
    journals: &'a JetStreamJournals,
    /// The last bundle that was read: commits that follow each other often stand in one.
    last: Option<(ShardId, Sequence, Vec<ParsedCommit>)>,
}

impl<'a> Reader<'a> {
    pub fn new(journals: &'a JetStreamJournals) -> Self {
        Self { journals, last: None }
    }

    /// Returns the commit of a run that a row stands for, as the journal has it, and takes down in what they differ; `None`: the
    /// journal has no such commit where the row says.
    pub async fn commit(
        &mut self,
        run: RunId,
        row: &LedgerRow,
        differences: &mut Differences,
    ) -> Result<Option<ParsedCommit>, Problem> {
        let revision = Some(row.revision);
        let is_own = |commit: &ParsedCommit| {
            commit.ordinal == row.ordinal
                && commit.aggregate == AggregateId::Run(run)
                && commit.revision.get() == row.revision
        };
        let found = match row.shard.filter(|shard| *shard == run.shard()) {
            Some(shard) => self.bundle(shard, row.sequence).await?.and_then(|commits| {
                let at = commits.iter().position(is_own)?;
                Some(commits.remove(at))
            }),
            None => None,
        };
        let Some(commit) = found else {
            let place = format!("{}:{}:{}", run.shard(), row.sequence, row.ordinal);
            differences.add(What::Events, revision, "/position", Some(&place), None);
            return Ok(None);
        };
        let expected = LedgerRow::columns_of(&commit);
        for ((name, kept), (_, of_journal)) in row.columns.iter().zip(&expected) {
            differences.compare(What::Events, revision, &format!("/{name}"), (kept.as_deref(), of_journal.as_deref()));
        }
        let of_journal = std::str::from_utf8(&commit.text).ok();
        differences.compare(What::Events, revision, "/events", (Some(&row.events), of_journal));
        Ok(Some(commit))
    }

    /// Returns the commits of a bundle that were not taken yet; `None`: the journal has none there.
    async fn bundle(&mut self, shard: ShardId, at: Sequence) -> Result<Option<&mut Vec<ParsedCommit>>, Problem> {
        let is_last = self.last.as_ref().is_some_and(|(of, sequence, _)| (*of, *sequence) == (shard, at));
        if !is_last {
            self.last = None;
            if let Some(entry) = self.journals.entry(shard, at).await? {
                self.last = Some((shard, at, parse(shard, &entry).commits));
            }
        }
        Ok(self.last.as_mut().map(|(_, _, commits)| commits))
    }
}
