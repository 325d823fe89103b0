//! What a run knows of the run that it goes on from: it is told in pieces, begins once it has them all, and takes what nodes
//! had made there for what they make here.
//!
//! | file | question |
//! |---|---|
//! | here | what a run knows, and where in the run that is |
//! | `made_of` | whether something would be made of the same |
//! | `outcomes` | what its nodes came to, to be compared with another run |
//! | `recollection` | what is told of a run to those that go on from it |

mod made_of;
mod outcomes;
mod recollection;

use std::collections::BTreeMap;
use std::time::Duration;

use super::decision::Decision;
use super::state::{Place, Run, Timer};
use super::weight::Weight;
use super::{Continuation, ContinuedFrom, Recalled, RecalledResult, RunEvent, RunFailure, RunRejection};
use crate::dialogue::{Asker, InputVersion};
use crate::{Json, NodeId, Timestamp};

pub(super) use made_of::{Parts, canonical, digest as made_of};
pub use outcomes::{Outcome, Outcomes};
pub use recollection::{Recollected, Recollection};

/// How many bytes one piece has of what a run is told of another.
pub const RECALL_PIECE_BYTES_MAX: usize = 4 << 20;
/// In how many pieces it is told.
pub const RECALL_PIECES_MAX: u32 = 16;
/// How long a run waits for them: then it fails.
pub const RECALL_WAIT: Duration = Duration::from_secs(600);

/// Where a node stands, whatever the numbers of branches: the nodes around it, each with an index, and its own id.
pub(super) type Path = (Vec<(NodeId, u32)>, NodeId);

/// What a run knows of another. Most know of none, and take no memory for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Recall(Option<Box<Known>>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    /// Pieces that have come.
    pieces: u32,
    places: BTreeMap<Path, (Asker, Option<RecalledResult>)>,
}

impl Recall {
    pub const NONE: Self = Self(None);

    /// Returns how many pieces have come.
    pub fn pieces(&self) -> u32 {
        self.0.as_ref().map_or(0, |known| known.pieces)
    }

    /// Learns the next piece. What cannot be read says nothing: no decision has told it.
    pub fn learn(&mut self, results: &Json) {
        let known = self.0.get_or_insert_default();
        known.pieces += 1;
        for Recalled { within, from, result } in read(results).unwrap_or_default() {
            known.places.insert((within, from.node.node().clone()), (from, result));
        }
    }

    /// Returns everything that it knows, and in how many pieces it came.
    pub fn record(&self) -> (u32, Vec<Recalled>) {
        let Some(known) = &self.0 else { return (0, Vec::new()) };
        let recalled = |((within, _), (from, result)): (&Path, &(Asker, Option<RecalledResult>))| Recalled {
            within: within.clone(),
            from: from.clone(),
            result: result.clone(),
        };
        (known.pieces, known.places.iter().map(recalled).collect())
    }

    /// Makes it again.
    pub fn restored((pieces, recalled): (u32, Vec<Recalled>)) -> Self {
        if pieces == 0 && recalled.is_empty() {
            return Self::default();
        }
        let place = |Recalled { within, from, result }| ((within, NodeId::clone(from.node.node())), (from, result));
        Self(Some(Box::new(Known { pieces, places: recalled.into_iter().map(place).collect() })))
    }

    /// Lets go of all that nobody asks for any more.
    pub fn forget(&mut self) {
        if let Some(known) = &mut self.0 {
            known.places.clear();
        }
    }

    /// Returns the values that it holds.
    pub fn values(&self) -> impl Iterator<Item = &Json> {
        let results = self.0.iter().flat_map(|known| known.places.values()).filter_map(|(_, result)| result.as_ref());
        results.flat_map(|result| {
            let payloads = result.consumed.iter().map(|consumed| &consumed.payload);
            [&result.output].into_iter().chain(&result.given).chain(payloads)
        })
    }

    fn at(&self, run: &Run, place: Place) -> Option<&(Asker, Option<RecalledResult>)> {
        let known = self.0.as_ref().filter(|known| !known.places.is_empty())?;
        known.places.get(&path_of(run, place)?)
    }
}

/// Returns whether a run still has to be told of the one that it goes on from.
pub(super) fn is_awaited(run: &Run) -> bool {
    run.origin.continued().is_some_and(|from| run.waiting.recall().pieces() < from.pieces)
}

/// Returns whether nothing of a run is published.
pub(super) fn is_sandbox(run: &Run) -> bool {
    run.origin.continued().is_some_and(|from| from.how == Continuation::Fork { sandbox: true })
}

/// Learns the next piece; with the last the run waits no longer.
pub(super) fn learn(run: &mut Run, results: &Json) {
    let due = due(run);
    run.waiting.dealings_mut().recall.learn(results);
    if !is_awaited(run)
        && let Some(due) = due
    {
        run.timers.remove(&due);
    }
}

