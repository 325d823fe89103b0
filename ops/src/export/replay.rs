//! Whether a run can have been as its file says, and where it stands: its events are folded by the rules, which ask of each
//! whether it can be.

use std::io::BufRead;
use std::sync::Arc;

use headwater_core::definition::{Definition, compile};
use headwater_core::run::{Context, History, RunEvent};
use headwater_core::shard::Event;
use headwater_core::{BranchId, Json, Revision, RunId, StoredValue, Timestamp};
use serde_json::Value;

use super::{Broken, Chain, FORMAT, Recorded, Said};

/// Says why a file is not the history of a run.
#[derive(Debug, thiserror::Error)]
pub enum Flawed {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("line {line}: {reason}")]
    Line { line: u64, reason: String },
    #[error("line {line}: the event {revision} of the run cannot be: {reason}")]
    Event { line: u64, revision: u64, reason: String },
    #[error("the file ends before the run's last event: nothing says that it is whole")]
    CutOff,
    /// The file is whole, and what the engine saw is not what the events give.
    #[error("what the engine saw of the run is not what its events give: {what} was {seen}, and is {folded}")]
    Differs { what: String, seen: Value, folded: Value },
}

/// A file that is being folded.
#[derive(Debug, Default)]
pub struct Replay {
    chain: Chain,
    run: Option<RunId>,
    history: Option<History>,
    /// The definition of the version that the run goes over to next.
    next: Option<Arc<Definition>>,
    revision: u64,
    time: Timestamp,
    /// How many commits there were: those of one place and command share a time and a position.
    bundles: u64,
    position: String,
    seen: Option<Value>,
    ended: bool,
}

/// Where a run stands.
#[derive(Debug)]
pub struct Standing {
    pub run: RunId,
    pub context: Context,
    pub time: Timestamp,
    pub events: u64,
    /// How many bundles of the journal they stand in.
    pub bundles: u64,
    /// Whether what the engine saw was compared, and is the same.
    pub is_compared: bool,
}

impl Replay {
    /// Folds a file, up to a revision or to its end.
    ///
    /// # Errors
    /// See [`Flawed`].
    pub fn of(mut from: impl BufRead, until: Option<u64>) -> Result<Standing, Flawed> {
        let mut replay = Self::default();
        while let Some(said) = replay.chain.read(&mut from)? {
            let said = serde_json::from_str(&said).map_err(|error| replay.line(error.to_string()))?;
            replay.take(said)?;
            if until.is_some_and(|until| replay.revision >= until) {
                return replay.standing(false);
            }
        }
        if !replay.ended {
            return Err(Flawed::CutOff);
        }
        if let Some(until) = until {
            return Err(replay.line(format!("the run has no event {until}: its last is {}", replay.revision)));
        }
        replay.compare()
    }

    fn line(&self, reason: impl Into<String>) -> Flawed {
        Flawed::Line { line: self.chain.lines(), reason: reason.into() }
    }

    fn take(&mut self, said: Said) -> Result<(), Flawed> {
        if self.ended {
            return Err(self.line("something stands behind the end"));
        }
        match said {
            Said::Run { format, run } if self.run.is_none() && format == FORMAT => self.run = Some(run),
            Said::Run { format, .. } => {
                return Err(self.line(format!("the file is written as {format:?}, and {FORMAT:?} is read, once")));
            }
            Said::Definition { content_hash, document } => self.begin(&content_hash, &document)?,
            Said::Event(recorded) => self.learn(*recorded)?,
            Said::Seen { context } => self.seen = Some(context.to_value()),
            Said::End { events } if events == self.revision => self.ended = true,
            Said::End { events } => {
                return Err(self.line(format!("the file has {} events, and should have {events}", self.revision)));
            }
        }
        Ok(())
    }

    fn begin(&mut self, content_hash: &str, document: &Json) -> Result<(), Flawed> {
        let run = self.run.ok_or_else(|| self.line("the file does not begin with its run"))?;
        let (definition, _) = compile(&document.to_value()).map_err(|problems| {
            let first = problems.0.first().map(|problem| problem.message.clone()).unwrap_or_default();
            self.line(format!("the definition does not compile: {first}"))
        })?;
        if definition.content_hash != content_hash {
            let hash = &definition.content_hash;
            return Err(self.line(format!("the definition is not the one that was run: {hash} is not {content_hash}")));
        }
        match self.history {
            Some(_) => self.next = Some(Arc::new(definition)),
            None => self.history = Some(History::of(run, Arc::new(definition))),
        }
        Ok(())
    }

