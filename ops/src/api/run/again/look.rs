//! What a run came to that another goes on from.

use std::sync::Arc;

use headwater_core::definition::Definition;
use headwater_core::run::{Description, Recollected, Recollection, RunEvent, RunStatus};
use headwater_core::shard::Event;
use headwater_core::{DefinitionVersion, Json, NodeId, Revision, RunId, Slug, Timestamp, WorkspaceId};

use super::not_found;
use crate::api::run::history::{Refold, fold};
use crate::api::{Api, Problem};
use crate::codes::Code;

/// What it was started with.
pub struct Begun {
    pub workflow: Slug,
    pub version: DefinitionVersion,
    pub input: Json,
    pub targets: Vec<NodeId>,
    pub description: Description,
}

pub struct Found {
    pub begun: Begun,
    pub status: RunStatus,
    pub recollection: Recollection,
}

/// Folds a run, up to a revision or to where it stands.
///
/// # Errors
/// `run/node_not_found`, and whatever folding says.
pub async fn find(
    api: &Api,
    workspace: &WorkspaceId,
    run: RunId,
    until: Option<Revision>,
    wanted: impl FnOnce(&Definition) -> Recollected + Send + Sync + 'static,
) -> Result<Found, Problem> {
    let look = Look { run, until, wanted: Some(Box::new(wanted)), revision: Revision::new(0), found: None };
    let look = fold(api, workspace, run, look).await?;
    let mut recollection = look.found.ok_or_else(|| not_found(run))?;
    recollection
        .settle()
        .map_err(|node| Problem::new(Code::NodeNotFound, format!("the definition of the run has no node {node}")))?;
    let seen = recollection.seen().ok_or_else(|| not_found(run))?;
    let begun = Begun {
        workflow: seen.workflow().clone(),
        version: seen.version(),
        input: seen.input().clone(),
        targets: seen.targets().to_vec(),
        description: recollection.description(),
    };
    Ok(Found { begun, status: seen.status(), recollection })
}

type Wanted = Box<dyn FnOnce(&Definition) -> Recollected + Send + Sync>;

struct Look {
    run: RunId,
    until: Option<Revision>,
    wanted: Option<Wanted>,
    revision: Revision,
    found: Option<Recollection>,
}

impl Refold for Look {
    fn begin(&mut self, definition: Arc<Definition>) {
        let wanted = self.wanted.take().map(|wanted| wanted(&definition));
        self.found = wanted.map(|wanted| Recollection::of(self.run, definition, wanted));
    }

    fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        if let Some(found) = &mut self.found {
            found.bring(version, definition);
        }
    }

    fn reaches(&self, at: Revision) -> bool {
        self.until.is_none_or(|until| at <= until)
    }

    fn is_done(&self) -> bool {
        self.until.is_some_and(|until| self.revision >= until)
    }

    fn needs_value(&self, _event: &Event) -> bool {
        true
    }

    fn learn(&mut self, revision: Revision, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        self.revision = revision;
        let found = self.found.as_mut().ok_or_else(|| "its start is not known".to_owned())?;
        found.learn(event, time)
    }
}
