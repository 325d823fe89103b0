//! What has to be compiled before a command can be decided: whoever drives the shard has it done elsewhere, and a decision
//! never waits for it.

use std::fmt;
use std::sync::Arc;

use super::poison;
use super::state::Shard;
use super::{Owner, Submission, WorkflowKey, kinds};
use crate::credit::Hands;
use crate::definition::{Definition, StoredDocument, compile};
use crate::{DefinitionVersion, Json, Timestamp};

/// A document, and its graph or why there is none.
#[derive(Debug, Clone)]
pub struct Compiled {
    document: Json,
    pub(super) outcome: Result<Arc<Definition>, String>,
}

impl Compiled {
    /// Compiles a document: some 20 ns a byte. One that makes the compiler panic has no graph, and neither has what stands for
    /// one that is stored elsewhere: see [`Self::of_stored`].
    pub fn of(document: &Json) -> Self {
        if let Some(stored) = StoredDocument::of(document) {
            let reason = format!("the document {} of {} bytes was not fetched", stored.digest, stored.size_bytes);
            return Self::failed(document.clone(), reason);
        }
        let outcome = match poison::caught(|| compile(&document.to_value())) {
            Ok(Ok((definition, _))) => Ok(Arc::new(definition)),
            Ok(Err(problems)) => Err(problems.to_string()),
            Err(said) => Err(format!("the compiler panicked: {said}")),
        };
        Self { document: document.clone(), outcome }
    }

    /// Compiles what was fetched for what stands for it.
    pub fn of_stored(stored: &StoredDocument, fetched: &Json) -> Self {
        let Self { outcome, .. } = Self::of(fetched);
        let outcome = outcome.and_then(|graph| {
            let is_it = graph.is_of(&stored.to_json());
            if is_it { Ok(graph) } else { Err(format!("what is stored as {} is another document", stored.digest)) }
        });
        Self { document: stored.to_json(), outcome }
    }

    /// Says that a document could not be compiled, whatever it holds.
    pub fn failed(document: Json, reason: String) -> Self {
        Self { document, outcome: Err(reason) }
    }

    /// Takes a graph that was compiled before.
    pub fn of_graph(graph: Arc<Definition>) -> Self {
        Self { document: graph.source.clone(), outcome: Ok(graph) }
    }

    /// Returns the graph, if there is one.
    pub fn graph(&self) -> Option<&Arc<Definition>> {
        self.outcome.as_ref().ok()
    }

    /// Returns whether it is this document's, as it came or as the graph spells it.
    pub(crate) fn is_of(&self, document: &Json) -> bool {
        self.document == *document || self.outcome.as_ref().is_ok_and(|graph| graph.is_of(document))
    }
}

/// How a shard compiles what it folds: by [`Compiled::of`], or in another way to the same end. Cheap to clone.
#[derive(Clone)]
pub struct Compiler(Arc<dyn Fn(&Json) -> Compiled + Send + Sync>);

impl Compiler {
    /// Compiles so: where several shards of a process have the same definitions, each once; and what is stored elsewhere once
    /// it is fetched.
    pub fn new(compile: impl Fn(&Json) -> Compiled + Send + Sync + 'static) -> Self {
        Self(Arc::new(compile))
    }

    pub(super) fn compile(&self, document: &Json) -> Compiled {
        (self.0)(document)
    }
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new(Compiled::of)
    }
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compiler")
    }
}

impl PartialEq for Compiled {
    /// Compiling is a function of the document.
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

/// What commands wait for, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// A definition version: its document, or its graph.
    Version(WorkflowKey, DefinitionVersion),
    /// The graph of what is to be the next version of a workflow.
    Next(WorkflowKey),
}

impl Awaited {
    /// Returns the workflow it is of.
    pub fn workflow(&self) -> &WorkflowKey {
        match self {
            Self::Version(key, _) | Self::Next(key) => key,
        }
    }
}

/// What a shard does not have, and has to before it can decide a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// The document of a definition version.
    Document(WorkflowKey, DefinitionVersion),
    /// The graphs of these documents.
    Graphs(Awaited, Vec<Json>),
}

impl Missing {
    /// Returns what the command waits for.
    pub fn awaited(&self) -> Awaited {
        match self {
            Self::Document(key, version) => Awaited::Version(key.clone(), *version),
            Self::Graphs(awaited, _) => awaited.clone(),
        }
    }
}

impl<C> Owner<C> {
    /// Decides a command as [`Self::submit`] does; what it needs is taken from `compiled`, where it is not there.
    ///
    /// # Panics
    /// As [`Self::submit`].
    pub fn submit_with(
        &mut self,
        caller: C,
        submission: Submission,
        compiled: Arc<[Compiled]>,
        now: Timestamp,
        hands: &mut Hands,
    ) {
        self.shard.definitions.offer(compiled);
        self.submit(caller, submission, now, hands);
        self.shard.definitions.offer(Arc::default());
    }
}

/// Has what a shard folds compiled so.
pub fn compiled_by(compiler: &Compiler, mut shard: Shard) -> Shard {
    shard.definitions.compiler = compiler.clone();
    shard
}

/// Returns what is missing for a command to be decided. What is neither here nor quarantined is to be looked up.
pub fn missing(shard: &Shard, submission: &Submission) -> Option<Missing> {
    kinds::missing(shard, submission)
}

/// Returns those documents, if one of them has no graph.
pub(super) fn missing_of<'a>(
    shard: &Shard,
    awaited: Awaited,
    documents: impl Iterator<Item = &'a Json>,
) -> Option<Missing> {
    let documents: Vec<_> = documents.cloned().collect();
    let is_missing = documents.iter().any(|document| !shard.definitions.is_kept(document));
    // All of them: one that is kept may go when another comes.
    is_missing.then_some(Missing::Graphs(awaited, documents))
}
