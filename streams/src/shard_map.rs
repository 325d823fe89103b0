//! The table that says which shard decides for which slot, and how far each shard's journal has come to be: the same for
//! every process, versioned.

use std::time::Duration;

use bytes::Bytes;
use headwater_core::shard::{JournalState, ShardMap};
use headwater_core::{Incarnation, Sequence, ShardId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::acked::PublishFailure;
use crate::bucket::{Bucket, BucketWatch, Expected, Slot};
use crate::{Broker, ExchangeError, topology};

const KEY: &str = "map";
/// How often a change is tried while others change the table too.
const TRIES_MAX: u32 = 256;
/// How long one question for news of it waits.
const FOLLOW_WAIT: Duration = Duration::from_millis(500);

/// The table as it is stored. Older releases read the map and pass over the journals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    #[serde(flatten)]
    map: ShardMap,
    /// By shard; what is not there is [`JournalState::UNSAID`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    journals: Vec<JournalState>,
}

impl Table {
    fn state(&self, shard: ShardId) -> JournalState {
        self.journals.get(usize::from(shard.number())).copied().unwrap_or(JournalState::UNSAID)
    }

    fn set(&mut self, shard: ShardId, state: JournalState) {
        let at = usize::from(shard.number());
        if self.journals.len() <= at {
            self.journals.resize(at + 1, JournalState::UNSAID);
        }
        self.journals[at] = state;
    }
}

/// Returns the table of slots, `None` where none was ever written.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn load(broker: &Broker) -> Result<Option<ShardMap>, ExchangeError> {
    Ok(read(&bucket(broker)).await?.map(|(table, _)| table.map))
}

/// Returns how far the journal of a shard has come to be, as the leader has it (`STR-4`).
///
/// # Errors
/// See [`ExchangeError`]; ask again.
pub async fn journal_state(broker: &Broker, shard: ShardId) -> Result<JournalState, ExchangeError> {
    Ok(read(&bucket(broker)).await?.map_or(JournalState::UNSAID, |(table, _)| table.state(shard)))
}

/// Returns the states of the journals of `shards` shards, by shard.
///
/// # Errors
/// See [`ExchangeError`]; ask again.
pub async fn journal_states(broker: &Broker, shards: u16) -> Result<Vec<(ShardId, JournalState)>, ExchangeError> {
    let table = read(&bucket(broker)).await?.map(|(table, _)| table);
    let shards = (0..shards).filter_map(|number| ShardId::new(number).ok());
    let state = |shard| table.as_ref().map_or(JournalState::UNSAID, |table| table.state(shard));
    Ok(shards.map(|shard| (shard, state(shard))).collect())
}

/// Writes `map` if there is no table yet, with every journal in `state`, and returns the table of slots that holds from
/// now on, whoever wrote it.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub async fn create_if_absent(broker: &Broker, map: &ShardMap, state: JournalState) -> Result<ShardMap, ExchangeError> {
    const WHAT: &str = "write the shard map";
    if let Some(existing) = load(broker).await? {
        return Ok(existing);
    }
    let table = Table { map: map.clone(), journals: vec![state; usize::from(map.shards)] };
    match bucket(broker).put(KEY, encode(&table), Expected::Revision(0)).await {
        Ok(_) => Ok(map.clone()),
        Err(failure @ PublishFailure::WrongSequence(_)) => load(broker).await?.ok_or_else(|| failure.exchange(WHAT)),
        Err(failure) => Err(failure.exchange(WHAT)),
    }
}

/// Replaces the table of slots by `map` if its version is still the one before. The journals of shards that are added are
/// `New`.
///
/// # Errors
/// [`ExchangeError::Refused`] when somebody changed the table meanwhile: load and plan again.
pub async fn replace(broker: &Broker, map: &ShardMap) -> Result<(), ExchangeError> {
    const WHAT: &str = "replace the shard map";
    let bucket = bucket(broker);
    let (mut journals, shards, revision) = match read(&bucket).await? {
        Some((table, revision)) => {
            let version = table.map.version;
            if version.checked_add(1) != Some(map.version) {
                let cause = format!("the table has version {version}, the new one {}", map.version);
                return Err(ExchangeError::refused(WHAT, cause));
            }
            (table.journals, table.map.shards, revision)
        }
        None => (Vec::new(), 0, 0),
    };
    journals.resize(usize::from(shards), JournalState::UNSAID);
    journals.resize(usize::from(map.shards), JournalState::New {});
    let table = Table { map: map.clone(), journals };
    match bucket.put(KEY, encode(&table), Expected::Revision(revision)).await {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.exchange(WHAT)),
    }
}

/// Says that the journals that are `New` are being made.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub async fn begin_creating(broker: &Broker) -> Result<(), ExchangeError> {
    change(broker, |table| {
        table.journals.iter_mut().for_each(|state| match state {
            JournalState::New {} => *state = JournalState::Creating {},
            JournalState::Creating {} | JournalState::Begun { .. } => {}
        });
    })
    .await
}

