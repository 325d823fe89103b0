//! A node that a worker carries out.

use super::kind::Kind;
use super::retry::Again;
use super::{Begins, Step};
use crate::Json;
use crate::run::RunFailure;
use crate::run::budget::Later;
use crate::run::state::Due;

pub(super) struct Job;

impl Kind for Job {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        step.schedule(input, Begins::Worker)
    }

    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Timeout => {
                step.fail_attempt(RunFailure::new("timeout", "the attempt took too long"), Again::AsTold, None)
            }
            Due::Retry => {
                let input = step.input();
                self.begin(step, input)
            }
            // No job is told when to end. One that some history told so has had its time.
            Due::Time => step.succeed(step.attempt(), Json::null(), Vec::new(), None),
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}
