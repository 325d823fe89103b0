//! What was seen of a run at a moment of its history: the events up to there are folded again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::definition::Definition;
use headwater_core::run::{Context, History, RunEvent};
use headwater_core::shard::Event;
use headwater_core::{Attempt, BranchId, DefinitionVersion, Json, NodeAddress, Revision, RunId, Timestamp};
use headwater_projector::queries::Moment;
use serde::Serialize;

use super::history::{Refold, fold};
use super::not_found;
use crate::api::reading::Reading;
use crate::api::{Api, Problem};
use crate::codes::Code;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
enum Aim {
    /// What a branch saw after an event; after the newest where none is named.
    After { revision: Option<Revision>, branch: BranchId },
    /// What an attempt of a node saw, and what came of it.
    Of { node: NodeAddress, attempt: Attempt },
}

impl Aim {
    /// Whether what happened at this revision may have to be looked at.
    fn reaches(&self, at: Revision) -> bool {
        match self {
            Self::After { revision, .. } => revision.is_none_or(|revision| at <= revision),
            Self::Of { .. } => true,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    run_id: RunId,
    /// Of the last event that was folded.
    time: Moment,
    context: Context,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    run_id: RunId,
    node: NodeAddress,
    attempt: Attempt,
    /// When the attempt began.
    before: Context,
    /// Right after its end; absent: it has not ended.
    after: Option<Context>,
    /// The keys of `state` that its end has written.
    changed: BTreeMap<Arc<str>, Json>,
}

/// `GET /runs/{runId}/context`
pub async fn seen(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let aim = aim(&mut reading)?;
    let workspace = reading.begin(&api).await?;
    api.reads.run_end(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    let _turn = api.turns.look().await;
    let look = Look::new(run, aim);
    match fold(&api, &workspace, run, look).await? {
        Look { aim: Aim::After { revision, branch }, history: Some(history), time, revision: last, .. } => {
            if let Some(revision) = revision.filter(|revision| *revision > last) {
                let detail = format!("the run {run} has no event {revision}: its last is {last}");
                return Err(Problem::new(Code::MomentNotFound, detail));
            }
            let context = history.seen_in(branch).ok_or_else(|| {
                Problem::new(
                    Code::MomentNotFound,
                    format!("the branch {} of the run {run} is not open then", branch.get()),
                )
            })?;
            Ok(api.read(Seen { run_id: run, time: Moment(time), context }))
        }
        Look { aim: Aim::Of { node, attempt }, before: Some(before), after, changed, .. } => {
            Ok(api.read(Told { run_id: run, node, attempt, before, after, changed }))
        }
        Look { aim: Aim::Of { node, attempt }, .. } => {
            let detail = format!("the run {run} has no attempt {attempt} of the node {node}");
            Err(Problem::new(Code::MomentNotFound, detail))
        }
        Look { aim: Aim::After { .. }, .. } => Err(not_found(run)),
    }
}

fn aim(reading: &mut Reading) -> Result<Aim, Problem> {
    let revision = reading.parameter::<u64>("revision")?.map(Revision::new);
    let branch = reading.parameter::<u32>("branch")?.map(BranchId::new);
    let (node, attempt) = (reading.parameter::<NodeAddress>("node")?, reading.parameter::<u32>("attempt")?);
    match node {
        Some(node) if revision.is_none() && branch.is_none() => {
            Ok(Aim::Of { node, attempt: Attempt::new(attempt.unwrap_or(1)) })
        }
        None if attempt.is_none() => Ok(Aim::After { revision, branch: branch.unwrap_or(BranchId::ROOT) }),
        Some(_) | None => {
            let detail = "either `revision` and `branch`, or `node` and `attempt`";
            Err(Problem::new(Code::InvalidParameter, detail).with("parameter", "node"))
        }
    }
}

/// A look at the history of a run, event by event.
struct Look {
    run: RunId,
    aim: Aim,
    history: Option<History>,
    revision: Revision,
    time: Timestamp,
    before: Option<Context>,
    after: Option<Context>,
    changed: BTreeMap<Arc<str>, Json>,
}

impl Look {
    fn new(run: RunId, aim: Aim) -> Self {
        Self {
            run,
            aim,
            history: None,
            revision: Revision::new(0),
            time: Timestamp::default(),
            before: None,
            after: None,
            changed: BTreeMap::new(),
        }
    }
}

impl Refold for Look {
    fn begin(&mut self, definition: Arc<Definition>) {
        self.history = Some(History::of(self.run, definition));
    }

    fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        if let Some(history) = &mut self.history {
            history.bring(version, definition);
        }
    }

    fn reaches(&self, at: Revision) -> bool {
        self.aim.reaches(at)
    }

    fn is_done(&self) -> bool {
        match &self.aim {
            Aim::After { revision, .. } => revision.is_some_and(|revision| self.revision >= revision),
            Aim::Of { .. } => self.after.is_some(),
        }
    }

    fn needs_value(&self, _event: &Event) -> bool {
        true
    }

    /// Learns the next event, and keeps what is seen around it where that is asked for.
    fn learn(&mut self, revision: Revision, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        if self.is_done() {
            return Ok(());
        }
        let Some(history) = &mut self.history else { return Err("its start is not known".to_owned()) };
        let (begins, ends) = match &self.aim {
            Aim::After { .. } => (false, false),
            Aim::Of { node, attempt } => (begins(event, node, *attempt), ends(event, node, *attempt)),
        };
        let branch = event.node().map_or(BranchId::ROOT, NodeAddress::branch);
        let before = (begins || ends).then(|| history.seen_in(branch)).flatten();
        history.learn(event, time)?;
        (self.revision, self.time) = (revision, time);
        // What was there before counts where the attempt begins, or where it is over as it begins.
        if let (Some(before), true) = (&before, begins || (ends && self.before.is_none())) {
            self.before = Some(before.clone());
        }
        if ends {
            self.after = history.seen_in(branch);
            let (before, after) = (before.map(|before| before.state), self.after.as_ref().map(|after| &after.state));
            let was = before.unwrap_or_default();
            let written = after.into_iter().flatten().filter(|(key, value)| was.get(*key) != Some(value));
            self.changed = written.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        Ok(())
    }
}

/// Whether an attempt of a node begins with this.
fn begins(event: &RunEvent, node: &NodeAddress, attempt: Attempt) -> bool {
    matches!(event, RunEvent::AttemptScheduled { node: of, attempt: which, .. } if of == node && *which == attempt)
        || matches!(event, RunEvent::ItemsListed { node: of, .. } if of == node)
}

/// Whether it is over with this. What is done inside a decision has one attempt, which nothing else tells of.
fn ends(event: &RunEvent, node: &NodeAddress, attempt: Attempt) -> bool {
    let (RunEvent::NodeSucceeded { node: of, attempt: which, .. }
    | RunEvent::AttemptFailed { node: of, attempt: which, .. }) = event
    else {
        return matches!(event, RunEvent::NodeFailed { node: of, .. } | RunEvent::NodeCancelled { node: of } if of == node);
    };
    of == node && *which == attempt
}
