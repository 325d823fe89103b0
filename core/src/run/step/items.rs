//! A node whose body happens once for each item.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::kind::Kind;
use super::{Step, merge, together, undo};
use crate::definition::{ForEach, OnTimeout};
use crate::run::agenda::size_of;
use crate::run::budget::Later;
use crate::run::state::{Around, Due, Each, EachNext};
use crate::run::{BranchKind, JoinClosing, RunEvent, RunFailure, produce};
use crate::{Attempt, Json};

/// What it costs to open a branch, and each node in it, in units of work.
pub(super) const BRANCH_WORK: u64 = 60;
pub(super) const NODE_WORK: u64 = 4;

pub(super) struct Items<'n> {
    pub each: &'n ForEach,
}

impl Kind for Items<'_> {
    /// Finds what the items are.
    fn begin(&self, step: &mut Step<'_, '_>, _: Option<Json>) -> Result<(), Later> {
        let items = match step.render(&self.each.items) {
            Ok(items) => items,
            Err(error) => return step.fail(error.into_failure(), None),
        };
        // It is taken apart and put together again; a number becomes a list.
        let is_number = items.as_str().starts_with(|c: char| c.is_ascii_digit());
        let bytes = if is_number { 8 * self.each.items_max as usize } else { items.len_bytes() };
        if step.work().scan(2 * bytes).is_err() {
            step.decision.turn.check_work()?;
        }
        let items = match listed(&items, self.each) {
            Ok(items) => items,
            Err(failure) => return step.fail(failure, None),
        };
        let event = RunEvent::ItemsListed { node: step.address(), items };
        if step.find_room(event.weight(), None)? {
            step.decision.emit(event);
        }
        Ok(())
    }

    /// It has taken too long.
    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        let join = match (due, self.each.on_timeout) {
            (Due::Timeout, OnTimeout::Fail) => {
                let failure = RunFailure::new("timeout", "the items took too long together");
                JoinClosing::Failed { failure }
            }
            (Due::Timeout | Due::Retry | Due::Time, _) => JoinClosing::Enough {},
        };
        step.decision.emit(RunEvent::JoinClosing { node: step.address(), join });
        Ok(())
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}

impl Step<'_, '_> {
    /// Goes on with its branches: opens more, withdraws the rest, or ends.
    pub fn advance(&mut self) -> Result<(), Later> {
        if self.stands_for_a_loop() {
            return self.go_round();
        }
        if let Some(Around::Group(group)) = self.state().phase.around() {
            let outcome = group.outcome.clone();
            return outcome.map_or(Ok(()), |outcome| together::end_try(self, outcome));
        }
        if self.node().action.is_compensation() {
            return undo::go_on(self);
        }
        let (Some(each), Some(of)) = (each_of(self), self.node().action.for_each()) else { return Ok(()) };
        let run = self.decision.run();
        let next = each.next(of, run.branches.room(), size_of(run.definition(), self.place));
        match next {
            None => Ok(()),
            Some(EachNext::Open(count)) => open_items(self, count),
            Some(EachNext::Close(join)) => {
                self.decision.emit(RunEvent::JoinClosing { node: self.address(), join });
                Ok(())
            }
            Some(EachNext::End(Some(failure))) => self.fail(failure, None),
            Some(EachNext::End(None)) => end_well(self, of),
        }
    }
}

/// Ends it with what its items have made.
fn end_well(step: &mut Step<'_, '_>, of: &ForEach) -> Result<(), Later> {
    let Some(each) = each_of(step) else { return Ok(()) };
    let output = merge::merged(step, of, each);
    step.decision.turn.check_work()?;
    let node = step.node();
    let checked = output.and_then(|output| {
        let assets = produce::check(node, produce::of_pure(node, &output), step.work())?;
        Ok((output, assets))
    });
    match checked {
        Ok((output, assets)) => step.succeed(Attempt::FIRST, output, assets, None),
        Err(failure) => step.fail(failure, None),
    }
}

fn open_items(step: &mut Step<'_, '_>, count: u32) -> Result<(), Later> {
    let size = size_of(step.decision.definition(), step.place);
    if step.work().take(u64::from(count) * (BRANCH_WORK + NODE_WORK * size)).is_err() {
        step.decision.turn.check_work()?;
    }
    let (first, from) = (step.decision.run().branches.next(), each_of(step).map_or(0, |each| each.opened));
    let max = step.decision.turn.of_run().branches;
    // The first branch is the run itself, which nobody opens.
    if (first.get() - 1).saturating_add(count) > max {
        let message =
            format!("the run would open more than {max} branches, and no run opens more (`--run-branches-max`)");
        let failure = RunFailure::new("branch_limit", message);
        let join = JoinClosing::Failed { failure };
        step.decision.emit(RunEvent::JoinClosing { node: step.address(), join });
        return Ok(());
    }
    let kind = BranchKind::Item;
    step.decision.emit(RunEvent::BranchesOpened { node: step.address(), kind, first, from, count });
    Ok(())
}

fn each_of<'s>(step: &'s Step<'_, '_>) -> Option<&'s Each> {
    match step.state().phase.around()? {
        Around::Each(each) => Some(each),
        Around::Loop(_) | Around::Group(_) | Around::Undo(_) => None,
    }
}

/// Lists the items: of a map `{key, value}`, of a number the numbers below it.
fn listed(items: &Json, each: &ForEach) -> Result<Json, RunFailure> {
    let invalid = |what: &str| {
        let message = format!("`items` is {what}, and must be a list, a map, or a number of items");
        RunFailure::new("for_each_items", message)
    };
    let too_many = |count: u64| {
        let max = each.items_max;
        let message = format!("there are {count} items, and `maxItems` allows {max}");
        RunFailure::new("for_each_too_many", message)
    };
    // A list is counted, and else left as it is: it may be large.
    if let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(items.as_str()) {
        let count = list.len() as u64;
        return match each.batch {
            _ if count > u64::from(each.items_max) => Err(too_many(count)),
            None => Ok(items.clone()),
            Some(_) => Ok(batched(&list, each)),
        };
    }
    let list: Vec<Value> = match items.to_value() {
        Value::Object(map) => map.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect(),
        Value::Number(number) => {
            let whole =
                number.as_u64().or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0).map(|f| f as u64));
            let count = whole.ok_or_else(|| invalid("no whole number from 0"))?;
            if count > u64::from(each.items_max) {
                return Err(too_many(count));
            }
            (0..count).map(Value::from).collect()
        }
        Value::Array(list) => list,
        Value::Null => return Err(invalid("null")),
        Value::Bool(_) => return Err(invalid("a truth value")),
        Value::String(_) => return Err(invalid("a text")),
    };
    if list.len() as u64 > u64::from(each.items_max) {
        return Err(too_many(list.len() as u64));
    }
    Ok(batched(&list, each))
}

/// Puts them together again, several at a time where they go in batches.
fn batched(list: &[impl Serialize], each: &ForEach) -> Json {
    match each.batch {
        None => Json::of(&list),
        Some(size) => Json::of(&list.chunks(size as usize).collect::<Vec<_>>()),
    }
}
