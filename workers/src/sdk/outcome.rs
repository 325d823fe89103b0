//! What a handler returns.

use std::time::Duration;

use headwater_core::Json;
use headwater_core::run::{ProducedAsset, check_details};
use serde::{Deserialize, Serialize};

use super::splitting::{ResultError, split_result};

/// What a handler made: an output, and versions of assets.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(crate) output: Json,
    pub(crate) assets: Vec<ProducedAsset>,
    /// Why it cannot be reported.
    pub(crate) refused: Option<HandlerError>,
}

impl Outcome {
    /// An output, taken as it is; an `assets` field in it has no meaning. Numbers that are not finite become `null`.
    /// What JSON has no form for, such as a map whose keys are not texts, fails the attempt with `output_invalid`.
    pub fn of(output: &impl Serialize) -> Self {
        match Json::try_of(output) {
            Ok(output) => Self::from(output),
            Err(error) => {
                let failure = HandlerError::new("output_invalid", format!("the output has no form in JSON: {error}"));
                Self { refused: Some(failure.permanent()), ..Self::nothing() }
            }
        }
    }

    /// No output.
    pub fn nothing() -> Self {
        Self::from(Json::null())
    }

    /// A result as the contract for handlers in every language has it: `result.assets[]` are the produced assets, the
    /// rest is the output.
    ///
    /// # Errors
    /// See [`ResultError`].
    pub fn from_result(result: &Json) -> Result<Self, ResultError> {
        split_result(result)
    }

    /// Adds a produced asset.
    #[must_use]
    pub fn with_asset(mut self, asset: ProducedAsset) -> Self {
        self.assets.push(asset);
        self
    }

    /// Returns the output.
    pub fn output(&self) -> &Json {
        &self.output
    }

    /// Returns the produced assets.
    pub fn assets(&self) -> &[ProducedAsset] {
        &self.assets
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::nothing()
    }
}

impl From<Json> for Outcome {
    fn from(output: Json) -> Self {
        Self { output, assets: Vec::new(), refused: None }
    }
}

impl From<serde_json::Value> for Outcome {
    fn from(output: serde_json::Value) -> Self {
        Self::of(&output)
    }
}

/// Why a handler could not do its work. Made from any error by `?`, then with the code `handler_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) permanent: bool,
    pub(crate) details: Option<Json>,
    pub(crate) retry_after: Option<Duration>,
}

impl HandlerError {
    /// The code of a failure that has none of its own.
    pub const CODE: &str = "handler_error";

    /// Makes a failure. `code` is stable, for programs (and for `nonRetryable`); `message` is for people.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), permanent: false, details: None, retry_after: None }
    }

    /// Says that another try is useless.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// Adds what programs may want to know of it: `error.details` in retry rules and failure transitions. An object of at
    /// most 16 KiB of JSON; anything else is left out, and the message says so.
    #[must_use]
    pub fn with_details(mut self, details: &impl Serialize) -> Self {
        let read = Json::try_of(details).map_err(|error| error.to_string());
        match read.and_then(|details| check_details(&details).map(|()| details)) {
            Ok(details) => self.details = Some(details),
            Err(why) => self.message.push_str(&format!(" (its details are left out: {why})")),
        }
        self
    }

    /// Asks that the next attempt begin no earlier than so long after this failure. The longer of this and the delay of
    /// the retry policy counts; the engine heeds up to a day, or up to `maxDelay` where that is longer.
    #[must_use]
    pub fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// Returns the code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what [`Self::with_details`] added.
    pub fn details(&self) -> Option<&Json> {
        self.details.as_ref()
    }
}

// Not an `Error` itself, so that every `Error` can become one.
impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(Self::CODE, message)
    }
}

/// The result of a handler in the form of other languages: `{status, result, errorMessage?}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobResult {
    pub status: JobStatus,
    #[serde(default)]
    pub result: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// How a handler says it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobStatus {
    #[serde(alias = "success", alias = "completed", alias = "ok")]
    Succeeded,
    #[serde(alias = "failure", alias = "error")]
    Failed,
}

impl JobResult {
    /// Reads one as handlers in other languages write it.
    ///
    /// # Errors
    /// `result_invalid`, permanent, for anything that has another form, unknown fields included.
    pub fn read(json: &Json) -> Result<Self, HandlerError> {
        let invalid = |error: serde_json::Error| {
            let message = format!("the result is not {{status, result, errorMessage?}}: {error}");
            HandlerError::new("result_invalid", message).permanent()
        };
        serde_json::from_str(json.as_str()).map_err(invalid)
    }

    /// Splits the result, or makes the failure.
    ///
    /// # Errors
    /// The handler's failure with the code `handler_error`, or that of [`ResultError`] for assets that cannot be read.
    pub fn into_outcome(self) -> Result<Outcome, HandlerError> {
        match self.status {
            JobStatus::Succeeded => split_result(&self.result).map_err(ResultError::into_failure),
            JobStatus::Failed => {
                Err(HandlerError::new(HandlerError::CODE, self.error_message.unwrap_or_else(|| "failed".to_owned())))
            }
        }
    }
}
