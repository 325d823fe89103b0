//! How branches end: well, badly, or withdrawn.

use std::collections::BTreeMap;

use serde_json::Value;

use super::agenda::Next;
use super::budget::Later;
use super::decision::Decision;
use super::state::{Place, Run};
use super::step::Step;
use super::{BranchOutcome, RunEvent, RunFailure};
use crate::definition::{Definition, Merge, NodeIx, Region, RegionKind};
use crate::expr::Work;
use crate::{BranchId, Json, NodeId, Timestamp};

/// From how many bytes on the output of a branch is named by the node that has made it.
const NAMED_FROM: usize = 128;

impl Decision<'_> {
    /// Ends a branch in which nothing is left to be done.
    pub fn finish_branch(&mut self, id: BranchId) -> Result<(), Later> {
        let Some(branch) = self.run().branches.get(id) else { return Ok(()) };
        let outcome = match self.definition().region(branch.region).kind {
            RegionKind::Root => return Ok(()),
            RegionKind::Loop { .. } => BranchOutcome::Turned { again: branch.ways().back },
            // Nothing asks what those make that undo.
            RegionKind::Body { each } if self.definition().node(each).action.is_compensation() => {
                BranchOutcome::Succeeded { output: Json::null(), key: None }
            }
            RegionKind::Body { .. } => {
                let now = self.now();
                let output = output_of_item(self.run(), id, now, self.turn.work());
                let keyed = output.and_then(|output| {
                    let key = key_of_item(self.run(), id, &output, now, self.turn.work())?;
                    Ok((output, key))
                });
                self.turn.check_work()?;
                match keyed {
                    Ok((output, key)) => match just_made(self.last(), id, &output) {
                        Some(node) => BranchOutcome::SucceededAs { node, key },
                        None => BranchOutcome::Succeeded { output, key },
                    },
                    Err(failure) => BranchOutcome::Failed { failure },
                }
            }
        };
        let event = RunEvent::BranchEnded { branch: id, outcome };
        if self.turn.check_room(event.weight())? {
            self.emit(event);
        } else {
            let message = format!("the output of an item has more than {} bytes", self.turn.value_bytes_max());
            let too_large = || RunFailure::new("node_too_large", message);
            let failure = self.turn.lacks_memory_for(event.weight()).unwrap_or_else(too_large);
            self.emit(RunEvent::BranchEnded { branch: id, outcome: BranchOutcome::Failed { failure } });
        }
        Ok(())
    }

    /// Has what a node of a branch failed with fail the branch: the run, the item, or what is around the loop.
    pub fn fail_in(&mut self, id: BranchId, failure: RunFailure) {
        let Some(branch) = self.run().branches.get(id) else { return };
        match (self.definition().region(branch.region).kind, branch.parent) {
            (RegionKind::Loop { .. }, Some(parent)) => self.fail_in(parent.branch, failure),
            (RegionKind::Body { .. }, Some(_)) => {
                if branch.active > 0 || branch.listed > 0 {
                    self.emit(RunEvent::BranchClosing { branch: id, failure });
                } else {
                    self.emit(RunEvent::BranchEnded { branch: id, outcome: BranchOutcome::Failed { failure } });
                }
            }
            (RegionKind::Root | RegionKind::Loop { .. } | RegionKind::Body { .. }, _) => self.fail(failure),
        }
    }

    /// Withdraws what is active in a branch, and ends it.
    pub fn close_branch(&mut self, id: BranchId) -> Result<(), Later> {
        self.withdraw_branch(id)?;
        let Some(closing) = self.run().branches.get(id).and_then(|branch| branch.closing.clone()) else {
            return Ok(());
        };
        let outcome =
            closing.map_or(BranchOutcome::Cancelled {}, |failure| BranchOutcome::Failed { failure: *failure });
        self.emit(RunEvent::BranchEnded { branch: id, outcome });
        Ok(())
    }

    /// Withdraws what is active in a branch and in those within it, which end. What this decision has no room for is left.
    fn withdraw_branch(&mut self, id: BranchId) -> Result<(), Later> {
        for place in self.run().active_of(id) {
            self.withdraw_node(place)?;
        }
        Ok(())
    }

    /// Withdraws an active node, and whatever is active in its branches. What this decision has no room for is left.
    pub fn withdraw_node(&mut self, place: Place) -> Result<(), Later> {
        for within in self.run().open_in(place) {
            self.withdraw_branch(within)?;
            self.emit(RunEvent::BranchEnded { branch: within, outcome: BranchOutcome::Cancelled {} });
        }
        if !self.turn.may_begin() {
            return Err(Later);
        }
        Step::at(self, place).withdraw();
        Ok(())
    }

    /// Withdraws everything; the same for the run.
    pub fn withdraw_all(&mut self) -> Result<(), Later> {
        for id in self.run().branches.ids().into_iter().rev() {
            self.withdraw_nodes(id)?;
            self.emit(RunEvent::BranchEnded { branch: id, outcome: BranchOutcome::Cancelled {} });
        }
        self.withdraw_nodes(BranchId::ROOT)
    }

    /// Withdraws the active nodes of a branch; those within it have ended.
    fn withdraw_nodes(&mut self, id: BranchId) -> Result<(), Later> {
        for place in self.run().active_of(id) {
            let is_patient = self.run().next() == Some(Next::Withdraw);
            if is_patient && !self.turn.may_begin() {
                return Err(Later);
            }
            Step::at(self, place).withdraw();
        }
        Ok(())
    }
}

