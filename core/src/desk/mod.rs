//! The Desk: an owner and everything around it that is a rule, without its I/O. One closed [`Input`] comes in, closed
//! [`Output`]s go out; whoever drives it moves bytes and keeps time. The shard worker does, and so does the simulation.
//!
//! | file | question |
//! |---|---|
//! | `input`, `output` | what comes in, what goes out |
//! | `work` | what workers say, and what it means |
//! | `ask` | what the engine's own processes ask |
//! | `answer` | who hears of what was decided |
//! | `takeover`, `stepdown` | what an owner inherits, what it leaves behind |
//! | `leases` | who holds which attempt, who must be told again, and who fell silent |
//! | `handing` | how tasks reach the workers they were granted to |
//! | `rooms` | which workers there are, who is granted what waits, when workers are called for |
//! | `parking` | which commands wait for a definition, or for it to be compiled |
//! | `quarantine` | what is quarantined, and how it is released |
//! | `watchers` | who waits for the end of which run |
//! | `frames` | which requests came together and are answered together |
//! | `line` | what waits to be decided, and who is next |

mod answer;
mod ask;
mod frames;
mod handing;
mod input;
mod leases;
mod line;
mod output;
mod parking;
mod quarantine;
mod rooms;
mod stepdown;
mod takeover;
mod watchers;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

pub use input::{Input, Moment};
pub use line::{LINE_BYTES_MAX, LINE_OF_SENDER_MAX};
pub use output::Output;
pub use parking::Needed;
pub use quarantine::QUARANTINED_SHOWN_MAX;

use frames::{FramePlace, Frames};
use leases::{Lease, Leases};
use line::{Arrival, Line, Sender};
use parking::Parking;
use quarantine::Releasing;
use rooms::Rooms;
use takeover::Inheritance;
use watchers::Watchers;

use crate::protocol::{ShardReply, Task, WorkReply};
use crate::run::RunCommand;
use crate::shard::{Command, Owner, Rejection, Released, Submission};
use crate::{BundleId, CommandId, LeaseToken, Sequence, SessionId};

/// How many runs one turn fires timers of.
const DUE_BURST: usize = 256;
/// Which part of what one decision may do is decided in one go before others are looked at.
const BURST_PART: u64 = 8;
/// How many inputs go before a run that goes on by itself, and no more.
pub const PASSED_OVER_MAX: u32 = 4;

/// How a desk behaves.
#[derive(Debug, Clone)]
pub struct DeskSettings {
    /// How long the holder of an attempt may be silent before the attempt is lost. Three heartbeats or more.
    pub lease_ttl: Duration,
    /// How many requests wait for their bundle before further ones are refused with `Overloaded`.
    pub requests_waiting_max: usize,
    /// How large one message may be.
    pub message_bytes_max: usize,
}

/// An owner of a shard at its desk. `R` is where an answer goes, `T` what an effect is confirmed with; neither is looked
/// at here.
#[derive(Debug)]
pub struct Desk<R, T> {
    owner: Owner<Caller<T>>,
    settings: DeskSettings,
    work: Frames<(R, SessionId), WorkReply>,
    commands: Frames<R, ShardReply>,
    leases: Leases,
    rooms: Rooms,
    /// Tasks to hand over when the answers are out.
    handed: BTreeMap<SessionId, Vec<Task>>,
    watchers: Watchers,
    parking: Parking<T>,
    line: Line<T>,
    releasing: Vec<Releasing>,
    inheritance: Inheritance,
    names: Names,
    refusals: u64,
    /// Since when the bundle in flight is.
    appending_since: Option<Duration>,
    /// When a bundle last was durable.
    appended_at: Option<Duration>,
    /// What the requests themselves cost, beside what was decided.
    met: u64,
    /// How much work was done before this turn.
    done_before: u64,
    /// How many inputs have gone before the run whose turn it is to go on.
    passed_over: u32,
    /// Whether the bundle that opens the epoch is durable: until then the epoch may never be, so nobody hears of it.
    is_open: bool,
}

/// Who asked for a command, and so who hears of its outcome.
#[derive(Debug)]
pub struct Caller<T>(Asker<T>);

/// When [`Input::Continue`] should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// Nobody has more to do, or the bundle that fills is full.
    Not,
    /// When nothing else has come.
    WhenIdle,
    /// Next: enough has gone before.
    Now,
}

