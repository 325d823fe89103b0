//! The definition versions a shard has adopted: the document of each, and the graphs of those in use.
//!
//! A graph takes some ten times its document. It is made when a run needs it, is there as long as one does, and a while
//! longer: what nobody runs costs its document. Where a desk decides, whatever is not compiled is compiled before, elsewhere
//! ([`Compiled`]), and offered for the decision; where history is folded it is compiled on the spot.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;

use super::compiled::{Compiled, Compiler};
use super::{Commit, Event, WorkflowKey};
use crate::definition::{Definition, StoredDocument};
use crate::dialogue::Trigger;
use crate::run::RunEvent;
use crate::workflow::WorkflowEvent;
use crate::{DefinitionVersion, Json};

/// How many bytes the documents of graphs that no run uses may have together; one is kept in any case.
const IDLE_BYTES_MAX: usize = 4 << 20;
/// What a byte of a document costs to compile, in units of work.
const COMPILED_BYTE_WORK: u64 = 2;

/// Why there is no graph of a definition version.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it was not adopted before")]
    NotAdopted,
    /// It did when it was adopted.
    #[error("its document does not compile any more: {0}")]
    Broken(String),
}

#[derive(Debug)]
pub(super) struct Definitions {
    /// How many graphs that no run uses are kept for the next one.
    idle_max: usize,
    /// How what is not there is compiled.
    pub compiler: Compiler,
    adopted: FxHashMap<WorkflowKey, FxHashMap<DefinitionVersion, Adopted>>,
    /// The graphs that were asked for last, the newest at the back.
    recent: VecDeque<Arc<Definition>>,
    /// What the documents of these have together.
    recent_bytes: usize,
    /// What was compiled for the decision under way.
    offered: Arc<[Compiled]>,
    /// How much work was done for what nobody had compiled before.
    pub spent: u64,
}

#[derive(Debug)]
struct Adopted {
    document: Json,
    graph: Weak<Definition>,
}

