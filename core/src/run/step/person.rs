//! A node that asks people, and waits for what they answer.

use serde::Serialize;
use serde_json::Value;

use super::kind::Kind;
use super::retry::Again;
use super::sleep::{span_of, span_until, unevaluated};
use super::{Begins, Step};
use crate::definition::{HumanInput, OnInvalid, SPAN_MAX, SchemaRefusal};
use crate::definition::{assignees_of, description_of, not_due, title_of};
use crate::expr::Template;
use crate::run::budget::Later;
use crate::run::decision::Decision;
use crate::run::operate::was_done;
use crate::run::output::check_depth;
use crate::run::person::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX, ANSWERS_MAX, Asking, PersonAnswer, PersonTask, hash_of};
use crate::run::state::{Due, Phase, Place};
use crate::run::step::attempt::shortened;
use crate::run::{RunEvent, RunFailure, RunRejection};
use crate::{Actor, ActorName, Attempt, CommandId, Json, NodeAddress, Timestamp};

/// Under which what cannot be asked fails its node.
const UNASKABLE: &str = "human_task";
/// How many characters are kept of why an answer is none.
const INVALID_CHARS_MAX: usize = 2_000;

pub(super) struct Asks<'n> {
    pub ask: &'n HumanInput,
}

impl Kind for Asks<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step);
        }
        match task_of(step, self.ask) {
            Ok(task) => {
                step.schedule(input, Begins::Asking(task.len_bytes()))?;
                // Unless it was more than ever fits.
                if asking(step).is_some_and(|asking| asking.task.is_none()) {
                    let (node, attempt, task) = (step.address(), step.attempt(), Box::new(task));
                    step.decision.emit(RunEvent::PersonAsked { node, attempt, task });
                }
                Ok(())
            }
            Err(failure) => step.fail(failure, None),
        }
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        if is_told(step) {
            return go_on(step);
        }
        let is_over = asking(step).and_then(Asking::due_at).is_some_and(|due_at| due_at <= step.decision.now());
        match due {
            Due::Time | Due::Timeout if is_over => {
                let failure = RunFailure::new("human_overdue", "people did not answer in time");
                step.fail_attempt(failure, Again::AsTold, None)
            }
            Due::Time => {
                let (node, attempt) = (step.address(), step.attempt());
                step.decision.emit(RunEvent::PersonReminded { node, attempt });
                Ok(())
            }
            Due::Timeout | Due::Retry => {
                let input = step.input();
                self.begin(step, input)
            }
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}

fn asking<'s>(step: &'s Step<'_, '_>) -> Option<&'s Asking> {
    step.current().and_then(|current| current.asking())
}

fn is_told(step: &Step<'_, '_>) -> bool {
    asking(step).is_some_and(Asking::is_told)
}

/// Ends a node with what people have answered.
fn go_on(step: &mut Step<'_, '_>) -> Result<(), Later> {
    let Some(asking) = asking(step) else { return Ok(()) };
    if let Some(reason) = &asking.invalid {
        let failure = RunFailure::new("human_answer_invalid", reason.clone());
        return step.fail_attempt(failure, Again::AsTold, None);
    }
    let output = output_of(asking);
    step.succeed(step.attempt(), output, Vec::new(), None)
}

/// What a node has made that has asked people: the one answer, or all of several in the order in which they came.
fn output_of(asking: &Asking) -> Json {
    #[derive(Serialize)]
    struct Answered<'a> {
        by: &'a ActorName,
        at: String,
        value: &'a Json,
    }
    let is_one = asking.task.as_ref().is_none_or(|task| task.quorum == 1);
    match &*asking.answers {
        [PersonAnswer { value, .. }] if is_one => value.clone(),
        several => {
            let answered = several.iter().map(|PersonAnswer { by: Actor::Claimed(by), at, value }| Answered {
                by,
                at: at.to_string(),
                value,
            });
            Json::of(&answered.collect::<Vec<_>>())
        }
    }
}

/// Renders what people are asked.
fn task_of(step: &Step<'_, '_>, ask: &HumanInput) -> Result<PersonTask, RunFailure> {
    let assignees = read(step, ask.assignees.as_ref(), assignees_of)?.unwrap_or_default();
    let named = assignees.len();
    if named > 0 && named < ask.quorum as usize {
        let message = format!("{} people are to answer, and it is assigned to {named}", ask.quorum);
        return Err(RunFailure::new(UNASKABLE, message));
    }
    let now = step.decision.now();
    Ok(PersonTask {
        title: read(step, Some(&ask.title), title_of)?.unwrap_or_default(),
        description: read(step, ask.description.as_ref(), description_of)?.flatten(),
        assignees,
        quorum: ask.quorum,
        due_at: read(step, ask.due.as_ref(), |value| due_at(value, now))?.flatten(),
    })
}

fn read<T>(
    step: &Step<'_, '_>,
    template: Option<&Template>,
    of: impl FnOnce(&Value) -> Result<T, String>,
) -> Result<Option<T>, RunFailure> {
    let Some(template) = template else { return Ok(None) };
    let value = step.render(template).map_err(|error| unevaluated(UNASKABLE, error))?;
    of(&value.to_value()).map(Some).map_err(|reason| RunFailure::new(UNASKABLE, reason))
}

/// Reads a rendered `due`; `null`: there is no end of it.
fn due_at(value: &Value, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let json = Json::of(value);
    let span = match value {
        Value::Null => return Ok(None),
        Value::Number(_) => span_of(&json),
        Value::String(_) => span_of(&json).or_else(|_| span_until(&json, now).map(Option::unwrap_or_default)),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(not_due()),
    };
    let span = span.map_err(|_| not_due())?;
    if span > SPAN_MAX { Err("`due` is more than ten years away".to_owned()) } else { Ok(Some(now.after(span))) }
}

