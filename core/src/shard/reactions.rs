//! What follows from commits, where working it out can wait until somebody is to be told: most of what a take-over folds was
//! delivered long ago.

use std::sync::Arc;

use super::compiled::Compiler;
use super::{Effect, poison};
use crate::Json;
use crate::definition::Definition;
use crate::workflow::News;

/// The effects of commits in their order, those of new versions still to be worked out.
#[derive(Debug, Clone, Default)]
pub(super) struct Reactions {
    pub effects: Vec<Effect>,
    /// With the place among the effects where theirs belong.
    pub later: Vec<(usize, News)>,
}

impl Reactions {
    /// Returns the effects. Compiles what stands in [`Self::later`]; what cannot be compiled declares nothing.
    pub fn worked_out(self, compiler: &Compiler) -> Vec<Effect> {
        self.worked_out_with(&mut |document| compiler.compile(document).outcome.ok())
    }

    /// Returns the effects, with the graphs that `graph` knows of documents.
    pub fn worked_out_with(self, graph: &mut dyn FnMut(&Json) -> Option<Arc<Definition>>) -> Vec<Effect> {
        if self.later.is_empty() {
            return self.effects;
        }
        let mut all = Vec::new();
        let mut effects = self.effects.into_iter();
        let mut taken = 0;
        for (at, news) in self.later {
            all.extend(effects.by_ref().take(at - taken));
            taken = at;
            all.push(Effect::publication(&news));
            all.extend(poison::caught(|| Effect::declarations(&news, graph).collect::<Vec<_>>()).unwrap_or_default());
        }
        all.extend(effects);
        all
    }
}
