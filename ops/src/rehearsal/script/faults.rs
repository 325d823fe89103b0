//! What is to go wrong, and how often.

use std::time::Duration;

use super::reading::{At, Problems};

/// How often each fault happens where only a seed is given.
const SHARE: f64 = 0.2;
/// How late a report comes at most where nothing is said of it.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// How many attempts of one node are lost at most where nothing is said of it: what is tried again as usual gets through.
const LOSSES_MAX: u32 = 1;

/// What is to go wrong: each a share of the attempts, from 0 to 1. The same seed tells the same story.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    pub seed: u64,
    /// The attempt is lost before its handler ran.
    pub fail_before: f64,
    /// Its handler ran, and nobody hears of it.
    pub fail_after: f64,
    /// It is held for lost though its handler runs: it is begun again, and the report of the first comes too.
    pub duplicate_deliveries: f64,
    /// Its report, or the answer to that, is lost on the way, and it is said again.
    pub drop: f64,
    /// Its report comes late.
    pub delay: f64,
    /// By how much at most.
    pub delay_max: Duration,
    /// How many attempts of one node are lost at most.
    pub losses_max: u32,
}

impl Faults {
    /// Everything that can go wrong, now and then.
    pub fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            fail_before: SHARE,
            fail_after: SHARE,
            duplicate_deliveries: SHARE,
            drop: SHARE,
            delay: SHARE,
            delay_max: DELAY_MAX,
            losses_max: LOSSES_MAX,
        }
    }

    pub(super) fn read(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        if at.value.is_u64() {
            return Some(Self::of_seed(at.whole(0, u64::MAX, problems)?));
        }
        let shares = ["failBefore", "failAfter", "duplicateDeliveries", "drop", "delay"];
        let known =
            ["seed", "failBefore", "failAfter", "duplicateDeliveries", "drop", "delay", "delayMax", "lossesMax"];
        let fields = at.fields(&known, problems)?;
        let seed = fields.need("seed", problems).and_then(|seed| seed.whole(0, u64::MAX, problems))?;
        let all = Self::of_seed(seed);
        let says = shares.iter().any(|name| fields.get(name).is_some());
        let [fail_before, fail_after, duplicate_deliveries, drop, delay] = shares.map(|name| match fields.get(name) {
            Some(share) => share.share(problems).unwrap_or_default(),
            None if says => 0.0,
            None => SHARE,
        });
        let delay_max = fields.get("delayMax").and_then(|delay| delay.span(problems)).unwrap_or(all.delay_max);
        let losses = fields.get("lossesMax").and_then(|losses| losses.whole(0, u32::MAX.into(), problems));
        let losses_max = losses.and_then(|losses| u32::try_from(losses).ok()).unwrap_or(all.losses_max);
        Some(Self { seed, fail_before, fail_after, duplicate_deliveries, drop, delay, delay_max, losses_max })
    }
}
