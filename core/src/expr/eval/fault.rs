//! Why an evaluation has no value.

use super::super::work::{DecisionLimit, Limit};
use super::value::Kind;

/// Why an evaluation has no value: what it says, and the limit it went over, if it was that.
///
/// `&&`, `||`, `all` and `exists` may absorb a fault as CEL wants it, but never a limit.
#[derive(Debug)]
pub(in super::super) struct Fault(Box<Content>);

#[derive(Debug)]
struct Content {
    reason: String,
    limit: Option<Limit>,
}

impl Fault {
    pub(in super::super) fn new(reason: impl Into<String>) -> Self {
        Self(Box::new(Content { reason: reason.into(), limit: None }))
    }

    /// Says that a limit of the expression is reached.
    pub(in super::super) fn limit(reason: impl Into<String>) -> Self {
        Self(Box::new(Content { reason: reason.into(), limit: Some(Limit::Expression) }))
    }

    pub(in super::super) fn is_limit(&self) -> bool {
        self.0.limit.is_some()
    }

    pub(in super::super) fn into_parts(self) -> (String, Option<Limit>) {
        (self.0.reason, self.0.limit)
    }

    /// Says that there is no such operation for values of these kinds.
    pub(super) fn unfit(name: &str, kinds: &[Kind]) -> Self {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        Self::new(format!("`{name}` cannot take ({})", kinds.join(", ")))
    }

    /// Says of which function that is true.
    pub(super) fn within(mut self, name: &str) -> Self {
        self.0.reason = format!("`{name}`: {}", self.0.reason);
        self
    }

    pub(super) fn of_function(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(format!("`{name}`: {reason}"))
    }
}

impl From<DecisionLimit> for Fault {
    fn from(limit: DecisionLimit) -> Self {
        Self(Box::new(Content { reason: limit.to_string(), limit: Some(Limit::Decision) }))
    }
}
