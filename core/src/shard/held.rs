//! How much memory the large values of active runs take, in all and of each workspace: what goes beyond is not made.

use rustc_hash::FxHashMap;

use super::stored::storable;
use super::{Commit, Shard};
use crate::run::{Run, large_bytes};
use crate::{Json, RunId, STORED_FROM, WorkspaceId};

/// How many bytes of large values the active runs of a workspace may hold in a shard; all together four times that.
pub(super) const HELD_BYTES_MAX: usize = 256 << 20;
const WORKSPACES: usize = 4;
/// After how much more is looked again what is really held: facts only say what came.
const RECOUNT_BYTES: usize = 16 << 20;

/// What is held, as far as facts say: values that were given up since are among it until it is counted again.
#[derive(Debug, Default)]
pub(super) struct Held {
    runs: FxHashMap<RunId, usize>,
    workspaces: FxHashMap<WorkspaceId, usize>,
    bytes: usize,
    /// How much came since it was counted.
    since: usize,
}

impl Held {
    /// Notes what a run holds besides what it held before.
    pub fn add(&mut self, workspace: &WorkspaceId, run: RunId, bytes: usize) {
        if bytes > 0 {
            *self.runs.entry(run).or_default() += bytes;
            *self.workspaces.entry(workspace.clone()).or_default() += bytes;
            self.bytes += bytes;
            self.since = self.since.saturating_add(bytes);
        }
    }

    /// Forgets a run.
    pub fn let_go(&mut self, workspace: &WorkspaceId, run: RunId) {
        let Some(bytes) = self.runs.remove(&run) else { return };
        self.bytes -= bytes;
        if let Some(of_workspace) = self.workspaces.get_mut(workspace) {
            *of_workspace -= bytes;
            if *of_workspace == 0 {
                self.workspaces.remove(workspace);
            }
        }
    }

    fn room(&self, workspace: &WorkspaceId) -> usize {
        let of_workspace = self.workspaces.get(workspace).copied().unwrap_or(0);
        let of_all = (WORKSPACES * HELD_BYTES_MAX).saturating_sub(self.bytes);
        HELD_BYTES_MAX.saturating_sub(of_workspace).min(of_all)
    }
}

/// Returns how many bytes of large values a run of a workspace may make; more than `enough` is not looked for.
pub(super) fn room_for_values(shard: &mut Shard, workspace: &WorkspaceId, enough: usize) -> usize {
    let Shard { docket, shelves, .. } = shard;
    let held = &mut docket.held;
    if held.room(workspace) < enough && held.since >= RECOUNT_BYTES {
        let runs = std::mem::take(held).runs.into_keys().filter_map(|id| shelves.runs.get(&id));
        runs.for_each(|run| held.add(run.workspace(), run.id(), large_bytes(run)));
        held.since = 0;
    }
    held.room(workspace)
}

/// Notes the large values that a commit has given a run.
pub(super) fn hold_values(shard: &mut Shard, id: RunId, commit: &Commit) {
    let large = commit.events.iter().filter_map(storable).map(Json::len_bytes).filter(|bytes| *bytes >= STORED_FROM);
    let bytes = large.sum();
    if let Some(run) = shard.shelves.runs.get(&id) {
        shard.docket.held.add(run.workspace(), id, bytes);
    }
}

/// Notes the large values of a run that comes back.
pub(super) fn hold_values_of(shard: &mut Shard, run: &Run) {
    shard.docket.held.let_go(run.workspace(), run.id());
    shard.docket.held.add(run.workspace(), run.id(), large_bytes(run));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_its_share_and_all_have_four() {
        let mut held = Held::default();
        let workspace = |n: u32| -> WorkspaceId { format!("w{n}").parse().unwrap() };
        let run = |n: u128| RunId::from_uuid(uuid::Uuid::from_u128(n));
        held.add(&workspace(0), run(0), HELD_BYTES_MAX - 1);
        assert_eq!((held.room(&workspace(0)), held.room(&workspace(1))), (1, HELD_BYTES_MAX));
        for n in 1..4 {
            held.add(&workspace(n), run(n.into()), HELD_BYTES_MAX);
        }
        assert_eq!((held.room(&workspace(3)), held.room(&workspace(9))), (0, 1), "all together");
        held.add(&workspace(0), run(0), 5);
        held.let_go(&workspace(0), run(0));
        held.let_go(&workspace(0), run(0));
        assert_eq!(held.room(&workspace(0)), HELD_BYTES_MAX);
        assert_eq!(held.bytes, 3 * HELD_BYTES_MAX);
    }
}
