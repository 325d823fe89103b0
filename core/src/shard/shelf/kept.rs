//! What a shard knows of one kind.

use rustc_hash::FxHashMap;

use super::Aggregate;

/// All aggregates of one kind that a shard knows. Each stands by itself: a table has room for more than it holds, and moves
/// what it holds as it grows.
#[derive(Debug, Clone)]
pub(in crate::shard) struct Shelf<A: Aggregate>(FxHashMap<A::Key, Box<A>>);

impl<A: Aggregate> Default for Shelf<A> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

impl<A: Aggregate> Shelf<A> {
    pub fn get(&self, key: &A::Key) -> Option<&A> {
        self.0.get(key).map(|known| &**known)
    }

    pub fn get_mut(&mut self, key: &A::Key) -> Option<&mut A> {
        self.0.get_mut(key).map(|known| &mut **known)
    }

    pub fn contains_key(&self, key: &A::Key) -> bool {
        self.0.contains_key(key)
    }

    /// Puts one there, in place of what may have been.
    pub fn insert(&mut self, key: A::Key, known: A) -> &mut A {
        self.0.entry(key).insert_entry(Box::new(known)).into_mut()
    }

    pub fn remove(&mut self, key: &A::Key) -> Option<A> {
        self.0.remove(key).map(|known| *known)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all of them, in no order.
    pub fn values(&self) -> impl Iterator<Item = &A> {
        self.0.values().map(|known| &**known)
    }

    /// Returns all of them, by their keys.
    pub fn sorted(&self) -> Vec<&A> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter().map(|(_, known)| &**known).collect()
    }
}
