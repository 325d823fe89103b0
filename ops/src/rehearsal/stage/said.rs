//! What people outside say to the runs of a case, and when.

use headwater_core::run::{RunCommand, RunEvent, awaited_callback};
use headwater_core::shard::{AggregateId, Command, Commit, Event, Submission};
use headwater_core::{Actor, RunId};

use super::{Stage, workspace};
use crate::rehearsal::script::Said;

/// What somebody outside says with a command, and to which run.
pub(super) fn late_word(command: &Command) -> Option<(RunId, String)> {
    let Command::Run { run, command } = command else { return None };
    let word = if let RunCommand::ReportAttempt(report) = command {
        format!("{} report of attempt {}", report.node, report.attempt)
    } else if let RunCommand::Signal { name, .. } = command {
        format!("the signal {name}")
    } else if let RunCommand::AnswerPerson { node, by: Actor::Claimed(by), .. } = command {
        format!("the answer of {by} at {node}")
    } else if let RunCommand::CallBack { node, attempt, .. } = command {
        format!("what is called back of attempt {attempt} of {node}")
    } else {
        return None;
    };
    Some((*run, word))
}

impl Stage<'_> {
    /// Foresees what is said to the run: the same signal each time that it is sent.
    pub(super) fn foresee_signals(&mut self, run: RunId) {
        for said in &self.case.signals {
            let Said { after, name, key, payload, broadcast, times } = said.clone();
            let (workspace, signal) = (workspace(), self.id());
            let command = RunCommand::Signal { workspace, signal, name, key, payload, broadcast, update: false };
            for _ in 0..times {
                let submission = Submission::new(self.id(), Command::Run { run, command: command.clone() });
                self.coming.insert((self.now.after(after), self.ids), submission);
            }
        }
    }

    /// Foresees what is called back to attempts that wait for it now.
    pub(super) fn foresee_callbacks(&mut self, commit: &Commit) {
        let AggregateId::Run(run) = commit.aggregate else { return };
        for event in &commit.events {
            let Event::Run(RunEvent::CallbackAwaited { node, attempt }) = event else { continue };
            let Some(token) = self.shard.run(run).and_then(|run| awaited_callback(run, node)) else { continue };
            for called in self.case.callbacks.iter().filter(|called| called.is_of(node, *attempt)) {
                let (node, proof, said) = (node.clone(), token.proof, called.said.clone());
                let command = RunCommand::CallBack { node, attempt: *attempt, proof, said };
                for _ in 0..called.times {
                    let submission = Submission::new(self.id(), Command::Run { run, command: command.clone() });
                    self.coming.insert((self.now.after(called.after), self.ids), submission);
                }
            }
        }
    }

    /// Foresees what people answer who are asked now: the same answer each time that it is sent.
    pub(super) fn foresee_answers(&mut self, commit: &Commit) {
        let AggregateId::Run(run) = commit.aggregate else { return };
        for event in &commit.events {
            let Event::Run(RunEvent::PersonAsked { node, attempt, .. }) = event else { continue };
            for said in self.case.answers.iter().filter(|said| said.is_to(node, *attempt)) {
                let (workspace, answer, by) = (workspace(), self.id(), Actor::Claimed(said.by.clone()));
                let (node, attempt, value) = (node.clone(), Some(*attempt), said.value.clone());
                let command = RunCommand::AnswerPerson { workspace, node, attempt, answer, by, value };
                for _ in 0..said.times {
                    let submission = Submission::new(self.id(), Command::Run { run, command: command.clone() });
                    self.coming.insert((self.now.after(said.after), self.ids), submission);
                }
            }
        }
    }
}
