//! Nodes as something that happens: which node, and in which branch of its run.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InvalidName, NameVisitor, NodeId};

/// One pass through a region of a run's graph, numbered in its run in the order in which they are opened. The first, 0, is the
/// run itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchId(u32);

impl BranchId {
    /// The run itself.
    pub const ROOT: Self = Self(0);

    /// Makes the id of a branch from its number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns its number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A node where it happens: `score` in the run itself, `score@17` in branch 17. No [`NodeId`] holds an `@`, so whatever was
/// written when there were no branches means what it meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    node: NodeId,
    branch: BranchId,
}

impl NodeAddress {
    /// Makes the address of a node in a branch.
    pub fn new(node: NodeId, branch: BranchId) -> Self {
        Self { node, branch }
    }

    /// Makes the address of a node in the run itself.
    pub fn root(node: NodeId) -> Self {
        Self::new(node, BranchId::ROOT)
    }

    /// Returns the node as the definition names it.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Returns the text form; without a copy in the run itself.
    pub fn text(&self) -> Cow<'_, str> {
        match self.branch {
            BranchId::ROOT => Cow::Borrowed(self.node.as_str()),
            BranchId(number) => Cow::Owned(format!("{}@{number}", self.node)),
        }
    }

    /// Returns the branch it happens in.
    pub fn branch(&self) -> BranchId {
        self.branch
    }
}

impl From<NodeId> for NodeAddress {
    fn from(node: NodeId) -> Self {
        Self::root(node)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for NodeAddress {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((node, number)) = text.split_once('@') else { return Ok(Self::root(text.parse()?)) };
        let invalid = || InvalidName::new("node address", text, "a node id, in a branch followed by @ and its number");
        let branch = number.parse().ok().filter(|branch: &u32| branch.to_string() == number && *branch > 0);
        Ok(Self::new(node.parse()?, BranchId(branch.ok_or_else(invalid)?)))
    }
}

impl Serialize for NodeAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for NodeAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_text() {
        for text in ["score", "score@1", "a-b_c@4294967295"] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<NodeAddress>(&json).unwrap(), address);
        }
        assert_eq!("score".parse::<NodeAddress>().unwrap(), NodeAddress::root("score".parse().unwrap()));
    }

    #[test]
    fn what_would_be_a_second_text_of_an_address_is_none() {
        for text in ["score@0", "score@01", "score@+1", "score@", "@1", "score@1@2", "score@4294967296", "sc ore@1", ""]
        {
            assert!(text.parse::<NodeAddress>().is_err(), "{text:?}");
        }
    }
}
