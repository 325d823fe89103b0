//! What was said to a run: what nobody has taken yet, and who waits for what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Run;
use super::state::Place;
use crate::{CommandId, Json, Revision, SignalKey, SignalName, Timestamp};

/// How many signals a run keeps that nobody has taken.
pub const SIGNALS_KEPT_MAX: usize = 1_000;
/// How many bytes of them.
pub const SIGNALS_KEPT_BYTES_MAX: usize = 4 << 20;
/// How many signals a run receives in all.
pub const SIGNALS_MAX: usize = 10_000;
/// How many nodes take a signal that all do who wait for it.
pub const SIGNAL_TAKERS_MAX: usize = 1_000;
/// How many bytes the payload of a signal has.
pub const SIGNAL_BYTES_MAX: usize = 256 << 10;

/// A signal that an attempt waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwaitedSignal {
    pub name: SignalName,
    /// Absent: it takes those without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SignalKey>,
}

impl AwaitedSignal {
    /// Returns about how many bytes it has as JSON.
    pub(in crate::run) fn len_bytes(&self) -> usize {
        32 + self.name.as_str().len() + self.key.as_ref().map_or(0, |key| key.as_str().len())
    }
}

/// A signal that was received. Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Letter {
    pub id: CommandId,
    pub name: SignalName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SignalKey>,
    pub payload: Json,
    pub received_at: Timestamp,
    /// How many had come before it.
    pub number: usize,
    /// It is for whoever waited when it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broadcast: bool,
    /// Somebody waits for the reply of who takes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
}

impl Letter {
    fn is_for(&self, wanted: &AwaitedSignal) -> bool {
        self.name == wanted.name && self.key == wanted.key
    }
}

/// What was said to a run. To most nothing is, and they take no memory for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Mail(Option<Box<Bag>>);

#[derive(Debug, Clone, PartialEq, Default)]
struct Bag {
    /// What nobody has taken, in the order in which it came.
    kept: VecDeque<Letter>,
    /// What whoever waited has taken, last.
    broadcast: Option<Letter>,
    /// What was ever received, for what comes twice: what it said, by its hash.
    received: BTreeMap<CommandId, u64>,
    /// Who waits for what. It follows from where nodes stand.
    awaited: BTreeSet<(AwaitedSignal, Revision, Place)>,
}

/// What a checkpoint holds of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MailRecord {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<Letter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broadcast: Option<Letter>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    received: Vec<(CommandId, u64)>,
}

impl MailRecord {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Mail {
    pub const EMPTY: Self = Self(None);

    /// Who waits is noted when it is known where nodes stand.
    pub fn restored(record: MailRecord) -> Self {
        let MailRecord { kept, broadcast, received } = record;
        let received: BTreeMap<_, _> = received.into_iter().collect();
        let mut mail = Self(Some(Box::new(Bag { kept: kept.into(), broadcast, received, awaited: BTreeSet::new() })));
        mail.rest();
        mail
    }

    pub fn record(&self) -> MailRecord {
        let Some(bag) = &self.0 else { return MailRecord::default() };
        let Bag { kept, broadcast, received, awaited: _ } = &**bag;
        let kept = kept.iter().cloned().collect();
        MailRecord {
            kept,
            broadcast: broadcast.clone(),
            received: received.iter().map(|(id, said)| (*id, *said)).collect(),
        }
    }

    /// Whether this has ever come.
    pub fn has_received(&self, id: CommandId) -> bool {
        self.what_said(id).is_some()
    }

    /// What was said under this id, by [`hash_of`], if anything ever was.
    pub fn what_said(&self, id: CommandId) -> Option<u64> {
        self.0.as_ref()?.received.get(&id).copied()
    }

    /// Whether this has come and can be taken.
    pub fn keeps(&self, id: CommandId) -> bool {
        self.letters().any(|letter| letter.id == id)
    }

    /// What is kept says.
    pub fn payloads(&self) -> impl Iterator<Item = &Json> {
        self.letters().map(|letter| &letter.payload)
    }

    /// Returns what nobody has taken, in the order in which it came.
    pub fn kept(&self) -> impl Iterator<Item = &Letter> {
        self.0.iter().flat_map(|bag| &bag.kept)
    }

    fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.0.iter().flat_map(|bag| bag.kept.iter().chain(&bag.broadcast))
    }

