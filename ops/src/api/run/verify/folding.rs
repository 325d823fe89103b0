//! What the commits of a run give, and what is held against that.

use std::sync::Arc;

use headwater_core::definition::Definition;
use headwater_core::run::{History, RunDigest, RunEvent, Snapshot, Snapshots};
use headwater_core::shard::Event;
use headwater_core::{BranchId, DefinitionVersion, Json, Revision, RunId, Sequence, ShardId, StoredValue};
use headwater_projector::parse::ParsedCommit;
use headwater_projector::queries::{RunColumns, RunRow, RunRowFold};
use serde::{Deserialize, Serialize};

use super::difference::{Differences, What};
use super::live::{Compared, Told};
use crate::api::run::values;
use crate::api::{Api, Problem};

/// How many bytes of large values are fetched for one run.
const STORED_BYTES_MAX: u64 = 32 << 20;

/// A commit with where it stands, the large values that were fetched for it, by event, and the definition of the version that the
/// run goes over to with it.
pub struct Filed {
    pub shard: ShardId,
    pub sequence: Sequence,
    pub commit: ParsedCommit,
    pub values: Vec<(usize, Json)>,
    pub next: Option<(DefinitionVersion, Arc<Definition>)>,
}

/// A run that is folded.
#[derive(Debug)]
pub struct Folding {
    /// With its large values, while those are fetched; else they are named.
    history: History,
    /// As the projector folds it.
    snapshots: Option<Snapshots>,
    row: RunRowFold,
    /// The last snapshot.
    taken: Option<Snapshot>,
    /// It has gone over to another version.
    is_parted: bool,
    /// After which event the snapshot that is kept says it is.
    kept_after: Option<u64>,
    /// What is folded behind it.
    tail: Option<Result<History, String>>,
    /// After which event the shard has said what it has, and what the commits give there.
    live_at: Option<Revision>,
    live: Option<RunDigest>,
    /// Of the values that were fetched; `None`: it is not gone by values (any more).
    stored_bytes: Option<u64>,
    revision: Revision,
    commits: u64,
}

/// Fetches what of a commit is folded and stands in the store of values: of lists of items always, for they are counted.
pub async fn values(api: &Api, commit: &ParsedCommit, all: bool) -> Result<Vec<(usize, Json)>, Problem> {
    let Some(stored) = &commit.stored else { return Ok(Vec::new()) };
    let mut fetched = Vec::new();
    for field in &stored.values {
        let at = field.event as usize;
        let is_list = matches!(commit.events.get(at), Some(Event::Run(RunEvent::ItemsListed { .. })));
        if all || is_list {
            fetched.push((at, values::read(api, &stored.workspace, field.value).await?));
        }
    }
    Ok(fetched)
}

