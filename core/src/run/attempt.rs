//! The current attempt of a node, and what it waits for.

use serde::{Deserialize, Serialize};

use super::RunEvent;
use super::callback::Calling;
use super::mail::AwaitedSignal;
use super::mail::Letter;
use super::person::Asking;
use crate::definition::Action;
use crate::{Attempt, DefinitionVersion, Json, LeaseToken, Revision, RunId, SessionId, Timestamp, WorkerId};

/// The one attempt of a node that may report (`RUN-3`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub(super) struct CurrentAttempt {
    pub attempt: Attempt,
    pub lease: LeaseToken,
    /// Absent: the run's input.
    pub input: Option<Json>,
    pub scheduled_at: Timestamp,
    /// Of the event that scheduled it.
    pub revision: Revision,
    pub awaits: Awaited,
}

/// What an attempt waits for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Awaited {
    /// A worker with room.
    Room,
    /// What its worker has to say.
    Worker {
        held_by: WorkerId,
        /// Absent where an older release granted it.
        session: Option<SessionId>,
        /// It was seen to run.
        started: bool,
    },
    /// Its time.
    Time(Timestamp),
    /// The end of the run that it calls.
    Child {
        run: RunId,
        /// Absent while it is not known which version that is of.
        version: Option<DefinitionVersion>,
    },
    /// That it is known of which version the run is that this one goes on as.
    Successor { run: RunId, version: Option<DefinitionVersion> },
    /// The first of these signals.
    Signal(Box<Listening>),
    /// Somebody outside, who ends it.
    Callback(Box<Calling>),
    /// What people answer.
    Person(Box<Asking>),
}

/// What an attempt waits for that waits for a signal. Checkpoints hold that of a callback as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listening {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<AwaitedSignal>,
    /// It has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Letter>,
}

impl Awaited {
    /// Returns what an attempt waits for that this event schedules; of a node whose action asks people, for
    /// them, or for somebody outside; of one that has the
    /// run go on as another, that it is known of which version, as far as it is not.
    pub fn scheduled(event: &RunEvent, action: &Action, goes_on: Option<Option<DefinitionVersion>>) -> Self {
        let RunEvent::AttemptScheduled { wakes_at, handed_to, session, child, signals, .. } = event else {
            return Self::Room;
        };
        match child {
            Some(run) if goes_on.is_some() => Self::Successor { run: *run, version: goes_on.flatten() },
            Some(run) => Self::Child { run: *run, version: None },
            None if action.callback().is_some() => {
                let listening = Listening { signals: signals.clone(), taken: None };
                Self::Callback(Box::new(Calling { listening, heard_at: None }))
            }
            None if action.asks().is_some() => Self::Person(Box::default()),
            None if !signals.is_empty() => Self::Signal(Box::new(Listening { signals: signals.clone(), taken: None })),
            None => Self::of(*wakes_at, handed_to.clone(), *session),
        }
    }

    /// Returns what an attempt waits for that was scheduled so.
    pub fn of(wakes_at: Option<Timestamp>, handed_to: Option<WorkerId>, session: Option<SessionId>) -> Self {
        match (wakes_at, handed_to) {
            (Some(at), _) => Self::Time(at),
            (None, Some(held_by)) => Self::Worker { held_by, session, started: false },
            (None, None) => Self::Room,
        }
    }
}

impl CurrentAttempt {
    /// Returns whether it waits for a worker with room.
    pub fn is_waiting(&self) -> bool {
        matches!(self.awaits, Awaited::Room)
    }