#[derive(Debug)]
enum Asker<T> {
    Work {
        place: FramePlace,
        session: SessionId,
        /// Whether the answer can bring tasks: that to a report can.
        brings: bool,
    },
    Shard(FramePlace),
    Effect {
        ticket: T,
        submission: Box<Submission>,
    },
    /// A worker that holds what is not its own any more: held, as is the next, until that is known to be true
    /// (`SHD-4`).
    Heartbeat {
        place: FramePlace,
        cancelled: Vec<LeaseToken>,
        unclear: Vec<LeaseToken>,
    },
    /// A worker that speaks of what is not of its workspace.
    Stranger {
        place: FramePlace,
        rejection: Rejection,
    },
    /// Who would wait for the end of a run that is not known.
    Watcher(FramePlace),
    /// Who asks whether the shard can append.
    Prober(FramePlace),
    /// The shard itself: a definition to adopt.
    Adoption,
    /// The shard itself: timers, silence.
    Nobody,
}

impl<R, T> Desk<R, T> {
    /// Takes in what has come.
    pub fn take(&mut self, input: Input<R, T>, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.passed_over = self.passed_over.saturating_add(1);
        match input {
            Input::Work { workspace, frame, reply } => self.take_work(workspace, frame, reply, at, out),
            Input::Unreadable { malformed, reply } => self.refuse_frame(malformed, reply, out),
            Input::Commands { requests, reply } => self.take_commands(requests, reply, at, out),
            Input::Hello { workspace, hello } => self.take_hello(&workspace, hello, at, out),
            Input::Follows { submission, ticket } => self.follow(submission, ticket, at, out),
            Input::Found { needed, document } => self.take_found(needed, document, at, out),
            Input::Compiled { awaited, compiled } => self.go_on_after(&awaited, compiled.into(), at, out),
            Input::Refolded { order, outcome } => self.end_release(&order, outcome, at, out),
            Input::TooLarge { tasks, bytes } => self.split_or_fail(tasks, bytes, at, out),
            Input::Appended(sequence) => self.appended(sequence, at, out),
            Input::Delivered { way, sequence } => self.owner.effects_delivered(way, sequence),
            Input::Due => self.fire_timers(at),
            Input::Continue => self.go_on(at, out),
            Input::Sweep => self.sweep(at, out),
        }
    }

    /// Ends a turn: grants what waits to whoever has room, hands over what was granted and is durable, and, unless this
    /// owner is about to stop, hands out the next bundle if there is one to append and none is in flight. What comes then has
    /// a burst of its own.
    pub fn turn(&mut self, stops: bool, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.hand_over(out);
        if !stops {
            self.take_up_parked(at, out);
            self.grant(at, out);
            self.next_append(at, out);
        }
        self.done_before = self.work_done();
    }

    fn next_append(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        let id = BundleId::from_uuid(self.names.next());
        if let Some(append) = self.owner.next_append(id) {
            self.appending_since = Some(at.steady);
            self.rooms.hands.hush();
            out.push(Output::Append(append));
        }
    }

    /// Returns the owner, which includes decisions that are not durable yet.
    pub fn owner(&self) -> &Owner<Caller<T>> {
        &self.owner
    }

    /// Returns whether a bundle would leave now while workers hold attempts, and so may be about to report too.
    pub fn is_worth_waiting(&self) -> bool {
        self.owner.is_filling() && !self.owner.is_appending() && !self.leases.is_empty()
    }

    /// Returns how many requests were refused so far.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Returns whether nothing waits here for anybody: for tests of rest.
    pub fn is_at_rest(&self) -> bool {
        self.parking.is_empty()
            && self.line.is_empty()
            && self.releasing.is_empty()
            && self.inheritance.is_settled()
            && !self.owner.is_appending()
            && self.owner.shard().unfinished().len() == 0
    }

