//! What is wrong with a document: every finding with its path and a stable code.

use std::fmt;

use serde::Serialize;

/// One finding about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: a JSON Pointer (RFC 6901) into the document.
    pub path: String,
    pub code: ProblemCode,
    pub severity: Severity,
    /// What is wrong and what to do, for people.
    pub message: String,
}

/// Whether a finding forbids to apply the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    Error,
    Warning,
}

/// Why a document is refused; stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// A required field is missing.
    MissingField,
    /// A field that no version of the format knows.
    UnknownField,
    /// A value of the wrong type or outside its range.
    InvalidValue,
    /// A name that breaks its rule.
    InvalidName,
    /// Two nodes (or two declarations on one node) with the same id.
    Duplicate,
    /// `dependsOn`, a transition or an expression names a node that is not there.
    DanglingReference,
    /// Nodes that depend on each other in a circle.
    Cycle,
    /// A node no run can reach.
    Unreachable,
    /// An action kind that does not exist.
    UnknownAction,
    /// An expression that does not parse or names an unknown variable.
    BadExpression,
    /// A schema that is not a JSON Schema.
    BadSchema,
    /// Another workflow produces the same asset.
    SeveralProducers,
    /// Workflows whose assets are made from each other's: the first versions wait for each other.
    AssetCircle,
    /// What a producer promises of an asset is less than a consumer needs.
    ContractBreak,
    /// A consumed asset that nobody produces.
    NoProducer,
    /// A field that is kept, and that nothing in this release reads.
    NotInEffect,
    /// More nodes, levels or bytes than the engine takes.
    TooLarge,
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// All findings about a document, at least one of them an error; in document order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the definition has {} problem(s), the first: {}", .0.len(), .0.first().map_or("", |p| &p.message))]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);
