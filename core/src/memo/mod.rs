//! The Memo: results of nodes by what they were made from, and who is making one. There are [`MEMOS`] of them for all workspaces
//! together, and a digest, which holds the workspace, belongs to one (ADR 26).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dialogue::{self, Asker, InputVersion, MemoAnswer, MemoCommand, is_kept};
use crate::{Json, Revision, Timestamp};

/// How many memos there are, for ever: which of them keeps a digest outlives every release.
pub const MEMOS: u16 = 256;
/// The most results that one keeps; the oldest goes first.
pub const KEPT_MAX: usize = 1_000;
/// The most bytes of results that one keeps.
pub const KEPT_BYTES_MAX: usize = 1 << 20;
/// The most askers that fly or wait at one. Whoever comes then flies, and its result is not kept.
pub const ASKERS_MAX: usize = 4_096;
/// What a result takes beside its output and its assets.
const ENTRY_BYTES: usize = 256;

/// Which memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoKey(u16);

impl MemoKey {
    /// Returns the one that keeps a digest. `None`: it is none.
    pub fn of(digest: &str) -> Option<Self> {
        let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u16::from_str_radix(digest.get(..2)?, 16).ok().filter(|_| is_digest).map(Self)
    }

    /// Returns its number, below [`MEMOS`].
    pub fn number(self) -> u16 {
        self.0
    }

    /// Makes one of its number. `None`: there are not so many.
    pub fn numbered(number: u16) -> Option<Self> {
        (number < MEMOS).then_some(Self(number))
    }
}

impl fmt::Display for MemoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A fact about a memo. Its time is the commit's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MemoEvent {
    /// There is a result, and the asker has it.
    ResultReused { digest: String, asker: Asker },
    /// There is none: the asker makes one.
    FlightBegan { digest: String, asker: Asker },
    /// Another flies for the same; this one waits for what comes of that.
    AskerWaited { digest: String, asker: Asker },
    /// There are too many already: the asker makes one that is not kept.
    AskerSentOff { digest: String, asker: Asker },
    /// It has landed, and the result is kept: whoever waited has it by the facts that follow.
    ResultKept {
        digest: String,
        asker: Asker,
        output: Json,
        /// What was produced with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assets: Vec<InputVersion>,
    },
    /// It has landed without a result: the next that waits flies, by the fact that follows.
    FlightEnded { digest: String, asker: Asker },
    /// It does not wait any more.
    AskerLeft { digest: String, asker: Asker },
}

/// A result. Checkpoints hold it as it is: a change is a new format of their section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    output: Json,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assets: Vec<InputVersion>,
    made_by: Asker,
    at: Timestamp,
    /// Of the fact; tells which of two is the older.
    revision: Revision,
}

/// Who flies, and who waits for that, the longest waiting first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Flight {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Asker>,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    waiting: VecDeque<Asker>,
}

/// One memo. Checkpoints hold it as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Memo {
    key: MemoKey,
    /// Of the last event folded; 0 before the first.
    revision: Revision,
    kept: BTreeMap<String, Kept>,
    flights: BTreeMap<String, Flight>,
}

impl Memo {
    /// Makes a memo that keeps nothing yet.
    pub fn unknown(key: MemoKey) -> Self {
        let (kept, flights) = (BTreeMap::new(), BTreeMap::new());
        Self { key, revision: Revision::new(0), kept, flights }
    }

    /// Returns which memo it is.
    pub fn key(&self) -> MemoKey {
        self.key
    }

