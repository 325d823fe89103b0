//! From a message's bytes to commits, each with its events both parsed and as the text they came in.
//!
//! The text is a slice of the message: what the database keeps of a commit is never written a second time.
//! What cannot be read is returned beside the rest, with a reason: a commit, or the bundle when it has no commits
//! that could be told apart.

use bytes::Bytes;
use headwater_core::shard::{AggregateId, Cause, Event, Stored};
use headwater_core::{Actor, CommandId, Epoch, Incarnation, Revision, ShardId, Timestamp};
use headwater_streams::journals::Entry;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::tables::DeadRow;

/// A bundle as far as it could be read.
#[derive(Debug)]
pub struct ParsedBundle {
    /// The hash the bundle says its predecessor has. `None` where not even that could be read.
    pub previous: Option<String>,
    /// Which incarnation of the journal wrote it; the first where that could not be read.
    pub incarnation: Incarnation,
    /// Which format of bundles folding it takes: see [`headwater_core::shard::Bundle::needs`].
    pub needs: u32,
    pub commits: Vec<ParsedCommit>,
    pub dead: Vec<DeadRow>,
}

/// A commit that could be read.
#[derive(Debug)]
pub struct ParsedCommit {
    /// Its place in the bundle, from 0.
    pub ordinal: i32,
    pub aggregate: AggregateId,
    pub revision: Revision,
    pub command: CommandId,
    pub time: Timestamp,
    pub by: Option<Actor>,
    pub cause: Option<Cause>,
    pub events: Vec<Event>,
    /// Which of them have a value that stands in the store of values: there it is `null`.
    pub stored: Option<Stored>,
    /// The events as the journal has them: a JSON array.
    pub text: Bytes,
}

/// [`headwater_core::shard::Bundle`], with the events left as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBundle<'a> {
    shard: ShardId,
    epoch: Epoch,
    previous: String,
    #[serde(default)]
    needs: u32,
    #[serde(borrow)]
    commits: Vec<WireCommit<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCommit<'a> {
    aggregate: AggregateId,
    revision: Revision,
    command: CommandId,
    time: Timestamp,
    #[serde(default)]
    by: Option<Actor>,
    #[serde(default)]
    cause: Option<Cause>,
    #[serde(default)]
    stored: Option<Stored>,
    #[serde(borrow)]
    events: &'a RawValue,
}

/// What is still read of a bundle one of whose commits is foreign.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LooseBundle<'a> {
    shard: ShardId,
    epoch: Epoch,
    previous: String,
    #[serde(default)]
    needs: u32,
    #[serde(borrow)]
    commits: Vec<&'a RawValue>,
}

/// Reads a message of the journal of `shard`.
pub fn parse(shard: ShardId, entry: &Entry) -> ParsedBundle {
    let of_shard =
        |found: ShardId| if found == shard { Ok(()) } else { Err(format!("it is a bundle of shard {found}")) };
    if let Ok(bundle) = serde_json::from_slice::<WireBundle<'_>>(&entry.bytes) {
        if let Err(reason) = of_shard(bundle.shard) {
            return unreadable(shard, entry, reason);
        }
        let mut parsed = ParsedBundle::with_capacity(bundle.previous, bundle.epoch, bundle.needs, bundle.commits.len());
        for (ordinal, commit) in (0..).zip(bundle.commits) {
            match events_of(entry, ordinal, &commit) {
                Ok(commit) => parsed.commits.push(commit),
                Err(reason) => {
                    parsed.dead.push(dead(shard, entry, ordinal, &reason, commit.events.get().as_bytes()));
                }
            }
        }
        return parsed;
    }
    let bundle: LooseBundle<'_> = match serde_json::from_slice(&entry.bytes) {
        Ok(bundle) => bundle,
        Err(error) => return unreadable(shard, entry, format!("not a bundle: {error}")),
    };
    if let Err(reason) = of_shard(bundle.shard) {
        return unreadable(shard, entry, reason);
    }
    let mut parsed = ParsedBundle::with_capacity(bundle.previous, bundle.epoch, bundle.needs, bundle.commits.len());
    for (ordinal, raw) in (0..).zip(bundle.commits) {
        let commit =
            serde_json::from_str::<WireCommit<'_>>(raw.get()).map_err(|error| format!("not a commit: {error}"));
        match commit.and_then(|commit| events_of(entry, ordinal, &commit)) {
            Ok(commit) => parsed.commits.push(commit),
            Err(reason) => parsed.dead.push(dead(shard, entry, ordinal, &reason, raw.get().as_bytes())),
        }
    }
    parsed
}

impl ParsedBundle {
    fn with_capacity(previous: String, epoch: Epoch, needs: u32, commits: usize) -> Self {
        let incarnation = epoch.incarnation();
        Self { previous: Some(previous), incarnation, needs, commits: Vec::with_capacity(commits), dead: Vec::new() }
    }
}

fn events_of(entry: &Entry, ordinal: i32, commit: &WireCommit<'_>) -> Result<ParsedCommit, String> {
    let text = commit.events.get();
    let events: Vec<Event> = serde_json::from_str(text).map_err(|error| format!("not events: {error}"))?;
    if events.is_empty() {
        return Err("a commit without events".to_owned());
    }
    if i64::try_from(commit.revision.get()).is_err() {
        return Err(format!("the revision {} is out of range", commit.revision));
    }
    Ok(ParsedCommit {
        ordinal,
        aggregate: commit.aggregate.clone(),
        revision: commit.revision,
        command: commit.command,
        // `Deserialize` takes any integer; the database ends where `Timestamp` does.
        time: Timestamp::from_micros(commit.time.as_micros()),
        by: commit.by.clone(),
        cause: commit.cause,
        events,
        stored: commit.stored.clone(),
        text: entry.bytes.slice_ref(text.as_bytes()),
    })
}

fn unreadable(shard: ShardId, entry: &Entry, reason: String) -> ParsedBundle {
    /// What every release says, whatever else it does.
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        needs: u32,
    }
    let needs = serde_json::from_slice(&entry.bytes).map_or(0, |Head { needs }| needs);
    let row = dead(shard, entry, DeadRow::WHOLE_BUNDLE, &reason, &entry.bytes);
    ParsedBundle { previous: None, incarnation: Incarnation::FIRST, needs, commits: Vec::new(), dead: vec![row] }
}

fn dead(shard: ShardId, entry: &Entry, ordinal: i32, reason: &str, raw: &[u8]) -> DeadRow {
    DeadRow { shard, sequence: entry.sequence, ordinal, reason: reason.to_owned(), raw: entry.bytes.slice_ref(raw) }
}
