//! Definitions: what a workflow is, compiled from either spelling into one graph.
//!
//! [`compile`] takes the document as users write it and answers with a [`Definition`] or with *all* its
//! [`Problem`]s. Steps with `dependsOn` and nodes with transitions end in the same [`Node`]s and [`Transition`]s.

mod compile;
mod document;
mod graph;
mod problem;
mod schema;

pub use compile::compile;
pub use graph::{
    Action, Backoff, BuiltIn, Consumes, Definition, Jitter, Join, Node, NodeIx, OnMiss, OnNoRoute, Outcome, Produces,
    Require, RetryPolicy, Transition, TransitionIx,
};
pub use problem::{Problem, ProblemCode, Problems, Severity};
pub use schema::{Schema, SchemaBreach};
