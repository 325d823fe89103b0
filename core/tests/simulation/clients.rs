//! The clients: they apply workflows, start runs under keys and without, and cancel some. Each asks until answered.

use std::collections::BTreeMap;

use headwater_core::protocol::{Granted, ShardReply};
use headwater_core::run::{RunCommand, RunRejection, StartRun, Trigger};
use headwater_core::shard::{AggregateId, Command, Rejection, Submission, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{Actor, CommandId, DefinitionVersion, Json, RunId, ShardId};
use serde_json::{Value, json};

use crate::cluster::{Asker, CHAOS, Cluster, Happening, MILLI, SECOND, Wish};
use crate::documents::{PRODUCERS, SLUGS, document};
use crate::workers::workspace;

#[derive(Default)]
pub struct Clients {
    errands: Vec<Errand>,
    open: usize,
    /// The versions that clients know to be current.
    versions: BTreeMap<&'static str, DefinitionVersion>,
    runs: Vec<RunId>,
    /// Those that wait to be told.
    told: Vec<RunId>,
    rounds: u64,
}

#[derive(Clone, Copy)]
pub enum Errand {
    Apply(&'static str),
    Start(RunId),
    /// Whether the run is known to have started, and so must be known to its shard.
    Cancel {
        started: bool,
    },
    /// The same; whatever is done to a run that changes nothing where it is done twice.
    Signal {
        started: bool,
    },
    /// The same.
    Answer {
        started: bool,
    },
    /// What people say in the pipeline.
    Gate,
    /// Waits for the end of a run that is known to have started.
    Await(RunId),
}

impl Clients {
    pub fn is_at_rest(&self) -> bool {
        self.open == 0
    }
}

fn key(slug: &str) -> WorkflowKey {
    WorkflowKey { workspace: workspace(), workflow: slug.parse().unwrap() }
}

impl Cluster {
    pub fn open_for_clients(&mut self) {
        for slug in SLUGS {
            self.apply(slug, 0);
        }
        self.at(400 * MILLI, Happening::ClientTurn);
    }

    pub fn run_errand(&mut self, errand: Errand, shard: ShardId, wish: Wish) {
        self.clients.errands.push(errand);
        self.clients.open += 1;
        let asker = Asker::Client { errand: self.clients.errands.len() - 1 };
        self.ask(asker, shard, wish);
    }

    fn apply(&mut self, slug: &'static str, edition: u64) {
        self.apply_document(slug, &document(slug, edition));
    }

    pub fn apply_document(&mut self, slug: &'static str, document: &Value) {
        let (definition, _) =
            headwater_core::definition::compile(document).unwrap_or_else(|problems| panic!("{slug}: {problems}"));
        let apply = ApplyWorkflow { document: definition.source, content_hash: definition.content_hash };
        let command = Command::Workflow { key: key(slug), command: WorkflowCommand::ApplyWorkflow(apply) };
        let shard = self.map.shard_of(&AggregateId::Workflow(key(slug))).expect("a workflow has a shard");
        let submission = Submission::new(self.command_id(), command);
        self.run_errand(Errand::Apply(slug), shard, Wish::Submit(submission));
    }

    fn start(&mut self, slug: &'static str) -> Option<RunId> {
        let input = json!({"n": self.chance.below(9), "dir": "/"});
        self.start_with(slug, &input)
    }

    /// Starts a run, if the workflow is known to be there.
    pub fn start_with(&mut self, slug: &'static str, input: &Value) -> Option<RunId> {
        let version = self.clients.versions.get(slug).copied()?;
        let shard = self.map.spread(self.chance.bits());
        let randomness = u128::from(self.chance.bits()) << 64 | u128::from(self.chance.bits());
        let run = RunId::new(shard, self.clock(0), randomness);
        let start = StartRun {
            workspace: workspace(),
            workflow: slug.parse().unwrap(),
            version,
            input: Json::of(input),
            trigger: Trigger::Manual {},
            keyed: self.chance.percent(30),
            wishes: None,
        };
        let command = Command::Run { run, command: RunCommand::StartRun(start) };
        self.clients.runs.push(run);
        // Who starts twice under one key gets one run.
        for _ in 0..if self.mishap(15) { 2 } else { 1 } {
            let submission = Submission::new(self.command_id(), command.clone());
            self.run_errand(Errand::Start(run), shard, Wish::Submit(submission));
        }
        Some(run)
    }

    fn cancel(&mut self) {
        if self.clients.runs.is_empty() {
            return;
        }
        let run = *self.chance.pick(&self.clients.runs);
        let (workspace, reason) = (None, "enough".to_owned());
        let grace_ms = if self.chance.percent(30) { 5_000 } else { 0 };
        let command = if self.chance.percent(20) {
            RunCommand::CancelRunKeeping { workspace, reason, grace_ms }
        } else {
            RunCommand::CancelRun { workspace, reason, grace_ms }
        };
        let command = Command::Run { run, command };
        let submission = Submission::new(self.command_id(), command);
        let started = self.audit.is_acknowledged(run);
        self.run_errand(Errand::Cancel { started }, run.shard(), Wish::Submit(submission));
    }

    fn start_to_be_told(&mut self) -> Option<RunId> {
        let slug = *self.chance.pick(&["told", "onward"]);
        self.start(slug)
    }

    /// Says something to a run, perhaps twice, long before or after anybody waits for it.
    fn signal(&mut self) {
        if self.chance.percent(40)
            && let Some(run) = self.start_to_be_told()
        {
            self.clients.told.push(run);
        }
        let (told, runs) = (&self.clients.told, &self.clients.runs);
        let newest = &told[told.len().saturating_sub(2)..];
        let among = if newest.is_empty() || self.chance.percent(20) { runs } else { newest };
        if among.is_empty() {
            return;
        }
        let run = *self.chance.pick(among);
        let signal = self.command_id();
        let broadcast = self.chance.percent(20);
        let command = RunCommand::Signal {
            workspace: workspace(),
            signal,
            name: if self.chance.percent(70) { "go" } else { "stop" }.parse().unwrap(),
            key: None,
            payload: Json::of(&self.chance.below(100)),
            broadcast,
            update: !broadcast && self.chance.percent(40),
        };
        let started = self.audit.is_acknowledged(run);
        for _ in 0..if self.mishap(25) { 3 } else { 1 } {
            let submission = Submission::new(self.command_id(), Command::Run { run, command: command.clone() });
            self.run_errand(Errand::Signal { started }, run.shard(), Wish::Submit(submission));
        }
    }

    /// Returns one of the runs that were started last.
    pub fn some_new_run(&mut self) -> Option<RunId> {
        let newest = &self.clients.runs[self.clients.runs.len().saturating_sub(4)..];
        (!newest.is_empty()).then(|| *self.chance.pick(newest))
    }

    /// Somebody answers what a run may ask, perhaps twice, perhaps wrongly or too late.
    fn answer_somebody(&mut self) {
        let Some(run) = self.clients.told.last().copied() else { return };
        let command = RunCommand::AnswerPerson {
            workspace: workspace(),
            node: "gate".parse().unwrap(),
            attempt: None,
            answer: self.command_id(),
            by: Actor::Claimed(self.chance.pick(&["ada", "bo", "cy"]).parse().unwrap()),
            value: Json::of(&self.chance.below(100)),
        };
        let started = self.audit.is_acknowledged(run);
        for _ in 0..if self.mishap(25) { 3 } else { 1 } {
            let submission = Submission::new(self.command_id(), Command::Run { run, command: command.clone() });
            self.run_errand(Errand::Answer { started }, run.shard(), Wish::Submit(submission));
        }
    }

    /// Somebody says this at the gate of the pipeline: the same each time that it is asked.
    pub fn answer_at_the_gate(&mut self, run: RunId, number: u128, by: &str, value: &Value) {
        let command = RunCommand::AnswerPerson {
            workspace: workspace(),
            node: "gate".parse().unwrap(),
            attempt: None,
            answer: CommandId::from_uuid(uuid::Uuid::from_u128(number)),
            by: Actor::Claimed(by.parse().unwrap()),
            value: Json::of(value),
        };
        let submission = Submission::new(self.command_id(), Command::Run { run, command });
        self.run_errand(Errand::Gate, run.shard(), Wish::Submit(submission));
    }

    pub fn client_turn(&mut self) {
        if self.pipeline.is_some() {
            return self.pipeline_turn();
        }
        if self.time >= CHAOS {
            // Some wait for whatever comes: in the end somebody makes it.
            self.clients.rounds += 1;
            if self.audit.is_waited_for() && self.clients.rounds.is_multiple_of(4) {
                for slug in PRODUCERS {
                    self.start(slug);
                }
            }
            self.resume_all();
            return self.at(5 * SECOND, Happening::ClientTurn);
        }
        match self.chance.below(20) {
            0..=14 => {
                let slug = *self.chance.pick(&SLUGS);
                self.start(slug);
            }
            15..=16 => self.cancel(),
            17 => self.signal(),
            18 => {
                self.signal();
                self.answer_somebody();
                self.answer_somebody();
                self.take_in_hand();
            }
            _ => {
                let (slug, edition) = (*self.chance.pick(&SLUGS), self.chance.below(3));
                self.apply(slug, edition);
            }
        }
        let pause = self.chance.between(100 * MILLI, 3 * SECOND);
        self.at(pause, Happening::ClientTurn);
    }

    /// Nobody answered in time; what became of it is not known.
    pub fn client_gives_up(&mut self, errand: usize) {
        self.clients.open -= 1;
        match self.clients.errands[errand] {
            Errand::Apply(slug) => self.apply(slug, 0),
            Errand::Gate => self.gate_answered(false),
            _ => {}
        }
    }

    pub fn client_hears(&mut self, errand: usize, wish: &Wish, reply: ShardReply) {
        self.clients.open -= 1;
        match (self.clients.errands[errand], reply) {
            (Errand::Apply(slug), ShardReply::Done { granted: Some(Granted::Workflow { version, .. }), .. }) => {
                self.clients.versions.insert(slug, version);
            }
            (Errand::Start(run), ShardReply::Done { .. }) => {
                self.audit.acknowledged(run);
                if self.chance.percent(50) {
                    self.run_errand(Errand::Await(run), run.shard(), Wish::Await(run));
                }
            }
            (Errand::Await(run), ShardReply::Ended { status, .. }) => {
                assert_eq!(self.audit.end_of(run), Some(status), "who is told of an end finds it in the journal");
            }
            // Its definition is not known everywhere yet.
            (
                errand @ Errand::Start(run),
                ShardReply::Refused { rejection: Rejection::Run(RunRejection::DefinitionNotFound { .. }) },
            ) => self.run_errand(errand, run.shard(), wish.clone()),
            (
                Errand::Signal { .. },
                ShardReply::Done { .. }
                | ShardReply::Refused {
                    rejection:
                        Rejection::Run(
                            RunRejection::RunClosed { .. }
                            | RunRejection::MigrationInvalid { .. }
                            | RunRejection::DefinitionNotFound { .. },
                        ),
                },
            )
            | (
                Errand::Signal { started: false },
                ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) },
            )
            | (
                Errand::Cancel { .. },
                ShardReply::Done { .. }
                | ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunClosed { .. }) },
            )
            | (
                Errand::Cancel { started: false },
                ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) },
            ) => {}
            // It may have started before, as far as the shard knows. Nobody was promised anything.
            (Errand::Start(_), ShardReply::Refused { rejection: Rejection::Run(RunRejection::StartUnclear) }) => {}
            (
                Errand::Gate,
                ShardReply::Done { .. }
                | ShardReply::Refused {
                    rejection: Rejection::Run(RunRejection::TaskClosed | RunRejection::RunClosed { .. }),
                },
            ) => {
                self.gate_answered(true);
            }
            (
                Errand::Answer { .. },
                ShardReply::Done { .. }
                | ShardReply::Refused {
                    rejection:
                        Rejection::Run(
                            RunRejection::RunClosed { .. }
                            | RunRejection::TaskNotFound
                            | RunRejection::TaskClosed
                            | RunRejection::AlreadyAnswered,
                        ),
                },
            )
            | (
                Errand::Answer { started: false },
                ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) },
            ) => {}
            // It has ended, and is forgotten.
            (
                Errand::Cancel { .. } | Errand::Signal { .. } | Errand::Answer { .. } | Errand::Await(_),
                ShardReply::Refused { rejection: Rejection::Run(RunRejection::RunNotFound) },
            ) if self.audit.has_ended(wish) => {}
            (_, reply) => panic!("SHD-4: {wish:?} is answered with {reply:?}"),
        }
    }
}
