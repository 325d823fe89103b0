//! How a run goes on of its own accord, and how it ends well.

use super::agenda::{Next, Todo};
use super::budget::Later;
use super::decision::Decision;
use super::grace;
use super::output::{output_of, too_large};
use super::step::{Step, depth_of};
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
                Next::Stop => grace::stop(self),
                Next::Withdraw => {
                    let Some(ending) = self.run().ending().cloned() else { return };
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
        let is_bad_end_last = is_last && self.run().branches.kept().is_empty();
        let event = match output {
            Ok(output) if is_last => RunEvent::RunSucceeded { output, successor: None },
            Ok(output) => RunEvent::RunEnding { ending: Ending::Succeeded { output } },
            Err(failure) if !is_bad_end_last => {
                self.fail(failure);
                return Ok(());
            }
            Err(failure) => RunEvent::RunFailed { failure },
        };
        // Whoever called it is told of it in a message.
        let travels = depth_of(self.run()) > 0;
        let bytes_max = if travels { self.turn.bytes_max() } else { self.turn.value_bytes_max() };
        let is_small = event.storable().is_none_or(|output| output.len_bytes() <= bytes_max);
        let has_room = is_small && self.turn.check_room_at_end(event.weight())?;
        if has_room {
            self.emit(event);
        } else if is_bad_end_last {
            self.emit(RunEvent::RunFailed { failure: too_large(bytes_max) });
        } else {
            self.fail(too_large(bytes_max));
        }
        Ok(())
    }
}
