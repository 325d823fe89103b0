//! Which nodes of a run happen where only a part of it was asked for.

use std::collections::BTreeSet;

use crate::NodeId;
use crate::definition::{Definition, NodeIx, RegionIx, RegionKind};

/// The nodes that happen: those that were asked for, and what they depend on. A loop happens as a whole, and so does a body.
/// What runs whatever the end always happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) struct Part(Vec<bool>);

impl Part {
    /// Finds them; none of a run that was asked for as a whole.
    pub fn of(definition: &Definition, targets: &[NodeId]) -> Option<Self> {
        if targets.is_empty() {
            return None;
        }
        let (mut part, mut loops) = (Self(vec![false; definition.nodes.len()]), BTreeSet::new());
        let mut todo: Vec<NodeIx> = targets.iter().filter_map(|id| definition.find(id)).collect();
        while let Some(ix) = todo.pop() {
            if std::mem::replace(&mut part.0[ix.0 as usize], true) {
                continue;
            }
            let node = definition.node(ix);
            todo.extend(node.incoming.iter().map(|way| definition.transition(*way).from));
            if let Some(outermost) = outermost_loop(definition, ix).filter(|outermost| loops.insert(*outermost)) {
                todo.extend(definition.region(outermost).nodes.clone().map(NodeIx));
            }
        }
        let finally = definition.finally.into_iter().chain(definition.compensation.as_ref().map(|of| of.node));
        let whole = definition.regions.iter().filter_map(|region| match region.kind {
            RegionKind::Body { each } => Some((each, region.nodes.clone())),
            RegionKind::Root | RegionKind::Loop { .. } => None,
        });
        finally.for_each(|finally| part.0[finally.0 as usize] = true);
        // Each region comes before those within it.
        for (each, nodes) in whole {
            if part.0[each.0 as usize] {
                part.0[nodes.start as usize..nodes.end as usize].fill(true);
            }
        }
        Some(part)
    }

    /// Returns whether a node happens.
    pub fn holds(&self, ix: NodeIx) -> bool {
        self.0[ix.0 as usize]
    }
}

/// Checks what a start asks for, and puts it in order, each once.
///
/// # Errors
/// Which node cannot be asked for, and why, in words.
pub(in crate::run) fn check(definition: &Definition, targets: Vec<NodeId>) -> Result<Vec<NodeId>, String> {
    for target in &targets {
        let ix = definition.find(target).ok_or_else(|| format!("there is no node `{target}`"))?;
        if definition.finally == Some(ix) {
            return Err(format!("`{target}` runs whatever the end, and is no target"));
        }
        if definition.waits_for_the_end(ix) {
            return Err(format!("`{target}` undoes what has succeeded, and is no target"));
        }
        if is_in_a_body(definition, ix) {
            return Err(format!("`{target}` stands in a body, which happens as a whole: name the node around it"));
        }
    }
    Ok(targets.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
}

fn is_in_a_body(definition: &Definition, ix: NodeIx) -> bool {
    around(definition, ix).any(|region| matches!(definition.region(region).kind, RegionKind::Body { .. }))
}

fn outermost_loop(definition: &Definition, ix: NodeIx) -> Option<RegionIx> {
    around(definition, ix).filter(|region| matches!(definition.region(*region).kind, RegionKind::Loop { .. })).last()
}

/// The regions around a node but the run itself, from the inside.
fn around(definition: &Definition, ix: NodeIx) -> impl Iterator<Item = RegionIx> {
    let parent = |region: &RegionIx| Some(definition.region(*region).parent);
    std::iter::successors(Some(definition.node(ix).region), parent).take_while(|region| *region != RegionIx::ROOT)
}
