//! The shard of a case: it decides as the engine's do, and nothing else happens. Its clock stands still while there is something
//! to decide, and then goes to what comes next.

mod said;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use headwater_core::asset::AssetCommand;
use headwater_core::credit::Hands;
use headwater_core::definition::{Definition, compile};
use headwater_core::dialogue::RecordAsset;
use headwater_core::run::{Grant, Report, RunCommand, StartRun, Trigger, task_of};
use headwater_core::shard::{AssetKey, Command, Effect, QueueKey, Rejection, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::task::Task;
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{
    AssetId, Attempt, CommandId, DefinitionVersion, Json, NodeAddress, RunId, SessionId, ShardId, Slug, Timestamp,
    WorkerId, WorkspaceId,
};

use super::crew::{Crew, Fault, MissingMock, Word};
use super::script::{Case, ExistingAsset};
use super::story::{self, Story};
use said::late_word;

/// Why a case went no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The run has ended.
    Ended,
    /// Nothing is left that could happen.
    Stuck,
    Decisions,
    Time,
    MissingMock(MissingMock),
    /// The run could not even start.
    Refused(String),
    /// The engine contradicts itself, which is a mistake of its own.
    Contradiction(String),
}

/// A definition that a case may use.
#[derive(Debug, Clone)]
pub struct Part {
    pub slug: Slug,
    /// The document in its canonical form.
    pub source: Json,
    pub content_hash: String,
    /// The assets that it makes.
    pub produces: Vec<AssetId>,
}

/// The shard of a case and what is to come.
#[derive(Debug)]
pub struct Stage<'c> {
    case: &'c Case,
    crew: Crew<'c>,
    shard: Shard,
    now: Timestamp,
    story: Story,
    /// What comes at a time, in the order it was foreseen.
    coming: BTreeMap<(Timestamp, u64), Submission>,
    sent: VecDeque<Submission>,
    ids: u64,
    decisions: u64,
}

fn workspace() -> WorkspaceId {
    "test".parse().expect("it is a name")
}

fn worker() -> WorkerId {
    "mocks".parse().expect("it is a name")
}

fn shard_id() -> ShardId {
    ShardId::new(0).expect("it is a number of a shard")
}

fn key_of(workflow: &Slug) -> WorkflowKey {
    WorkflowKey { workspace: workspace(), workflow: workflow.clone() }
}

/// Plays a case to its end.
pub fn play<'c>(case: &'c Case, main: &Part, parts: &[Part]) -> (Stage<'c>, Stop) {
    let compiled = compile(&main.source.to_value()).map(|(definition, _)| Arc::new(definition));
    let definition = compiled.unwrap_or_else(|_| unreachable!("what is rehearsed was checked before"));
    let mut stage = Stage::of(case, definition);
    let stop = stage.play(main, parts).map_or_else(|stop| stop, |never| match never {});
    (stage, stop)
}

/// There is no other end of a case than a [`Stop`].
enum Never {}

impl<'c> Stage<'c> {
    fn of(case: &'c Case, definition: Arc<Definition>) -> Self {
        let main = RunId::new(shard_id(), case.start, 1 << 12);
        Self {
            case,
            crew: Crew::of(case),
            shard: Shard::new(shard_id(), ShardMap::even(1).expect("one shard is enough")),
            now: case.start,
            story: Story::of(main, definition, case.start),
            coming: BTreeMap::new(),
            sent: VecDeque::new(),
            ids: 0,
            decisions: 0,
        }
    }

    fn play(&mut self, main: &Part, parts: &[Part]) -> Result<Never, Stop> {
        for part in parts {
            self.apply(part)?;
        }
        for asset in &self.case.assets {
            let makes = |part: &&Part| {
                part.produces.iter().any(|made| made.as_str().eq_ignore_ascii_case(asset.asset.as_str()))
            };
            let maker = parts.iter().filter(makes).map(|part| &part.slug).min().unwrap_or(&main.slug);
            self.record(asset, asset.producer.as_ref().unwrap_or(maker))?;
        }
        self.settle()?;
        let run = self.start(main)?;
        // What preparing takes is not the case's.
        self.decisions = 0;
        loop {
            self.settle()?;
            if self.shard.run(run).is_none() {
                return Err(Stop::Ended);
            }
            self.go_on()?;
        }
    }

