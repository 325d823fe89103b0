//! What expressions and schemas see of a run: that of their branch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Branch, Place, Run};
use crate::definition::NodeIx;
use crate::expr::{ConsumedAsset, NodeStanding, Scope, Work};
use crate::failure::RunFailure;
use crate::run::NodeStatus;
use crate::{Json, Timestamp};

/// What is seen of nodes.
type Nodes<'a> = (&'a dyn Fn(&str) -> Option<&'a Json>, &'a dyn Fn(&str) -> Option<NodeStanding>);

impl Run {
    /// Lets `look` see what the expressions of a node see in a decision of the time `now`.
    pub(in crate::run) fn with_scope<T>(
        &self,
        place: Place,
        error: Option<&RunFailure>,
        now: Timestamp,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let branch = self.branches.of(place);
        let output = |id: &str| self.output_in(branch, id);
        // Whoever asks what to do about a failure asks when it has happened.
        let own = error.map(|_| (place.node, NodeStatus::Failed));
        let standing = |id: &str| self.standing_in(branch, id, own);
        look(&self.scope(&branch.node(place.node).consumed, &branch.state, (&output, &standing), error, now))
    }

    /// Lets `look` see what the run's output is made of: of each asset the version that the last node in order got.
    pub(in crate::run) fn with_scope_of_end<T>(&self, now: Timestamp, look: impl FnOnce(&Scope<'_>) -> T) -> T {
        let root = self.branches.root();
        let output = |id: &str| self.output_in(root, id);
        let mut known = BTreeSet::new();
        let last = root.nodes.iter().rev().flat_map(|node| &node.consumed);
        let assets: Vec<_> = last.filter(|consumed| known.insert(&consumed.asset)).cloned().collect();
        let standing = |id: &str| self.standing_in(root, id, None);
        look(&self.scope(&assets, &root.state, (&output, &standing), None, now))
    }

    /// The same, as it will be once the node has succeeded with `result`.
    pub(in crate::run) fn with_scope_after<T>(
        &self,
        place: Place,
        result: &Json,
        now: Timestamp,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let branch = self.branches.of(place);
        let output = |id: &str| match self.definition().find_str(id) {
            Some(found) if found == place.node => Some(result),
            Some(found) => branch.node(found).output.as_ref(),
            None => None,
        };
        let mut state = branch.state.clone();
        if let Some(key) = &self.definition().node(place.node).store_as {
            state.insert(key.clone(), result.clone());
        }
        let standing = |id: &str| self.standing_in(branch, id, Some((place.node, NodeStatus::Succeeded)));
        look(&self.scope(&branch.node(place.node).consumed, &state, (&output, &standing), None, now))
    }

    /// Checks the state as it will be once the node has succeeded with `result`.
    ///
    /// # Errors
    /// `state_schema`, or the limit that checking it ran into.
    pub(in crate::run) fn check_state_after(&self, place: Place, result: &Json, work: &Work) -> Result<(), RunFailure> {
        let (definition, state) = (self.definition(), &self.branches.of(place).state);
        let key = &definition.node(place.node).store_as;
        let (Some(schema), Some(key)) = (&definition.state_schema, key) else { return Ok(()) };
        let bytes = result.len_bytes() + state.values().map(Json::len_bytes).sum::<usize>();
        work.scan(bytes).map_err(RunFailure::from)?;
        let mut state = state.clone();
        state.insert(key.clone(), result.clone());
        let state = Json::of(&state);
        schema.check_within(&state, work).map_err(|refusal| refusal.into_failure("state_schema", ""))
    }

    fn output_in<'a>(&self, branch: &'a Branch, id: &str) -> Option<&'a Json> {
        self.definition().find_str(id).and_then(|ix| branch.node(ix).output.as_ref())
    }

    /// Where a node stands; `own` is how the one that is just ending ends.
    fn standing_in(&self, branch: &Branch, id: &str, own: Option<(NodeIx, NodeStatus)>) -> Option<NodeStanding> {
        let ix = self.definition().find_str(id)?;
        let node = branch.node(ix);
        let status = own.filter(|(of, _)| *of == ix).map_or_else(|| node.phase.status(), |(_, status)| status);
        Some(NodeStanding { status: status.as_str(), attempts: node.attempts })
    }

    fn scope<'a>(
        &'a self,
        assets: &'a [ConsumedAsset],
        state: &'a BTreeMap<Arc<str>, Json>,
        (output, standing): Nodes<'a>,
        error: Option<&'a RunFailure>,
        now: Timestamp,
    ) -> Scope<'a> {
        let (run, trigger) = self.origin.facts();
        Scope { input: self.origin.input(), state, output, standing, assets, error, run, trigger, now }
    }
}
