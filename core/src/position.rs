//! Positions: all `u64` underneath, all different types, so that swapping two does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! position {
    ($(#[$doc:meta])* $name:ident($inner:ty), first = $first:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The first one there is.
            pub const FIRST: Self = Self($first);

            /// Wraps a number read from elsewhere.
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// Returns the number.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// Returns the one after this; the last one there is has itself.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position!(
    /// Numbers the events of one aggregate, contiguously from 1. A commit carries the revision of its first event.
    Revision(u64),
    first = 1
);
position!(
    /// Numbers the messages of one journal stream, as the broker does: contiguously from 1.
    Sequence(u64),
    first = 1
);
position!(
    /// Numbers the materializations of one asset and partition, contiguously from 1.
    Version(u64),
    first = 1
);
position!(
    /// Numbers the versions of a workflow definition, contiguously from 1.
    DefinitionVersion(u32),
    first = 1
);
position!(
    /// Numbers the tries of a node, from 1.
    Attempt(u32),
    first = 1
);
position!(
    /// Numbers the ownerships of a shard, from 1. A higher epoch fences every lower one.
    Epoch(u64),
    first = 1
);

impl Sequence {
    /// Before the first message: what an append to an empty journal expects.
    pub const ZERO: Self = Self(0);
}

impl Revision {
    /// Returns the revision `events` events later.
    #[must_use]
    pub const fn after(self, events: u64) -> Self {
        Self(self.0.saturating_add(events))
    }
}
