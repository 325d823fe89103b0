//! What waits to be said to one shard.

use std::collections::VecDeque;
use std::time::Duration;

use headwater_core::protocol::WorkRequest;
use headwater_core::run::ReportOutcome;
use headwater_streams::backoff::Backoff;
use tokio::time::Instant;

/// A frame takes no more than this; what one shard decides together should fit one append.
pub(super) const REQUESTS_MAX: usize = 256;
/// The same in bytes, by estimate.
pub(super) const BYTES_MAX: usize = 1024 * 1024;
/// What a request takes beside the JSON it carries.
const OVERHEAD_BYTES: usize = 400;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A request and how long it is offered.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) request: WorkRequest,
    pub(super) give_up_at: Instant,
}

/// What waits to be said to one shard.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: VecDeque<Entry>,
    in_flight: bool,
    /// The shard is to hear what it is lent, with a frame of its own if need be.
    tells: bool,
    /// The shard said that it cannot take anything now.
    paused_until: Option<Instant>,
    backoff: Backoff,
}

impl Outbox {
    pub(super) fn new() -> Self {
        let backoff = Backoff::between(PAUSE_MIN, PAUSE_MAX);
        Self { waiting: VecDeque::new(), in_flight: false, tells: false, paused_until: None, backoff }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.waiting.push_back(entry);
    }

    /// Takes back what the shard could not take now; it comes first when the pause is over.
    pub(super) fn take_back(&mut self, entries: Vec<Entry>, now: Instant) {
        for entry in entries.into_iter().rev() {
            self.waiting.push_front(entry);
        }
        self.paused_until = Some(now + self.backoff.pause());
    }

    /// Notes that the frame under way was answered.
    pub(super) fn answered(&mut self, all_taken: bool) {
        self.in_flight = false;
        if all_taken {
            self.backoff.reset();
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    pub(super) fn has_heartbeat(&self) -> bool {
        self.waiting.iter().any(|entry| matches!(entry.request, WorkRequest::Heartbeat { .. }))
    }

    /// Returns when it has something to say after a pause.
    pub(super) fn due_at(&self) -> Option<Instant> {
        if self.in_flight || (self.waiting.is_empty() && !self.tells) { None } else { self.paused_until }
    }

    /// Has the shard told what it is lent.
    pub(super) fn tell(&mut self) {
        self.tells = true;
    }

    /// Returns what goes into the next frame, if one can go now: nothing, where the shard is only to be told what it is lent.
    pub(super) fn next_frame(&mut self, now: Instant) -> Option<Vec<Entry>> {
        if self.in_flight
            || (self.waiting.is_empty() && !self.tells)
            || self.paused_until.is_some_and(|until| now < until)
        {
            return None;
        }
        self.paused_until = None;
        self.tells = false;
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += bytes_of(&entry.request);
            bytes <= BYTES_MAX
        };
        let count = self.waiting.iter().take(REQUESTS_MAX).take_while(fits).count().max(1).min(self.waiting.len());
        self.in_flight = true;
        Some(self.waiting.drain(..count).collect())
    }
}

/// Estimates what a request takes on the wire.
pub(super) fn bytes_of(request: &WorkRequest) -> usize {
    OVERHEAD_BYTES
        + match request {
            WorkRequest::Report { report, .. } => outcome_bytes(&report.outcome),
            WorkRequest::Return { .. } | WorkRequest::Started { .. } => 0,
            WorkRequest::Heartbeat { held } => {
                let progress =
                    |held: &headwater_core::protocol::Held| held.progress.as_ref().map_or(0, |p| p.len_bytes());
                held.iter().map(|held| OVERHEAD_BYTES + progress(held)).sum()
            }
        }
}

/// Estimates what an outcome takes on the wire.
pub(super) fn outcome_bytes(outcome: &ReportOutcome) -> usize {
    match outcome {
        ReportOutcome::Succeeded { output, assets } => {
            let asset = |asset: &headwater_core::run::ProducedAsset| {
                let optional = |json: &Option<headwater_core::Json>| json.as_ref().map_or(0, |json| json.len_bytes());
                OVERHEAD_BYTES + asset.payload.len_bytes() + optional(&asset.schema) + optional(&asset.freshness)
            };
            output.len_bytes() + assets.iter().map(asset).sum::<usize>()
        }
        ReportOutcome::Failed { code, message, details, .. } => {
            OVERHEAD_BYTES + code.len() + message.len() + details.as_ref().map_or(0, |details| details.len_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_core::run::Report;
    use headwater_core::{Attempt, CommandId, Json, LeaseToken, RunId, ShardId, Timestamp};

    fn entry(n: u32, output_bytes: usize) -> Entry {
        let run = RunId::new(ShardId::new(0).unwrap(), Timestamp::from_micros(1), u128::from(n) << 20);
        let report = Report {
            node: "n".parse().unwrap(),
            attempt: Attempt::FIRST,
            lease: LeaseToken::from_bits(u64::from(n)),
            worker: "w".parse().unwrap(),
            started_at: Timestamp::from_micros(1),
            outcome: ReportOutcome::Succeeded { output: Json::of(&"x".repeat(output_bytes)), assets: Vec::new() },
        };
        let id = CommandId::derived(&[&n.to_be_bytes()]);
        Entry { request: WorkRequest::Report { id, run, report }, give_up_at: Instant::now() }
    }

    fn leases(entries: &[Entry]) -> Vec<u64> {
        let lease = |entry: &Entry| match &entry.request {
            WorkRequest::Report { report, .. } => report.lease.bits(),
            _ => unreachable!(),
        };
        entries.iter().map(lease).collect()
    }

    #[tokio::test]
    async fn what_waits_while_a_frame_is_under_way_goes_together() {
        let mut outbox = Outbox::new();
        let now = Instant::now();
        assert!(outbox.next_frame(now).is_none());
        outbox.push(entry(0, 1));
        assert_eq!(leases(&outbox.next_frame(now).unwrap()), [0]);
        for n in 1..=300 {
            outbox.push(entry(n, 1));
            assert!(outbox.next_frame(now).is_none(), "one frame at a time");
        }
        outbox.answered(true);
        assert_eq!(leases(&outbox.next_frame(now).unwrap()), (1..=256).collect::<Vec<_>>());
        outbox.answered(true);
        assert_eq!(leases(&outbox.next_frame(now).unwrap()), (257..=300).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_frame_ends_where_it_would_grow_too_large_but_is_never_empty() {
        let mut outbox = Outbox::new();
        let now = Instant::now();
        for n in 0..4 {
            outbox.push(entry(n, BYTES_MAX / 3));
        }
        outbox.push(entry(4, BYTES_MAX * 2));
        for expected in [vec![0, 1], vec![2, 3], vec![4]] {
            assert_eq!(leases(&outbox.next_frame(now).unwrap()), expected);
            outbox.answered(true);
        }
        assert!(outbox.next_frame(now).is_none() && outbox.due_at().is_none());
    }

    #[tokio::test]
    async fn what_a_shard_cannot_take_comes_first_after_a_growing_pause() {
        let mut outbox = Outbox::new();
        let mut now = Instant::now();
        outbox.push(entry(1, 1));
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let frame = outbox.next_frame(now).unwrap();
            outbox.push(entry(2, 1));
            outbox.answered(false);
            outbox.take_back(frame, now);
            assert!(outbox.next_frame(now).is_none());
            let due = outbox.due_at().unwrap();
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses, [PAUSE_MIN, PAUSE_MIN * 2, PAUSE_MIN * 4]);
        assert_eq!(leases(&outbox.next_frame(now).unwrap())[0], 1);
    }
}
