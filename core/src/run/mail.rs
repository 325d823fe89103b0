//! What was said to a run: what nobody has taken yet, and who waits for what.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Run;
use super::event::AwaitedSignal;
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
}

impl Letter {
    fn is_for(&self, wanted: &AwaitedSignal) -> bool {
        self.name == wanted.name && self.key == wanted.key
    }
}

/// What was said to a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Mail {
    /// What nobody has taken, in the order in which it came.
    kept: VecDeque<Letter>,
    /// What whoever waited has taken, last.
    broadcast: Option<Letter>,
    /// All that was ever received, for what comes twice.
    received: BTreeSet<CommandId>,
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
    received: Vec<CommandId>,
}

impl MailRecord {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Mail {
    /// What a checkpoint holds of it; who waits is noted when it is known where nodes stand.
    pub fn restored(record: MailRecord) -> Option<Box<Self>> {
        let MailRecord { kept, broadcast, received } = record;
        let received: BTreeSet<_> = received.into_iter().collect();
        let mail = Self { kept: kept.into(), broadcast, received, awaited: BTreeSet::new() };
        (!mail.received.is_empty()).then(|| Box::new(mail))
    }

    pub fn record(&self) -> MailRecord {
        let Self { kept, broadcast, received, awaited: _ } = self;
        let kept = kept.iter().cloned().collect();
        MailRecord { kept, broadcast: broadcast.clone(), received: received.iter().copied().collect() }
    }

    /// Whether this has ever come.
    pub fn has_received(&self, id: CommandId) -> bool {
        self.received.contains(&id)
    }

    /// Whether this has come and can be taken.
    pub fn keeps(&self, id: CommandId) -> bool {
        self.kept.iter().chain(&self.broadcast).any(|letter| letter.id == id)
    }

    /// What is kept says.
    pub fn payloads(&self) -> impl Iterator<Item = &Json> {
        self.kept.iter().chain(&self.broadcast).map(|letter| &letter.payload)
    }

    /// How many have come.
    pub fn count_received(&self) -> usize {
        self.received.len()
    }

    /// Whether one more of so many bytes can be kept.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        let kept: usize = self.kept.iter().map(|letter| letter.payload.len_bytes()).sum();
        self.kept.len() < SIGNALS_KEPT_MAX && kept + bytes <= SIGNALS_KEPT_BYTES_MAX
    }

    /// Returns what has come first of these.
    pub fn first_for(&self, wanted: &[AwaitedSignal]) -> Option<CommandId> {
        let first = self.kept.iter().find(|letter| wanted.iter().any(|wanted| letter.is_for(wanted)));
        first.map(|letter| letter.id)
    }

    /// Returns those that wait for this, the longest waiting first.
    pub fn waiting_for<'s>(&'s self, signal: &'s AwaitedSignal) -> impl Iterator<Item = Place> + 's {
        let first = (signal.clone(), Revision::new(0), Place::FIRST);
        let waiting = self.awaited.range(first..).take_while(move |(wanted, ..)| wanted == signal);
        waiting.map(|(.., place)| *place)
    }

    pub fn receive(&mut self, letter: Letter, broadcast: bool) {
        self.received.insert(letter.id);
        if broadcast {
            self.broadcast = Some(letter);
        } else {
            self.kept.push_back(letter);
        }
    }

    pub fn take(&mut self, id: CommandId) -> Option<Letter> {
        match self.kept.iter().position(|letter| letter.id == id) {
            Some(at) => self.kept.remove(at),
            None => self.broadcast.clone().filter(|letter| letter.id == id),
        }
    }

    pub fn await_these(&mut self, signals: &[AwaitedSignal], since: Revision, place: Place) {
        self.awaited.extend(signals.iter().map(|signal| (signal.clone(), since, place)));
    }

    pub fn await_no_more(mail: &mut Option<Box<Self>>, signals: &[AwaitedSignal], since: Revision, place: Place) {
        let Some(some) = mail else { return };
        for signal in signals {
            some.awaited.remove(&(signal.clone(), since, place));
        }
        if **some == Self::default() {
            *mail = None;
        }
    }

    /// Forgets who waits.
    pub fn nobody_waits(mail: &mut Option<Box<Self>>) {
        let Some(some) = mail else { return };
        some.awaited.clear();
        if **some == Self::default() {
            *mail = None;
        }
    }
}

impl Run {
    /// Returns who takes a signal that comes now, who has waited longest first; more than `most` are not looked for.
    pub(super) fn takers(&self, signal: &AwaitedSignal, most: usize) -> Vec<Place> {
        let waiting = self.mail.iter().flat_map(|mail| mail.waiting_for(signal));
        waiting.filter(|place| self.goes_on(*place)).take(most).collect()
    }

    /// Returns about how many bytes it keeps of what was said to it and nobody has taken, and how many signals.
    pub fn signals_kept(&self) -> usize {
        self.mail.as_ref().map_or(0, |mail| mail.kept.len())
    }
}
