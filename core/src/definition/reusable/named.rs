//! Names of actions: `fetch@3`, or `fetch` for the one that is current when the workflow is applied.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::definition::listed;
use crate::{DefinitionVersion, InvalidName, Slug};

/// Names an action, and perhaps which version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionRef {
    pub slug: Slug,
    /// Absent: the current one.
    pub version: Option<DefinitionVersion>,
}

impl fmt::Display for ActionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.slug),
            None => write!(f, "{}", self.slug),
        }
    }
}

impl FromStr for ActionRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((slug, version)) = text.split_once('@') else {
            return Ok(Self { slug: text.parse()?, version: None });
        };
        let number = version.parse::<u32>().ok().filter(|number| *number > 0 && number.to_string() == version);
        let number = number.ok_or_else(|| InvalidName::new("version of an action", version, "a number from 1 up"))?;
        Ok(Self { slug: slug.parse()?, version: Some(DefinitionVersion::new(number)) })
    }
}

/// How a node names the action it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `action: {ref: …}`: it is to be filled in.
    Open,
    /// `ref: …` beside an action that is written out.
    Written,
}

/// A node that names an action.
pub(super) struct Named<'v> {
    /// The path of the node.
    pub(super) at: String,
    pub(super) node: &'v Value,
    pub(super) form: Form,
    pub(super) text: &'v Value,
}

impl Named<'_> {
    /// Returns the path of the name.
    pub(super) fn place(&self) -> String {
        match self.form {
            Form::Open => format!("{}/action/ref", self.at),
            Form::Written => format!("{}/ref", self.at),
        }
    }
}

/// Lists the nodes that name actions, in document order.
pub(super) fn named(document: &Value) -> Vec<Named<'_>> {
    listed::nodes(document).into_iter().filter_map(of_node).collect()
}

fn of_node(listed: listed::Listed<'_>) -> Option<Named<'_>> {
    let listed::Listed { at, value: node, .. } = listed;
    if let Some(text) = node.get("action").and_then(|action| action.get("ref")) {
        return Some(Named { at, node, form: Form::Open, text });
    }
    let text = node.get("ref").filter(|text| !text.is_null())?;
    Some(Named { at, node, form: Form::Written, text })
}

/// Returns whether a document names actions, rightly or not.
pub fn names_actions(document: &Value) -> bool {
    !named(document).is_empty()
}

/// Returns which actions a document names, each once, as far as the names are right.
pub fn references(document: &Value) -> Vec<ActionRef> {
    let mut all: Vec<ActionRef> =
        named(document).iter().filter_map(|named| named.text.as_str()?.parse().ok()).collect();
    all.sort();
    all.dedup();
    all
}

/// Returns which actions the nodes of a canonical document say that they come from, by the nodes' ids.
pub fn origins(document: &Value) -> Vec<(String, ActionRef)> {
    let of = |named: &Named<'_>| Some((named.node.get("id")?.as_str()?.to_owned(), named.text.as_str()?.parse().ok()?));
    named(document).iter().filter_map(of).collect()
}
