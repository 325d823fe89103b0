//! The attempts a worker holds.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use headwater_core::protocol::Held;
use headwater_core::{LeaseToken, NodeAddress, RunId, ShardId, Timestamp};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::sdk::Context;

/// An attempt whose handler takes at least this long is reported as running.
pub(super) const STARTED_AFTER: Duration = Duration::from_millis(250);

/// One attempt, from its arrival until its shard has answered for it and its handler has ended.
pub(super) struct Attempt {
    pub(super) context: Context,
    pub(super) stage: Stage,
    /// By this machine's clock, when its handler began.
    pub(super) started_at: Timestamp,
    /// When the next thing is due, if anything.
    alarm: Option<Instant>,
    started_due: Option<Instant>,
    deadline: Option<Instant>,
    /// When to look whether its handler still gives signs of life. Those move nothing here: they are looked up then.
    silent_at: Option<Instant>,
    drop_at: Option<Instant>,
    /// Its outcome has been put in the outbox.
    pub(super) reported: bool,
    /// Nothing more is to be said to the shard.
    pub(super) answered: bool,
    /// It holds no slot any more.
    is_leaving: bool,
}

/// Where an attempt stands.
pub(super) enum Stage {
    /// For a free slot.
    Waiting,
    /// It could be late: the shard is asked whether it is still wanted.
    Asking,
    Running(AbortHandle),
    Ended,
}

/// What is due for an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To say that it runs.
    Started,
    /// To stop it: its time is over.
    Deadline,
    /// To stop it: its handler gave no sign of life for so long.
    Silent(Duration),
    /// To drop it: it was told to stop and did not.
    Drop,
}

/// The attempts a worker holds.
#[derive(Default)]
pub(super) struct Attempts {
    held: HashMap<LeaseToken, Attempt>,
    /// Those that wait for a slot, in order.
    backlog: VecDeque<LeaseToken>,
    alarms: BTreeSet<(Instant, LeaseToken)>,
    /// How many hold no slot any more.
    leaving: usize,
}

impl Attempts {
    pub(super) fn insert(&mut self, context: Context, stage: Stage) -> LeaseToken {
        let lease = context.task().lease;
        if matches!(stage, Stage::Waiting) {
            self.backlog.push_back(lease);
        }
        let attempt = Attempt {
            context,
            stage,
            started_at: Timestamp::default(),
            alarm: None,
            started_due: None,
            deadline: None,
            silent_at: None,
            drop_at: None,
            reported: false,
            answered: false,
            is_leaving: false,
        };
        self.held.insert(lease, attempt);
        lease
    }

    pub(super) fn get_mut(&mut self, lease: LeaseToken) -> Option<&mut Attempt> {
        self.held.get_mut(&lease)
    }

