//! What has come and is not decided yet. A frame is taken apart: what a burst has no work left for waits here, and goes on
//! in a later turn. What one sender sends is decided in the order it came; among senders, whoever has had the least work done
//! for it goes first. What a workflow costs counts for everybody who brings something of it, however many they are.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::asker::Waits;
use super::parking::Found;
use super::workers::Speaker;
use super::{Asker, Desk, FramePlace, Moment, Output};
use crate::protocol::{ShardRequest, WorkRequest};
use crate::run::{Report, ReportOutcome, RunCommand};
use crate::shard::{Command, Shard, Submission};
use crate::{Json, LeaseToken, RunId, SessionId, ShardId, Slug, WorkspaceId};

/// How many bytes may wait before further frames are refused with `Overloaded`.
pub const LINE_BYTES_MAX: usize = 32 << 20;
/// How many requests of one worker may wait before further frames of its are refused with `Overloaded`.
pub const LINE_OF_SENDER_MAX: usize = 4_096;

/// Whose requests keep their order among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    Worker(SessionId),
    /// What another shard, or this one, sends.
    Lane(ShardId),
    /// One frame of a process, which speaks for many: what comes in the next is not held up.
    Frame(u64),
    /// Whoever wishes something of a run: processes, and the shard itself.
    Run(RunId),
    /// Whatever else the shard wishes.
    Own,
}

impl Sender {
    /// Returns who sends a wish: its lane, or whoever wishes something of its aggregate.
    pub fn of(submission: &Submission) -> Self {
        match (&submission.from, &submission.command) {
            (Some(from), _) => Self::Lane(from.shard),
            (None, command) => command.run().map_or(Self::Own, Self::Run),
        }
    }

    /// Returns who sends one request of a frame of a process.
    pub fn of_asked(frame: u64, asked: &ShardRequest) -> Self {
        match asked {
            ShardRequest::Submit(submission) => match Self::of(submission) {
                Self::Own => Self::Frame(frame),
                sender @ (Self::Worker(_) | Self::Lane(_) | Self::Frame(_) | Self::Run(_)) => sender,
            },
            ShardRequest::AwaitRun { run } | ShardRequest::AwaitReply { run, .. } => Self::Run(*run),
            ShardRequest::DescribeAsset { .. }
            | ShardRequest::DescribeAction { .. }
            | ShardRequest::DescribeQueue { .. }
            | ShardRequest::DescribeRun { .. }
            | ShardRequest::DigestRun { .. }
            | ShardRequest::ListCallbacks { .. }
            | ShardRequest::ListRuns { .. }
            | ShardRequest::ListQuarantine { .. }
            | ShardRequest::Release { .. }
            | ShardRequest::NameHeard { .. }
            | ShardRequest::NameEpoch { .. } => Self::Frame(frame),
        }
    }
}

/// A workflow that work is done for, by its hash: two with the same pay together.
type Account = u64;

