//! How a command finds its aggregate, and what its commit is.

use std::collections::hash_map::Entry;

use super::command::Asked;
use super::definitions::Unusable;
use super::lane::Hearing;
use super::quarantine::Quarantine;
use super::reactions::Reactions;
use super::state::{Shard, start_hash};
use super::{
    AggregateId, AssetKey, Command, Commit, Effect, Event, Granted, Origin, Rejection, Submission, WorkflowKey,
};
use crate::asset::{self, Asset, AssetCommand};
use crate::credit::Hands;
use crate::expr::Work;
use crate::run::{self, Budget, RunCommand, RunEvent, RunRejection, RunStatus, StartRun, Trigger};
use crate::task::Task;
use crate::workflow::{self, Workflow, WorkflowCommand, WorkflowRejection};
use crate::{DefinitionVersion, Json, QueueName, Revision, RunId, SessionId, Timestamp, WorkspaceId};

/// Tasks and the sessions they were granted to.
pub type HandedTasks = Vec<(SessionId, Task)>;

/// What became of a command.
#[derive(Debug, Default)]
pub struct Decided {
    /// Absent: the command changes nothing (any more).
    pub commit: Option<Commit>,
    /// To leave once the commit is durable.
    pub effects: Vec<Effect>,
    /// For the answer.
    pub granted: Option<Granted>,
    /// What was granted to which worker.
    pub tasks: HandedTasks,
    /// The run that ended with this commit.
    pub ended: Option<(RunId, RunStatus)>,
    /// It waits for a release; the bundle has to say so.
    pub parked: Option<(AggregateId, Submission)>,
}

/// How many runs that wait for their turns lessen what is done at once: beyond them, what costs next to nothing still fits.
const WAITING_COUNTED_MAX: usize = 63;

/// Returns the run that holds the key of a start already: it may have been started at another time, under another id.
pub(super) fn holder_of(shard: &Shard, run: RunId, start: &StartRun) -> RunId {
    shard.keyed.get(&run.cause()).copied().filter(|_| start.keyed).unwrap_or(run)
}

impl Shard {
    /// Decides a command against the state, which includes everything decided before. The state has moved on by
    /// the commit returned; it must be appended, or the shard be dropped. `hands` are the
    /// workers that can be handed what becomes ready.
    ///
    /// # Errors
    /// The fact in the way; nothing has changed.
    pub fn decide(&mut self, submission: Submission, now: Timestamp, hands: &mut Hands) -> Result<Decided, Rejection> {
        if let Some(from) = submission.from {
            match self.hear(from, &submission.command)? {
                Hearing::Decide => {}
                Hearing::Heard => return Ok(Decided::default()),
            }
        }
        self.set_aside_what_is_broken(&submission);
        match self.park(&submission) {
            Some(parked) => parked,
            None => self.decide_now(submission, now, hands),
        }
    }

    /// Decides a command that waits for nothing.
    pub(super) fn decide_now(
        &mut self,
        submission: Submission,
        now: Timestamp,
        hands: &mut Hands,
    ) -> Result<Decided, Rejection> {
        let now = now.max(self.clock);
        let from = submission.from;
        let (asked, command) = submission.apart();
        if let Some((first, last)) = self.granted.find(asked.command).filter(|_| !is_told_again(from)) {
            return Ok(self.answer_again(&command, hands.preferred(), first, last));
        }
        match command {
            Command::Run { run, command: RunCommand::StartRun(start) } => {
                self.refuse_unclear(run, &start, from)?;
                self.start_run(asked, run, start, now, hands)
            }
            Command::Run { run, command } => self.decide_run(asked, run, command, now, hands),
            Command::Asset { key, command } => Ok(self.decide_asset(asked, key, command, now)),
            Command::Workflow { key, command } => self.decide_workflow(asked, key, command, now),
            Command::AdoptDefinition { key, version, document } => {
                self.adopt_definition(asked, key, version, document, now)
            }
        }
    }

    /// What a decision may take: the more runs wait for their turns, the less it does at once.
    fn budget(&self) -> Budget {
        let Budget { work, bytes, work_at_once } = self.bounds.decision;
        let waiting = self.unfinished().len().min(WAITING_COUNTED_MAX) as u64;
        Budget { work, bytes, work_at_once: work_at_once / (1 + waiting) }
    }

