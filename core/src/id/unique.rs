//! Ids that nobody chooses: 128 bits, random or derived from a cause.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidName, ShardId, digest128};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Wraps an id made elsewhere.
            pub fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the 128 bits.
            pub fn as_uuid(self) -> uuid::Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                uuid::Uuid::from_str(text).map(Self).map_err(|_| InvalidName::new($kind, text, "a UUID"))
            }
        }
    };
}

uuid_id!(
    /// Identifies a run: a UUIDv7 with the shard number in its ten lowest bits (`ID-2`).
    RunId,
    "run id"
);
uuid_id!(
    /// Identifies a wish, so that the same wish sent twice is granted once.
    CommandId,
    "command id"
);
uuid_id!(
    /// Identifies a bundle, so that an owner recognises its own after an unclear append.
    BundleId,
    "bundle id"
);

impl RunId {
    const SHARD_MASK: u128 = (ShardId::COUNT_MAX - 1) as u128;

    /// Makes the id of a run that starts now on `shard`, from 74 bits of the caller's randomness.
    pub fn new(shard: ShardId, now: crate::Timestamp, randomness: u128) -> Self {
        let millis = u128::from(now.as_micros() / 1000) & 0xffff_ffff_ffff;
        let bits = (millis << 80)
            | (0x7 << 76)
            | (((randomness >> 62) & 0xfff) << 64)
            | (0b10 << 62)
            | (randomness & 0x3fff_ffff_ffff_ffff & !Self::SHARD_MASK)
            | u128::from(shard.number());
        Self(uuid::Uuid::from_u128(bits))
    }

    /// Derives the run id of a cause. The same cause at another time gives an id with the same [`Self::cause`].
    ///
    /// Used for idempotency keys (`["key", workspace, workflow, key]`) and for producers started by an asset.
    /// The time part is the caller's so that these ids sort by age like the others.
    pub fn derived(shard: ShardId, at: crate::Timestamp, cause: &[&[u8]]) -> Self {
        Self::new(shard, at, u128::from_be_bytes(digest128(cause)))
    }

    /// Returns when the run started, in whole milliseconds, as whoever made the id says.
    pub fn time(self) -> crate::Timestamp {
        let millis = u64::try_from(self.0.as_u128() >> 80).expect("48 bits");
        crate::Timestamp::from_micros(millis * 1000)
    }

    /// Returns everything but the time: what a derived id has of its cause, shard included.
    pub fn cause(self) -> u128 {
        self.0.as_u128() & (u128::MAX >> 48)
    }

    /// Returns when the id was made, by the clock of whoever made it, in whole milliseconds.
    pub fn made_at(self) -> crate::Timestamp {
        let millis = u64::try_from(self.0.as_u128() >> 80).expect("48 bits are left");
        crate::Timestamp::from_micros(millis.saturating_mul(1000))
    }

    /// Returns the shard that owns the run. Numbers at or above the cluster's count name no shard.
    pub fn shard(self) -> ShardId {
        ShardId::new((self.0.as_u128() & Self::SHARD_MASK) as u16).expect("ten bits are below 1,024")
    }
}

impl CommandId {
    /// Derives the id of a command that follows from a cause, so that sending it again changes nothing.
    pub fn derived(cause: &[&[u8]]) -> Self {
        Self(uuid::Builder::from_custom_bytes(digest128(cause)).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn a_run_id_is_a_uuid_v7_that_carries_its_shard() {
        for shard in [0, 1, 513, 1023] {
            let shard = ShardId::new(shard).unwrap();
            let id = RunId::new(shard, Timestamp::from_micros(1_700_000_000_000_000), u128::MAX);
            assert_eq!(id.shard(), shard);
            assert_eq!(id.as_uuid().get_version_num(), 7);
            assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        }
    }

    #[test]
    fn a_cause_is_known_again_at_another_time() {
        let at = |seconds: u64, cause: &[u8]| {
            let time = Timestamp::from_micros(seconds * 1_000_000);
            RunId::derived(ShardId::new(7).unwrap(), time, &[cause])
        };
        assert_ne!(at(1, b"k"), at(2, b"k"));
        assert_eq!(at(1, b"k").cause(), at(2, b"k").cause());
        assert_ne!(at(1, b"k").cause(), at(1, b"l").cause());
    }
}
