//! What a checkpoint holds of a run: what was folded, without what follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::agenda::{Agenda, Todo, has_a_place};
use super::callback::Callbacks;
use super::evolve::Fold;
use super::few::Few;
use super::halt::{HaltRecord, Halts};
use super::mail::{Mail, MailRecord};
use super::migration::Trail;
use super::person::People;
use super::recall::{self, Recall};
use super::recorded_branch::{BranchRecord, open, record as branch, restore_kept, restore_states};
use super::replies::Replies;
use super::state::{Assets, Branches, Landing, NodeState, Origin, Phase, Place, Run};
use super::succession::Chain;
use super::waiting::{Dealings, Waiting};
use super::{Ending, RunEvent, RunStatus, Trigger};
use crate::address::WorkflowKey;
use crate::definition::Definition;
use crate::dialogue::{ContinuedFrom, Description, InputVersion, Recalled};
use crate::{
    AssetId, BranchId, DefinitionVersion, Json, NodeAddress, NodeId, PartitionKey, Revision, RunId, Slug, Timestamp,
    WorkspaceId,
};

/// A run as it is written. Nodes go by their ids, timers and counts are made again from them, and the definition
/// stands elsewhere in the checkpoint. A change is a new format of the section `runs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunRecord {
    id: RunId,
    workspace: WorkspaceId,
    workflow: Slug,
    version: DefinitionVersion,
    pub(super) status: RunStatus,
    input: Json,
    trigger: Trigger,
    keyed: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    targets: Vec<NodeId>,
    /// Since format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    continued: Option<Box<ContinuedFrom>>,
    /// What it knows of that, and in how many pieces it came.
    #[serde(default, skip_serializing_if = "is_untold")]
    recall: (u32, Vec<Recalled>),
    #[serde(default, skip_serializing_if = "Description::is_empty")]
    description: Description,
    state: BTreeMap<String, Json>,
    started_at: Timestamp,
    revision: Revision,
    /// Those that something has happened to.
    pub(super) nodes: Vec<(NodeAddress, NodeState)>,
    unrecorded: Vec<(NodeAddress, AssetId, Option<PartitionKey>)>,
    consumed: Vec<InputVersion>,
    /// Of what its caller waits for. Since format 3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    promised: Vec<InputVersion>,
    /// Of what memos are to hear. Since format 3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    landings: Vec<LandingRecord>,
    /// What was said to it. Since format 3.
    #[serde(default, skip_serializing_if = "MailRecord::is_empty")]
    mail: MailRecord,
    /// What of it is halted. Since format 3.
    #[serde(default, skip_serializing_if = "HaltRecord::is_empty")]
    halts: HaltRecord,
    /// What people have answered. Since format 3.
    #[serde(default, skip_serializing_if = "People::is_empty")]
    people: People,
    /// What updates were answered with. Since format 3.
    #[serde(default, skip_serializing_if = "Replies::is_empty")]
    replies: Replies,
    /// The runs before and after it. Since format 3.
    #[serde(default, skip_serializing_if = "Chain::is_empty")]
    chain: Chain,
    /// Which callbacks are over. Since format 3.
    #[serde(default, skip_serializing_if = "Callbacks::is_empty")]
    callbacks: Callbacks,
    /// What has still to begin, in its order. Since format 2, as the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    agenda: Vec<TodoRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<Ending>,
    /// Those that are open but the run itself, in order. Since format 3, as the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) branches: Vec<BranchRecord>,
    /// The number of the next.
    #[serde(default = "first_branch", skip_serializing_if = "is_first_branch")]
    pub(super) next_branch: u32,
    /// How many turns of loops there were.
    #[serde(default, skip_serializing_if = "is_none")]
    turns: u32,
    /// What has succeeded and can be undone, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kept: Vec<(NodeAddress, Json)>,
    /// What is left of the versions that it was at before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trail: Option<Box<Trail>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LandingRecord {
    node: NodeAddress,
    digest: String,
    output: Json,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assets: Vec<InputVersion>,
}