    fn start_run(
        &mut self,
        asked: Asked,
        id: RunId,
        start: StartRun,
        now: Timestamp,
        hands: &mut Hands,
    ) -> Result<Decided, Rejection> {
        let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
        let holder = holder_of(self, id, &start);
        if let Some(known) = self.started_as(holder) {
            return match self.is_same_start(&key, &start, known)? {
                true => Ok(Decided { granted: Some(Granted::Run { run: holder }), ..Decided::default() }),
                false => Err(Rejection::Run(RunRejection::KeyReused { run: holder })),
            };
        }
        let definition = self.definitions.graph(&key, start.version).map_err(|unusable| match unusable {
            Unusable::NotAdopted => Rejection::Run(RunRejection::DefinitionNotFound { version: start.version }),
            Unusable::Broken(_) => Rejection::Quarantined { reason: unusable.to_string() },
        })?;
        let lines = &self.lines;
        let is_contended = |workspace: &WorkspaceId, queue: &QueueName| lines.waiting(workspace, queue) > 0;
        let budget = self.budget();
        let mut ground = run::Ground { now, hands, is_contended: &is_contended, budget, spent: 0 };
        let started = run::start(id, &definition, start, &mut ground);
        self.spent += ground.spent;
        let (run, events) = started.map_err(Rejection::Run)?;
        let tasks = handed_tasks(&run, &events, hands);
        self.runs.insert(id, run);
        let events = events.into_iter().map(Event::Run).collect();
        let decided = self.commit(AggregateId::Run(id), Revision::FIRST, asked, now, events, None);
        Ok(Decided { tasks, ..decided })
    }

    /// Refuses a start that may have come before: its run is not known, and runs as young as it have been forgotten. What
    /// comes on a lane is known to be new, and what an older release sends of its own accord is answered as ever.
    fn refuse_unclear(&self, run: RunId, start: &StartRun, from: Option<Origin>) -> Result<(), Rejection> {
        let holder = holder_of(self, run, start);
        let is_known = self.started_as(holder).is_some();
        let may_be_old = match start.trigger {
            Trigger::Manual {} => from.is_none() && self.ended.may_have_forgotten(run),
            Trigger::Materialize { .. } => false,
        };
        if may_be_old && !is_known { Err(Rejection::Run(RunRejection::StartUnclear)) } else { Ok(()) }
    }

    /// Returns what a run that is known was started as: its definition version, and the hash of workflow and input.
    pub(super) fn started_as(&self, id: RunId) -> Option<(DefinitionVersion, u64)> {
        match self.runs.get(&id) {
            Some(run) => Some((run.version(), start_hash(run.workflow(), run.input()))),
            None => self.ended.find(id).map(|ended| (ended.version, ended.start_hash)),
        }
    }

    /// Compares under the version the run started with: a later version's defaults do not make it another start.
    fn is_same_start(
        &mut self,
        key: &WorkflowKey,
        start: &StartRun,
        (version, hash): (DefinitionVersion, u64),
    ) -> Result<bool, Rejection> {
        let definition = match self.definitions.graph(key, version) {
            Ok(definition) => definition,
            Err(Unusable::NotAdopted) => return Ok(false),
            Err(broken @ Unusable::Broken(_)) => return Err(Rejection::Quarantined { reason: broken.to_string() }),
        };
        let work = Work::of(self.bounds.decision.work);
        let input = run::complete_input_within(&start.input, &definition, &work).ok();
        self.spent += work.spent();
        Ok(input.is_some_and(|input| start_hash(&start.workflow, &input) == hash))
    }

