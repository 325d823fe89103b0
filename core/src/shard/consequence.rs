//! What follows for the sender of a command from its answer, to be delivered in the answer's place.

use super::{AssetKey, Command, Granted, Rejection, Submission};
use crate::asset::{AssetCommand, ProducerEnd};
use crate::dialogue::{Answer, Asker, Caller, Continuation, ContinuedFrom, MemoAnswer, MemoCommand};
use crate::memo::MemoKey;
use crate::run::{RunCommand, RunFailure, RunRejection, StartRun, Trigger};
use crate::workflow::{WorkflowCommand, WorkflowRejection};
use crate::{CommandId, RunId};

impl Submission {
    /// Returns what follows for its sender when it is refused: a producer that cannot even start has failed, and so has a call;
    /// a memo that told somebody to make a result is told that there is none.
    pub fn refused(&self, rejection: &Rejection) -> Option<Self> {
        let command = match &self.command {
            Command::Run { run, command: RunCommand::StartRun(start) } if before(start).is_some() => {
                let failure = RunFailure::new(
                    "successor_not_started",
                    format!("the run does not go on as the workflow {}: {rejection}", start.workflow),
                );
                let command = RunCommand::HearSuccessor { successor: *run, refusal: Some(failure) };
                Command::Run { run: before(start)?, command }
            }
            Command::Run { run, command: RunCommand::StartRun(start) } => match &start.trigger {
                Trigger::Materialize { asset, .. } => {
                    let key = AssetKey { workspace: start.workspace.clone(), asset: asset.clone() };
                    let failure = RunFailure::new("producer_not_started", rejection.to_string());
                    let command = AssetCommand::EndProducer { run: *run, end: ProducerEnd::Failed { failure } };
                    Command::Asset { key, command }
                }
                Trigger::Call(by) => {
                    let caller = Caller { run: by.parent, node: by.node.clone(), attempt: by.attempt };
                    answered(&caller, refused_start(start, rejection))
                }
                Trigger::Manual {} => return None,
            },
            Command::Workflow { key, command: WorkflowCommand::NameCurrent { caller } } => {
                let is_unknown = *rejection == Rejection::Workflow(WorkflowRejection::WorkflowNotFound);
                let is_paused = *rejection == Rejection::Workflow(WorkflowRejection::WorkflowPaused);
                let code = if is_paused { "workflow_paused" } else { "call_refused" };
                let code = if is_unknown { "call_unknown_workflow" } else { code };
                let failure =
                    RunFailure::new(code, format!("the workflow {} cannot be called: {rejection}", key.workflow));
                answered(caller, Answer::Refused { failure, permanent: false })
            }
            // Who was told to make a result does not wait for it any more, and never lands.
            Command::Run { run, command: RunCommand::AnswerMemo { node, digest, answer: MemoAnswer::Fly {} } } => {
                let (digest, asker) = (digest.clone(), Asker { run: *run, node: node.clone() });
                Command::Memo {
                    memo: MemoKey::of(&digest)?,
                    command: MemoCommand::Land { digest, asker, output: None, assets: Vec::new() },
                }
            }
            Command::Run { .. }
            | Command::Asset { .. }
            | Command::Workflow { .. }
            | Command::Action { .. }
            | Command::Memo { .. }
            | Command::AdoptDefinition { .. } => {
                return None;
            }
        };
        let id = CommandId::derived(&[b"refused", self.id.as_uuid().as_bytes()]);
        Some(Self::new(id, command))
    }

    /// Returns what follows for its sender when it is granted: a version that was recorded before is acknowledged to an
    /// incarnation of the sender that has not heard of it, and who calls a workflow hears which version is current.
    pub fn granted(&self, granted: &Granted) -> Option<Self> {
        let command = match (&self.command, granted) {
            (Command::Asset { key, command: AssetCommand::RecordAsset(record) }, Granted::Asset { version }) => {
                let command = RunCommand::AcknowledgeAsset {
                    node: record.node.clone(),
                    asset: key.asset.clone(),
                    partition: record.partition.clone(),
                    version: *version,
                };
                Command::Run { run: record.run, command }
            }
            (
                Command::Workflow { command: WorkflowCommand::NameCurrent { caller }, .. },
                Granted::Workflow { version, created: _, pinned: _ },
            ) => answered(caller, Answer::Current { version: *version }),
            (
                Command::Run { .. }
                | Command::Asset { .. }
                | Command::Workflow { .. }
                | Command::Action { .. }
                | Command::Memo { .. }
                | Command::AdoptDefinition { .. },
                Granted::Asset { .. } | Granted::Workflow { .. } | Granted::Action { .. } | Granted::Run { .. },
            ) => return None,
        };
        let id = CommandId::derived(&[b"granted", self.id.as_uuid().as_bytes()]);
        Some(Self::new(id, command))
    }
}

/// Returns the run that waits for one that goes on from it to begin.
fn before(start: &StartRun) -> Option<RunId> {
    match start.wishes.as_ref()?.continued.as_ref()? {
        ContinuedFrom { run, how: Continuation::Successor { .. }, .. } => Some(*run),
        ContinuedFrom { .. } => None,
    }
}

fn answered(Caller { run, node, attempt }: &Caller, answer: Answer) -> Command {
    let command = RunCommand::AnswerCall { node: node.clone(), attempt: *attempt, answer };
    Command::Run { run: *run, command }
}

/// Why a call fails whose run does not start. The same input is refused again by the same version.
fn refused_start(start: &StartRun, rejection: &Rejection) -> Answer {
    let (code, permanent) = if let Rejection::Run(RunRejection::InputInvalid { .. }) = rejection {
        ("input_invalid", true)
    } else if let Rejection::Run(RunRejection::DefinitionNotFound { .. }) = rejection {
        ("call_unknown_version", false)
    } else {
        ("call_refused", false)
    };
    let failure = RunFailure::new(code, format!("the workflow {} does not start: {rejection}", start.workflow));
    Answer::Refused { failure, permanent }
}