/// One request that waits.
#[derive(Debug)]
pub(super) enum Arrival<T> {
    Work {
        place: FramePlace,
        speaker: Arc<Speaker>,
        request: WorkRequest,
    },
    Shard {
        place: FramePlace,
        request: ShardRequest,
    },
    Wish {
        asker: Asker<T>,
        submission: Submission,
        /// Absent unless it was parked.
        found: Option<Arc<Found>>,
    },
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Line<T> {
    senders: FxHashMap<Sender, Queue<T>>,
    /// Who has something to decide, by how much has been done for it, at least, and since when.
    turns: BTreeMap<(u64, u64), Sender>,
    /// How much has been done for whoever brought something of a workflow, since anything waits.
    accounts: FxHashMap<Account, u64>,
    /// How much has been done for each, on average.
    done: u64,
    came: u64,
    /// How far whoever is new is ahead of that.
    ahead: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Queue<T> {
    turn: (u64, u64),
    waiting: VecDeque<(Option<Account>, Arrival<T>)>,
}

impl<T> Line<T> {
    /// `ahead` is the most that one decision does: whoever is new waits for no second decision of somebody's who has had one.
    pub fn new(ahead: u64) -> Self {
        Self {
            senders: FxHashMap::default(),
            turns: BTreeMap::new(),
            accounts: FxHashMap::default(),
            done: 0,
            came: 0,
            ahead,
            bytes: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn of(&self, sender: Sender) -> usize {
        self.senders.get(&sender).map_or(0, |queue| queue.waiting.len())
    }

    fn push(&mut self, shard: &Shard, sender: Sender, waiting: Arrival<T>) {
        let account = waiting.account(shard);
        self.bytes += waiting.bytes();
        self.queue(sender).waiting.push_back((account, waiting));
    }

    /// Puts something before whatever else its sender has sent.
    fn push_first(&mut self, sender: Sender, account: Option<Account>, waiting: Arrival<T>) {
        self.bytes += waiting.bytes();
        self.queue(sender).waiting.push_front((account, waiting));
    }

    fn queue(&mut self, sender: Sender) -> &mut Queue<T> {
        let Self { senders, turns, done, came, ahead, .. } = self;
        senders.entry(sender).or_insert_with(|| {
            *came += 1;
            let turn = (done.saturating_sub(*ahead), *came);
            turns.insert(turn, sender);
            Queue { turn, waiting: VecDeque::new() }
        })
    }

    /// Takes out what is next. Its sender has no other turn before [`Self::charge`].
    fn next(&mut self) -> Option<(Sender, Option<Account>, Arrival<T>)> {
        loop {
            let (turn, sender) = self.turns.pop_first()?;
            let queue = self.senders.get_mut(&sender)?;
            let account = queue.waiting.front().and_then(|(account, _)| *account);
            let paid = account.and_then(|account| self.accounts.get(&account)).copied().unwrap_or(0);
            if paid > turn.0 {
                // Others brought something of the same workflow meanwhile.
                queue.turn.0 = paid;
                self.turns.insert(queue.turn, sender);
                continue;
            }
            let (account, waiting) = queue.waiting.pop_front()?;
            self.bytes -= waiting.bytes();
            return Some((sender, account, waiting));
        }
    }

    /// Notes how much was done for whoever was next.
    fn charge(&mut self, sender: Sender, account: Option<Account>, work: u64) {
        self.done += work / self.senders.len().max(1) as u64;
        let Some(queue) = self.senders.get_mut(&sender) else { return };
        if let Some(account) = account {
            self.accounts.insert(account, queue.turn.0 + work);
        }
        if queue.waiting.is_empty() {
            self.senders.remove(&sender);
            if self.senders.is_empty() {
                self.accounts.clear();
            }
        } else {
            queue.turn.0 += work;
            self.turns.insert(queue.turn, sender);
        }
    }

    /// Returns the attempts that are spoken of in what waits.
    pub fn leases(&self) -> impl Iterator<Item = (RunId, LeaseToken)> {
        let waiting = self.senders.values().flat_map(|queue| &queue.waiting);
        waiting.flat_map(|(_, waiting)| match waiting {
            Arrival::Work { request, .. } => spoken_of(request),
            Arrival::Shard { .. } | Arrival::Wish { .. } => Vec::new(),
        })
    }

    /// Takes in what was parked, in this order, and has been looked up and compiled.
    pub fn take_up(&mut self, parked: Vec<(Asker<T>, Submission)>, found: &Arc<Found>) {
        let account = Some(account(&found.awaited.workflow().workspace, &found.awaited.workflow().workflow));
        // Whoever waited longest comes first, and with it whatever its sender has brought since.
        for (_, submission) in &parked {
            self.queue(Sender::of(submission));
        }
        for (asker, submission) in parked.into_iter().rev() {
            let (sender, found) = (Sender::of(&submission), Some(found.clone()));
            self.push_first(sender, account, Arrival::Wish { asker, submission, found });
        }
    }

    /// Gives everything back, in the order of turns.
    pub fn abandon(mut self) -> impl Iterator<Item = Arrival<T>> {
        let turns = std::mem::take(&mut self.turns);
        let queues = turns.into_values().filter_map(move |sender| self.senders.remove(&sender));
        queues.flat_map(|queue| queue.waiting).map(|(_, waiting)| waiting)
    }
}

impl<T> Arrival<T> {
    /// Returns where somebody waits for it to be answered, if anybody does.
    pub fn waits(&self) -> Option<Waits> {
        match self {
            Self::Work { place, .. } => Some(Waits::Worker(*place)),
            Self::Shard { place, .. } => Some(Waits::Process(*place)),
            Self::Wish { asker, .. } => asker.waits(),
        }
    }

    /// Returns the workflow whose definition says how much work a request is.
    fn account(&self, shard: &Shard) -> Option<Account> {
        let of_run = |run: RunId| shard.run(run).map(|run| account(run.workspace(), run.workflow()));
        let of_wish = |submission: &Submission| match &submission.command {
            Command::Run { command: RunCommand::StartRun(start), .. } => {
                Some(account(&start.workspace, &start.workflow))
            }
            command => command.run().and_then(of_run),
        };
        match self {
            Self::Work { request, .. } => match request {
                WorkRequest::Report { run, .. }
                | WorkRequest::Return { run, .. }
                | WorkRequest::Started { run, .. } => of_run(*run),
                WorkRequest::Heartbeat { .. } => None,
            },
            Self::Shard { request, .. } => request.wish().and_then(of_wish),
            Self::Wish { submission, .. } => of_wish(submission),
        }
    }

    /// What it holds, about.
    fn bytes(&self) -> usize {
        const NAMES: usize = 512;
        NAMES
            + match self {
                Self::Work { request: WorkRequest::Report { report, .. }, .. } => bytes_of(report),
                Self::Work { request: WorkRequest::Heartbeat { held }, .. } => NAMES * held.len(),
                Self::Work { request: WorkRequest::Return { .. } | WorkRequest::Started { .. }, .. } => 0,
                Self::Shard { request, .. } => request.wish().map_or(0, |wish| wish.command.bytes_asked()),
                Self::Wish { submission, .. } => submission.command.bytes_asked(),
            }
    }
}

fn account(workspace: &WorkspaceId, workflow: &Slug) -> Account {
    FxBuildHasher.hash_one((workspace, workflow))
}

fn bytes_of(report: &Report) -> usize {
    match &report.outcome {
        ReportOutcome::Succeeded { output, assets } => {
            output.len_bytes() + assets.iter().map(|asset| asset.payload.len_bytes()).sum::<usize>()
        }
        ReportOutcome::Failed { code, message, permanent: _, details, retry_after_ms: _ } => {
            code.len() + message.len() + details.as_ref().map_or(0, Json::len_bytes)
        }
    }
}

fn spoken_of(request: &WorkRequest) -> Vec<(RunId, LeaseToken)> {
    match request {
        WorkRequest::Report { run, report, .. } => vec![(*run, report.lease)],
        WorkRequest::Return { run, lease, .. } | WorkRequest::Started { run, lease, .. } => vec![(*run, *lease)],
        WorkRequest::Heartbeat { held } => held.iter().map(|held| (held.run, held.lease)).collect(),
    }
}

impl<R, T> Desk<R, T> {
    /// Decides what has come, if nobody waits and this burst has work left; else it waits.
    pub(super) fn come(&mut self, sender: Sender, waiting: Arrival<T>, at: Moment, out: &mut Vec<Output<R, T>>) {
        if self.line.is_empty() && !self.pace.is_burst_over(&self.owner) {
            self.meet(waiting, at, out);
        } else {
            self.line.push(self.owner.shard(), sender, waiting);
        }
    }

    /// Decides what waits, fairly, until the burst is over.
    pub(super) fn serve(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        while !self.pace.is_burst_over(&self.owner)
            && let Some((sender, account, waiting)) = self.line.next()
        {
            let before = self.pace.done(self.owner.shard());
            self.meet(waiting, at, out);
            self.line.charge(sender, account, self.pace.done(self.owner.shard()) - before);
        }
    }

    fn meet(&mut self, waiting: Arrival<T>, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.pace.meet();
        match waiting {
            Arrival::Work { place, speaker, request } => {
                self.workers.prefer(self.owner.shard(), &speaker, &request, at);
                self.take_request(place, &speaker, request, at, out);
                self.workers.prefer_nobody();
            }
            Arrival::Shard { place, request } => self.take_asked(place, request, at, out),
            Arrival::Wish { asker, submission, found } => self.submit(asker, submission, found, at, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::ShardMap;

    const AHEAD: u64 = 10;

    /// What takes no work that a workflow pays for.
    fn question(frame: u64) -> (Sender, Arrival<()>) {
        let place = FramePlace { frame, index: 0 };
        (Sender::Frame(frame), Arrival::Shard { place, request: ShardRequest::NameEpoch { prove: false } })
    }

    fn line_of(frames: impl IntoIterator<Item = u64>) -> (Line<()>, Shard) {
        let shard = Shard::new(ShardId::new(0).unwrap(), ShardMap::even(1).unwrap());
        let mut line = Line::new(AHEAD);
        for frame in frames {
            let (sender, waiting) = question(frame);
            line.push(&shard, sender, waiting);
        }
        (line, shard)
    }

    #[test]
    fn what_is_taken_out_weighs_nothing_and_the_rest_as_before() {
        let (mut line, _) = line_of([1, 2, 3]);
        let all = line.bytes();
        for left in [2, 1, 0] {
            let (sender, account, _) = line.next().unwrap();
            line.charge(sender, account, 1);
            assert_eq!(line.bytes(), all / 3 * left);
        }
        assert!(line.next().is_none() && line.is_empty());
    }

    #[test]
    fn whoever_waits_has_a_turn_however_many_come_after() {
        let (mut line, shard) = line_of([0; 9]);
        // It has had more than its share.
        for _ in 0..4 {
            let (sender, account, _) = line.next().unwrap();
            line.charge(sender, account, 2 * AHEAD);
        }
        let mut before = 0;
        for newcomer in 1..100 {
            let (sender, waiting) = question(newcomer);
            line.push(&shard, sender, waiting);
            let (next, account, _) = line.next().unwrap();
            line.charge(next, account, AHEAD);
            if next == Sender::Frame(0) {
                break;
            }
            before += 1;
        }
        assert!((1..=4).contains(&before), "{before} came before");
    }
}
