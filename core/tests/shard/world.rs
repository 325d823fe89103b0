//! A shard with a clock and a journal in memory, and timelines of what it decided as text.

use std::collections::BTreeSet;

use headwater_core::credit::{Credit, Hands, Term};
use headwater_core::protocol::Task;
use headwater_core::run::{
    BranchOutcome, Budget, Report, ReportOutcome, RunCommand, RunEvent, StartRun, Trigger, task_of,
};
use headwater_core::shard::{
    AggregateId, Bounds, Bundle, Command, Commit, Decided, Effect, Event, Rejection, Shard, ShardMap, Submission,
    WorkflowKey,
};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{
    BundleId, CommandId, DefinitionVersion, Epoch, Json, LeaseToken, RunId, Sequence, SessionId, ShardId, Timestamp,
    WorkerId,
};
use serde_json::{Value, json};

pub struct World {
    pub shard: Shard,
    pub now: Timestamp,
    pub commits: Vec<Commit>,
    /// Effects that were not delivered yet, in order.
    pub effects: Vec<Effect>,
    /// The attempts that [`World::tasks`] has named.
    named: BTreeSet<LeaseToken>,
    next_id: u128,
    /// How many turns runs had of their own accord.
    turns: u128,
}

pub fn shard_zero() -> ShardId {
    ShardId::new(0).unwrap()
}

/// A shard with an empty journal. What it remembers is next to nothing, so that nothing can rest on it.
pub fn empty() -> Shard {
    bounded(Budget::default())
}

fn bounded(decision: Budget) -> Shard {
    let bounds = Bounds { granted: 4, ended: 4, keys: 4, decision, ..Bounds::default() };
    Shard::bounded(shard_zero(), ShardMap::even(1).unwrap(), bounds)
}

pub fn worker() -> WorkerId {
    "worker-1".parse().unwrap()
}

/// One worker with room for so many tasks of the queue `work`.
pub fn hands(slots: u64) -> Hands {
    let mut hands = Hands::default();
    let session = SessionId::from_bits(1);
    hands.meet(&worker(), session, &"default".parse().unwrap(), &["work".parse().unwrap()], Epoch::FIRST);
    let term = Term { epoch: Epoch::FIRST, meeting: 1 };
    hands.room(session).unwrap().hear(Credit { term, word: 1, lent: slots });
    hands.prefer(Some(session));
    hands
}

pub fn key(workflow: &str) -> WorkflowKey {
    WorkflowKey { workspace: "default".parse().unwrap(), workflow: workflow.parse().unwrap() }
}

impl World {
    pub fn new() -> Self {
        Self::bounded(Budget::default())
    }

    /// One whose decisions take no more than that.
    pub fn bounded(decision: Budget) -> Self {
        let shard = bounded(decision);
        let now = Timestamp::from_micros(1_750_000_000_000_000);
        Self { shard, now, commits: Vec::new(), effects: Vec::new(), named: BTreeSet::new(), next_id: 1, turns: 0 }
    }

    pub fn with(document: &Value) -> Self {
        let mut world = Self::new();
        world.apply(document);
        world
    }

    pub fn fresh_id(&mut self) -> CommandId {
        self.next_id += 1;
        CommandId::from_uuid(uuid::Uuid::from_u128(self.next_id))
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(std::time::Duration::from_secs(seconds));
    }

    pub fn decide(&mut self, command: Command) -> Result<Decided, Rejection> {
        let id = self.fresh_id();
        self.decide_as(Submission::new(id, command), &mut Hands::default())
    }

    pub fn decide_as(&mut self, submission: Submission, hands: &mut Hands) -> Result<Decided, Rejection> {
        let mut decided = self.shard.decide(submission, self.now, hands)?;
        self.commits.extend(decided.commit.clone());
        self.effects.append(&mut decided.effects);
        Ok(decided)
    }

