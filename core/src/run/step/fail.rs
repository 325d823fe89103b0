//! A node that fails by itself, as soon as it begins.

use super::kind::Kind;
use super::{Step, shortened};
use crate::Json;
use crate::expr::Template;
use crate::run::RunFailure;
use crate::run::budget::Later;
use crate::run::state::Due;

pub(super) struct Fail<'n> {
    pub code: &'n str,
    pub message: &'n Template,
}

impl Kind for Fail<'_> {
    fn begin(&self, step: &mut Step<'_, '_>, _: Option<Json>) -> Result<(), Later> {
        let failure = match step.render(self.message) {
            Ok(message) => {
                let text = serde_json::from_str(message.as_str()).unwrap_or_else(|_| message.as_str().to_owned());
                RunFailure::new(self.code, shortened(text))
            }
            Err(error) => error.into_failure(),
        };
        step.fail(failure, None)
    }

    /// Nothing is ever due of it. What some history says is due all the same is that it fails.
    fn wake(&self, step: &mut Step<'_, '_>, due: Due) -> Result<(), Later> {
        match due {
            Due::Timeout | Due::Retry | Due::Time => self.begin(step, None),
        }
    }

    fn withdraw(&self, step: &mut Step<'_, '_>) {
        step.cancel();
    }
}