    fn learn(&mut self, recorded: Recorded) -> Result<(), Flawed> {
        let (line, revision) = (self.chain.lines(), recorded.revision);
        let cannot = |reason: String| Flawed::Event { line, revision, reason };
        if revision != self.revision + 1 {
            return Err(cannot(format!("the one before it is {}", self.revision)));
        }
        let time: Timestamp = recorded.time.parse().map_err(|error| cannot(format!("{error}")))?;
        if time < self.time {
            return Err(cannot(format!("it is of {time}, and the one before it of {}", self.time)));
        }
        let event = event(&recorded).map_err(cannot)?;
        let history = self.history.as_mut().ok_or_else(|| cannot("its definition is not there".to_owned()))?;
        match (&event, self.next.take()) {
            (RunEvent::RunMigrated { version, .. }, Some(next)) => history.bring(*version, next),
            (RunEvent::RunMigrated { .. }, None) => {
                return Err(cannot("the definition that it goes over to is not there".to_owned()));
            }
            (_other, None) => {}
            (_other, Some(_)) => return Err(cannot("a definition stands before it that it does not need".to_owned())),
        }
        history.learn(&event, time).map_err(cannot)?;
        self.bundles += u64::from(recorded.position != self.position);
        (self.revision, self.time, self.position) = (revision, time, recorded.position);
        Ok(())
    }

    /// Holds what the engine saw against what the events give.
    fn compare(self) -> Result<Standing, Flawed> {
        let seen = self.seen.clone();
        let standing = self.standing(seen.is_some())?;
        let Some(seen) = seen else { return Ok(standing) };
        let folded = serde_json::to_value(&standing.context).unwrap_or_default();
        match difference("", &seen, &folded) {
            None => Ok(standing),
            Some((what, seen, folded)) => Err(Flawed::Differs { what, seen, folded }),
        }
    }

    fn standing(self, is_compared: bool) -> Result<Standing, Flawed> {
        let nothing = self.line("nothing has happened in the run");
        let (Some(run), Some(history)) = (self.run, self.history) else { return Err(nothing) };
        let context = history.seen_in(BranchId::ROOT).ok_or(nothing)?;
        debug_assert_eq!(context.revision, Revision::new(self.revision));
        Ok(Standing { run, context, time: self.time, events: self.revision, bundles: self.bundles, is_compared })
    }
}

/// Reads an event, its large value among it.
fn event(recorded: &Recorded) -> Result<RunEvent, String> {
    let mut event: Event =
        serde_json::from_str(recorded.event.as_str()).map_err(|error| format!("it cannot be read: {error}"))?;
    match (recorded.stored, &recorded.value) {
        (None, None) => {}
        (Some(stored), Some(value)) => {
            if StoredValue::of(value.as_str().as_bytes()) != Some(stored) {
                return Err(format!("its value is not the one named {}", stored.digest));
            }
            event.put_back(value.clone());
        }
        (Some(stored), None) => return Err(format!("its value {} is not in the file", stored.digest)),
        (None, Some(_)) => return Err("it has a value that it does not name".to_owned()),
    }
    match event {
        Event::Run(event) => Ok(event),
        Event::Released(_) => {
            Err("the run was released from quarantine here: what was before is not folded".to_owned())
        }
        Event::Asset(_) | Event::Workflow(_) | Event::Action(_) | Event::Memo(_) | Event::DefinitionAdopted { .. } => {
            Err("it is no event of a run".to_owned())
        }
    }
}

/// The first place where two values differ, and what they are there.
fn difference(path: &str, seen: &Value, folded: &Value) -> Option<(String, Value, Value)> {
    if let (Value::Object(seen), Value::Object(folded)) = (seen, folded) {
        let keys = seen.keys().chain(folded.keys().filter(|key| !seen.contains_key(*key)));
        let at = |of: &serde_json::Map<String, Value>, key: &str| of.get(key).cloned().unwrap_or_default();
        return keys.into_iter().find_map(|key| difference(&format!("{path}/{key}"), &at(seen, key), &at(folded, key)));
    }
    (seen != folded).then(|| (path.to_owned(), seen.clone(), folded.clone()))
}
