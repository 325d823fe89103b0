//! What expressions and schemas see of a run: that of their branch.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Branch, Origin, Place, Run};
use crate::expr::{ConsumedAsset, Facts, NodeStanding, Scope, Work};
use crate::failure::RunFailure;
use crate::run::{Ending, NodeStatus};
use crate::{BranchId, Json, Timestamp};

/// What is seen of what is around a node.
struct Around<'a> {
    origin: &'a Origin,
    error: Option<Cow<'a, RunFailure>>,
    /// Of the run, where that is more than everywhere.
    run: Option<Json>,
    bound: Vec<(&'a str, &'a Json)>,
}

impl Facts for Around<'_> {
    fn run(&self) -> &Json {
        self.run.as_ref().unwrap_or_else(|| &self.origin.facts().0)
    }

    fn trigger(&self) -> &Json {
        &self.origin.facts().1
    }
}

/// What is seen of nodes.
type Nodes<'a> = (&'a dyn Fn(&str) -> Option<&'a Json>, &'a dyn Fn(&str) -> Option<NodeStanding<'a>>);

/// How a node ends whose transitions on success are taken.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) enum WayOut<'a> {
    /// With this output.
    Succeeded(&'a Json),
    /// It has failed, and the run goes on as if it had succeeded with `null`; nothing is stored.
    Tolerated,
}

impl Run {
    /// Lets `look` see what the expressions of a node see in a decision of the time `now`.
    pub(in crate::run) fn with_scope<T>(
        &self,
        place: Place,
        error: Option<&RunFailure>,
        now: Timestamp,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        self.with_scope_beside(place, error, &[], now, look)
    }

    /// The same, where more is bound: the parameters of a node's action, or what the outputs of its items come to.
    pub(in crate::run) fn with_scope_beside<T>(
        &self,
        place: Place,
        error: Option<&RunFailure>,
        beside: &[(&str, &Json)],
        now: Timestamp,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let output = |id: &str| self.output_in(place.branch, id);
        // Whoever asks what to do about a failure asks when it has happened.
        let own = error.map(|_| (place, NodeStatus::Failed));
        let standing = |id: &str| self.standing_in(place.branch, id, own);
        let consumed = &self.node(place).consumed;
        let mut around = self.around_of(place, error, None);
        around.bound.splice(0..0, beside.iter().copied());
        look(&self.scope(consumed, self.state_of(place.branch), (&output, &standing), &around, now))
    }

    /// Lets `look` see what is seen of an item when its branch has ended; `output` is then what it has made.
    pub(in crate::run) fn with_scope_of_item<T>(
        &self,
        branch: BranchId,
        output: Option<&Json>,
        now: Timestamp,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let of_node = |id: &str| self.output_in(branch, id);
        let standing = |id: &str| self.standing_in(branch, id, None);
        let parent = self.branches.get(branch).and_then(|branch| branch.parent);
        let mut around = parent.map_or_else(|| self.around_nothing(), |parent| self.around_of(parent, None, None));
        around.bound = self.bound_in(branch, output);
        look(&self.scope(&[], self.state_of(branch), (&of_node, &standing), &around, now))
    }