    /// Returns when it ends by itself.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        match self.awaits {
            Awaited::Time(at) => Some(at),
            Awaited::Room
            | Awaited::Worker { .. }
            | Awaited::Child { .. }
            | Awaited::Successor { .. }
            | Awaited::Signal(_)
            | Awaited::Callback(_)
            | Awaited::Person(_) => None,
        }
    }

    /// Returns whether a worker was seen to run it.
    pub fn is_started(&self) -> bool {
        matches!(self.awaits, Awaited::Worker { started: true, .. })
    }

    /// Returns who holds it, and in which session.
    pub fn holder(&self) -> Option<(&WorkerId, Option<SessionId>)> {
        match &self.awaits {
            Awaited::Worker { held_by, session, .. } => Some((held_by, *session)),
            Awaited::Room
            | Awaited::Time(_)
            | Awaited::Child { .. }
            | Awaited::Successor { .. }
            | Awaited::Signal(_)
            | Awaited::Callback(_)
            | Awaited::Person(_) => None,
        }
    }

    /// Returns the run that it waits for, and of which version that was told to start, once it was.
    pub fn child(&self) -> Option<(RunId, Option<DefinitionVersion>)> {
        match self.awaits {
            Awaited::Child { run, version } => Some((run, version)),
            Awaited::Room
            | Awaited::Worker { .. }
            | Awaited::Time(_)
            | Awaited::Successor { .. }
            | Awaited::Signal(_)
            | Awaited::Callback(_)
            | Awaited::Person(_) => None,
        }
    }

    /// Returns the run that this one goes on as, and of which version that is, once it is known.
    pub fn successor(&self) -> Option<(RunId, Option<DefinitionVersion>)> {
        if let Awaited::Successor { run, version } = self.awaits { Some((run, version)) } else { None }
    }

    /// Returns the signals that it waits for, as long as none of them has come.
    pub fn listens_for(&self) -> Option<&[AwaitedSignal]> {
        let open = |listening: &&Listening| listening.taken.is_none() && !listening.signals.is_empty();
        self.listening().filter(open).map(|listening| &*listening.signals)
    }

    /// Returns the signal that it has taken.
    pub fn taken(&self) -> Option<&Letter> {
        self.listening().and_then(|listening| listening.taken.as_ref())
    }

    fn listening(&self) -> Option<&Listening> {
        match &self.awaits {
            Awaited::Signal(listening) => Some(listening),
            Awaited::Callback(calling) => Some(&calling.listening),
            Awaited::Room
            | Awaited::Worker { .. }
            | Awaited::Time(_)
            | Awaited::Child { .. }
            | Awaited::Successor { .. }
            | Awaited::Person(_) => None,
        }
    }

    /// Returns what people are asked, where it waits for them.
    pub fn asking(&self) -> Option<&Asking> {
        match &self.awaits {
            Awaited::Person(asking) => Some(asking),
            Awaited::Room
            | Awaited::Worker { .. }
            | Awaited::Time(_)
            | Awaited::Child { .. }
            | Awaited::Successor { .. }
            | Awaited::Callback(_)
            | Awaited::Signal(_) => None,
        }
    }

    /// Returns what it waits for that somebody outside ends.
    pub fn calling(&self) -> Option<&Calling> {
        if let Awaited::Callback(calling) = &self.awaits { Some(calling) } else { None }
    }

    /// Returns whether what it waits for has come: it goes on.
    pub fn is_told(&self) -> bool {
        self.successor().is_some_and(|(_, version)| version.is_some())
            || self.taken().is_some()
            || self.asking().is_some_and(Asking::is_told)
    }

    /// Returns whether it waits for a time, a signal or people.
    pub fn waits_outside(&self) -> bool {
        let is_for_others = self.listens_for().is_some() || self.asking().is_some();
        self.wakes_at().is_some() || is_for_others || self.calling().is_some_and(|_| !self.is_told())
    }
}

/// As checkpoints hold it: a change is a new format of their section.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    attempt: Attempt,
    lease: LeaseToken,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
    input: Option<Json>,
    scheduled_at: Timestamp,
    revision: Revision,
    wakes_at: Option<Timestamp>,
    held_by: Option<WorkerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    started: bool,
    /// Since format 3, as the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    child: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    child_version: Option<DefinitionVersion>,
    /// That run goes on from this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    succeeds: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signals: Vec<AwaitedSignal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<Letter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<Box<Asking>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<Box<Calling>>,
}

