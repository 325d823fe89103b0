//! Why something failed.

use serde::{Deserialize, Serialize};

use crate::{Attempt, Json, NodeAddress};

/// The largest `details` of a failure, in bytes of JSON. They travel with every copy of it.
pub const DETAILS_BYTES_MAX: usize = 16 * 1024;

/// Why an attempt, a node or a run failed: `error` in expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunFailure {
    /// Stable, for programs: the handler's own, or one of the engine's (`timeout`, `worker_lost`, `asset_schema`, …).
    pub code: String,
    /// For people.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// What whoever failed says beside it for programs: an object of at most [`DETAILS_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

impl RunFailure {
    /// Makes a failure that is not yet tied to a node.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), node_id: None, attempt: None, details: None }
    }

    /// Ties it to an attempt of a node.
    #[must_use]
    pub fn at(mut self, node: &NodeAddress, attempt: Option<Attempt>) -> Self {
        self.node_id = Some(node.clone());
        self.attempt = attempt;
        self
    }

    /// Adds what somebody outside says of it, or a note in the message why that is left out.
    #[must_use]
    pub fn with_details(mut self, details: Json) -> Self {
        match check_details(&details) {
            Ok(()) => self.details = Some(details),
            Err(why) => self.message.push_str(&format!(" (its details are left out: {why})")),
        }
        self
    }

    /// Returns about how many bytes its texts have.
    pub(crate) fn len_bytes(&self) -> usize {
        self.code.len() + self.message.len() + self.details.as_ref().map_or(0, Json::len_bytes)
    }
}

/// Says why these are no details of a failure.
///
/// # Errors
/// Not an object, larger than [`DETAILS_BYTES_MAX`], or something that [`Json::parse_strict`] refuses.
pub fn check_details(details: &Json) -> Result<(), String> {
    if !details.as_str().starts_with('{') {
        return Err("they are not an object".to_owned());
    }
    let bytes = details.len_bytes();
    if bytes > DETAILS_BYTES_MAX {
        return Err(format!("they have {bytes} bytes, and at most {DETAILS_BYTES_MAX} are kept"));
    }
    Json::check(details.as_str()).map_err(|invalid| invalid.to_string())
}
