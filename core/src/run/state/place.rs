//! Where in a run something happens, as the run itself counts.

use crate::BranchId;
use crate::definition::NodeIx;

/// A node in a branch of its run: what a [`crate::NodeAddress`] is once the branch was found open and the node in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::run) struct Place {
    pub branch: BranchId,
    pub node: NodeIx,
}

impl Place {
    /// The first in order.
    pub const FIRST: Self = Self { branch: BranchId::ROOT, node: NodeIx(0) };

    /// Returns the place of a node in the run itself.
    pub fn root(node: NodeIx) -> Self {
        Self { branch: BranchId::ROOT, node }
    }

    /// Returns the place of another node in the same branch.
    pub fn beside(self, node: NodeIx) -> Self {
        Self { node, ..self }
    }

    /// Lets `look` see the bytes that tell it apart from every other place of its run. In the run itself they are what they
    /// were before there were branches: leases and jitter are made from them.
    pub fn with_bytes<T>(self, look: impl FnOnce(&[u8]) -> T) -> T {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.node.0.to_be_bytes());
        bytes[4..].copy_from_slice(&self.branch.get().to_be_bytes());
        look(if self.branch == BranchId::ROOT { &bytes[..4] } else { &bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_and_those_of_the_run_itself_as_ever() {
        let bytes =
            |branch, node| Place { branch: BranchId::new(branch), node: NodeIx(node) }.with_bytes(<[u8]>::to_vec);
        assert_eq!(bytes(0, 258), [0, 0, 1, 2]);
        assert_eq!(bytes(3, 258), [0, 0, 1, 2, 0, 0, 0, 3]);
    }
}
