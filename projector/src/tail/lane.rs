//! One lane: some shards, one connection. It folds the next batch while the last one is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use headwater_core::{Incarnation, Sequence, ShardId};
use headwater_streams::backoff::Backoff;
use headwater_streams::complaints::Complaints;
use headwater_streams::duty::{self, Duty};
use headwater_streams::journals::{Entry, JournalReader as _, Journals, ReadError, Stretch, StretchError};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gather::{BatchLimits, Gathering};
use super::{LaneError, Publisher, Stage};
use crate::batch::{Batch, Cursor, Discontinuity};
use crate::database::Database;
use crate::documents::{self, Documents};
use crate::fault::Unfit;
use crate::journal::JournalError;
use crate::snapshots::{SnapshotLimits, Taker};
use crate::tables::cursors;
use crate::write::{WriteError, start_over, write};

#[derive(Debug)]
pub(super) struct Lane<J> {
    pub(super) database: Database,
    pub(super) journal: Arc<J>,
    pub(super) shards: Vec<ShardId>,
    pub(super) limits: BatchLimits,
    pub(super) snapshots: SnapshotLimits,
    pub(super) publisher: Publisher,
}

type Arrival = Result<(ShardId, Vec<Entry>, Documents), JournalError>;

/// A batch that was tried, with the connection it was tried on, and who takes snapshots there.
type Tried<J> = (Object, Taker<J>, Batch, Result<(), WriteError>);

const FETCH_MESSAGES_MAX: usize = 256;
const FETCH_WAIT: Duration = Duration::from_secs(1);
/// How long a journal is left alone that does not show what was projected of it.
const CONTRADICTED_PAUSE: Duration = Duration::from_secs(1);
/// After how many waits in a row a journal is asked whether it has begun anew: another of its name may never get as far. Well
/// within the five seconds that a read waits for what it names.
const LOOK_SILENCES: u32 = 2;