impl Folding {
    pub fn new(run: RunId, definition: Arc<Definition>, row: &RunRow, told: &Told) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kept {
            after_revision: u64,
        }
        let live_at = match told {
            Told::Active(digest) if digest.digest.is_some() => Some(digest.revision),
            Told::Active(_) | Told::Ended(_) | Told::Unknown | Told::Silent(_) => None,
        };
        let kept = row.latest_snapshot.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Self {
            history: History::of(run, definition.clone()),
            snapshots: Snapshots::of(run, definition),
            row: RunRowFold::default(),
            taken: None,
            is_parted: false,
            kept_after: kept.map(|Kept { after_revision }| after_revision),
            tail: None,
            live_at,
            live: None,
            stored_bytes: live_at.map(|_| 0),
            revision: Revision::new(0),
            commits: 0,
        }
    }

    /// Returns whether the values of the next commit are to be fetched.
    pub fn wants_values(&self) -> bool {
        self.stored_bytes.is_some_and(|bytes| bytes <= STORED_BYTES_MAX)
    }

    /// Returns up to where it was folded: the last event, and how many commits that is.
    pub fn reached(&self) -> (Revision, u64) {
        (self.revision, self.commits)
    }

    /// Folds the next commit.
    ///
    /// # Errors
    /// Where it begins, and why that cannot have happened.
    pub fn learn(&mut self, filed: Filed) -> Result<(), (Revision, String)> {
        let Filed { shard, sequence, commit, values: fetched, next } = filed;
        let (first, time) = (commit.revision, commit.time);
        let (named, whole) = both(&commit, fetched, &mut self.stored_bytes).map_err(|reason| (first, reason))?;
        if let Some((version, definition)) = next {
            // None is taken of it any more.
            self.is_parted = true;
            self.history.bring(version, definition.clone());
            if let Some(Ok(tail)) = &mut self.tail {
                tail.bring(version, definition);
            }
        }
        if let Some(snapshots) = self.snapshots.as_mut().filter(|_| !self.is_parted) {
            // As the projector: where the history cannot be, it ends here too.
            match snapshots.learn(first, time, &named) {
                Ok(true) => self.taken = snapshots.take(sequence),
                Ok(false) => {}
                Err(reason) => return Err((first, reason)),
            }
        }
        for event in &whole {
            self.history.learn(event, time).map_err(|reason| (first, reason))?;
            if let Some(Ok(tail)) = &mut self.tail
                && let Err(reason) = tail.learn(event, time)
            {
                self.tail = Some(Err(reason));
            }
        }
        self.revision = Revision::new(first.get() - 1 + whole.len() as u64);
        self.commits += 1;
        self.row.fold(shard, sequence, commit);
        if self.kept_after == Some(self.revision.get()) {
            self.tail = Some(self.history.set_down());
        }
        if self.live_at == Some(self.revision) {
            self.live = self.history.digest();
        }
        Ok(())
    }

    /// Holds the run's row against what its commits give.
    pub fn compare_row(&self, kept: &RunColumns, differences: &mut Differences) {
        let Some(expected) = self.row.columns() else { return };
        for (name, kept) in kept {
            let expected = expected.iter().find(|(of, _)| of == name).and_then(|(_, text)| text.as_deref());
            differences.compare(What::Row, None, &format!("/{name}"), (kept.as_deref(), expected));
        }
    }

    /// Holds the snapshot that is kept against the last one that the commits give; `None`: there is no policy.
    pub fn compare_snapshot(&self, kept: Option<&str>, differences: &mut Differences) -> Option<bool> {
        let expected = self.taken.as_ref().map(Snapshot::to_json);
        let expected = expected.as_ref().map(Json::as_str);
        differences.compare(What::Snapshot, self.kept_after, "/latestSnapshot", (kept, expected));
        self.snapshots.as_ref().map(|_| true)
    }

    /// Holds what was folded behind the snapshot against what was folded at once; says whether there is any.
    pub fn compare_tail(&self, differences: &mut Differences) -> bool {
        let Some(tail) = &self.tail else { return false };
        let given = tail.as_ref().map_err(String::clone).map(|tail| tail.digest().and_then(|given| given.digest));
        let expected = self.history.digest().and_then(|given| given.digest);
        match given {
            Ok(given) if given == expected => {}
            Ok(given) => differences.add(What::Tail, self.kept_after, "", given.as_deref(), expected.as_deref()),
            Err(reason) => differences.add(What::Tail, self.kept_after, "", Some(&reason), expected.as_deref()),
        }
        true
    }

    /// Holds what the shard has against what the commits give.
    pub fn compare_live(&self, told: Told, differences: &mut Differences) -> Compared {
        let status = self.history.seen_in(BranchId::ROOT).map(|seen| seen.status);
        let is_over = status.is_some_and(|status| status.is_terminal());
        match told {
            Told::Silent(reason) => Compared::not(reason),
            Told::Unknown if is_over => Compared::not("it has ended, and its shard does not remember it any more"),
            Told::Unknown => {
                differences.add(What::Live, None, "", None, status.map(|status| status.as_str()));
                Compared::at(None)
            }
            Told::Ended(ended) => {
                let (ended, status) = (Some(ended.as_str()), status.map(|status| status.as_str()));
                if ended != status {
                    differences.add(What::Live, None, "/status", ended, status);
                }
                Compared::at(None)
            }
            Told::Active(RunDigest { digest: None, .. }) => Compared::not("there is more of it than its shard hashes"),
            Told::Active(RunDigest { revision, digest }) => match &self.live {
                _ if self.stored_bytes.is_none_or(|bytes| bytes > STORED_BYTES_MAX) => {
                    Compared::not(format!("its large values have more than {STORED_BYTES_MAX} bytes together"))
                }
                None if revision > self.revision => Compared::not("the tables do not show yet what its shard has"),
                given => {
                    let expected = given.as_ref().and_then(|given| given.digest.as_deref());
                    if digest.as_deref() != expected {
                        differences.add(What::Live, Some(revision.get()), "", digest.as_deref(), expected);
                    }
                    Compared::at(Some(revision))
                }
            },
        }
    }
}

/// The events of a commit: with their large values named, as snapshots have them, and with those that were fetched.
fn both(
    commit: &ParsedCommit,
    fetched: Vec<(usize, Json)>,
    stored_bytes: &mut Option<u64>,
) -> Result<(Vec<RunEvent>, Vec<RunEvent>), String> {
    let (mut named, mut whole) = (commit.events.clone(), commit.events.clone());
    let fields = commit.stored.iter().flat_map(|stored| &stored.values);
    for field in fields {
        let at = field.event as usize;
        let (Some(short), Some(long)) = (named.get_mut(at), whole.get_mut(at)) else { continue };
        let value = fetched.iter().find(|(of, _)| *of == at).map(|(_, value)| value.clone());
        let is_list = matches!(short, Event::Run(RunEvent::ItemsListed { .. }));
        let name = match &value {
            Some(value) if is_list => value.clone(),
            Some(_) | None => name_of(field.value),
        };
        if let Some(bytes) = stored_bytes {
            *bytes += u64::from(field.value.size_bytes);
        }
        long.put_back(value.unwrap_or_else(|| name.clone()));
        short.put_back(name);
    }
    Ok((own(named)?, own(whole)?))
}

fn name_of(stored: StoredValue) -> Json {
    #[derive(Serialize)]
    struct Named {
        stored: StoredValue,
    }
    Json::of(&Named { stored })
}

fn own(events: Vec<Event>) -> Result<Vec<RunEvent>, String> {
    let own = |event: Event| match event {
        Event::Run(event) => Ok(event),
        Event::Released(_) => {
            Err("the run was released from quarantine here: what was before is not folded".to_owned())
        }
        Event::Asset(_) | Event::Workflow(_) | Event::Action(_) | Event::Memo(_) | Event::DefinitionAdopted { .. } => {
            Err("it is no event of a run".to_owned())
        }
    };
    events.into_iter().map(own).collect()
}
