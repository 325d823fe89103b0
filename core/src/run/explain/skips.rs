//! Why a node was skipped.

use serde::Serialize;

use super::listed::{ENTRY_BYTES, Room};
use super::notes::Notes;
use super::ways::{self, WayIn};
use super::{Listed, loop_of};
use crate::definition::Join;
use crate::run::state::{Phase, Place, Run};
use crate::{NodeAddress, NodeId};

/// A node that never happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    pub node: NodeAddress,
    pub reason: SkipReason,
    /// The first node of the loop that was never entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_at: Option<NodeId>,
    /// The transitions that lead to it.
    pub ways_in: Listed<WayIn>,
}

/// Why it never happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SkipReason {
    /// It is not among the run's targets, nor needed for them.
    NotAmongTargets,
    /// None of the transitions that lead to it was taken.
    NoWayIn,
    /// Too few were, or one before it has failed, and its join asks for more.
    JoinNotMet,
    /// It lies in a loop that was never entered.
    LoopNotEntered,
    /// The run, or its branch, ended before its turn came.
    Ended,
}

/// Tells why nodes were skipped. `is_over`: nothing more happens in their branch.
pub(super) fn of(run: &Run, notes: &Notes, (places, is_over): (&[Place], bool), mut room: Room) -> Listed<Skipped> {
    let mut listed = Listed::default();
    for place in places {
        let Some(reason) = reason(run, *place, is_over) else { continue };
        let bytes =
            |skipped: &Skipped| ENTRY_BYTES + skipped.ways_in.first.iter().map(ways::len_bytes_in).sum::<usize>();
        listed.count(&mut room, bytes, |room| {
            let of_loop = loop_of(run, *place).filter(|_| reason == SkipReason::LoopNotEntered);
            Skipped {
                node: run.address(*place),
                reason,
                loop_at: of_loop.map(|header| run.definition().node(header).id.clone()),
                ways_in: ways::into(run, notes, *place, room),
            }
        });
    }
    listed
}

/// Why a node was skipped; `None`: it was not.
fn reason(run: &Run, place: Place, is_over: bool) -> Option<SkipReason> {
    match &run.node(place).phase {
        Phase::Pending if is_over => Some(SkipReason::Ended),
        Phase::Skipped if run.origin.is_left_out(place) => Some(SkipReason::NotAmongTargets),
        Phase::Skipped if loop_of(run, place).is_some_and(|header| is_skipped_with(run, place, header)) => {
            Some(SkipReason::LoopNotEntered)
        }
        Phase::Skipped => Some(match run.definition().node(place.node).join {
            Join::All | Join::Any => SkipReason::NoWayIn,
            Join::Quorum(_) | Join::AllSucceeded | Join::AllDone | Join::NoneFailed => SkipReason::JoinNotMet,
        }),
        Phase::Pending
        | Phase::AwaitingAssets { .. }
        | Phase::AwaitingMemo(_)
        | Phase::Current(_)
        | Phase::Retrying { .. }
        | Phase::Around(_)
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Cancelled => None,
    }
}

fn is_skipped_with(run: &Run, place: Place, header: crate::definition::NodeIx) -> bool {
    header != place.node && run.node(place.beside(header)).phase == Phase::Skipped
}
