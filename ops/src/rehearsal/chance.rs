//! Randomness from a seed and a name: splitmix64 (Steele, Lea and Flood, 2014). What happens to an attempt does not depend on
//! what happens to any other.

use std::time::Duration;

/// What chance says of one thing.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins with what is said of a name.
    pub fn of(seed: u64, name: &[&str]) -> Self {
        let mut chance = Self(seed);
        for part in name {
            for byte in part.bytes().chain([0xff]) {
                chance.0 ^= u64::from(byte);
                chance.0 = chance.bits();
            }
        }
        chance
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, and without, 1.
    fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in this share of all cases.
    pub fn is_in(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    /// A span up to this, in whole milliseconds.
    pub fn span(&mut self, max: Duration) -> Duration {
        let ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.bits() % (ms + 1))
    }
}