    fn appended(&mut self, sequence: Sequence, at: Moment, out: &mut Vec<Output<R, T>>) {
        (self.appending_since, self.appended_at) = (None, Some(at.steady));
        let Released { answers, effects, ended, sequence } = self.owner.appended(sequence);
        if let Some(sequence) = sequence {
            out.push(Output::Deliver { sequence, effects });
        }
        if !std::mem::replace(&mut self.is_open, true) {
            self.greet(out);
        }
        // Who is answered by a frame comes last, so that the answer brings what others' decisions granted.
        let (to_workers, to_others): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| matches!(answer.caller, Caller(Asker::Work { .. })));
        for answer in to_others.into_iter().chain(to_workers) {
            self.answer(answer, at, out);
        }
        for (run, status, position) in ended {
            for place in self.watchers.of(run) {
                self.reply(place, ShardReply::Ended { status, position }, out);
            }
        }
    }

    /// Decides what follows from an effect of this shard, or from its refusal elsewhere.
    fn follow(&mut self, submission: Submission, ticket: T, at: Moment, out: &mut Vec<Output<R, T>>) {
        let asker = Asker::Effect { ticket, submission: Box::new(submission.clone()) };
        self.come(Sender::of(&submission), Arrival::Wish { asker, submission }, at, out);
        self.serve(at, out);
    }

    /// Decides a command, once what it needs is here and compiled.
    fn submit(&mut self, asker: Asker<T>, submission: Submission, at: Moment, out: &mut Vec<Output<R, T>>) {
        match self.parking.obstacle(self.owner.shard(), &submission) {
            Some(obstacle) => out.extend(self.parking.park(self.owner.shard(), obstacle, asker, submission)),
            None => self.owner.submit(Caller(asker), submission, at.wall, &mut self.rooms.hands),
        }
    }

    /// Decides a command of the shard itself.
    fn decide(&mut self, asker: Asker<T>, command: Command, at: Moment) {
        let submission = Submission::new(self.names.command(), command);
        self.owner.submit(Caller(asker), submission, at.wall, &mut self.rooms.hands);
    }

    fn is_overloaded(&self) -> bool {
        // Who waits for a run's end waits long, and costs next to nothing.
        let waiting = self.work.waiting() + self.commands.waiting();
        waiting > self.settings.requests_waiting_max + self.watchers.count()
            || self.line.bytes() + self.parking.bytes() > LINE_BYTES_MAX
    }

    /// Returns when what waits, or a run that has more to do, should go on: requests at once, for somebody waits for them; runs
    /// fairly, neither before everybody nor after everybody.
    pub fn goes_on(&self) -> GoesOn {
        let has_unfinished = self.owner.shard().unfinished().len() > 0;
        if self.owner.is_full() {
            GoesOn::Not
        } else if !self.line.is_empty() || has_unfinished && self.passed_over >= PASSED_OVER_MAX {
            GoesOn::Now
        } else if has_unfinished {
            GoesOn::WhenIdle
        } else {
            GoesOn::Not
        }
    }

    /// How much was done so far, in units of work.
    fn work_done(&self) -> u64 {
        self.owner.shard().work_spent() + self.met
    }

    /// Whether so much was decided in this turn that others should be looked at first.
    fn is_burst_over(&self) -> bool {
        let burst = self.owner.shard().decision_work_max() / BURST_PART;
        self.owner.is_full() || self.work_done() - self.done_before > burst
    }

    fn go_on(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        // This input is one of those that go before.
        let is_turn_of_run = self.passed_over > PASSED_OVER_MAX && self.owner.shard().unfinished().len() > 0;
        if !self.line.is_empty() && !is_turn_of_run {
            return self.serve(at, out);
        }
        self.passed_over = 0;
        if self.owner.is_full() {
            return;
        }
        if let Some(run) = self.owner.next_unfinished() {
            self.decide(Asker::Nobody, Command::Run { run, command: RunCommand::Continue {} }, at);
        }
    }

    fn fire_timers(&mut self, at: Moment) {
        for timer in self.owner.shard().due(at.wall, DUE_BURST) {
            if self.owner.is_full() {
                return;
            }
            self.decide(Asker::Nobody, timer, at);
            // What is due stays due.
            if self.is_burst_over() {
                return;
            }
        }
    }

    /// Finds attempts whose holders fell silent, and says again what nobody has heard.
    fn sweep(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.sweep_rooms(at, out);
        self.let_watchers_ask_again(at, out);
        self.hear_the_line(at);
        for lease in self.leases.expired(at.steady) {
            self.spoken_of(&lease);
            let Lease { run, node, attempt, token, worker, .. } = lease;
            let command = RunCommand::LoseAttempt { node: node.clone(), attempt, lease: token };
            let submission = Submission::new(self.names.command(), Command::Run { run, command });
            self.come(Sender::Run(run), Arrival::Wish { asker: Asker::Nobody, submission }, at, out);
            out.push(Output::FellSilent { run, node, attempt, worker });
        }
        self.serve(at, out);
        self.hand_again(at, out);
        self.offer_inherited(at);
    }
}

/// Ids nobody else makes: a part of its own, and a count.
#[derive(Debug)]
struct Names {
    own: u64,
    count: u64,
}

impl Names {
    fn next(&mut self) -> uuid::Uuid {
        self.count += 1;
        let bits = (u128::from(self.own) << 64) | u128::from(self.count);
        uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
    }

    fn command(&mut self) -> CommandId {
        CommandId::from_uuid(self.next())
    }
}