    /// Applies a definition, adopts it and lets its declarations reach the assets.
    pub fn apply(&mut self, document: &Value) -> DefinitionVersion {
        let (definition, _) = headwater_core::definition::compile(document).unwrap_or_else(|p| panic!("{p:?}"));
        let key = key(definition.slug.as_str());
        let apply = ApplyWorkflow { document: definition.source.clone(), content_hash: definition.content_hash };
        let command = Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) };
        self.decide(command).unwrap();
        let version = self.shard.workflow(&key).unwrap().current().unwrap();
        self.decide(Command::AdoptDefinition { key, version, document: definition.source }).unwrap();
        self.deliver_submissions();
        version
    }

    pub fn start(&mut self, workflow: &str, input: Value) -> RunId {
        self.next_id += 1;
        let run = RunId::new(shard_zero(), self.now, self.next_id << 12);
        self.try_start(run, workflow, input).unwrap();
        run
    }

    pub fn start_with(&mut self, workflow: &str, input: Value, hands: &mut Hands) -> (RunId, Decided) {
        self.next_id += 1;
        let run = RunId::new(shard_zero(), self.now, self.next_id << 12);
        let command = Command::Run { run, command: RunCommand::StartRun(self.start_of(workflow, input)) };
        let submission = Submission::new(self.fresh_id(), command);
        (run, self.decide_as(submission, hands).unwrap())
    }

    pub fn try_start(&mut self, run: RunId, workflow: &str, input: Value) -> Result<Decided, Rejection> {
        let start = self.start_of(workflow, input);
        self.decide(Command::Run { run, command: RunCommand::StartRun(start) })
    }

    pub fn try_start_keyed(&mut self, run: RunId, workflow: &str, input: Value) -> Result<Decided, Rejection> {
        let start = StartRun { keyed: true, ..self.start_of(workflow, input) };
        self.decide(Command::Run { run, command: RunCommand::StartRun(start) })
    }

    pub fn start_of(&self, workflow: &str, input: Value) -> StartRun {
        StartRun {
            workspace: "default".parse().unwrap(),
            workflow: workflow.parse().unwrap(),
            version: self.shard.workflow(&key(workflow)).unwrap().started().unwrap(),
            input: Json::of(&input),
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: None,
        }
    }

    /// Returns the tasks that wait for a worker and were not returned before, in the order they were scheduled.
    pub fn tasks(&mut self) -> Vec<Task> {
        let scheduled = self.commits.iter().flat_map(|commit| {
            commit.events.iter().filter_map(|event| match (&commit.aggregate, event) {
                (AggregateId::Run(run), Event::Run(RunEvent::AttemptScheduled { node, attempt, handed_to, .. })) => {
                    handed_to.is_none().then_some((*run, node, *attempt))
                }
                _ => None,
            })
        });
        let waiting = scheduled.filter_map(|(run, node, attempt)| {
            let task = task_of(self.shard.run(run)?, node)?;
            let waits = self.shard.run(run)?.waiting_for(&task.queue, usize::MAX);
            waits.contains(&(task.node.clone(), attempt)).then_some(task)
        });
        let waiting: Vec<_> = waiting.collect();
        waiting.into_iter().filter(|task| self.named.insert(task.lease)).collect()
    }

    /// Lets [`World::tasks`] return every task again.
    pub fn name_again(&mut self) {
        self.named.clear();
    }

    /// Lets [`World::tasks`] return a task again.
    pub fn put_back(&mut self, task: &Task) {
        self.named.remove(&task.lease);
    }

    /// Lets every command between aggregates arrive, and those that follow from them.
    pub fn deliver_submissions(&mut self) {
        while let Some(at) = self.effects.iter().position(|e| matches!(e, Effect::Submit(_))) {
            let Effect::Submit(submission) = self.effects.remove(at) else { unreachable!() };
            let adopt = match &submission.command {
                Command::Run { command: RunCommand::StartRun(start), .. } => {
                    Some((start.workflow.clone(), start.version))
                }
                _ => None,
            };
            assert!(adopt.is_none_or(|(w, v)| self.shard.definition(&key(w.as_str()), v).is_some()));
            let _refusals_are_final = self.decide_as(*submission, &mut Hands::default());
        }
    }

    pub fn report(&mut self, task: &Task, outcome: ReportOutcome) -> Result<Decided, Rejection> {
        let command = self.report_of(task, outcome);
        self.decide(command)
    }

    pub fn report_of(&self, task: &Task, outcome: ReportOutcome) -> Command {
        let (node, attempt, lease) = (task.node.clone(), task.attempt, task.lease);
        let report = Report { node, attempt, lease, worker: worker(), started_at: self.now, outcome };
        // As it comes: over the wire.
        let report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        Command::Run { run: task.run, command: RunCommand::ReportAttempt(report) }
    }

    pub fn fire_timers(&mut self) {
        for timer in self.shard.due(self.now, usize::MAX) {
            self.decide_of_its_own(timer);
        }
    }

    /// Gives the next run that has more to do its turn; returns what it did.
    pub fn go_on(&mut self) -> Option<Decided> {
        let run = self.shard.unfinished().next()?;
        Some(self.decide_of_its_own(Command::Run { run, command: RunCommand::Continue {} }))
    }

    /// Decides what the shard gives itself, under ids of their own: how often it does changes no other id.
    fn decide_of_its_own(&mut self, command: Command) -> Decided {
        self.turns += 1;
        let id = CommandId::from_uuid(uuid::Uuid::from_u128(self.turns << 64));
        self.decide_as(Submission::new(id, command), &mut Hands::default()).unwrap()
    }

    /// Lets every run go on until it waits for something. Returns how many turns it took.
    pub fn settle(&mut self) -> usize {
        let mut turns = 0;
        while let Some(decided) = self.go_on() {
            assert!(decided.commit.is_some(), "whoever has more to do does some of it in each turn");
            turns += 1;
        }
        turns
    }

    /// What was decided about a run, one word for each event.
    pub fn timeline(&self, run: RunId) -> String {
        let events = self.commits.iter().filter(|c| c.aggregate.to_string().ends_with(&run.to_string()));
        let words = events.flat_map(|c| &c.events).map(|event| match event {
            Event::Run(event) => word(event),
            other => panic!("{other:?} in the history of a run"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The journal so far, as bundles of `size` commits.
    pub fn bundles(&self, size: usize) -> Vec<Bundle> {
        self.commits
            .chunks(size)
            .map(|commits| Bundle {
                shard: shard_zero(),
                epoch: Epoch::FIRST,
                id: BundleId::from_uuid(uuid::Uuid::from_u128(1)),
                previous: String::new(),
                effects_done: Sequence::ZERO,
                replaces: None,
                resends: Vec::new(),
                needs: 1,
                ahead: None,
                heard: Vec::new(),
                aside: None,
                commits: commits.to_vec(),
            })
            .collect()
    }
}

fn word(event: &RunEvent) -> String {
    match event {
        RunEvent::RunStarted { .. } => "started".into(),
        RunEvent::RunDescribed { .. } => "described".into(),
        RunEvent::ResultsRecalled { piece, .. } => format!("recalls{piece}"),
        RunEvent::NodeAwaitedAssets { node, .. } => format!("{node}:awaits"),
        RunEvent::MemoAsked { node, .. } => format!("{node}:asks"),
        RunEvent::MemoCleared { node } => format!("{node}:flies"),
        RunEvent::MemoLeft { node, .. } => format!("{node}:leaves"),
        RunEvent::NodeSucceeded { node, reused: Some(by), .. } => format!("{node}:reuses({})", by.node),
        RunEvent::AssetResolved { node, chosen, .. } => {
            format!("{node}:gets({})", chosen.as_ref().map_or("none".into(), |c| c.version.to_string()))
        }
        RunEvent::AttemptScheduled { node, attempt, handed_to, .. } => {
            format!("{node}:{}{attempt}", if handed_to.is_some() { "handed" } else { "try" })
        }
        RunEvent::SignalReceived { name, .. } => format!("hears({name})"),
        RunEvent::SignalTaken { node, .. } => format!("{node}:takes"),
        RunEvent::RunPaused { node, .. } => node.as_ref().map_or("PAUSED".into(), |node| format!("{node}:paused")),
        RunEvent::RunResumed { node, .. } => node.as_ref().map_or("RESUMED".into(), |node| format!("{node}:resumed")),
        RunEvent::RunTerminated { .. } => "TERMINATED".into(),
        RunEvent::RunStopping { .. } => "STOPPING".into(),
        RunEvent::RunMigrated { version, .. } => format!("MIGRATED:{version}"),
        RunEvent::NodeOverruled { node, .. } => format!("{node}:overruled"),
        RunEvent::TimerChanged { node, .. } => format!("{node}:due"),
        RunEvent::SignalAnswered { node, .. } => format!("{node}:replies"),
        RunEvent::PersonAsked { node, .. } => format!("{node}:asked"),
        RunEvent::PersonAnswered { node, .. } => format!("{node}:answered"),
        RunEvent::PersonReassigned { node, .. } => format!("{node}:reassigned"),
        RunEvent::PersonReminded { node, .. } => format!("{node}:reminded"),
        RunEvent::ChildCalled { node, version, .. } => format!("{node}:calls@{version}"),
        RunEvent::ChildWithdrawn { node, .. } => format!("{node}:withdraws"),
        RunEvent::AttemptGranted { node, attempt, .. } => format!("{node}:granted{attempt}"),
        RunEvent::AttemptReturned { node, .. } => format!("{node}:returned"),
        RunEvent::AttemptStarted { node, .. } => format!("{node}:runs"),
        RunEvent::AttemptFailed { node, failure, .. } => format!("{node}:failed({})", failure.code),
        RunEvent::RetryArmed { node, attempt, .. } => format!("{node}:retry{attempt}"),
        RunEvent::NodeSucceeded { node, .. } => format!("{node}:ok"),
        RunEvent::NodeFailed { node, failure, tolerated, .. } => {
            format!("{node}:{}({})", if *tolerated { "tolerated" } else { "dead" }, failure.code)
        }
        RunEvent::CompensationKept { node, .. } => format!("{node}:keeps"),
        RunEvent::NodeSkipped { node } => format!("{node}:skipped"),
        RunEvent::NodeCancelled { node } => format!("{node}:cancelled"),
        RunEvent::AssetRecorded { asset, version, .. } => format!("{asset}@{version}"),
        RunEvent::ItemsListed { node, .. } => format!("{node}:items"),
        RunEvent::BranchesOpened { node, first, count, .. } => format!("{node}:opens({}+{count})", first.get()),
        RunEvent::BranchClosing { branch, failure } => format!("@{}:closing({})", branch.get(), failure.code),
        RunEvent::JoinClosing { node, .. } => format!("{node}:enough"),
        RunEvent::BranchEnded { branch, outcome } => format!("@{}:{}", branch.get(), of_branch(outcome)),
        RunEvent::RunEnding { ending } => format!("ENDING({})", ending.status()),
        RunEvent::CallbackAwaited { node, .. } => format!("{node}:waits"),
        RunEvent::CallbackHeard { node, .. } => format!("{node}:alive"),
        RunEvent::CallbackAnswered { .. } => "called(back)".into(),
        RunEvent::SuccessorChosen { node, version, .. } => format!("{node}:succeeds@{version}"),
        RunEvent::SuccessorCalled { .. } => "calls".into(),
        RunEvent::SuccessorWithdrawn { .. } => "withdraws".into(),
        RunEvent::SignalInherited { name, .. } => format!("inherits({name})"),
        RunEvent::RunSucceeded { .. } => "SUCCEEDED".into(),
        RunEvent::RunFailed { failure } => format!("FAILED({})", failure.code),
        RunEvent::RunCancelled { .. } => "CANCELLED".into(),
    }
}

pub fn ok(output: Value) -> ReportOutcome {
    ReportOutcome::Succeeded { output: Json::of(&output), assets: Vec::new() }
}

pub fn failed(code: &str) -> ReportOutcome {
    ReportOutcome::failed(code, format!("{code} happened"), false)
}

/// A chain of jobs: `a → b → …`.
pub fn chain(ids: &[&str]) -> Value {
    let steps: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| match at {
            0 => json!({"id": id, "jobSlug": "work"}),
            _ => json!({"id": id, "jobSlug": "work", "dependsOn": [ids[at - 1]]}),
        })
        .collect();
    json!({"slug": "chain", "steps": steps})
}

fn of_branch(outcome: &BranchOutcome) -> &'static str {
    match outcome {
        BranchOutcome::Succeeded { .. } | BranchOutcome::SucceededAs { .. } => "ok",
        BranchOutcome::Failed { .. } => "failed",
        BranchOutcome::Cancelled {} => "cancelled",
        BranchOutcome::Turned { again: true } => "again",
        BranchOutcome::Turned { again: false } => "over",
    }
}
