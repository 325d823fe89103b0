//! How much memory the large values of a run take.

use rustc_hash::FxHashSet;

use super::{Around, Phase, Run};
use crate::run::{BranchOutcome, Ending};
use crate::{BranchId, Json, STORED_FROM};

/// Adds up values, each once that is shared.
#[derive(Default)]
struct Sum {
    seen: FxHashSet<*const u8>,
    bytes: usize,
}

impl Sum {
    fn add(&mut self, value: &Json) {
        if value.len_bytes() >= STORED_FROM && self.seen.insert(value.as_str().as_ptr()) {
            self.bytes += value.len_bytes();
        }
    }

    /// Adds pieces that are large together.
    fn add_pieces<'j>(&mut self, pieces: impl Iterator<Item = &'j Json>) {
        let bytes: usize = pieces.map(Json::len_bytes).sum();
        self.bytes += if bytes >= STORED_FROM { bytes } else { 0 };
    }
}

/// Returns how many bytes the large values of a run have that it holds now: inputs, outputs, lists of items and what came of them.
/// Costs a look at each of its nodes.
pub(crate) fn large_bytes(run: &Run) -> usize {
    let mut sum = Sum::default();
    sum.add(run.input());
    if let Some(Ending::Succeeded { output }) = run.ending() {
        sum.add(output);
    }
    for (_, node) in run.places() {
        node.output.iter().for_each(|output| sum.add(output));
        match &node.phase {
            Phase::Current(current) => {
                current.input.iter().for_each(|input| sum.add(input));
                current.taken().iter().for_each(|letter| sum.add(&letter.payload));
                current.asking().iter().for_each(|asking| asking.values().for_each(|value| sum.add(value)));
            }
            Phase::AwaitingMemo(awaited) => awaited.input.iter().for_each(|input| sum.add(input)),
            Phase::Retrying { input, .. } => input.iter().for_each(|input| sum.add(input)),
            Phase::Around(around) => match &**around {
                Around::Each(each) => {
                    sum.add_pieces(each.items.iter());
                    sum.add_pieces(each.outputs.values());
                }
                Around::Group(group) => {
                    if let Some(BranchOutcome::Succeeded { output, .. }) = &group.outcome {
                        sum.add(output);
                    }
                }
                Around::Loop(_) | Around::Undo(_) => {}
            },
            Phase::Pending
            | Phase::AwaitingAssets { .. }
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Skipped
            | Phase::Cancelled => {}
        }
    }
    run.branches.kept().iter().for_each(|kept| sum.add(&kept.input));
    sum.add_pieces(run.waiting.recall().values());
    run.waiting.mail().payloads().for_each(|payload| sum.add(payload));
    for id in [BranchId::ROOT].into_iter().chain(run.branches.ids()) {
        let Some(branch) = run.branches.get(id) else { continue };
        branch.state.values().for_each(|value| sum.add(value));
        branch.item.iter().flatten().for_each(|item| sum.add(item));
    }
    sum.bytes
}