/// Returns when a run that waits to be told gives up.
pub(super) fn due(run: &Run) -> Option<(Timestamp, Timer)> {
    is_awaited(run).then(|| (run.origin.started_at().after(RECALL_WAIT), Timer::Recall))
}

/// Returns where a node stands. Nothing is known of what undoes.
pub(super) fn path_of(run: &Run, place: Place) -> Option<Path> {
    let id = |place: Place| run.definition().node(place.node).id.clone();
    let mut within = Vec::new();
    for (_, branch) in run.branches.around(place.branch) {
        let Some(parent) = branch.parent else { continue };
        if run.definition().node(parent.node).action.is_compensation() {
            return None;
        }
        within.push((id(parent), branch.index));
    }
    within.reverse();
    Some((within, id(place)))
}

/// Returns what a node had made there, and who had, where it would be made of the same here. `made_of` is asked where that matters.
pub(super) fn result_for(
    run: &Run,
    place: Place,
    made_of: Option<&dyn Fn() -> String>,
) -> Option<(Asker, RecalledResult)> {
    let (from, result) = run.waiting.recall().at(run, place)?;
    let result = result.as_ref()?;
    let is_same = match (&result.made_of, made_of) {
        (None, None) => true,
        (Some(known), Some(made_of)) => *known == made_of(),
        (None, Some(_)) | (Some(_), None) => false,
    };
    is_same.then(|| (from.clone(), result.clone()))
}

/// Returns under whose key a node makes its effects, where that is another's.
pub(super) fn key_of(run: &Run, place: Place) -> Option<&Asker> {
    let is_retry = run.origin.continued().is_some_and(|from| from.how == Continuation::Retry {});
    run.waiting.recall().at(run, place).filter(|(_, result)| is_retry && result.is_none()).map(|(from, _)| from)
}

/// A node has succeeded: what was known of it is asked for no more. Returns what it had consumed, if it has that result from there.
pub(super) fn take(run: &mut Run, place: Place, reused: Option<&Asker>) -> Vec<crate::expr::ConsumedAsset> {
    if run.waiting.recall().0.as_ref().is_none_or(|known| known.places.is_empty()) {
        return Vec::new();
    }
    let Some(path) = path_of(run, place) else { return Vec::new() };
    let taken = run.waiting.dealings_mut().recall.0.as_mut().and_then(|known| known.places.remove(&path));
    match taken {
        Some((from, Some(result))) if reused == Some(&from) => result.consumed,
        Some(_) | None => Vec::new(),
    }
}

/// Takes the next piece of what the run is told. One that it has changes nothing.
///
/// # Errors
/// [`RunRejection::RecallInvalid`].
pub(super) fn hear(decision: &mut Decision<'_>, piece: u32, results: Json) -> Result<(), RunRejection> {
    let invalid = |message: String| Err(RunRejection::RecallInvalid { message });
    let run = decision.run();
    let (next, of) = (run.waiting.recall().pieces() + 1, run.origin.continued().map_or(0, |from| from.pieces));
    if piece < next {
        return Ok(());
    }
    if piece > next || piece > of {
        return invalid(format!("the run waits for piece {next} of {of}, and this is {piece}"));
    }
    if results.len_bytes() > RECALL_PIECE_BYTES_MAX {
        return invalid(format!("it has {} bytes, and {RECALL_PIECE_BYTES_MAX} are the most", results.len_bytes()));
    }
    if let Err(error) = read(&results) {
        return invalid(error.to_string());
    }
    match decision.turn.lacks_memory_for(Weight::of(&results)) {
        Some(failure) => decision.fail(failure),
        None => decision.emit(RunEvent::ResultsRecalled { piece, results }),
    }
    Ok(())
}

fn read(results: &Json) -> Result<Vec<Recalled>, serde_json::Error> {
    serde_json::from_str(results.as_str())
}

/// Says what is wrong with the run that a start goes on from.
///
/// # Errors
/// That.
pub(super) fn check(from: Option<&ContinuedFrom>) -> Result<(), String> {
    match from {
        Some(from) if from.pieces > RECALL_PIECES_MAX => {
            Err(format!("it is told in {} pieces, and {RECALL_PIECES_MAX} are the most", from.pieces))
        }
        Some(_) | None => Ok(()),
    }
}

/// The failure of a run that was never told.
pub(super) fn overdue() -> RunFailure {
    RunFailure::new("recall_incomplete", "the run was not told all of what it was to go on from")
}

/// Returns the versions that go with a result.
pub(super) fn versions(result: &mut RecalledResult) -> Vec<InputVersion> {
    std::mem::take(&mut result.assets)
}