    pub(super) fn remove(&mut self, lease: LeaseToken) -> Option<Attempt> {
        let attempt = self.held.remove(&lease)?;
        if let Some(at) = attempt.alarm {
            self.alarms.remove(&(at, lease));
        }
        self.leaving -= usize::from(attempt.is_leaving);
        if matches!(attempt.stage, Stage::Waiting) {
            self.backlog.retain(|waiting| *waiting != lease);
        }
        Some(attempt)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns whether more than one attempt is held, reported or not.
    pub(super) fn are_several(&self) -> bool {
        self.held.len() > 1
    }

    /// Returns how many attempts hold a slot: what waits for one does not, nor what is reported and has ended.
    pub(super) fn busy(&self) -> usize {
        self.held.len() - self.backlog.len() - self.leaving
    }

    /// Returns how many attempts hold or want a slot.
    pub(super) fn wanting(&self) -> usize {
        self.held.len() - self.leaving
    }

    /// Notes that an attempt has ended and only its report is to be answered: its slot is free.
    pub(super) fn leave(&mut self, lease: LeaseToken) {
        if let Some(attempt) = self.held.get_mut(&lease)
            && !std::mem::replace(&mut attempt.is_leaving, true)
        {
            self.leaving += 1;
        }
    }

    /// Returns the attempt that has waited longest for a slot. Its stage is the caller's to change.
    pub(super) fn next_waiting(&mut self) -> Option<LeaseToken> {
        self.backlog.pop_front()
    }

    pub(super) fn leases(&self) -> Vec<LeaseToken> {
        self.held.keys().copied().collect()
    }

    /// Returns the attempts of a node.
    pub(super) fn of(&self, run: RunId, node: &NodeAddress) -> Vec<LeaseToken> {
        let same = |(lease, attempt): (&LeaseToken, &Attempt)| {
            (attempt.context.run() == run && attempt.context.node() == node).then_some(*lease)
        };
        self.held.iter().filter_map(same).collect()
    }

    /// Returns what is held, by shard, but for shards that were told.
    pub(super) fn held(
        &self,
        only: Option<&[LeaseToken]>,
        told: impl Fn(ShardId) -> bool,
    ) -> HashMap<ShardId, Vec<Held>> {
        let mut by_shard: HashMap<ShardId, Vec<Held>> = HashMap::new();
        for (lease, attempt) in &self.held {
            let asked = only.is_none_or(|only| only.contains(lease));
            if !asked || attempt.answered {
                continue;
            }
            let task = attempt.context.task();
            if told(task.run.shard()) {
                continue;
            }
            by_shard.entry(task.run.shard()).or_default().push(Held {
                run: task.run,
                node: task.node.clone(),
                attempt: task.attempt,
                lease: *lease,
                progress: attempt.context.take_progress(),
            });
        }
        by_shard
    }

    /// Notes that a handler goes on in the background, and what will be due for it.
    pub(super) fn running(&mut self, lease: LeaseToken, abort: AbortHandle, deadline: Option<Instant>) {
        let Some(attempt) = self.held.get_mut(&lease) else { return };
        attempt.stage = Stage::Running(abort);
        attempt.started_due = Some(Instant::now() + STARTED_AFTER);
        attempt.deadline = deadline;
        attempt.silent_at = attempt.context.silence_max().map(|max| attempt.context.alive_at() + max);
        self.arm(lease);
    }

    /// Has a handler dropped at `at`; nothing else is due for it any more.
    pub(super) fn drop_at(&mut self, lease: LeaseToken, at: Instant) {
        let Some(attempt) = self.held.get_mut(&lease) else { return };
        (attempt.started_due, attempt.deadline, attempt.silent_at) = (None, None, None);
        attempt.drop_at = Some(at);
        self.arm(lease);
    }

    fn arm(&mut self, lease: LeaseToken) {
        let Some(attempt) = self.held.get_mut(&lease) else { return };
        if let Some(at) = attempt.alarm.take() {
            self.alarms.remove(&(at, lease));
        }
        let due = [attempt.started_due, attempt.deadline, attempt.silent_at, attempt.drop_at];
        attempt.alarm = due.into_iter().flatten().min();
        if let Some(at) = attempt.alarm {
            self.alarms.insert((at, lease));
        }
    }

    /// Returns when something is due.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Returns what is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(LeaseToken, Due)> {
        loop {
            let (at, lease) = *self.alarms.first()?;
            if at > now {
                return None;
            }
            let due = self.held.get_mut(&lease)?.take_due(at, now);
            self.arm(lease);
            if let Some(due) = due {
                return Some((lease, due));
            }
        }
    }
}

impl Attempt {
    /// Takes what is due at `at`; `None` where there was a sign of life meanwhile.
    fn take_due(&mut self, at: Instant, now: Instant) -> Option<Due> {
        if self.drop_at == Some(at) {
            self.drop_at = None;
            Some(Due::Drop)
        } else if self.deadline == Some(at) {
            self.deadline = None;
            Some(Due::Deadline)
        } else if self.silent_at == Some(at) {
            let max = self.context.silence_max()?;
            let silent_at = self.context.alive_at() + max;
            self.silent_at = (silent_at > now).then_some(silent_at);
            self.silent_at.is_none().then_some(Due::Silent(max))
        } else {
            self.started_due = None;
            Some(Due::Started)
        }
    }
}
