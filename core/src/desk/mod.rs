//! The Desk: an owner and everything around it that is a rule, without its I/O. One closed [`Input`] comes in, closed
//! [`Output`]s go out; whoever drives it moves bytes and keeps time. The shard worker does, and so does the simulation.
//!
//! | file | question |
//! |---|---|
//! | `input`, `output` | what comes in, what goes out |
//! | `work` | what comes from workers |
//! | `ask` | what the engine's own processes ask |
//! | `asker`, `answer` | who asks, and who hears of what was decided |
//! | `grant` | who is granted what waits |
//! | `takeover`, `stepdown` | what an owner inherits, what it leaves behind |
//! | `withheld` | which answers wait until what they name is published |
//! | `quarantine` | what is quarantined, and how it is released |
//!
//! What it puts together, each with a rule of its own:
//!
//! | file | question |
//! |---|---|
//! | `workers` | what workers lend and hold, and what is on its way to them |
//! | `line` | what waits to be decided, and who is next |
//! | `pace` | how much is decided in one go, and when a run that goes on by itself is next |
//! | `parking` | which commands wait for a definition, or for it to be compiled |
//! | `answers` | who waits for an answer, and how it leaves; in `frames`, or, for the end of a run, among `watchers` |
//! | `appends` | whether the shard can be written |
//! | `releases` | which releases from quarantine are under way |

mod answer;
mod answers;
mod appends;
mod ask;
mod asker;
mod frames;
mod grant;
mod input;
mod line;
mod output;
mod pace;
mod parking;
mod quarantine;
mod releases;
mod stepdown;
mod takeover;
mod updates;
mod watchers;
mod withheld;
mod work;
mod workers;

use std::sync::Arc;
use std::time::Duration;

pub use asker::Caller;
pub use input::{Input, Moment};
pub use line::{LINE_BYTES_MAX, LINE_OF_SENDER_MAX};
pub use output::Output;
pub use pace::{GoesOn, PASSED_OVER_MAX};
pub use parking::Needed;
pub use quarantine::QUARANTINED_SHOWN_MAX;

use answers::Answers;
use appends::Appends;
use asker::Asker;
use frames::FramePlace;
use line::{Arrival, Line, Sender};
use pace::Pace;
use parking::{Found, Parking};
use releases::Releases;
use takeover::Inheritance;
use workers::Workers;

use crate::run::{RunCommand, RunLimits};
use crate::shard::{Command, Owner, Released, Submission};
use crate::{BundleId, CommandId, Sequence};

/// How many runs one turn fires timers of.
const DUE_BURST: usize = 256;

/// How a desk behaves.
#[derive(Debug, Clone)]
pub struct DeskSettings {
    /// How long the holder of an attempt may be silent before the attempt is lost. Three heartbeats or more.
    pub lease_ttl: Duration,
    /// How many requests wait for their bundle before further ones are refused with `Overloaded`.
    pub requests_waiting_max: usize,
    /// How large one message may be.
    pub message_bytes_max: usize,
    /// How long runs may go on.
    pub run_limits: RunLimits,
}

/// An owner of a shard at its desk: it puts together what each of these knows for itself. `R` is where an answer goes, `T` what
/// an effect is confirmed with; neither is looked at here.
#[derive(Debug)]
pub struct Desk<R, T> {
    owner: Owner<Caller<T>>,
    answers: Answers<R>,
    workers: Workers,
    parking: Parking<T>,
    line: Line<T>,
    releases: Releases,
    inheritance: Inheritance,
    names: Names,
    pace: Pace,
    appends: Appends,
}

impl<R, T> Desk<R, T> {
    /// Takes in what has come.
    pub fn take(&mut self, input: Input<R, T>, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.pace.pass_over();
        match input {
            Input::Work { workspace, frame, reply } => self.take_work(workspace, frame, reply, at, out),
            Input::Unreadable { malformed, reply } => self.answers.refuse_frame(malformed, reply, out),
            Input::Commands { requests, reply } => self.take_commands(requests, reply, at, out),
            Input::Hello { workspace, hello } => {
                self.workers.take_hello(self.owner.shard(), &workspace, hello, at, out);
            }
            Input::Follows { submission, ticket } => self.follow(submission, ticket, at, out),
            Input::Found { needed, document } => match self.parking.found(self.owner.shard(), needed, document) {
                Ok(compile) => out.push(compile),
                // What waits for it is refused.
                Err(found) => self.go_on_after(found, at, out),
            },
            Input::Compiled { awaited, compiled } => {
                self.go_on_after(Found { awaited, compiled: compiled.into() }, at, out);
            }
            Input::Refolded { order, outcome } => self.end_release(&order, outcome, at, out),
            Input::TooLarge { tasks, bytes } => {
                let failed = self.workers.take_too_large(self.owner.shard(), tasks, bytes, at, out);
                failed.into_iter().for_each(|command| self.decide(Asker::Nobody, command, at));
            }
            Input::Appended(sequence) => self.appended(sequence, at, out),
            Input::Delivered { way, sequence } => withheld::delivered(self, way, sequence, at, out),
            Input::Due => self.fire_timers(at),
            Input::Continue => self.go_on(at, out),
            Input::Sweep => self.sweep(at, out),
        }
    }

    /// Ends a turn: grants what waits to whoever has room, hands over what was granted and is durable, and, unless this
    /// owner is about to stop, hands out the next bundle if there is one to append and none is in flight. What comes then has
    /// a burst of its own.
    pub fn turn(&mut self, stops: bool, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.workers.hand_over(self.owner.shard(), out);
        if !stops {
            self.take_up_parked(at, out);
            self.grant(at, out);
            self.next_append(at, out);
        }
        self.pace.end_turn(self.owner.shard());
    }