    /// Lets `look` see what the run's output is made of: of each asset the version that the last node in order got.
    pub(in crate::run) fn with_scope_of_end<T>(&self, now: Timestamp, look: impl FnOnce(&Scope<'_>) -> T) -> T {
        let root = self.branches.root();
        let output = |id: &str| self.output_in(BranchId::ROOT, id);
        let mut known = BTreeSet::new();
        let last = root.nodes.iter().rev().flat_map(|node| &node.consumed);
        let assets: Vec<_> = last.filter(|consumed| known.insert(&consumed.asset)).cloned().collect();
        let standing = |id: &str| self.standing_in(BranchId::ROOT, id, None);
        look(&self.scope(&assets, &root.state, (&output, &standing), &self.around_nothing(), now))
    }

    /// The same, as it will be once the node has ended so, where perhaps more is bound.
    pub(in crate::run) fn with_scope_after<T>(
        &self,
        place: Place,
        end: WayOut<'_>,
        beside: &[(&str, &Json)],
        now: Timestamp,
        look: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let null = Json::null();
        let (result, status) = match end {
            WayOut::Succeeded(result) => (result, NodeStatus::Succeeded),
            WayOut::Tolerated => (&null, NodeStatus::Failed),
        };
        let output = |id: &str| match self.definition().find_str(id) {
            Some(found) if found == place.node => Some(result),
            Some(_) | None => self.output_in(place.branch, id),
        };
        let mut state = Arc::clone(self.state_of(place.branch));
        if let (WayOut::Succeeded(_), Some(key)) = (end, &self.definition().node(place.node).store_as) {
            Arc::make_mut(&mut state).insert(key.clone(), result.clone());
        }
        let standing = |id: &str| self.standing_in(place.branch, id, Some((place, status)));
        let mut around = self.around_of(place, None, None);
        around.bound.splice(0..0, beside.iter().copied());
        look(&self.scope(&self.node(place).consumed, &state, (&output, &standing), &around, now))
    }

    /// Checks the state as it will be once the node has succeeded with `result`.
    ///
    /// # Errors
    /// `state_schema`, or the limit that checking it ran into.
    pub(in crate::run) fn check_state_after(&self, place: Place, result: &Json, work: &Work) -> Result<(), RunFailure> {
        let (definition, state) = (self.definition(), self.state_of(place.branch));
        let key = &definition.node(place.node).store_as;
        let (Some(schema), Some(key)) = (&definition.state_schema, key) else { return Ok(()) };
        let bytes = result.len_bytes() + state.values().map(Json::len_bytes).sum::<usize>();
        work.scan(bytes).map_err(RunFailure::from)?;
        let mut state = BTreeMap::clone(state);
        state.insert(key.clone(), result.clone());
        let state = Json::of(&state);
        schema.check_within(&state, work).map_err(|refusal| refusal.into_failure("state_schema", ""))
    }

    /// Finds a node as it is seen from a branch: in that, or in the nearest around it that has it.
    fn seen_from(&self, branch: BranchId, id: &str) -> Option<Place> {
        let node = self.definition().find_str(id)?;
        let holds = |branch: &Branch| self.definition().region(branch.region).holds(node);
        self.branches.around(branch).find(|(_, branch)| holds(branch)).map(|(branch, _)| Place { branch, node })
    }

    fn output_in(&self, branch: BranchId, id: &str) -> Option<&Json> {
        self.seen_from(branch, id).and_then(|place| self.node(place).output.as_ref())
    }

    /// Where a node stands; `own` is how the one that is just ending ends.
    fn standing_in(&self, branch: BranchId, id: &str, own: Option<(Place, NodeStatus)>) -> Option<NodeStanding<'_>> {
        let place = self.seen_from(branch, id)?;
        let node = self.node(place);
        let status = own.filter(|(of, _)| *of == place).map_or_else(|| node.phase.status(), |(_, status)| status);
        Some(NodeStanding { status: status.as_str(), attempts: node.attempts, error: node.failure.as_deref() })
    }

    fn around_nothing(&self) -> Around<'_> {
        Around { origin: &self.origin, error: None, run: None, bound: Vec::new() }
    }

    /// Finds what is seen at a node of what is around it: the failure it stands behind, what bodies bind, and, in what runs
    /// whatever the end, how the run ends.
    fn around_of<'a>(&'a self, place: Place, error: Option<&'a RunFailure>, output: Option<&'a Json>) -> Around<'a> {
        let ending = self.ending().filter(|_| self.is_at_the_end(place));
        let of_end = || match ending? {
            Ending::Succeeded { .. } => None,
            Ending::Failed { failure } => Some(Cow::Borrowed(failure)),
            Ending::Cancelled { reason, keeps: _ } => Some(Cow::Owned(RunFailure::new("cancelled", reason.clone()))),
        };
        let caught = || self.failure_behind(place).map(Cow::Borrowed);
        Around {
            origin: &self.origin,
            error: error.map(Cow::Borrowed).or_else(caught).or_else(of_end),
            run: ending.map(|ending| self.origin.facts_at_end(ending.status())),
            bound: self.bound_in(place.branch, output),
        }
    }

    /// Finds the failure that a node stands behind, or what is around it.
    fn failure_behind(&self, place: Place) -> Option<&RunFailure> {
        let parents = self.branches.around(place.branch).filter_map(|(_, branch)| branch.parent);
        let behind = std::iter::once(place).chain(parents).find_map(|at| Some((at, self.node(at).caught.as_ref()?)));
        let (at, caught) = behind?;
        let failed = self.seen_from(at.branch, caught.as_str())?;
        self.node(failed).failure.as_deref()
    }

    /// Returns what the bodies around a branch bind, the innermost first; before it the `output` that a merge looks at.
    fn bound_in<'a>(&'a self, branch: BranchId, output: Option<&'a Json>) -> Vec<(&'a str, &'a Json)> {
        let mut bound: Vec<(&str, &Json)> = output.map(|output| ("output", output)).into_iter().collect();
        for (_, branch) in self.branches.around(branch) {
            let (Some([item, index]), Some(parent)) = (&branch.item, branch.parent) else { continue };
            bound.extend([("item", item), ("index", index)]);
            let each = self.definition().node(parent.node).action.for_each();
            if let Some(name) = each.and_then(|each| each.name.as_deref()) {
                bound.push((name, item));
            }
        }
        bound
    }

    fn scope<'a>(
        &'a self,
        assets: &'a [ConsumedAsset],
        state: &'a BTreeMap<Arc<str>, Json>,
        (output, standing): Nodes<'a>,
        around: &'a Around<'a>,
        now: Timestamp,
    ) -> Scope<'a> {
        let (input, error, bound) = (self.origin.input(), around.error.as_deref(), &around.bound);
        Scope { input, state, output, standing, assets, error, facts: around, now, bound }
    }
}
