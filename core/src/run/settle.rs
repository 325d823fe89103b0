//! How a run goes on of its own accord, and how it ends well.

use super::agenda::{Next, Todo};
use super::budget::Later;
use super::decision::Decision;
use super::output::{output_of, too_large};
use super::step::Step;
use super::{Ending, RunEvent};

impl Decision<'_> {
    /// Goes on with the agenda until nothing is left on it, or this decision has no room: then the next goes on.
    pub fn settle(&mut self) {
        while let Some(next) = self.run().next() {
            if !self.turn.may_begin() {
                return;
            }
            let done = match next {
                Next::Do(todo) => self.work_off(todo),
                Next::Finish => self.finish(),
                Next::Withdraw => {
                    let Some(ending) = self.run().ending.clone() else { return };
                    self.withdraw(ending);
                    Ok(())
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn work_off(&mut self, todo: Todo) -> Result<(), Later> {
        match todo {
            Todo::Begin(place) => Step::at(self, place).begin(),
            Todo::Advance(place) => Step::at(self, place).advance(),
            Todo::Finish(branch) => self.finish_branch(branch),
            Todo::Close(branch) => self.close_branch(branch),
        }
    }

    /// Ends the run with its output.
    fn finish(&mut self) -> Result<(), Later> {
        let output = output_of(self.run(), self.now(), &self.turn);
        self.turn.check_work()?;
        let is_last = self.definition().finally.is_none();
        let event = match output {
            Ok(output) if is_last => RunEvent::RunSucceeded { output },
            Ok(output) => RunEvent::RunEnding { ending: Ending::Succeeded { output } },
            Err(failure) if !is_last => {
                self.fail(failure);
                return Ok(());
            }
            Err(failure) => RunEvent::RunFailed { failure },
        };
        let has_room = self.turn.check_room(event.weight_bytes())?;
        let too_large = || RunEvent::RunFailed { failure: too_large(self.turn.bytes_max()) };
        let event = if has_room { event } else { too_large() };
        self.emit(event);
        Ok(())
    }
}
