//! What it means for the tables that a run goes over to another version: its nodes are called otherwise from now on, also in rows
//! of any earlier batch, and so the changes of a batch are parted there.

use headwater_core::run::RunEvent;
use headwater_core::{DefinitionVersion, NodeId, RunId};

use super::Facts;

/// A run that goes over to another version.
#[derive(Debug, Clone, PartialEq)]
pub struct MigratedRow {
    pub run: RunId,
    pub version: DefinitionVersion,
    /// What nodes were called, and what they are called now. None is called as another was.
    pub names: Vec<(NodeId, NodeId)>,
}

/// Finds that a run goes over with a commit; what happens in that happens in the other version.
pub(super) fn of(facts: &Facts<'_>) -> Option<MigratedRow> {
    let Facts::Run(run, events) = facts else { return None };
    let Some(RunEvent::RunMigrated { version, map, .. }) = events.first() else { return None };
    let named = map.iter().filter_map(|(before, now)| Some((before.clone(), now.clone()?)));
    let names = named.filter(|(before, now)| before != now).collect();
    Some(MigratedRow { run: *run, version: *version, names })
}
