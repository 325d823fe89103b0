//! `group`: nodes that succeed or fail together.

use serde_json::{Map, Value};

use super::document::Field;
use super::for_each::Body;
use crate::expr::Template;

/// What `group` says beside its nodes.
#[derive(Debug)]
pub struct Group {
    /// What its output is made of. Absent: the output of its only last node, else of all of them, by id.
    pub output: Option<Template>,
}

/// Reads `group` of a node, but for what it holds.
pub(super) fn read<'d>(field: &Field<'d>) -> (Group, Body<'d>) {
    (Group { output: None }, Body { field: field.clone(), name: None, binds: false, rest: Map::<String, Value>::new() })
}

/// Says what of a node has no effect where it has a `group`, and where it belongs.
pub(super) const NOT_BESIDE: [&str; 13] = [
    "params",
    "paramsSchema",
    "outputSchema",
    "ref",
    "jobSlug",
    "action",
    "type",
    "input",
    "parameters",
    "with",
    "queue",
    "heartbeatTimeout",
    "heartbeatTimeoutMs",
];
