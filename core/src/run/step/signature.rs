//! Whether a node's parameters and its output are what its action says that they are.

use super::Step;
use super::retry::{Again, Exhausted};
use crate::Json;
use crate::run::RunFailure;
use crate::run::budget::Later;

impl Step<'_, '_> {
    /// Renders the parameters of the node's action.
    ///
    /// # Errors
    /// `action_input` where they break its schema; that they have no value, or that it takes too much to find out.
    pub(super) fn find_params(&self) -> Result<Option<Json>, RunFailure> {
        let Some(signature) = &self.node().signature else { return Ok(None) };
        let Some(params) = &signature.params else { return Ok(None) };
        let params = self.render_plainly(params).map_err(|error| error.into_failure())?;
        if let Some(schema) = &signature.params_schema {
            let prefix = "the parameters break the schema of the action: ";
            let checked = schema.check_within(&params, self.work());
            checked.map_err(|refusal| refusal.into_failure("action_input", prefix))?;
        }
        Ok(Some(params))
    }

    /// Holds an output to the schema of the node's action.
    ///
    /// # Errors
    /// `action_output` where it breaks that; that it takes too much to find out.
    pub(super) fn check_output(&self, output: &Json) -> Result<(), RunFailure> {
        let signature = self.node().signature.as_ref();
        let Some(schema) = signature.and_then(|signature| signature.output_schema.as_ref()) else { return Ok(()) };
        let prefix = "the output breaks the schema of the action: ";
        schema.check_within(output, self.work()).map_err(|refusal| refusal.into_failure("action_output", prefix))
    }

    /// Ends an attempt, or the node where it has none, whose output is not what it has to be.
    pub(super) fn refuse_output(&mut self, failure: RunFailure) -> Result<(), Later> {
        self.decision.turn.check_work()?;
        match self.current() {
            Some(_) => self.end_attempt_badly(failure, Again::AsTold, None, Exhausted::Fails { withdraws: false }),
            None => self.fail(failure, None),
        }
    }
}