    /// How many are kept that nobody has taken.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |bag| bag.kept.len())
    }

    /// How many have come.
    pub fn count_received(&self) -> usize {
        self.0.as_ref().map_or(0, |bag| bag.received.len())
    }

    /// Whether one more of so many bytes can be kept beside those that are still to come.
    pub fn has_room_for(&self, bytes: usize, (coming, coming_bytes): (usize, usize)) -> bool {
        let kept: usize = self.kept().map(|letter| letter.payload.len_bytes()).sum();
        self.count() + coming < SIGNALS_KEPT_MAX && kept + coming_bytes + bytes <= SIGNALS_KEPT_BYTES_MAX
    }

    /// Returns what has come first of these.
    pub fn first_for(&self, wanted: &[AwaitedSignal]) -> Option<CommandId> {
        let mut kept = self.0.iter().flat_map(|bag| &bag.kept);
        kept.find(|letter| wanted.iter().any(|wanted| letter.is_for(wanted))).map(|letter| letter.id)
    }

    /// Returns those that wait for this, the longest waiting first.
    pub fn waiting_for(&self, signal: &AwaitedSignal) -> impl Iterator<Item = Place> {
        let first = (signal.clone(), Revision::new(0), Place::FIRST);
        let waiting = self.0.iter().flat_map(move |bag| bag.awaited.range(first.clone()..));
        waiting.take_while(move |(wanted, ..)| wanted == signal).map(|(.., place)| *place)
    }

    pub fn receive(&mut self, letter: Letter) {
        let bag = self.0.get_or_insert_default();
        let said = hash_of(&letter.name, letter.key.as_ref(), &letter.payload, (letter.broadcast, letter.update));
        bag.received.insert(letter.id, said);
        if letter.broadcast {
            bag.broadcast = Some(letter);
        } else {
            bag.kept.push_back(letter);
        }
    }

    pub fn take(&mut self, id: CommandId) -> Option<Letter> {
        let bag = self.0.as_mut()?;
        match bag.kept.iter().position(|letter| letter.id == id) {
            Some(at) => bag.kept.remove(at),
            None => bag.broadcast.clone().filter(|letter| letter.id == id),
        }
    }

    /// Takes back what somebody had taken who is withdrawn before he went on: it stands where it stood.
    pub fn take_back(&mut self, letter: Letter) {
        if !letter.broadcast {
            let kept = &mut self.0.get_or_insert_default().kept;
            let place = kept.partition_point(|other| other.number < letter.number);
            kept.insert(place, letter);
        }
    }

    pub fn await_these(&mut self, signals: &[AwaitedSignal], since: Revision, place: Place) {
        let bag = self.0.get_or_insert_default();
        bag.awaited.extend(signals.iter().map(|signal| (signal.clone(), since, place)));
    }

    pub fn await_no_more(&mut self, signals: &[AwaitedSignal], since: Revision, place: Place) {
        if let Some(bag) = &mut self.0 {
            for signal in signals {
                bag.awaited.remove(&(signal.clone(), since, place));
            }
            self.rest();
        }
    }

    /// Forgets who waits.
    pub fn nobody_waits(&mut self) {
        if let Some(bag) = &mut self.0 {
            bag.awaited.clear();
            self.rest();
        }
    }

    /// Gives back what an empty one takes of memory.
    fn rest(&mut self) {
        self.0.take_if(|bag| **bag == Bag::default());
    }
}

/// Returns a hash of what a signal says: the same in every release.
pub(super) fn hash_of(
    name: &SignalName,
    key: Option<&SignalKey>,
    payload: &Json,
    (broadcast, update): (bool, bool),
) -> u64 {
    let (key, marks) = (key.map_or("", SignalKey::as_str), [u8::from(key.is_some()), u8::from(broadcast)]);
    let mut parts = vec![name.as_str().as_bytes(), key.as_bytes(), payload.as_str().as_bytes(), &marks];
    // Older releases knew of none.
    parts.extend(update.then_some(&b"update"[..]));
    CommandId::derived(&parts).as_uuid().as_u64_pair().0
}

/// Returns who takes a signal that comes now, who has waited longest first; more than `most` are not looked for.
pub(super) fn takers(run: &Run, signal: &AwaitedSignal, most: usize) -> Vec<Place> {
    run.waiting.mail().waiting_for(signal).filter(|place| run.goes_on(*place)).take(most).collect()
}
