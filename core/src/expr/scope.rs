//! What an expression can see: `input, state, nodes.<id>.{output, status, attempts}, assets, error, run, trigger, now`, and what is
//! bound around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Limit;
use crate::{AssetId, Json, RunFailure, Timestamp, Version};

/// A version of an asset that was chosen for a node: `assets["id"].{payload, version, partitionKey}`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumedAsset {
    pub asset: AssetId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<crate::PartitionKey>,
    pub version: Version,
    pub payload: Json,
}

/// Where a node stands: `nodes.<id>.{status, attempts, error}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStanding<'a> {
    /// In the word users see: of one that has ended `succeeded`, `failed`, `skipped` or `cancelled`.
    pub status: &'static str,
    /// How many attempts there were; none of what is done inside a decision.
    pub attempts: u32,
    /// Why it failed, where it did.
    pub error: Option<&'a RunFailure>,
}

/// What is seen of the run itself: few expressions ask for it, and it is made when one does.
pub trait Facts {
    /// `run {id, workflow, version, startedAt}`.
    fn run(&self) -> &Json;
    /// `trigger`: why the run exists.
    fn trigger(&self) -> &Json;
}

/// Where they are known already.
impl Facts for (Json, Json) {
    fn run(&self) -> &Json {
        &self.0
    }

    fn trigger(&self) -> &Json {
        &self.1
    }
}

/// Everything an expression can see, borrowed from the run.
///
/// Only the variables an expression names are parsed.
pub struct Scope<'a> {
    /// `input`: the run's input with defaults filled in.
    pub input: &'a Json,
    /// `state`: an object, by key.
    pub state: &'a BTreeMap<Arc<str>, Json>,
    /// `nodes.<id>.output`: the output of a node that succeeded, or `null` of one that failed and is tolerated.
    pub output: &'a dyn Fn(&str) -> Option<&'a Json>,
    /// `nodes.<id>.{status, attempts, error}`.
    pub standing: &'a dyn Fn(&str) -> Option<NodeStanding<'a>>,
    /// `assets["id"]`: what this node consumes.
    pub assets: &'a [ConsumedAsset],
    /// `error {code, message, nodeId, attempt, details}`: only in conditions about a failure.
    pub error: Option<&'a RunFailure>,
    /// `run` and `trigger`.
    pub facts: &'a dyn Facts,
    /// What bodies and merges have bound, by name, the nearest first: `item`, `index`, and the name after `as`.
    pub bound: &'a [(&'a str, &'a Json)],
    /// `now`: the time of the decision, which its commit carries.
    pub now: Timestamp,
}

/// Says why an expression has no value here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{source_text}` could not be evaluated: {reason}")]
pub struct EvaluationError {
    /// The expression, at most 200 characters of it.
    pub source_text: String,
    pub reason: String,
    /// The limit it went over, if that is why.
    pub limit: Option<Limit>,
}

impl EvaluationError {
    /// Returns the code a node fails with: `expression_error`, `expression_limit` or `decision_limit`.
    pub fn code(&self) -> &'static str {
        match self.limit {
            None => "expression_error",
            Some(Limit::Expression) => "expression_limit",
            Some(Limit::Decision) => "decision_limit",
        }
    }

    /// Returns the failure of the node that needed the value.
    pub(crate) fn into_failure(self) -> RunFailure {
        RunFailure::new(self.code(), self.to_string())
    }
}
