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
    /// A place in a shard's journal. Its 40 lowest bits number the messages of the stream, as the broker does: contiguously from
    /// 1. Those above are the [`Incarnation`] that wrote the message, so that whatever a later one wrote comes after all that
    /// an earlier one did, also where the stream fell back or was made anew (ADR 19). Whoever knows the stream only has no
    /// incarnation: [`Self::in_stream`].
    Sequence(u64),
    first = 1
);
position!(
    /// Numbers the lives of a shard's journal, from 0: a release from hold begins the next.
    Incarnation(u32),
    first = 0
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
    /// Numbers the ownerships of a shard, from 1. A higher epoch fences every lower one. The bits above the 40 lowest are the
    /// [`Incarnation`], so that the first epoch of a later one fences every owner of an earlier.
    Epoch(u64),
    first = 1
);

/// How many bits of a place or an epoch count within an incarnation.
const INCARNATION_SHIFT: u32 = 40;
const WITHIN: u64 = (1 << INCARNATION_SHIFT) - 1;

const fn incarnation_of(number: u64) -> Incarnation {
    Incarnation((number >> INCARNATION_SHIFT) as u32)
}

impl Sequence {
    /// Before the first message: what an append to an empty journal expects.
    pub const ZERO: Self = Self(0);

    /// Returns which incarnation wrote the message.
    pub const fn incarnation(self) -> Incarnation {
        incarnation_of(self.0)
    }

    /// Returns the number of the message in its stream, of no incarnation.
    #[must_use]
    pub const fn in_stream(self) -> Self {
        Self(self.0 & WITHIN)
    }

    /// Returns the place of the same message of the stream, written by an incarnation.
    #[must_use]
    pub const fn within(self, incarnation: Incarnation) -> Self {
        Self((incarnation.0 as u64) << INCARNATION_SHIFT | self.0 & WITHIN)
    }
}

impl Epoch {
    /// Returns which incarnation it belongs to.
    pub const fn incarnation(self) -> Incarnation {
        incarnation_of(self.0)
    }

    /// Returns the first epoch of an incarnation.
    pub const fn first_of(incarnation: Incarnation) -> Self {
        Self((incarnation.0 as u64) << INCARNATION_SHIFT | 1)
    }
}

impl Default for Incarnation {
    fn default() -> Self {
        Self::FIRST
    }
}

impl Incarnation {
    /// The latest there can be: the database counts in signed numbers.
    pub const LAST: Self = Self((1 << (63 - INCARNATION_SHIFT)) - 1);

    /// Returns whether it is the one that every shard begins with: formats that know no other do not name it.
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl Revision {
    /// Returns the revision `events` events later.
    #[must_use]
    pub const fn after(self, events: u64) -> Self {
        Self(self.0.saturating_add(events))
    }
}