/// What is to be done: the text of a node's address, or something of a branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum TodoRecord {
    Begin(NodeAddress),
    Of(TodoOf),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum TodoOf {
    Advance(NodeAddress),
    Finish(BranchId),
    Close(BranchId),
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

fn first_branch() -> u32 {
    1
}

fn is_first_branch(next: &u32) -> bool {
    *next == first_branch()
}

impl RunRecord {
    /// Returns the run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Returns the workflow and the definition version that the run is frozen at.
    pub fn definition(&self) -> (WorkflowKey, DefinitionVersion) {
        (WorkflowKey { workspace: self.workspace.clone(), workflow: self.workflow.clone() }, self.version)
    }

    /// Forgets what memos are still to hear.
    pub(super) fn forget_landings(&mut self) {
        self.landings.clear();
    }

    /// The same in another version, where nodes are called otherwise, or are gone (`None`); nothing is listed there but what is
    /// returned beside it. Branches are not open in it.
    pub(super) fn renamed(
        mut self,
        version: DefinitionVersion,
        name: impl Fn(&NodeAddress) -> Option<NodeAddress>,
        trail: Trail,
    ) -> (Self, Vec<NodeAddress>) {
        let named = |node: &NodeId| Some(name(&NodeAddress::new(node.clone(), BranchId::ROOT))?.node().clone());
        (self.version, self.trail) = (version, Some(Box::new(trail)));
        self.targets = self.targets.iter().filter_map(named).collect();
        self.targets.sort_unstable();
        let nodes = self.nodes.into_iter().filter_map(|(node, state)| {
            let caught = state.caught.as_ref().and_then(named);
            // That follows from where the others stand.
            Some((name(&node)?, NodeState { caught, failed: 0, ..state }))
        });
        self.nodes = nodes.collect();
        let unrecorded = self.unrecorded.into_iter();
        self.unrecorded = unrecorded.filter_map(|(node, asset, key)| Some((name(&node)?, asset, key))).collect();
        let landings = self.landings.into_iter();
        self.landings = landings.filter_map(|of| Some(LandingRecord { node: name(&of.node)?, ..of })).collect();
        self.kept = self.kept.into_iter().filter_map(|(node, input)| Some((name(&node)?, input))).collect();
        self.halts = self.halts.renamed(named);
        let begin = |todo| if let TodoRecord::Begin(node) = todo { name(&node) } else { None };
        let listed = std::mem::take(&mut self.agenda).into_iter().filter_map(begin).collect();
        (self, listed)
    }

    /// Makes the run again, frozen at `definition`.
    ///
    /// # Errors
    /// The node that the definition does not have.
    pub fn restore(self, definition: Arc<Definition>) -> Result<Run, NodeAddress> {
        let mut branches = Branches::untouched(&definition);
        for record in &self.branches {
            open(&mut branches, &definition, record)?;
        }
        branches.count_from(self.next_branch, self.turns);
        restore_kept(&mut branches, &definition, self.kept)?;
        for (node, state) in self.nodes {
            // Nodes of a loop stand in the branch around it too, where its last turn left them.
            let ix = definition.find(node.node()).ok_or_else(|| node.clone())?;
            let branch = branches.get_mut(node.branch());
            let branch = branch.filter(|branch| definition.region(branch.region).holds(ix));
            branch.ok_or(node)?.put(ix, state);
        }
        let place = |node: NodeAddress| match definition.find(node.node()) {
            // Its branch may have ended.
            Some(ix) if node.branch() < branches.next() => Ok(Place { branch: node.branch(), node: ix }),
            Some(_) | None => Err(node),
        };
        let assets = restored(Assets::new(self.consumed, self.promised), self.unrecorded, self.landings, place)?;
        let agenda = self.agenda.into_iter().map(|todo| {
            Ok(match todo {
                TodoRecord::Begin(node) => Todo::Begin(branches.find(&definition, &node).ok_or(node)?),
                TodoRecord::Of(TodoOf::Advance(node)) => Todo::Advance(branches.find(&definition, &node).ok_or(node)?),
                TodoRecord::Of(TodoOf::Finish(branch)) => Todo::Finish(branch),
                TodoRecord::Of(TodoOf::Close(branch)) => Todo::Close(branch),
            })
        });
        let agenda = agenda.collect::<Result<Vec<Todo>, NodeAddress>>()?;
        let root = branches.get_mut(BranchId::ROOT).expect("the run itself is a branch");
        let mut stored: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for (at, node) in definition.nodes.iter().enumerate() {
            node.store_as.iter().for_each(|key| stored.entry(key).or_default().push(at));
        }
        let share = |(key, value): (String, Json)| {
            let from = stored.get(key.as_str()).map_or(&[][..], Vec::as_slice);
            shared(&definition, &root.nodes, from, key, value)
        };
        if !self.state.is_empty() {
            root.state = Arc::new(self.state.into_iter().map(share).collect());
        }
        restore_states(&mut branches, self.branches);
        let started = RunEvent::RunStarted {
            workspace: self.workspace,
            workflow: self.workflow,
            version: self.version,
            input: self.input,
            trigger: self.trigger,
            keyed: self.keyed,
            targets: self.targets,
            continued: self.continued,
        };
        let dealings = Dealings {
            mail: Mail::restored(self.mail),
            halts: Halts::restored(self.halts, &definition),
            people: self.people,
            replies: self.replies,
            recall: Recall::restored(self.recall),
            chain: self.chain,
            callbacks: self.callbacks,
        };
        let mut origin = Origin::of(self.id, definition, started, self.started_at);
        if let Some(trail) = self.trail {
            origin.come_along(*trail);
        }
        let mut run = Run {
            origin,
            status: self.status,
            revision: self.revision,
            branches,
            agenda: Agenda::default(),
            ending: self.ending.map(Box::new),
            timers: Few::default(),
            assets,
            description: (!self.description.is_empty()).then(|| Box::new(self.description)),
            waiting: Waiting::of(dealings),
        };
        follow(&mut run, agenda);
        Ok(run)
    }
}

fn is_untold((pieces, recalled): &(u32, Vec<Recalled>)) -> bool {
    *pieces == 0 && recalled.is_empty()
}

/// Makes what follows from the rest again: what is under way, to be done, due, and waited for.
fn follow(run: &mut Run, agenda: Vec<Todo>) {
    let under_way = run.places().filter(|(place, state)| has_a_place(run, *place, &state.phase)).count();
    (0..under_way).for_each(|_| run.branches.count_under_way(false, true));
    agenda.into_iter().for_each(|todo| run.list(todo));
    let failed = run.places().filter(|(_, at)| at.phase == Phase::Failed).map(|(place, _)| place).collect::<Vec<_>>();
    failed.into_iter().for_each(|place| Fold::of(run).note_failed(place));
    // What ends has nothing due and waits for nobody, but for what runs whatever the end.
    if run.ending.is_none() {
        Fold::of(run).time_run(true);
        let due = recall::due(run);
        run.timers.extend(due);
        Fold::of(run).time_stop();
    }
    let active = run.places().filter(|(place, state)| state.phase.is_active() && run.goes_on(*place));
    let active: Vec<_> = active.map(|(place, _)| place).collect();
    for place in active {
        Fold::of(run).await_next(place);
    }
}

/// Gives assets back what is still to be recorded, and what memos are to hear of then.
fn restored(
    mut assets: Assets,
    unrecorded: Vec<(NodeAddress, AssetId, Option<PartitionKey>)>,
    landings: Vec<LandingRecord>,
    place: impl Fn(NodeAddress) -> Result<Place, NodeAddress>,
) -> Result<Assets, NodeAddress> {
    for (node, asset, key) in unrecorded {
        assets.produce(place(node)?, (asset, key));
    }
    for LandingRecord { node, digest, output, assets: recorded } in landings {
        assets.land(place(node)?, Landing { digest, output, assets: recorded });
    }
    Ok(assets)
}

/// Lets an entry of the state share its text with the output it was stored from, as it did when it was folded: that of one of
/// these nodes.
fn shared(definition: &Definition, nodes: &[NodeState], from: &[usize], key: String, value: Json) -> (Arc<str>, Json) {
    let stored = from.iter().find_map(|at| {
        let output = nodes[*at].output.as_ref().filter(|output| **output == value)?;
        Some((definition.nodes[*at].store_as.clone()?, output.clone()))
    });
    stored.unwrap_or_else(|| (key.into(), value))
}

impl Run {
    /// Puts it at a revision, where the facts before are not all folded.
    pub(crate) fn stand_at(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Returns whether an asset that a node produced is not recorded yet, as far as is known.
    pub(crate) fn awaits_record(&self, node: &NodeAddress, asset: &AssetId, partition: &Option<PartitionKey>) -> bool {
        self.place_of(node).is_some_and(|place| self.assets.awaits_record(place, asset, partition))
    }

    /// Returns what a checkpoint holds of it; texts are shared.
    pub(crate) fn record(&self) -> RunRecord {
        // Every field is named, so that a new one does not compile until it is written here or known to follow. What a run was
        // started with is restored from its first event, every field of which has to be here too.
        let Self { origin, status, revision, branches, agenda, ending, timers: _, assets, description, waiting } = self;
        let untouched = NodeState::untouched();
        let state = &branches.root().state;
        let nodes = self.places().filter(|(_, state)| **state != untouched);
        RunRecord {
            id: origin.id(),
            workspace: origin.workspace().clone(),
            workflow: origin.workflow().clone(),
            version: origin.version(),
            status: *status,
            input: origin.input().clone(),
            trigger: origin.trigger().clone(),
            keyed: origin.is_keyed(),
            targets: origin.targets().to_vec(),
            continued: origin.continued().cloned().map(Box::new),
            recall: waiting.recall().record(),
            description: description.as_deref().cloned().unwrap_or_default(),
            state: state.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            started_at: origin.started_at(),
            revision: *revision,
            nodes: nodes.map(|(place, state)| (self.address(place), state.clone())).collect(),
            unrecorded: assets
                .unrecorded()
                .map(|(place, (asset, key))| (self.address(place), asset.clone(), key.clone()))
                .collect(),
            consumed: assets.consumed().to_vec(),
            promised: assets.promised().to_vec(),
            landings: assets.landings().map(|(place, landing)| landing_record(self, place, landing)).collect(),
            mail: waiting.mail().record(),
            halts: waiting.halts().record(self.definition()),
            people: waiting.people().clone(),
            replies: waiting.replies().clone(),
            chain: waiting.chain().clone(),
            callbacks: waiting.callbacks().clone(),
            agenda: agenda.iter().map(|listed| todo(self, *listed)).collect(),
            ending: ending.as_deref().cloned(),
            branches: branches.ids().into_iter().filter_map(|id| branch(self, id)).collect(),
            next_branch: branches.next().get(),
            turns: branches.turns(),
            kept: branches.kept().iter().map(|kept| (self.address(kept.place), kept.input.clone())).collect(),
            trail: origin.trail().cloned().map(Box::new),
        }
    }
}

fn landing_record(run: &Run, place: Place, landing: &Landing) -> LandingRecord {
    let Landing { digest, output, assets } = landing.clone();
    LandingRecord { node: run.address(place), digest, output, assets }
}

fn todo(run: &Run, todo: Todo) -> TodoRecord {
    match todo {
        Todo::Begin(place) => TodoRecord::Begin(run.address(place)),
        Todo::Advance(place) => TodoRecord::Of(TodoOf::Advance(run.address(place))),
        Todo::Finish(branch) => TodoRecord::Of(TodoOf::Finish(branch)),
        Todo::Close(branch) => TodoRecord::Of(TodoOf::Close(branch)),
    }
}