impl From<Stored> for CurrentAttempt {
    fn from(stored: Stored) -> Self {
        let Stored {
            attempt,
            lease,
            input,
            scheduled_at,
            revision,
            wakes_at,
            held_by,
            session,
            started: was,
            child,
            child_version,
            succeeds,
            signals,
            taken,
            person,
            callback,
        } = stored;
        let mut awaits = match child {
            Some(run) if succeeds => Awaited::Successor { run, version: child_version },
            Some(run) => Awaited::Child { run, version: child_version },
            None if callback.is_some() => callback.map_or(Awaited::Room, Awaited::Callback),
            None if person.is_some() => person.map_or(Awaited::Room, Awaited::Person),
            None if !signals.is_empty() => Awaited::Signal(Box::new(Listening { signals, taken })),
            None => Awaited::of(wakes_at, held_by, session),
        };
        if let Awaited::Worker { started, .. } = &mut awaits {
            *started = was;
        }
        Self { attempt, lease, input, scheduled_at, revision, awaits }
    }
}

impl From<CurrentAttempt> for Stored {
    fn from(current: CurrentAttempt) -> Self {
        let (wakes_at, started) = (current.wakes_at(), current.is_started());
        let succeeds = current.successor().is_some();
        let (child, child_version) =
            current.child().or(current.successor()).map_or((None, None), |(run, version)| (Some(run), version));
        let (mut listening, mut person, mut callback) = (None, None, None);
        let (held_by, session) = match current.awaits {
            Awaited::Worker { held_by, session, started: _ } => (Some(held_by), session),
            Awaited::Room | Awaited::Time(_) | Awaited::Child { .. } | Awaited::Successor { .. } => (None, None),
            Awaited::Signal(of) => {
                listening = Some(*of);
                (None, None)
            }
            Awaited::Person(asking) => {
                person = Some(asking);
                (None, None)
            }
            Awaited::Callback(calling) => {
                callback = Some(calling);
                (None, None)
            }
        };
        let (signals, taken) = listening.map_or((Vec::new(), None), |Listening { signals, taken }| (signals, taken));
        let CurrentAttempt { attempt, lease, input, scheduled_at, revision, awaits: _ } = current;
        Self {
            attempt,
            lease,
            input,
            scheduled_at,
            revision,
            wakes_at,
            held_by,
            session,
            started,
            child,
            child_version,
            succeeds,
            signals,
            taken,
            person,
            callback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(awaits: Awaited) -> CurrentAttempt {
        CurrentAttempt {
            attempt: Attempt::FIRST,
            lease: LeaseToken::from_bits(7),
            input: Some(Json::null()),
            scheduled_at: Timestamp::from_micros(5),
            revision: Revision::new(3),
            awaits,
        }
    }

    #[test]
    fn an_attempt_is_stored_as_it_was_before_what_it_awaits_had_a_name() {
        let session = Some(SessionId::from_bits(1));
        let held = |started| Awaited::Worker { held_by: "w".parse().unwrap(), session, started };
        let at = Timestamp::from_micros(9);
        let texts = [
            (Awaited::Room, r#""wakesAt":null,"heldBy":null,"started":false"#),
            (held(false), r#""wakesAt":null,"heldBy":"w","session":"0000000000000001","started":false"#),
            (held(true), r#""wakesAt":null,"heldBy":"w","session":"0000000000000001","started":true"#),
            (Awaited::Time(at), r#""wakesAt":9,"heldBy":null,"started":false"#),
            (
                Awaited::Child { run: RunId::from_uuid(uuid::Uuid::from_u128(1)), version: None },
                r#""started":false,"child":"00000000-0000-0000-0000-000000000001""#,
            ),
            (
                Awaited::Child {
                    run: RunId::from_uuid(uuid::Uuid::from_u128(1)),
                    version: Some(DefinitionVersion::new(2)),
                },
                r#""child":"00000000-0000-0000-0000-000000000001","childVersion":2"#,
            ),
        ];
        for (awaits, text) in texts {
            let current = current(awaits);
            let stored = serde_json::to_string(&current).unwrap();
            assert!(stored.ends_with(&format!("{text}}}")), "{stored}");
            assert!(stored.contains(r#""input":null"#), "an input that is null is not absent: {stored}");
            assert_eq!(serde_json::from_str::<CurrentAttempt>(&stored).unwrap(), current);
        }
    }
}