    /// Quarantines the definition version that a new run needs where it does not compile any more: nobody has needed it since
    /// this release runs.
    fn set_aside_what_is_broken(&mut self, submission: &Submission) {
        let Command::Run { run, command: RunCommand::StartRun(start) } = &submission.command else { return };
        let holder = holder_of(self, *run, start);
        let is_known = self.started_as(holder).is_some() || self.granted.find(submission.id).is_some();
        if is_known || self.is_quarantined(holder) {
            return;
        }
        let key = WorkflowKey { workspace: start.workspace.clone(), workflow: start.workflow.clone() };
        match self.definitions.graph(&key, start.version) {
            Ok(_) | Err(Unusable::NotAdopted) => {}
            Err(broken @ Unusable::Broken(_)) => {
                let aggregate = AggregateId::Definition(key, start.version);
                let reason = broken.to_string();
                self.set_aside(&aggregate, Quarantine { reason, at: None, last: Revision::FIRST, since: None });
            }
        }
    }

    fn decide_run(
        &mut self,
        asked: Asked,
        id: RunId,
        wish: RunCommand,
        now: Timestamp,
        hands: &mut Hands,
    ) -> Result<Decided, Rejection> {
        let budget = self.budget();
        let Some(run) = self.runs.get_mut(&id) else {
            return match (self.ended.find(id), wish) {
                // Late news for a run that has ended changes nothing; late wishes are refused.
                (
                    Some(_),
                    RunCommand::FireTimers {}
                    | RunCommand::Continue {}
                    | RunCommand::GrantAttempts { .. }
                    | RunCommand::ResolveAsset { .. }
                    | RunCommand::RefuseAsset { .. }
                    | RunCommand::AcknowledgeAsset { .. },
                ) => Ok(Decided::default()),
                (Some(ended), _) => Err(Rejection::Run(RunRejection::RunClosed { status: ended.status })),
                (None, _) => Err(Rejection::Run(RunRejection::RunNotFound)),
            };
        };
        let (revision, due) = (run.revision().next(), run.next_due());
        let lines = &self.lines;
        let is_contended = |workspace: &WorkspaceId, queue: &QueueName| lines.waiting(workspace, queue) > 0;
        let mut ground = run::Ground { now, hands, is_contended: &is_contended, budget, spent: 0 };
        let decided = run::decide(run, wish, &mut ground);
        self.spent += ground.spent;
        let events = decided.map_err(Rejection::Run)?;
        if events.is_empty() {
            return Ok(Decided::default());
        }
        let tasks = handed_tasks(run, &events, hands);
        let events = events.into_iter().map(Event::Run).collect();
        let decided = self.commit(AggregateId::Run(id), revision, asked, now, events, due);
        Ok(Decided { tasks, ..decided })
    }

    fn decide_asset(&mut self, asked: Asked, key: AssetKey, wish: AssetCommand, now: Timestamp) -> Decided {
        let before = recorded_before(self.assets.get(&key), &wish);
        let map = &self.map;
        let shard_for = |randomness| map.spread(randomness);
        let ground = asset::Ground { now, shard_for: &shard_for };
        let (revision, events) = match self.assets.entry(key.clone()) {
            Entry::Occupied(mut known) => {
                let revision = known.get().revision().next();
                (revision, asset::decide(known.get_mut(), wish, &ground))
            }
            Entry::Vacant(place) => {
                let mut unknown = Asset::unknown(key.clone());
                let events = asset::decide(&mut unknown, wish, &ground);
                if !events.is_empty() {
                    place.insert(unknown);
                }
                (Revision::FIRST, events)
            }
        };
        if events.is_empty() {
            return before;
        }
        let events = events.into_iter().map(Event::Asset).collect();
        self.commit(AggregateId::Asset(key), revision, asked, now, events, None)
    }

    fn decide_workflow(
        &mut self,
        asked: Asked,
        key: WorkflowKey,
        wish: WorkflowCommand,
        now: Timestamp,
    ) -> Result<Decided, Rejection> {
        let known = self.workflows.get(&key).cloned();
        let mut workflow = known.unwrap_or_else(|| Workflow::unknown(key.clone()));
        let revision = workflow.revision().next();
        let definitions = &mut self.definitions;
        let events = workflow::decide(&mut workflow, wish, &mut |document| definitions.compiled(document))
            .map_err(Rejection::Workflow)?;
        let granted = workflow.current().map(|version| Granted::Workflow { version, created: !events.is_empty() });
        if events.is_empty() {
            return Ok(Decided { granted, ..Decided::default() });
        }
        self.workflows.insert(key.clone(), workflow);
        let events = events.into_iter().map(Event::Workflow).collect();
        let decided = self.commit(AggregateId::Workflow(key), revision, asked, now, events, None);
        Ok(Decided { granted, ..decided })
    }

