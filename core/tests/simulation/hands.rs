//! Operators: they pause runs, let them go on, and end some at once.

use headwater_core::RunId;
use headwater_core::run::{Operation, RunCommand};
use headwater_core::shard::{Command, Submission};

use crate::clients::Errand;
use crate::cluster::{Cluster, Wish};
use crate::workers::workspace;

impl Cluster {
    /// Does something with one of the newest runs by hand, perhaps twice.
    pub fn take_in_hand(&mut self) {
        let Some(run) = self.some_new_run() else { return };
        let operation = match self.chance.below(10) {
            0..=5 => Operation::Pause { node: None },
            6..=8 => Operation::Resume { node: None },
            _ => Operation::Terminate {},
        };
        for _ in 0..if self.mishap(25) { 2 } else { 1 } {
            self.operate(run, operation.clone());
        }
    }

    /// Lets every run go on that is paused.
    pub fn resume_all(&mut self) {
        let paused: Vec<_> = self.audit.hands.paused().collect();
        paused.into_iter().for_each(|run| self.operate(run, Operation::Resume { node: None }));
    }

    fn operate(&mut self, run: RunId, operation: Operation) {
        let command = RunCommand::Operate { workspace: workspace(), id: self.command_id(), operation, reason: None };
        let started = self.audit.is_acknowledged(run);
        let submission = Submission::new(self.command_id(), Command::Run { run, command });
        self.run_errand(Errand::Signal { started }, run.shard(), Wish::Submit(submission));
    }
}