    fn next_append(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        let id = BundleId::from_uuid(self.names.next());
        if let Some(append) = self.owner.next_append(id) {
            self.appends.leave(at.steady);
            self.workers.hands().hush();
            out.push(Output::Append(append));
        }
    }

    /// Returns the owner, which includes decisions that are not durable yet.
    pub fn owner(&self) -> &Owner<Caller<T>> {
        &self.owner
    }

    /// Returns whether a bundle would leave now while workers hold attempts, and so may be about to report too.
    pub fn is_worth_waiting(&self) -> bool {
        self.owner.is_filling() && !self.owner.is_appending() && self.workers.hold_any()
    }

    /// Returns how many requests were refused so far.
    pub fn refusals(&self) -> u64 {
        self.answers.refusals()
    }

    /// Returns whether nothing waits here for anybody: for tests of rest.
    pub fn is_at_rest(&self) -> bool {
        self.parking.is_empty()
            && self.line.is_empty()
            && self.releases.is_empty()
            && self.inheritance.is_settled()
            && !self.owner.is_appending()
            && self.owner.shard().unfinished().len() == 0
    }

    fn appended(&mut self, sequence: Sequence, at: Moment, out: &mut Vec<Output<R, T>>) {
        let is_first = self.appends.land(at.steady);
        let Released { answers, effects, ended, replied, sequence } = self.owner.appended(sequence);
        if let Some(sequence) = sequence {
            out.push(Output::Deliver { sequence, effects });
        }
        if is_first {
            self.workers.open(self.owner.shard(), out);
        }
        // Who is answered by a frame comes last, so that the answer brings what others' decisions granted.
        let (to_workers, to_others): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| matches!(answer.caller, Caller(Asker::Work { .. })));
        for answer in to_others.into_iter().chain(to_workers) {
            self.answer(answer, at, out);
        }
        updates::replied(self, replied, out);
        for (run, status, position) in ended {
            let successor = self.owner.shard().successor_of(run);
            self.answers.tell_end(run, (status, successor), position, out);
        }
    }

    /// Decides what follows from an effect of this shard, or from its refusal elsewhere.
    fn follow(&mut self, submission: Submission, ticket: T, at: Moment, out: &mut Vec<Output<R, T>>) {
        let asker = Asker::Effect { ticket, submission: Box::new(submission.clone()) };
        self.come(Sender::of(&submission), Arrival::Wish { asker, submission, found: None }, at, out);
        self.serve(at, out);
    }

    /// Decides a command, once what it needs is here and compiled.
    fn submit(
        &mut self,
        asker: Asker<T>,
        submission: Submission,
        found: Option<Arc<Found>>,
        at: Moment,
        out: &mut Vec<Output<R, T>>,
    ) {
        if let Some(obstacle) = self.parking.obstacle(self.owner.shard(), &submission, found.as_deref()) {
            return out.extend(self.parking.park(self.owner.shard(), obstacle, asker, submission));
        }
        let asker = if submission.command.is_question() { Asker::Inquirer(Box::new(asker)) } else { asker };
        let hands = self.workers.hands();
        match found {
            None => self.owner.submit(Caller(asker), submission, at.wall, hands),
            Some(found) => self.owner.submit_with(Caller(asker), submission, found.compiled.clone(), at.wall, hands),
        }
    }

    /// Decides a command of the shard itself.
    fn decide(&mut self, asker: Asker<T>, command: Command, at: Moment) {
        let submission = Submission::new(self.names.command(), command);
        self.owner.submit(Caller(asker), submission, at.wall, self.workers.hands());
    }

    fn is_overloaded(&self) -> bool {
        self.answers.is_overloaded() || self.line.bytes() + self.parking.bytes() > LINE_BYTES_MAX
    }

    /// Returns when what waits, or a run that has more to do, should go on.
    pub fn goes_on(&self) -> GoesOn {
        self.pace.goes_on(!self.line.is_empty(), &self.owner)
    }

    fn go_on(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        if !self.pace.gives_way_to_a_run(!self.line.is_empty(), self.owner.shard()) {
            return self.serve(at, out);
        }
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
            if self.pace.is_burst_over(&self.owner) {
                return;
            }
        }
    }

    /// Finds attempts whose holders fell silent, and says again what nobody has heard.
    fn sweep(&mut self, at: Moment, out: &mut Vec<Output<R, T>>) {
        self.workers.sweep(self.owner.shard(), at, out);
        self.answers.let_watchers_ask_again(at.steady, out);
        self.workers.hear_of(self.line.leases(), at);
        for lease in self.workers.take_silent(at) {
            self.workers.spoken_of(&lease);
            let (run, (command, said)) = (lease.run, lease.lost());
            let submission = Submission::new(self.names.command(), command);
            let wish = Arrival::Wish { asker: Asker::Nobody, submission, found: None };
            self.come(Sender::Run(run), wish, at, out);
            out.push(said);
        }
        self.serve(at, out);
        self.workers.hand_again(self.owner.shard(), at, out);
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
    fn of(own: u64) -> Self {
        Self { own, count: 0 }
    }

    fn next(&mut self) -> uuid::Uuid {
        self.count += 1;
        let named = uuid::Uuid::from_u64_pair(self.own, self.count);
        uuid::Builder::from_custom_bytes(named.into_bytes()).into_uuid()
    }

    fn command(&mut self) -> CommandId {
        CommandId::from_uuid(self.next())
    }
}