    fn apply(&mut self, part: &Part) -> Result<(), Stop> {
        let key = key_of(&part.slug);
        let apply = ApplyWorkflow { document: part.source.clone(), content_hash: part.content_hash.clone() };
        self.need(Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) })?;
        let (version, document) = (DefinitionVersion::FIRST, part.source.clone());
        self.need(Command::AdoptDefinition { key, version, document })?;
        self.settle()
    }

    fn record(&mut self, existing: &ExistingAsset, workflow: &Slug) -> Result<(), Stop> {
        let ExistingAsset { asset, partition, payload, produced_at, run_input, producer: _ } = existing.clone();
        let key = AssetKey { workspace: workspace(), asset };
        self.ids += 1;
        let run = RunId::new(shard_id(), self.now, u128::from(self.ids) << 12);
        let record = RecordAsset {
            run,
            workflow: workflow.clone(),
            definition: DefinitionVersion::FIRST,
            node: NodeAddress::root("existing".parse().expect("it is a name")),
            attempt: Attempt::FIRST,
            partition,
            payload,
            schema: None,
            freshness: None,
            produced_at: produced_at.unwrap_or(self.now),
            run_started_at: self.now,
            run_input,
            inputs: Vec::new(),
        };
        self.need(Command::Asset { key, command: AssetCommand::RecordAsset(Box::new(record)) })
    }

    fn start(&mut self, main: &Part) -> Result<RunId, Stop> {
        let run = RunId::new(shard_id(), self.now, 1 << 12);
        let start = StartRun {
            workspace: workspace(),
            workflow: main.slug.clone(),
            version: DefinitionVersion::FIRST,
            input: self.case.input.clone(),
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: None,
        };
        self.need(Command::Run { run, command: RunCommand::StartRun(start) })?;
        self.foresee_signals(run);
        Ok(run)
    }

    /// Does everything that can be done now.
    fn settle(&mut self) -> Result<(), Stop> {
        loop {
            let unfinished = self.shard.unfinished().next();
            // What goes on from it is no part of the case.
            if self.shard.successor_of(self.story.main()).is_some() {
                return Ok(());
            }
            if let Some(sent) = self.sent.pop_front() {
                self.deliver(sent)?;
            } else if let Some(run) = unfinished {
                self.decide(Command::Run { run, command: RunCommand::Continue {} })?;
            } else if !self.grant()? {
                return Ok(());
            }
        }
    }

    /// Lets what one aggregate says to another arrive, and what follows from the answer.
    fn deliver(&mut self, sent: Submission) -> Result<(), Stop> {
        let follows = match self.submit(sent.clone())? {
            Ok(granted) => granted.and_then(|granted| sent.granted(&granted)),
            Err(rejection) => sent.refused(&rejection),
        };
        self.sent.extend(follows);
        Ok(())
    }

    /// Gives everything that waits for a worker to the crew; returns whether there was anything.
    fn grant(&mut self) -> Result<bool, Stop> {
        let waiting: Vec<QueueKey> = {
            let mut waiting: Vec<_> = self.shard.queues_waited_for().cloned().collect();
            waiting.sort_unstable();
            waiting
        };
        for key in &waiting {
            for (run, attempts) in self.shard.next_turn(key, usize::MAX) {
                let grant = |(node, attempt): &(NodeAddress, Attempt)| Grant {
                    node: node.clone(),
                    attempt: *attempt,
                    worker: worker(),
                    session: SessionId::from_bits(1),
                };
                let grants = attempts.iter().map(grant).collect();
                self.decide(Command::Run { run, command: RunCommand::GrantAttempts { grants } })?;
                for (node, _) in attempts {
                    let task = self.shard.run(run).and_then(|run| task_of(run, &node));
                    task.map_or(Ok(()), |task| self.hand(&task))?;
                }
            }
        }
        Ok(!waiting.is_empty())
    }

    fn hand(&mut self, task: &Task) -> Result<(), Stop> {
        let item = self.story.item_of(task.run, &task.node);
        let known = self.crew.faults().len();
        let words = self.crew.take(task, item).map_err(Stop::MissingMock)?;
        for fault in self.crew.faults().iter().skip(known) {
            let Fault { node, attempt, fault } = fault;
            let (after, run) = (self.now.since(self.case.start), self.story.name_of(task.run));
            self.story.line(after, run, format!("{node} meets {fault} (attempt {attempt})"));
        }
        let report_id = self.id();
        for (after, word) in words {
            let (node, attempt, lease) = (task.node.clone(), task.attempt, task.lease);
            let started_at = self.now;
            let (id, command) = match word {
                Word::Started => {
                    let worker = worker();
                    (self.id(), RunCommand::StartAttempt { node, attempt, lease, worker, started_at })
                }
                Word::Silence => (self.id(), RunCommand::LoseAttempt { node, attempt, lease }),
                Word::Reported(said) => {
                    let outcome = story::outcome(&said).map_err(|error| Stop::Contradiction(error.to_string()))?;
                    let report = Report { node, attempt, lease, worker: worker(), started_at, outcome };
                    (report_id, RunCommand::ReportAttempt(report))
                }
            };
            self.ids += 1;
            let submission = Submission::new(id, Command::Run { run: task.run, command });
            self.coming.insert((self.now.after(after), self.ids), submission);
        }
        Ok(())
    }

    /// Goes on to what comes next.
    fn go_on(&mut self) -> Result<(), Stop> {
        let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
        let next = [coming, self.shard.next_due()].into_iter().flatten().min().ok_or(Stop::Stuck)?;
        if next.since(self.case.start) > self.case.limits.time {
            return Err(Stop::Time);
        }
        self.now = self.now.max(next);
        // What workers say comes first: what they say in time is in time.
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let submission = entry.remove();
            let said = late_word(&submission.command);
            // What comes too late is refused, and whoever reads of it wants to know.
            if let (Err(rejection), Some((run, text))) = (self.submit(submission)?, said) {
                self.tell(run, format!("{text} is refused: {rejection}"));
            }
        }
        for timer in self.shard.due(self.now, usize::MAX) {
            self.decide(timer)?;
        }
        Ok(())
    }

    fn tell(&mut self, run: RunId, text: String) {
        let (after, run) = (self.now.since(self.case.start), self.story.name_of(run));
        self.story.line(after, run, text);
    }

    fn id(&mut self) -> CommandId {
        self.ids += 1;
        CommandId::derived(&[b"rehearsal", &self.ids.to_be_bytes()])
    }

    /// Decides what has to be granted.
    fn need(&mut self, command: Command) -> Result<(), Stop> {
        let id = self.id();
        match self.submit(Submission::new(id, command))? {
            Ok(_) => Ok(()),
            Err(rejection) => Err(Stop::Refused(rejection.to_string())),
        }
    }

    /// Decides what may be refused, and then has become needless.
    fn decide(&mut self, command: Command) -> Result<(), Stop> {
        let id = self.id();
        self.submit(Submission::new(id, command)).map(drop)
    }

    fn submit(
        &mut self,
        submission: Submission,
    ) -> Result<Result<Option<headwater_core::shard::Granted>, Rejection>, Stop> {
        self.decisions += 1;
        if self.decisions > self.case.limits.decisions {
            return Err(Stop::Decisions);
        }
        let decided = match self.shard.decide(submission, self.now, &mut Hands::default()) {
            Ok(decided) => decided,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if let Some(commit) = &decided.commit {
            self.story.note(commit).map_err(Stop::Contradiction)?;
            self.foresee_answers(commit);
            self.foresee_callbacks(commit);
        }
        for effect in decided.effects {
            match effect {
                Effect::Submit(submission) => self.sent.push_back(*submission),
                // Mocks have no ears, and nobody reads the feed.
                Effect::CancelTasks { .. } | Effect::PublishAsset(_) | Effect::PublishDefinition { .. } => {}
            }
        }
        Ok(Ok(decided.granted))
    }

    /// Returns what happened.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Returns who stood in for the workers.
    pub fn crew(&self) -> &Crew<'c> {
        &self.crew
    }

    /// Returns how much virtual time has passed.
    pub fn elapsed(&self) -> Duration {
        self.now.since(self.case.start)
    }

    /// Returns how many decisions it took.
    pub fn decisions(&self) -> u64 {
        self.decisions
    }
}
