//! What a run was started with.

use std::sync::{Arc, OnceLock};

use super::super::migration::Trail;
use super::super::{RunEvent, RunStatus, Trigger};
use super::{Part, Place};
use crate::definition::{Definition, NodeIx};
use crate::dialogue::ContinuedFrom;
use crate::{BranchId, DefinitionVersion, Json, NodeId, RunId, Slug, Timestamp, WorkspaceId};

/// What a run was started with. Nothing of it changes but with the version that it is at.
#[derive(Debug, Clone)]
pub(in crate::run) struct Origin {
    id: RunId,
    workspace: WorkspaceId,
    workflow: Slug,
    version: DefinitionVersion,
    definition: Arc<Definition>,
    input: Json,
    trigger: Trigger,
    keyed: bool,
    /// Most runs are started as a whole and afresh, and keep no room for it.
    beside: Option<Box<Beside>>,
    started_at: Timestamp,
    /// `run` and `trigger` as expressions see them, made when first asked for.
    facts: OnceLock<Box<(Json, Json)>>,
}

/// What most starts do not say.
#[derive(Debug, Clone)]
struct Beside {
    /// The nodes that were asked for, each once; none: all.
    targets: Vec<NodeId>,
    /// What happens because of them.
    part: Option<Part>,
    /// Another run, that it goes on from.
    continued: Option<Box<ContinuedFrom>>,
    /// What is left of the versions that it was at before.
    trail: Option<Trail>,
    /// Another version, that it may go over to.
    brought: Option<(DefinitionVersion, Arc<Definition>)>,
}

impl Origin {
    /// Takes down how a run starts. `definition` is the version that the event names.
    ///
    /// # Panics
    /// When `event` is not [`RunEvent::RunStarted`]: the shard checks it where history is read.
    pub fn of(id: RunId, definition: Arc<Definition>, event: RunEvent, started_at: Timestamp) -> Self {
        let RunEvent::RunStarted { workspace, workflow, version, input, trigger, keyed, targets, continued } = event
        else {
            panic!("the first event of a run is RunStarted, and the shard has checked it");
        };
        // Runs are many, and definitions few.
        let workflow = if workflow == definition.slug { definition.slug.clone() } else { workflow };
        let part = Part::of(&definition, &targets);
        let is_plain = targets.is_empty() && continued.is_none();
        let beside = || Box::new(Beside { targets, part, continued, trail: None, brought: None });
        let beside = (!is_plain).then(beside);
        let facts = OnceLock::new();
        Self { id, workspace, workflow, version, definition, input, trigger, keyed, beside, started_at, facts }
    }

    pub fn id(&self) -> RunId {
        self.id
    }

    pub fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }

    pub fn workflow(&self) -> &Slug {
        &self.workflow
    }

    pub fn version(&self) -> DefinitionVersion {
        self.version
    }

    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    pub fn input(&self) -> &Json {
        &self.input
    }

    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Whether the id was derived from an idempotency key.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Which nodes were asked for; none: all.
    pub fn targets(&self) -> &[NodeId] {
        self.beside.as_ref().map_or(&[], |beside| &beside.targets)
    }

    /// Notes that it was at other versions before.
    pub fn come_along(&mut self, trail: Trail) {
        self.beside_mut().trail = Some(trail);
    }

    /// What is left of those.
    pub fn trail(&self) -> Option<&Trail> {
        self.beside.as_ref()?.trail.as_ref()
    }

    /// Returns another version that was brought, if it is this one.
    pub fn brought(&self, version: DefinitionVersion) -> Option<&Arc<Definition>> {
        let brought = self.beside.as_ref()?.brought.as_ref();
        brought.filter(|(of, _)| *of == version).map(|(_, definition)| definition)
    }

    /// Brings another version, in place of what was brought before.
    pub fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        self.beside_mut().brought = Some((version, definition));
    }

    /// Takes back what was brought.
    pub fn bring_nothing(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.brought = None;
        }
    }

    fn beside_mut(&mut self) -> &mut Beside {
        self.beside.get_or_insert_with(|| {
            let targets = Vec::new();
            Box::new(Beside { targets, part: None, continued: None, trail: None, brought: None })
        })
    }

    /// Which run it goes on from, if it does.
    pub fn continued(&self) -> Option<&ContinuedFrom> {
        self.beside.as_ref()?.continued.as_deref()
    }

    /// Whether a node of the run itself does not happen: only a part was asked for, and it is not of that.
    pub fn is_left_out(&self, place: Place) -> bool {
        place.branch == BranchId::ROOT && self.leads_out_of_part(place.node)
    }

    /// Whether a way to a node leads out of that part. A loop is of it as a whole, and so is a body.
    pub fn leads_out_of_part(&self, to: NodeIx) -> bool {
        self.beside.as_ref().and_then(|beside| beside.part.as_ref()).is_some_and(|part| !part.holds(to))
    }

    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Returns what expressions see of the run and of its trigger.
    pub fn facts(&self) -> &(Json, Json) {
        self.facts.get_or_init(|| Box::new((Json::of(&self.run_facts()), Json::of(&self.trigger))))
    }

    /// Returns what is seen of the run where it is certain how it ends.
    pub fn facts_at_end(&self, status: RunStatus) -> Json {
        let mut run = self.run_facts();
        run["status"] = status.as_str().into();
        Json::of(&run)
    }

    fn run_facts(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id, "workflow": self.workflow, "version": self.version,
            "startedAt": self.started_at.to_string(),
        })
    }
}

/// Equality of what was folded: what follows from it is left out.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            id,
            workspace,
            workflow,
            version,
            definition: _,
            input,
            trigger,
            keyed,
            beside: _,
            started_at,
            facts: _,
        } = self;
        *id == other.id
            && *workspace == other.workspace
            && *workflow == other.workflow
            && *version == other.version
            && *input == other.input
            && *trigger == other.trigger
            && *keyed == other.keyed
            && self.targets() == other.targets()
            && self.continued() == other.continued()
            && self.trail() == other.trail()
            && *started_at == other.started_at
    }
}
