//! Operators: they pause runs, let them go on, and end some at once.

use headwater_core::run::{Migration, Operation, Renamed, RunCommand};
use headwater_core::shard::{Command, Submission};
use headwater_core::{DefinitionVersion, RunId};

use crate::clients::Errand;
use crate::cluster::{Cluster, Wish};
use crate::workers::workspace;

impl Cluster {
    /// Does something with one of the newest runs by hand, perhaps twice.
    pub fn take_in_hand(&mut self) {
        let Some(run) = self.some_new_run() else { return };
        let operation = match self.chance.below(10) {
            0..=5 => Operation::Pause { node: None },
            6 | 7 => Operation::Resume { node: None },
            8 => return self.migrate(run),
            _ => Operation::Terminate {},
        };
        for _ in 0..if self.mishap(25) { 2 } else { 1 } {
            self.operate(run, operation.clone());
        }
    }

    /// Has a run go over to another edition of its workflow, perhaps twice; it may not be there, or the run not fit it.
    fn migrate(&mut self, run: RunId) {
        let version = DefinitionVersion::new(1 + self.chance.below(3) as u32);
        let (id, map) = (self.command_id(), Renamed::new());
        let wish = Migration { workspace: workspace(), id, version, map, reason: None, dry_run: false };
        let started = self.audit.is_acknowledged(run);
        for _ in 0..if self.mishap(25) { 2 } else { 1 } {
            let command = Command::Run { run, command: RunCommand::MigrateRun(wish.clone()) };
            let submission = Submission::new(self.command_id(), command);
            self.run_errand(Errand::Signal { started }, run.shard(), Wish::Submit(submission));
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