impl Definitions {
    pub fn new(idle_max: usize) -> Self {
        Self {
            idle_max: idle_max.max(1),
            compiler: Compiler::default(),
            adopted: FxHashMap::default(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            offered: Arc::default(),
            spent: 0,
        }
    }

    /// Takes a document in, without looking at it.
    pub fn adopt(&mut self, key: WorkflowKey, version: DefinitionVersion, document: Json) {
        self.adopted.entry(key).or_default().insert(version, Adopted { document, graph: Weak::new() });
    }

    /// Takes in what is compiled already.
    pub fn adopt_compiled(&mut self, key: WorkflowKey, version: DefinitionVersion, graph: Arc<Definition>) {
        let adopted = Adopted { document: graph.journaled(&key.workspace), graph: Arc::downgrade(&graph) };
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

    /// Returns whether the graph of a version is there.
    pub fn has_graph(&self, key: &WorkflowKey, version: DefinitionVersion) -> bool {
        let adopted = self.adopted.get(key).and_then(|versions| versions.get(&version));
        adopted.is_some_and(|adopted| adopted.graph.strong_count() > 0 || self.is_kept(&adopted.document))
    }

    /// Returns whether the graph of a document was asked for lately.
    pub fn is_kept(&self, document: &Json) -> bool {
        self.recent.iter().any(|graph| graph.is_of(document))
    }

    /// Offers what was compiled, in place of what was offered before.
    pub fn offer(&mut self, compiled: Arc<[Compiled]>) {
        self.offered = compiled;
    }

    /// Returns the graph of a version. Compiles it where it is not there.
    pub fn graph(&mut self, key: &WorkflowKey, version: DefinitionVersion) -> Result<Arc<Definition>, Unusable> {
        let adopted = self.adopted.get(key).and_then(|versions| versions.get(&version));
        let adopted = adopted.ok_or(Unusable::NotAdopted)?;
        if let Some(graph) = adopted.graph.upgrade() {
            self.keep(graph.clone());
            return Ok(graph);
        }
        let graph = self.compiled(&adopted.document.clone()).map_err(Unusable::Broken)?;
        if let Some(adopted) = self.adopted.get_mut(key).and_then(|versions| versions.get_mut(&version)) {
            adopted.graph = Arc::downgrade(&graph);
        }
        Ok(graph)
    }

    /// Returns the graph of a document. Compiles it where it is neither offered nor kept.
    ///
    /// # Errors
    /// Why there is none.
    pub fn compiled(&mut self, document: &Json) -> Result<Arc<Definition>, String> {
        let offered = self.offered.iter().find(|compiled| compiled.is_of(document));
        let kept = || self.recent.iter().find(|graph| graph.is_of(document)).cloned();
        let graph = match offered.map(|compiled| compiled.outcome.clone()).or_else(|| kept().map(Ok)) {
            Some(outcome) => outcome?,
            None => {
                self.spent += COMPILED_BYTE_WORK * document.len_bytes() as u64;
                self.compiler.compile(document).outcome?
            }
        };
        self.keep(graph.clone());
        Ok(graph)
    }

    /// Returns whether a commit has words that releases before 0.2 do not know, or the definition that it brings, or says which
    /// version is pinned, or is of an action or a memo.
    pub fn have_later_words(&mut self, commit: &Commit) -> bool {
        commit.events.iter().any(|event| match event {
            Event::DefinitionAdopted { document }
            | Event::Workflow(WorkflowEvent::WorkflowApplied { document, .. }) => {
                let is_stored = StoredDocument::of(document).is_some();
                is_stored || self.compiled(document).is_ok_and(|graph| graph.has_later_words)
            }
            Event::Workflow(
                WorkflowEvent::VersionPinned { .. }
                | WorkflowEvent::StartsPaused { .. }
                | WorkflowEvent::StartsResumed { .. },
            )
            | Event::Action(_)
            | Event::Memo(_) => true,
            Event::Released(release) => release.record.has_later_words(),
            // Whoever is called need not have words of its own.
            Event::Run(RunEvent::RunStarted { trigger, targets, continued, .. }) => {
                matches!(trigger, Trigger::Call(_)) || !targets.is_empty() || continued.is_some()
            }
            Event::Run(event) => matches!(
                event,
                RunEvent::RunDescribed { .. } | RunEvent::RunMigrated { .. } | RunEvent::RunStopping { .. }
            ),
            Event::Workflow(WorkflowEvent::VersionSelected { .. }) | Event::Asset(_) => false,
        })
    }

    /// Returns the graphs that were asked for last.
    pub fn kept(&self) -> Vec<Compiled> {
        self.recent.iter().cloned().map(Compiled::of_graph).collect()
    }

    /// Lets a version go.
    pub fn forget(&mut self, key: &WorkflowKey, version: DefinitionVersion) {
        if let Some(versions) = self.adopted.get_mut(key) {
            versions.remove(&version);
        }
    }

    fn keep(&mut self, graph: Arc<Definition>) {
        if self.recent.back().is_some_and(|newest| Arc::ptr_eq(newest, &graph)) {
            return;
        }
        match self.recent.iter().rposition(|kept| Arc::ptr_eq(kept, &graph)) {
            Some(at) => drop(self.recent.remove(at)),
            None => self.recent_bytes += graph.source.len_bytes(),
        }
        self.recent.push_back(graph);
        while self.recent.len() > self.idle_max || (self.recent_bytes > IDLE_BYTES_MAX && self.recent.len() > 1) {
            self.recent_bytes -= self.recent.pop_front().map_or(0, |oldest| oldest.source.len_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::compilations;

    const FIRST: DefinitionVersion = DefinitionVersion::FIRST;

    fn key(number: usize) -> WorkflowKey {
        WorkflowKey { workspace: "default".parse().unwrap(), workflow: format!("w{number}").parse().unwrap() }
    }

    fn adopted(idle_max: usize, documents: impl Iterator<Item = serde_json::Value>) -> Definitions {
        let mut definitions = Definitions::new(idle_max);
        for (number, document) in documents.enumerate() {
            definitions.adopt(key(number), FIRST, Json::of(&document));
        }
        definitions
    }

    fn document(number: usize, text: usize) -> serde_json::Value {
        json!({"defaults": {"text": "x".repeat(text)}, "nodes": [{"id": "a", "jobSlug": "work"}], "slug": format!("w{number}")})
    }

    #[test]
    fn so_many_graphs_that_no_run_uses_are_kept_and_not_one_more() {
        let mut definitions = adopted(3, (0..6).map(|number| document(number, 1)));
        // As a run does.
        let used = definitions.graph(&key(0), FIRST).unwrap();
        for number in 1..6 {
            definitions.graph(&key(number), FIRST).unwrap();
        }
        let there = |definitions: &Definitions| -> Vec<usize> {
            (0..6).filter(|number| definitions.has_graph(&key(*number), FIRST)).collect()
        };
        assert_eq!(there(&definitions), [0, 3, 4, 5]);
        // What was asked for again goes last.
        definitions.graph(&key(3), FIRST).unwrap();
        definitions.graph(&key(1), FIRST).unwrap();
        assert_eq!(there(&definitions), [0, 1, 3, 5]);
        let before = (compilations(), definitions.spent);
        definitions.graph(&key(0), FIRST).unwrap();
        assert_eq!((compilations(), definitions.spent), before, "a run has it");
        drop(used);
        definitions.graph(&key(5), FIRST).unwrap();
        definitions.graph(&key(4), FIRST).unwrap();
        definitions.graph(&key(3), FIRST).unwrap();
        assert_eq!(there(&definitions), [3, 4, 5], "nobody has it any more");
    }

    #[test]
    fn their_documents_have_so_many_bytes_together_or_there_is_one() {
        let text = IDLE_BYTES_MAX / 8;
        let mut definitions = adopted(100, (0..9).map(|number| document(number, text)));
        for number in 0..9 {
            definitions.graph(&key(number), FIRST).unwrap();
        }
        assert_eq!(definitions.recent.len(), 7);
        let sum: usize = definitions.recent.iter().map(|graph| graph.source.len_bytes()).sum();
        assert_eq!(definitions.recent_bytes, sum);
        assert!(sum <= IDLE_BYTES_MAX);
    }

    #[test]
    fn what_somebody_else_has_compiled_is_taken_from_there() {
        let mut definitions = adopted(1, [document(0, 1)].into_iter());
        let failed = |document: &Json| Compiled::failed(document.clone(), "ask somebody else".to_owned());
        definitions.compiler = Compiler::new(failed);
        let unusable = definitions.graph(&key(0), FIRST).unwrap_err();
        assert!(unusable.to_string().contains("ask somebody else"), "{unusable}");
    }

    #[test]
    fn what_is_compiled_in_a_decision_is_work_and_what_was_offered_is_not() {
        let mut definitions = adopted(1, (0..2).map(|number| document(number, 1_000)));
        let length = definitions.document(&key(0), FIRST).unwrap().len_bytes() as u64;
        definitions.graph(&key(0), FIRST).unwrap();
        assert_eq!(definitions.spent, COMPILED_BYTE_WORK * length);
        let offered = Compiled::of(definitions.document(&key(1), FIRST).unwrap());
        definitions.offer([offered].into());
        let before = compilations();
        definitions.graph(&key(1), FIRST).unwrap();
        assert_eq!((definitions.spent, compilations()), (COMPILED_BYTE_WORK * length, before));
    }
}
