//! The definition versions a shard has adopted: the document of each, and the graphs of those in use.
//!
//! A graph takes some ten times its document. It is made when a run needs it, is there as long as one does, and a while
//! longer: what nobody runs costs its document.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;

use super::WorkflowKey;
use crate::definition::{Definition, Problems, compile};
use crate::{DefinitionVersion, Json};

/// How many graphs that no run uses are kept for the next one.
const IDLE_MAX: usize = 256;
/// How many bytes their documents may have together; one is kept in any case.
const IDLE_BYTES_MAX: usize = 4 << 20;

/// Why there is no graph of a definition version.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it was not adopted before")]
    NotAdopted,
    /// It did when it was adopted.
    #[error("its document does not compile any more: {0}")]
    Broken(Problems),
}

#[derive(Debug, Default)]
pub(super) struct Definitions {
    adopted: FxHashMap<WorkflowKey, FxHashMap<DefinitionVersion, Adopted>>,
    /// The graphs that were asked for last, the newest at the back.
    recent: VecDeque<Arc<Definition>>,
    /// What the documents of these have together.
    recent_bytes: usize,
}

#[derive(Debug)]
struct Adopted {
    document: Json,
    graph: Weak<Definition>,
}

impl Definitions {
    /// Takes a document in, without looking at it.
    pub fn adopt(&mut self, key: WorkflowKey, version: DefinitionVersion, document: Json) {
        self.adopted.entry(key).or_default().insert(version, Adopted { document, graph: Weak::new() });
    }

    /// Takes in what is compiled already.
    pub fn adopt_compiled(&mut self, key: WorkflowKey, version: DefinitionVersion, definition: Definition) {
        let graph = Arc::new(definition);
        let adopted = Adopted { document: graph.source.clone(), graph: Arc::downgrade(&graph) };
        self.adopted.entry(key).or_default().insert(version, adopted);
        self.keep(graph);
    }

    /// Returns the document of a version.
    pub fn document(&self, key: &WorkflowKey, version: DefinitionVersion) -> Option<&Json> {
        Some(&self.adopted.get(key)?.get(&version)?.document)
    }

    /// Returns every version's document, in no order.
    pub fn documents(&self) -> impl Iterator<Item = (&WorkflowKey, &DefinitionVersion, &Json)> {
        let of = |(key, versions)| {
            let versions: &FxHashMap<DefinitionVersion, Adopted> = versions;
            versions.iter().map(move |(version, adopted)| (key, version, &adopted.document))
        };
        self.adopted.iter().flat_map(of)
    }

    /// Returns the graph of a version. Compiles it where no run uses it and it was not asked for lately.
    pub fn graph(&mut self, key: &WorkflowKey, version: DefinitionVersion) -> Result<Arc<Definition>, Unusable> {
        let adopted = self.adopted.get_mut(key).and_then(|versions| versions.get_mut(&version));
        let adopted = adopted.ok_or(Unusable::NotAdopted)?;
        let graph = match adopted.graph.upgrade() {
            Some(graph) => graph,
            None => {
                let (definition, _) = compile(&adopted.document.to_value()).map_err(Unusable::Broken)?;
                let graph = Arc::new(definition);
                adopted.graph = Arc::downgrade(&graph);
                graph
            }
        };
        self.keep(graph.clone());
        Ok(graph)
    }

    /// Lets a version go.
    pub fn forget(&mut self, key: &WorkflowKey, version: DefinitionVersion) {
        if let Some(versions) = self.adopted.get_mut(key) {
            versions.remove(&version);
        }
    }

    fn keep(&mut self, graph: Arc<Definition>) {
        match self.recent.iter().rposition(|kept| Arc::ptr_eq(kept, &graph)) {
            Some(at) => drop(self.recent.remove(at)),
            None => self.recent_bytes += graph.source.len_bytes(),
        }
        self.recent.push_back(graph);
        while self.recent.len() > IDLE_MAX || (self.recent_bytes > IDLE_BYTES_MAX && self.recent.len() > 1) {
            self.recent_bytes -= self.recent.pop_front().map_or(0, |oldest| oldest.source.len_bytes());
        }
    }
}