/// Finds the task that is open at a node.
///
/// # Errors
/// That nobody was ever asked there, or that nobody can answer any more.
fn open_task<'r>(
    decision: &'r Decision<'_>,
    node: &NodeAddress,
    attempt: Option<Attempt>,
) -> Result<(Place, Attempt, &'r Asking, &'r PersonTask), RunRejection> {
    let run = decision.run();
    let place = run.place_of(node).ok_or(RunRejection::TaskNotFound)?;
    if run.definition().node(place.node).action.asks().is_none() {
        return Err(RunRejection::TaskNotFound);
    }
    // Its branch may have ended, or never begun.
    let Some(place) = run.find(node) else {
        let has_been = node.branch() < run.branches.next();
        return Err(if has_been { RunRejection::TaskClosed } else { RunRejection::TaskNotFound });
    };
    let state = run.node(place);
    if state.attempts == 0 && matches!(state.phase, Phase::Pending | Phase::AwaitingAssets { .. }) {
        return Err(RunRejection::TaskNotFound);
    }
    let current = run.current(place).ok_or(RunRejection::TaskClosed)?;
    let asking = current.asking().ok_or(RunRejection::TaskClosed)?;
    let task = asking.task.as_ref().ok_or(RunRejection::TaskClosed)?;
    let is_other = attempt.is_some_and(|attempt| attempt != current.attempt);
    let is_over = task.due_at.is_some_and(|due_at| due_at <= decision.now());
    if is_other || is_over || asking.is_told() {
        return Err(RunRejection::TaskClosed);
    }
    Ok((place, current.attempt, asking, task))
}

/// What somebody answers.
pub(in crate::run) struct Said {
    pub node: NodeAddress,
    /// Absent: whichever is open.
    pub attempt: Option<Attempt>,
    pub answer: CommandId,
    pub by: Actor,
    pub value: Json,
}

/// Has a run receive what somebody answers.
///
/// # Errors
/// Why it is not received; what was received before changes nothing, and is refused where it says something else.
pub(in crate::run) fn answer(decision: &mut Decision<'_>, said: Said) -> Result<(), RunRejection> {
    let Said { node, attempt, answer, by, value } = said;
    let people = &decision.run().waiting.people();
    if let Some(before) = people.what_said(answer) {
        let run = decision.run().id();
        return if before == hash_of(&node, &by, &value) { Ok(()) } else { Err(RunRejection::KeyReused { run }) };
    }
    let received = people.count();
    let (place, attempt, asking, task) = open_task(decision, &node, attempt)?;
    let Actor::Claimed(name) = &by;
    if !task.is_for(name) {
        return Err(RunRejection::NotAssigned);
    }
    if asking.answers.iter().any(|answer| answer.by == by) {
        return Err(RunRejection::AlreadyAnswered);
    }
    if received >= ANSWERS_MAX {
        return Err(RunRejection::AnswersExhausted);
    }
    let invalid = |message| RunRejection::AnswerInvalid { message };
    let bytes = value.len_bytes();
    let before: usize = asking.values().map(Json::len_bytes).sum();
    if bytes > ANSWER_BYTES_MAX {
        return Err(invalid(format!("it has more than {ANSWER_BYTES_MAX} bytes")));
    }
    if before + bytes > ANSWERS_BYTES_MAX {
        return Err(invalid(format!("with those before it it has more than {ANSWERS_BYTES_MAX} bytes")));
    }
    check_depth(&value).map_err(|failure| invalid(failure.message))?;
    let ask = decision.definition().node(place.node).action.asks().ok_or(RunRejection::TaskNotFound)?;
    let breach = match ask.form.check_within(&value, decision.turn.work()) {
        Ok(()) => None,
        Err(SchemaRefusal::Breach(breaches)) if ask.on_invalid == OnInvalid::Fail => {
            Some(breaches.to_string().chars().take(INVALID_CHARS_MAX).collect())
        }
        Err(refusal) => return Err(invalid(refusal.to_string())),
    };
    let event = RunEvent::PersonAnswered { node, attempt, answer, by, value, invalid: breach };
    if decision.turn.lacks_memory_for(event.weight()).is_some() {
        return Err(invalid("the run holds as much as it can".to_owned()));
    }
    decision.emit(event);
    Ok(())
}

/// Has other people asked.
///
/// # Errors
/// Why not.
pub(in crate::run) fn reassign(
    decision: &mut Decision<'_>,
    operation: CommandId,
    (node, attempt): (NodeAddress, Option<Attempt>),
    assignees: Vec<ActorName>,
    (by, reason): (Option<Actor>, String),
) -> Result<(), RunRejection> {
    if was_done(decision, operation)? {
        return Ok(());
    }
    let (_, attempt, asking, task) = open_task(decision, &node, attempt)?;
    let names: Vec<&str> = assignees.iter().map(ActorName::as_str).collect();
    let invalid = |message| RunRejection::AssigneesInvalid { message };
    let assignees = assignees_of(&Json::of(&names).to_value()).map_err(invalid)?;
    if assignees.is_empty() {
        return Err(invalid("nobody is named".to_owned()));
    }
    let has_answered =
        |name: &&ActorName| asking.answers.iter().any(|answer| answer.by == Actor::Claimed((*name).clone()));
    let left = assignees.iter().filter(|name| !has_answered(name)).count();
    let needed = (task.quorum as usize).saturating_sub(asking.answers.len());
    if left < needed {
        return Err(invalid(format!("{needed} more people are to answer, and {left} of these have not")));
    }
    if assignees != task.assignees {
        let reason = shortened(reason);
        decision.emit(RunEvent::PersonReassigned { operation, node, attempt, assignees, by, reason });
    }
    Ok(())
}