    fn adopt_definition(
        &mut self,
        asked: Asked,
        key: WorkflowKey,
        version: DefinitionVersion,
        document: Json,
        now: Timestamp,
    ) -> Result<Decided, Rejection> {
        if self.definition(&key, version).is_some() {
            return Ok(Decided::default());
        }
        let definition = self
            .definitions
            .compiled(&document)
            .map_err(|message| Rejection::Workflow(WorkflowRejection::DefinitionInvalid { message }))?;
        if definition.slug != key.workflow {
            return Err(Rejection::Workflow(WorkflowRejection::OtherWorkflow { found: definition.slug.clone() }));
        }
        let document = definition.source.clone();
        self.definitions.adopt_compiled(key.clone(), version, definition);
        let events = vec![Event::DefinitionAdopted { document }];
        Ok(self.commit(AggregateId::Definition(key, version), Revision::FIRST, asked, now, events, None))
    }

    fn commit(
        &mut self,
        aggregate: AggregateId,
        revision: Revision,
        asked: Asked,
        time: Timestamp,
        events: Vec<Event>,
        due_before: Option<Timestamp>,
    ) -> Decided {
        let Asked { command, by, cause } = asked;
        let commit = Commit { aggregate, revision, command, time, by, cause, events };
        let mut reactions = Reactions::default();
        self.react(&commit, &mut reactions);
        let ended = self.book(&commit, due_before);
        let effects = reactions.worked_out_with(&mut |document| self.definitions.compiled(document).ok());
        Decided { commit: Some(commit), effects, ended, ..Decided::default() }
    }

    /// Answers a command that was granted before as it was answered then (`SHD-3`).
    fn answer_again(&self, command: &Command, session: Option<SessionId>, first: Revision, last: Revision) -> Decided {
        match command {
            Command::Run { run, command: RunCommand::ReportAttempt(_) } => {
                let run = self.runs.get(run);
                let held = session.zip(run).into_iter().flat_map(|(session, run)| {
                    run.held_since(session, first, last)
                        .filter_map(move |node| Some((session, run::task_of(run, &node)?)))
                });
                Decided { tasks: held.collect(), ..Decided::default() }
            }
            Command::Workflow { key, .. } => {
                let version = self.workflows.get(key).and_then(Workflow::current);
                let granted = version.map(|version| Granted::Workflow { version, created: true });
                Decided { granted, ..Decided::default() }
            }
            Command::Asset { key, command } => recorded_before(self.assets.get(key), command),
            Command::Run { .. } | Command::AdoptDefinition { .. } => Decided::default(),
        }
    }
}

/// Answers whoever has something recorded again: it has not heard of the first time.
fn recorded_before(asset: Option<&asset::Asset>, wish: &AssetCommand) -> Decided {
    let version = asset.and_then(|asset| asset.recorded_by(wish));
    Decided { granted: version.map(|version| Granted::Asset { version }), ..Decided::default() }
}

/// Whether a command comes from a shard that began anew, or is for one that did: that it was granted once does not say that
/// who asked still knows. What aggregates hold keeps it from happening twice.
fn is_told_again(from: Option<Origin>) -> bool {
    from.is_some_and(|from| !from.place.sequence.incarnation().is_first() || !from.toward.is_first())
}

/// The tasks that these events granted to workers. One that is over already goes to nobody: its worker is not expected to
/// speak of it.
fn handed_tasks(run: &run::Run, events: &[RunEvent], hands: &mut Hands) -> HandedTasks {
    let mut tasks = HandedTasks::new();
    for event in events {
        let (RunEvent::AttemptScheduled { node, session: Some(session), .. }
        | RunEvent::AttemptGranted { node, session, .. }) = event
        else {
            continue;
        };
        match run::task_of(run, node) {
            Some(task) => tasks.push((*session, task)),
            None => {
                if let Some(room) = hands.room(*session) {
                    room.heard();
                }
            }
        }
    }
    tasks
}