/// Returns the node of a branch that has made this output in the event before, where it is not said in as few bytes again.
fn just_made(last: Option<&RunEvent>, id: BranchId, output: &Json) -> Option<NodeId> {
    let RunEvent::NodeSucceeded { node, output: made, .. } = last? else { return None };
    let is_it = node.branch() == id && output.len_bytes() >= NAMED_FROM && made == output;
    is_it.then(|| node.node().clone())
}

/// Makes the output of an item.
fn output_of_item(run: &Run, id: BranchId, now: Timestamp, work: &Work) -> Result<Json, RunFailure> {
    let (definition, Some(branch)) = (run.definition(), run.branches.get(id)) else { return Ok(Json::null()) };
    let template = branch.parent.and_then(|parent| definition.node(parent.node).action.body_output());
    if let Some(template) = template {
        let rendered = run.with_scope_of_item(id, None, now, |scope| template.render_within(scope, work));
        return rendered.map_err(|error| error.into_failure());
    }
    let region = definition.region(branch.region);
    let ends: Vec<NodeIx> = ends_of(definition, region).collect();
    let output = |ix: NodeIx| branch.node(ix).output.as_ref();
    match ends.as_slice() {
        [only] => Ok(output(*only).cloned().unwrap_or_default()),
        several => {
            let outputs: BTreeMap<&str, &Json> =
                several.iter().filter_map(|ix| Some((definition.node(*ix).id.as_str(), output(*ix)?))).collect();
            work.scan(outputs.values().map(|output| output.len_bytes()).sum())?;
            Ok(Json::of(&outputs))
        }
    }
}

/// Makes the key that the output of an item is merged under, where that goes by keys. By default that of a map's entry, or the
/// item itself where it is a text, or its index.
fn key_of_item(
    run: &Run,
    id: BranchId,
    output: &Json,
    now: Timestamp,
    work: &Work,
) -> Result<Option<String>, RunFailure> {
    let (definition, Some(branch)) = (run.definition(), run.branches.get(id)) else { return Ok(None) };
    let each = branch.parent.and_then(|parent| definition.node(parent.node).action.for_each());
    let Some(Merge::Keyed(key)) = each.map(|each| &each.merge) else { return Ok(None) };
    let unfit = || RunFailure::new("for_each_merge", "the key of an item is a text or a number".to_owned());
    let value = match key {
        Some(key) => {
            let evaluated = run.with_scope_of_item(id, Some(output), now, |scope| key.evaluate_within(scope, work));
            evaluated.map_err(|error| error.into_failure())?.to_value()
        }
        None => match branch.item.as_ref().map(|[item, _]| item.to_value()) {
            Some(Value::String(text)) => Value::String(text),
            Some(Value::Object(mut entry)) if entry.get("key").is_some_and(Value::is_string) => {
                entry.remove("key").unwrap_or_default()
            }
            _ => Value::from(branch.index),
        },
    };
    match value {
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(unfit()),
    }
}

/// Returns the nodes of a region after which nothing comes in it; those of bodies within it are not its.
pub(super) fn ends_of<'d>(definition: &'d Definition, region: &'d Region) -> impl Iterator<Item = NodeIx> + 'd {
    let is_last = |ix: &NodeIx| {
        let ways_on = definition.node(*ix).on_success.iter().flatten();
        ways_on.into_iter().all(|way| definition.transition(*way).back.is_some())
    };
    region
        .nodes
        .clone()
        .map(NodeIx)
        .filter(move |ix| !definition.waits_for_the_end(*ix) && region_of_scope(definition, *ix) == region.nodes.start)
        .filter(is_last)
}

/// Returns where the region begins in whose branch the output of a node can be read: its own, or the one around its loops.
fn region_of_scope(definition: &Definition, ix: NodeIx) -> u32 {
    let mut region = definition.region(definition.node(ix).region);
    while let RegionKind::Loop { .. } = region.kind {
        region = definition.region(region.parent);
    }
    region.nodes.start
}