impl<J: Journals> Lane<J> {
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let (mut backoff, mut begun) = (Backoff::of_duty(), BTreeMap::new());
        loop {
            let began = Instant::now();
            let ended = duty::attempt(Duty::ProjectorLane, self.session(None, &begun, &shutdown)).await;
            let Err(error) = ended.map_err(LaneError::from).flatten() else { return };
            if let LaneError::Discontinuity(Discontinuity::Replaced { shard, incarnation }) = &error {
                begun.insert(*shard, *incarnation);
            }
            let pause = backoff.after(began.elapsed());
            match error.stop() {
                Some(stop) => {
                    say_unfit(&stop.unfit);
                    self.publisher.stopped(&self.shards, &stop);
                    self.database.renew();
                }
                None => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        ?pause,
                        "projecting stopped; it will go on"
                    );
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads the cursors. Those of a journal whose later incarnation has begun start over in it: as the map of shards says, or as its
    /// own entries do in `begun`.
    async fn cursors(
        &self,
        connection: &mut Object,
        begun: &BTreeMap<ShardId, Incarnation>,
    ) -> Result<Vec<Cursor>, LaneError> {
        let mut cursors = cursors::load(connection, &self.shards).await?;
        self.publisher.going_on(&self.shards, Stage::Opening);
        if self.publisher.is_stopped(&self.shards) && self.is_all_written(&cursors).await {
            self.publisher.going_on(&self.shards, Stage::Writing);
        }
        let shards: Vec<ShardId> = cursors.iter().map(|cursor| cursor.shard).collect();
        let said = self.journal.incarnations(&shards).await.map_err(JournalError::from)?;
        for (cursor, said) in cursors.iter_mut().zip(said) {
            let shard = cursor.shard;
            let incarnation = begun.get(&shard).copied().unwrap_or_default().max(said);
            if incarnation > cursor.sequence.incarnation() {
                *cursor = start_over(connection, shard, incarnation).await?;
                tracing::warn!(%shard, %incarnation, "its journal began anew: it is projected from its first entry");
            }
        }
        Ok(cursors)
    }

    /// Returns whether nothing is left to be written: a rebuild, or another projector, has written it.
    async fn is_all_written(&self, cursors: &[Cursor]) -> bool {
        for cursor in cursors {
            match self.journal.head(cursor.shard).await {
                Ok(head) if head <= cursor.sequence.in_stream() => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Projects from where the cursors stand: until the given places, or until `shutdown`. Returns the number of events.
    pub(super) async fn session(
        &self,
        until: Option<&BTreeMap<ShardId, Sequence>>,
        begun: &BTreeMap<ShardId, Incarnation>,
        shutdown: &CancellationToken,
    ) -> Result<u64, LaneError> {
        self.database.migrate().await?;
        let mut connection = self.database.writer().await?;
        let cursors = self.cursors(&mut connection, begun).await?;
        self.publisher.cursors(&cursors);
        let (sender, mut arrivals) = mpsc::channel(self.shards.len() * 2);
        let mut readers = JoinSet::new();
        let mut open = BTreeMap::new();
        for cursor in &cursors {
            let end = until.and_then(|until| until.get(&cursor.shard).copied());
            open.insert(cursor.shard, end);
            if end.is_none_or(|end| cursor.sequence < end) {
                let publisher = self.publisher.clone();
                readers.spawn(read(Arc::clone(&self.journal), cursor.clone(), end, sender.clone(), publisher));
            } else {
                open.remove(&cursor.shard);
            }
        }
        drop(sender);
        let mut gathering = Gathering::new(self.limits, cursors);
        let mut idle = Some((connection, Taker::new(Arc::clone(&self.journal), self.shards.clone(), self.snapshots)));
        let mut writing: JoinSet<Tried<J>> = JoinSet::new();
        let mut events = 0;
        loop {
            let due = gathering.due_at(until.is_some() || self.publisher.is_awaited());
            if due.is_some_and(|due| due <= Instant::now())
                && let Some((connection, taker)) = idle.take()
            {
                writing.spawn(try_write(connection, taker, gathering.cut()));
                continue;
            }
            if until.is_some() && open.is_empty() && gathering.is_empty() && writing.is_empty() {
                return Ok(events);
            }
            tokio::select! {
                Some(tried) = writing.join_next() => {
                    let (connection, taker, batch, outcome) = unpanicked(tried);
                    outcome?;
                    self.publisher.going_on(&self.shards, Stage::Writing);
                    events += batch.changes().events as u64;
                    self.publisher.cursors(&batch.cursors());
                    idle = Some((connection, taker));
                }
                // One that ends has said why, or has come to its end.
                Some(ended) = readers.join_next() => unpanicked(ended),
                Some(arrival) = arrivals.recv(), if !gathering.is_full() => {
                    let (shard, entries, documents) = arrival?;
                    if let Some(end) = open.get(&shard).copied() {
                        let done = entries.last().is_some_and(|last| Some(last.sequence) == end);
                        let before = gathering.cursor(shard);
                        let is_set_aside = self.gather(&mut gathering, shard, (entries, documents), until.is_some())?;
                        if let Some(cursor) = before.filter(|_| is_set_aside) {
                            // It may be another journal than the one that was projected: then whoever drives it is told.
                            let (journal, publisher) = (Arc::clone(&self.journal), self.publisher.clone());
                            readers.spawn(async move {
                                let seen = cursor.sighting();
                                match journal.contradicts(shard, &seen).await {
                                    Ok(reason) => publisher.held(shard, &seen, reason),
                                    Err(error) => tracing::warn!(%error, "a journal that does not follow is not looked at"),
                                }
                            });
                        }
                        if is_set_aside || done {
                            open.remove(&shard);
                        }
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && idle.is_some() => {}
                () = shutdown.cancelled() => {
                    while writing.join_next().await.is_some() {}
                    return Ok(events);
                }
            }
        }
    }

    /// Folds entries in; returns whether the shard's journal cannot be followed any more. Its neighbours go on.
    fn gather(
        &self,
        gathering: &mut Gathering,
        shard: ShardId,
        (entries, documents): (Vec<Entry>, Documents),
        strict: bool,
    ) -> Result<bool, LaneError> {
        gathering.bring(documents);
        for entry in entries {
            if let Err(broken) = gathering.push(shard, entry) {
                let remedy = match &broken {
                    Discontinuity::Replaced { .. } => return Err(broken.into()),
                    Discontinuity::Gap { .. } | Discontinuity::ForeignChain { .. } => "rebuild it",
                    Discontinuity::Newer { .. } => "upgrade this process",
                    Discontinuity::Contradicted { .. } => "look at `headwater doctor`",
                };
                tracing::error!(error = &broken as &dyn std::error::Error, remedy, "a shard is set aside");
                self.publisher.broken(shard, Some(broken.clone()));
                return if strict { Err(broken.into()) } else { Ok(true) };
            }
        }
        self.publisher.broken(shard, None);
        Ok(false)
    }
}

/// Says that the operator has to act, in a log that nobody fills so.
pub(super) fn say_unfit(unfit: &Unfit) {
    static UNFIT: Complaints = Complaints::new();
    if let Some(count) = UNFIT.due() {
        let (state, message) = (unfit.state.as_deref().unwrap_or_default(), &unfit.message);
        let remedy = "mend the database: its schema, the rights of this user, its settings; or drop the schema, and it is made anew";
        tracing::error!(
            state,
            message,
            remedy,
            count,
            "the database refuses what is asked of it: nothing is projected until then"
        );
    }
}

/// Panics with what a task of the lane panicked with: the lane would wait for it for ever.
fn unpanicked<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(match error.try_into_panic() {
            Ok(panic) => panic,
            Err(error) => Box::new(error.to_string()),
        }),
    }
}

async fn try_write<J: Journals>(mut connection: Object, mut taker: Taker<J>, batch: Batch) -> Tried<J> {
    let outcome = write(&mut connection, &batch, &mut taker).await;
    (connection, taker, batch, outcome)
}

/// Reads a journal into the lane, to its end if it has one.
async fn read<J: Journals>(
    journal: Arc<J>,
    cursor: Cursor,
    end: Option<Sequence>,
    to: mpsc::Sender<Arrival>,
    publisher: Publisher,
) {
    let (shard, after) = (cursor.shard, cursor.sequence);
    let (seen, mut said) = (cursor.sighting(), None);
    loop {
        if let Err(error) = is_current(&*journal, &cursor).await {
            let _ = to.send(Err(error)).await;
            return;
        }
        match journal.contradicts(shard, &seen).await {
            Ok(None) => break publisher.held(shard, &seen, None),
            Ok(Some(reason)) => {
                if said.as_ref() != Some(&reason) {
                    tracing::error!(%shard, %reason, "the journal does not show what was projected of it");
                    said = Some(reason.clone());
                }
                publisher.held(shard, &seen, Some(reason));
                if end.is_some() {
                    let _ = to.send(Err(JournalError::Gone { shard, after })).await;
                    return;
                }
            }
            Err(error) => {
                let _ = to.send(Err(error.into())).await;
                return;
            }
        }
        tokio::select! {
            () = to.closed() => return,
            () = tokio::time::sleep(CONTRADICTED_PAUSE) => {}
        }
    }
    match end {
        Some(end) => read_through(&*journal, shard, after, end, &to).await,
        None => follow(&*journal, &cursor, &to).await,
    }
}

/// Reads a journal behind `after` up to its end.
async fn read_through<J: Journals>(
    journal: &J,
    shard: ShardId,
    after: Sequence,
    end: Sequence,
    to: &mpsc::Sender<Arrival>,
) {
    let mut stretch = Stretch::new(journal, shard, after.next(), end);
    loop {
        let arrival = match stretch.next().await {
            Ok(entries) if entries.is_empty() => return,
            Ok(mut entries) => {
                entries.retain(|entry| entry.sequence <= end);
                arrived(journal, shard, entries).await
            }
            Err(StretchError::Gone { at }) => Err(JournalError::gone(shard, at)),
            Err(StretchError::Exchange(error)) => Err(error.into()),
        };
        let failed = arrival.is_err();
        // A lane that is gone needs no answer, here and below.
        if to.send(arrival).await.is_err() || failed {
            return;
        }
    }
}

/// Brings entries, and what they name by digest.
async fn arrived<J: Journals>(journal: &J, shard: ShardId, entries: Vec<Entry>) -> Arrival {
    let documents = documents::fetch(journal, shard, &entries).await?;
    Ok((shard, entries, documents))
}

/// Reads a journal behind the cursor for as long as anybody listens.
async fn follow<J: Journals>(journal: &J, cursor: &Cursor, to: &mpsc::Sender<Arrival>) {
    let shard = cursor.shard;
    let mut reader = journal.read(shard, cursor.sequence.next());
    let mut silent: u32 = 0;
    loop {
        let arrival = match reader.next(FETCH_MESSAGES_MAX, FETCH_WAIT).await {
            Ok(entries) if entries.is_empty() => {
                silent += 1;
                if to.is_closed() {
                    return;
                }
                if !silent.is_multiple_of(LOOK_SILENCES) {
                    continue;
                }
                match is_current(journal, cursor).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                }
            }
            Ok(entries) => {
                silent = 0;
                arrived(journal, shard, entries).await
            }
            Err(ReadError::Purged { wanted, .. }) => Err(JournalError::gone(shard, wanted)),
            Err(ReadError::Exchange(error)) => Err(error.into()),
        };
        let failed = arrival.is_err();
        if to.send(arrival).await.is_err() || failed {
            return;
        }
    }
}

/// Says so where a later incarnation of a journal has begun than the one that is projected.
async fn is_current<J: Journals>(journal: &J, cursor: &Cursor) -> Result<(), JournalError> {
    let shard = cursor.shard;
    match journal.incarnations(&[shard]).await?.first() {
        Some(&incarnation) if incarnation > cursor.sequence.incarnation() => {
            Err(JournalError::Replaced { shard, incarnation })
        }
        Some(_) | None => Ok(()),
    }
}
