//! An ordered set of which most have few members, and some very many.

use std::collections::BTreeSet;

/// How many stand in a row before they get a tree.
const FEW: usize = 8;

/// An ordered set. Runs are many, and most of them wait for one thing: what has few members takes no more memory than these
/// need, and an empty one none.
#[derive(Debug, Clone)]
pub(super) enum Few<T> {
    /// In order.
    Row(Vec<T>),
    Tree(BTreeSet<T>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Row(Vec::new())
    }
}

impl<T: Ord> Few<T> {
    /// Adds a member; says whether it is new.
    pub fn insert(&mut self, member: T) -> bool {
        let row = match self {
            Self::Tree(tree) => return tree.insert(member),
            Self::Row(row) => row,
        };
        let Err(at) = row.binary_search(&member) else { return false };
        if row.len() < FEW {
            if row.is_empty() {
                row.reserve_exact(1);
            }
            row.insert(at, member);
        } else {
            let mut tree: BTreeSet<T> = std::mem::take(row).into_iter().collect();
            tree.insert(member);
            *self = Self::Tree(tree);
        }
        true
    }

    /// Removes a member; says whether it was one.
    pub fn remove(&mut self, member: &T) -> bool {
        let (was, is_empty) = match self {
            Self::Row(row) => {
                let found = row.binary_search(member).map(|at| row.remove(at));
                (found.is_ok(), row.is_empty())
            }
            Self::Tree(tree) => (tree.remove(member), tree.is_empty()),
        };
        if is_empty {
            *self = Self::default();
        }
        was
    }

    /// Returns the first, if there is one.
    pub fn first(&self) -> Option<&T> {
        match self {
            Self::Row(row) => row.first(),
            Self::Tree(tree) => tree.first(),
        }
    }

    /// Returns all of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (row, tree) = match self {
            Self::Row(row) => (Some(row), None),
            Self::Tree(tree) => (None, Some(tree)),
        };
        row.into_iter().flatten().chain(tree.into_iter().flatten())
    }

    /// Returns those from `first` on, in order.
    pub fn from(&self, first: &T) -> impl Iterator<Item = &T> {
        let (row, tree) = match self {
            Self::Row(row) => (Some(&row[row.partition_point(|member| member < first)..]), None),
            Self::Tree(tree) => (None, Some(tree.range(first..))),
        };
        row.into_iter().flatten().chain(tree.into_iter().flatten())
    }
}

/// Equality of the members, however they are kept.
impl<T: Ord> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Ord> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut set = Self::default();
        set.extend(members);
        set
    }
}

impl<T: Ord> Extend<T> for Few<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, members: I) {
        members.into_iter().for_each(|member| {
            self.insert(member);
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_in_order(acts in prop::collection::vec((any::<bool>(), 0_u8..24), 0..200)) {
            let (mut few, mut set) = (Few::default(), BTreeSet::new());
            for (adds, member) in acts {
                if adds {
                    prop_assert_eq!(few.insert(member), set.insert(member));
                } else {
                    prop_assert_eq!(few.remove(&member), set.remove(&member));
                }
                prop_assert_eq!(few.first(), set.first());
                prop_assert!(few.iter().eq(set.iter()));
                prop_assert!(few.from(&member).eq(set.range(member..)));
                prop_assert!(few == set.iter().copied().collect::<Few<_>>());
            }
        }
    }
}
