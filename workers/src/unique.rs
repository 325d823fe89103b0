//! Ids nobody else makes, without asking the system for randomness each time.

use uuid::Uuid;

/// Makes ids: a random part of its own, and a count.
#[derive(Debug)]
pub(crate) struct Unique {
    own: u64,
    count: u64,
}

impl Unique {
    pub(crate) fn new() -> Self {
        Self { own: Uuid::new_v4().as_u64_pair().0, count: 0 }
    }

    pub(crate) fn next(&mut self) -> Uuid {
        self.count += 1;
        let bits = (u128::from(self.own) << 64) | u128::from(self.count);
        uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
    }
}