    /// Returns the revision of the last event folded; 0 before the first.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Puts it at a revision, where the facts before are not all folded.
    pub(crate) fn stand_at(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Returns how many results it keeps, and how many bytes those take.
    pub fn kept(&self) -> (usize, usize) {
        (self.kept.len(), self.kept.values().map(bytes_of).sum())
    }

    /// Returns how many askers fly or wait.
    pub fn askers(&self) -> usize {
        self.flights.values().map(|flight| usize::from(flight.by.is_some()) + flight.waiting.len()).sum()
    }
}

fn bytes_of(kept: &Kept) -> usize {
    ENTRY_BYTES + kept.output.len_bytes() + dialogue::bytes_of(&kept.assets)
}

/// Decides a command; the memo has evolved by the returned events. No events: it changes nothing (any more).
pub fn decide(memo: &mut Memo, command: MemoCommand, now: Timestamp) -> Vec<MemoEvent> {
    let events = match command {
        MemoCommand::Ask { digest, asker, max_age_ms } => asked(memo, digest, asker, max_age_ms, now),
        MemoCommand::Land { digest, asker, output, assets } => {
            let result = output.map(|output| (output, assets)).filter(|(output, assets)| is_kept(output, assets));
            landed(memo, &digest, asker, result)
        }
    };
    events.iter().for_each(|event| evolve(memo, event, now));
    events
}

fn asked(memo: &Memo, digest: String, asker: Asker, max_age_ms: Option<u64>, now: Timestamp) -> Vec<MemoEvent> {
    if MemoKey::of(&digest) != Some(memo.key) {
        return Vec::new();
    }
    let flight = memo.flights.get(&digest);
    let flies = flight.is_some_and(|flight| flight.by.as_ref() == Some(&asker));
    let waits = flight.is_some_and(|flight| flight.waiting.contains(&asker));
    let is_young = |kept: &Kept| max_age_ms.is_none_or(|max| kept.at.after(Duration::from_millis(max)) >= now);
    let is_full = memo.askers() >= ASKERS_MAX;
    if waits {
        return Vec::new();
    }
    vec![if !flies && memo.kept.get(&digest).is_some_and(is_young) {
        MemoEvent::ResultReused { digest, asker }
    } else if !flies && is_full {
        MemoEvent::AskerSentOff { digest, asker }
    } else if flies || flight.is_none() {
        MemoEvent::FlightBegan { digest, asker }
    } else {
        MemoEvent::AskerWaited { digest, asker }
    }]
}

fn landed(memo: &Memo, digest: &str, asker: Asker, result: Option<(Json, Vec<InputVersion>)>) -> Vec<MemoEvent> {
    let Some(flight) = memo.flights.get(digest) else { return Vec::new() };
    let digest = || digest.to_owned();
    if flight.by.as_ref() != Some(&asker) {
        let waits = flight.waiting.contains(&asker);
        return waits.then(|| MemoEvent::AskerLeft { digest: digest(), asker }).into_iter().collect();
    }
    match result {
        Some((output, assets)) => {
            let waiting = flight.waiting.iter().cloned();
            let served = waiting.map(|asker| MemoEvent::ResultReused { digest: digest(), asker });
            std::iter::once(MemoEvent::ResultKept { digest: digest(), asker, output, assets }).chain(served).collect()
        }
        None => {
            let next = flight.waiting.front().cloned();
            let next = next.map(|asker| MemoEvent::FlightBegan { digest: digest(), asker });
            std::iter::once(MemoEvent::FlightEnded { digest: digest(), asker }).chain(next).collect()
        }
    }
}

/// Folds one event.
pub(crate) fn evolve(memo: &mut Memo, event: &MemoEvent, now: Timestamp) {
    memo.revision = memo.revision.next();
    match event {
        // It is not asked for any more, if it was.
        MemoEvent::ResultReused { digest, asker } | MemoEvent::AskerLeft { digest, asker } => {
            memo.let_go(digest, asker);
        }
        MemoEvent::FlightBegan { digest, asker } => {
            let flight = memo.flights.entry(digest.clone()).or_default();
            flight.waiting.retain(|waiting| waiting != asker);
            flight.by = Some(asker.clone());
        }
        MemoEvent::AskerWaited { digest, asker } => {
            memo.flights.entry(digest.clone()).or_default().waiting.push_back(asker.clone());
        }
        MemoEvent::AskerSentOff { .. } => {}
        MemoEvent::ResultKept { digest, asker, output, assets } => {
            let (output, assets, made_by) = (output.clone(), assets.clone(), asker.clone());
            memo.kept.insert(digest.clone(), Kept { output, assets, made_by, at: now, revision: memo.revision });
            memo.let_go(digest, asker);
            memo.forget_the_oldest();
        }
        MemoEvent::FlightEnded { digest, asker } => memo.let_go(digest, asker),
    }
}

impl Memo {
    /// Lets an asker go that flies or waits.
    fn let_go(&mut self, digest: &str, asker: &Asker) {
        let Some(flight) = self.flights.get_mut(digest) else { return };
        // Those who are served are in their order.
        if flight.waiting.front() == Some(asker) {
            flight.waiting.pop_front();
        } else {
            flight.waiting.retain(|waiting| waiting != asker);
        }
        if flight.by.as_ref() == Some(asker) {
            flight.by = None;
        }
        if flight.by.is_none() && flight.waiting.is_empty() {
            self.flights.remove(digest);
        }
    }

    fn forget_the_oldest(&mut self) {
        let (_, mut bytes) = self.kept();
        while self.kept.len() > KEPT_MAX || bytes > KEPT_BYTES_MAX && self.kept.len() > 1 {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.revision).map(|(digest, _)| digest.clone());
            let gone = oldest.and_then(|digest| self.kept.remove(&digest));
            bytes = bytes.saturating_sub(gone.as_ref().map_or(bytes, bytes_of));
        }
    }
}

/// Returns whom an event tells what. `memo` is the state after the whole decision.
pub fn react(memo: &Memo, event: &MemoEvent) -> Option<(Asker, String, MemoAnswer)> {
    let (digest, asker, answer) = match event {
        MemoEvent::ResultReused { digest, asker } => {
            let Kept { output, assets, made_by, .. } = memo.kept.get(digest)?;
            let (output, assets, made_by) = (output.clone(), assets.clone(), made_by.clone());
            (digest, asker, MemoAnswer::Hit { output, made_by, assets })
        }
        MemoEvent::FlightBegan { digest, asker } | MemoEvent::AskerSentOff { digest, asker } => {
            (digest, asker, MemoAnswer::Fly {})
        }
        MemoEvent::AskerWaited { .. }
        | MemoEvent::ResultKept { .. }
        | MemoEvent::FlightEnded { .. }
        | MemoEvent::AskerLeft { .. } => return None,
    };
    Some((asker.clone(), digest.clone(), answer))
}
