//! A node that is done inside the decision: it has no attempt, and nobody waits for it.

use super::Step;
use super::kind::Kind;
use crate::expr::Template;
use crate::run::budget::Later;
use crate::run::produce;
use crate::run::state::Due;
use crate::{Attempt, Json};

pub(super) struct Pure<'n> {
    /// What its output is made of; absent: its input is its output.
    pub output: Option<&'n Template>,
}

impl Kind for Pure<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, input: Option<Json>) -> Result<(), Later> {
        let output = match self.output {
            None => input.unwrap_or_default(),
            Some(output) => match step.render(output) {
                Ok(output) => output,
                Err(error) => return step.fail(error.into_failure(), None),
            },
        };
        let node = step.node();
        let assets = produce::of_pure(node, &output);
        match produce::check(node, assets, step.work()) {
            Ok(assets) => step.succeed(Attempt::FIRST, output, assets, None),
            Err(failure) => step.fail(failure, None),
        }
    }

    /// Nothing is ever due of it. What some history says is due all the same is that it is done.
    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Timeout | Due::Retry | Due::Time => {
                let input = step.input();
                self.begin(step, input)
            }
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}