/// Says that `reached`, with the incarnation that wrote it, is durable in the journal of a shard, which the broker made at
/// `made_at`. Where there is no table, there is nobody to tell.
///
/// # Errors
/// See [`ExchangeError`]; safe to repeat.
pub async fn begin(
    broker: &Broker,
    shard: ShardId,
    made_at: Timestamp,
    reached: Sequence,
) -> Result<(), ExchangeError> {
    change(broker, |table| table.set(shard, table.state(shard).begun(made_at, reached))).await
}

/// Changes the table, again and again while others do.
async fn change(broker: &Broker, change: impl Fn(&mut Table)) -> Result<(), ExchangeError> {
    const WHAT: &str = "change the shard map";
    let bucket = bucket(broker);
    for _ in 0..TRIES_MAX {
        let Some((before, revision)) = read(&bucket).await? else { return Ok(()) };
        let mut table = before.clone();
        change(&mut table);
        if table == before {
            return Ok(());
        }
        match bucket.put(KEY, encode(&table), Expected::Revision(revision)).await {
            Ok(_) => return Ok(()),
            Err(PublishFailure::WrongSequence(_)) => {}
            Err(failure) => return Err(failure.exchange(WHAT)),
        }
    }
    Err(ExchangeError::unavailable(WHAT, "others change it all the time"))
}

/// Follows the table of slots: first as it stands, then as it changes.
pub fn watch(broker: &Broker) -> ShardMapWatch {
    ShardMapWatch(bucket(broker).watch(KEY))
}

/// Follows the incarnations of all journals, by shard, until nobody listens any more.
pub async fn follow_incarnations(broker: Broker, tell: tokio::sync::watch::Sender<Vec<Incarnation>>) {
    let mut watch = watch(&broker);
    while !tell.is_closed() {
        match watch.next_incarnations(FOLLOW_WAIT).await {
            Ok(Some(newest)) => {
                tell.send_if_modified(|known| std::mem::replace(known, newest.clone()) != newest);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "which incarnations there are cannot be heard now");
                tokio::time::sleep(FOLLOW_WAIT).await;
            }
        }
    }
}

/// Follows the table of slots; made by [`watch`].
pub struct ShardMapWatch(BucketWatch);

impl ShardMapWatch {
    /// Returns the newest table that was not returned before, `None` after `wait`.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<ShardMap>, ExchangeError> {
        let newest = self.0.next(wait).await?.into_iter().filter_map(|slot| slot.value).next_back();
        newest.as_ref().map(decode).transpose().map(|table| table.map(|table| table.map))
    }

    /// Returns the newest incarnations of all journals that were not returned before, by shard, `None` after `wait`.
    ///
    /// # Errors
    /// See [`ExchangeError`]; ask again.
    pub async fn next_incarnations(&mut self, wait: Duration) -> Result<Option<Vec<Incarnation>>, ExchangeError> {
        let newest = self.0.next(wait).await?.into_iter().filter_map(|slot| slot.value).next_back();
        let table = newest.as_ref().map(decode).transpose()?;
        Ok(table.map(|table| table.journals.iter().map(JournalState::incarnation).collect()))
    }
}

fn bucket(broker: &Broker) -> Bucket {
    Bucket::new(broker, topology::SHARD_MAP)
}

async fn read(bucket: &Bucket) -> Result<Option<(Table, u64)>, ExchangeError> {
    match bucket.get(KEY).await? {
        Some(Slot { value: Some(value), revision, .. }) => Ok(Some((decode(&value)?, revision))),
        Some(Slot { value: None, .. }) | None => Ok(None),
    }
}

fn encode(table: &Table) -> Bytes {
    serde_json::to_vec(table).expect("a shard map has text keys only").into()
}

fn decode(bytes: &Bytes) -> Result<Table, ExchangeError> {
    serde_json::from_slice(bytes).map_err(|error| ExchangeError::malformed("read the shard map", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 0.1.0 wrote it for two shards.
    const WITHOUT_STATES: &str = include_str!("../tests/golden/shard_map.v1.json");

    #[test]
    fn in_a_map_without_states_every_journal_has_begun() {
        let table = decode(&WITHOUT_STATES.as_bytes().into()).unwrap();
        assert_eq!(table.map, ShardMap::even(2).unwrap());
        for number in [0, 1, 7] {
            assert_eq!(table.state(ShardId::new(number).unwrap()), JournalState::UNSAID);
        }
        assert_eq!(encode(&table), WITHOUT_STATES.trim_end(), "nothing is made up when it is written");
    }

    #[test]
    fn a_map_with_states_reads_back_what_it_says_and_older_releases_read_the_slots() {
        let mut table = decode(&WITHOUT_STATES.as_bytes().into()).unwrap();
        let made_at = Timestamp::from_micros(1_750_000_000_000_000);
        let begun = JournalState::New {}.begun(made_at, Sequence::new(7));
        table.set(ShardId::new(1).unwrap(), begun);
        let bytes = encode(&table);
        assert_eq!(decode(&bytes).unwrap(), table);
        assert_eq!(
            (table.state(ShardId::new(0).unwrap()), table.state(ShardId::new(1).unwrap())),
            (JournalState::UNSAID, begun)
        );
        assert_eq!(serde_json::from_slice::<ShardMap>(&bytes).unwrap(), table.map);
    }
}
