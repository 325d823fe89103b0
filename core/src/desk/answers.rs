//! Who has asked and waits for an answer, and how answers leave.

use std::time::Duration;

use super::asker::Waits;
use super::frames::{Complete, FramePlace, Frames, fit};
use super::watchers::Watchers;
use super::{DeskSettings, Output};
use crate::credit::Standing;
use crate::protocol::{Malformed, ShardReply, Task, WorkAnswer, WorkReply};
use crate::run::{RunRejection, RunStatus};
use crate::shard::{Position, Rejection};
use crate::{CommandId, RunId, SessionId, ShardId};

/// Everybody who waits: workers and the engine's own processes, each in a frame. Whoever has asked is answered once.
#[derive(Debug)]
pub(super) struct Answers<R> {
    shard: ShardId,
    work: Frames<(R, SessionId), WorkReply>,
    commands: Frames<R, ShardReply>,
    watchers: Watchers<RunId>,
    /// Who waits for what an update is answered with.
    listeners: Watchers<(RunId, CommandId)>,
    waiting_max: usize,
    message_bytes_max: usize,
    refusals: u64,
}

impl<R> Answers<R> {
    pub fn of(shard: ShardId, settings: &DeskSettings) -> Self {
        Self {
            shard,
            work: Frames::new(),
            commands: Frames::new(),
            watchers: Watchers::default(),
            listeners: Watchers::default(),
            waiting_max: settings.requests_waiting_max,
            message_bytes_max: settings.message_bytes_max,
            refusals: 0,
        }
    }

    /// Opens a worker's frame of so many requests, at least one.
    pub fn open_work(&mut self, reply: R, session: SessionId, count: usize) -> u64 {
        self.work.open((reply, session), count)
    }

    /// Opens a process's frame of so many requests, at least one.
    pub fn open_commands(&mut self, reply: R, count: usize) -> u64 {
        self.commands.open(reply, count)
    }

    /// Whether so many wait that whoever comes should come again.
    pub fn is_overloaded(&self) -> bool {
        // Who waits for a run's end waits long, and costs next to nothing.
        self.work.waiting() + self.commands.waiting()
            > self.waiting_max + self.watchers.count() + self.listeners.count()
    }

    /// Returns how many requests were refused so far.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Answers one request of a process.
    pub fn reply<T>(&mut self, place: FramePlace, reply: ShardReply, out: &mut Vec<Output<R, T>>) {
        if let Some(complete) = self.commands.answer(place, reply) {
            let (reply, bytes) = complete.written();
            out.push(Output::Answer { reply, bytes });
        }
    }

    /// Refuses one request of a process.
    pub fn refuse<T>(&mut self, place: FramePlace, rejection: Rejection, out: &mut Vec<Output<R, T>>) {
        self.refusals += 1;
        self.reply(place, ShardReply::Refused { rejection }, out);
    }

    /// Answers one request of a worker; returns its frame when that was the last, to be sent.
    pub fn reply_work(&mut self, place: FramePlace, reply: WorkReply) -> Option<Complete<(R, SessionId), WorkReply>> {
        self.work.answer(place, reply)
    }

    /// Notes that what a worker asks is refused; returns how it is told so.
    pub fn refused_work(&mut self, rejection: Rejection) -> WorkReply {
        self.refusals += 1;
        WorkReply::Refused { rejection }
    }

    /// Sends a worker's frame its answers, with how the shard stands with it. Returns the tasks that did not fit.
    pub fn send<T>(
        &self,
        reply: R,
        standing: Option<Standing>,
        replies: Vec<WorkReply>,
        out: &mut Vec<Output<R, T>>,
    ) -> Vec<Task> {
        let answer = WorkAnswer { shard: self.shard, standing, replies, malformed: None };
        let (bytes, spilled) = fit(answer, self.message_bytes_max);
        out.push(Output::Answer { reply, bytes });
        spilled
    }

    /// Tells a worker that nothing of what it said could be read.
    pub fn refuse_frame<T>(&mut self, malformed: Malformed, reply: R, out: &mut Vec<Output<R, T>>) {
        self.refusals += 1;
        let answer = WorkAnswer { shard: self.shard, standing: None, replies: Vec::new(), malformed: Some(malformed) };
        let (bytes, _) = fit(answer, self.message_bytes_max);
        out.push(Output::Answer { reply, bytes });
    }

    /// Keeps a question for the end of a run that has not ended.
    pub fn watch<T>(&mut self, run: RunId, place: FramePlace, since: Duration, out: &mut Vec<Output<R, T>>) {
        if !self.watchers.add(run, place, since) {
            self.refuse(place, Rejection::Overloaded, out);
        }
    }

    /// Keeps a question for what an update is answered with.
    pub fn listen<T>(
        &mut self,
        run: RunId,
        update: CommandId,
        place: FramePlace,
        since: Duration,
        out: &mut Vec<Output<R, T>>,
    ) {
        if !self.listeners.add((run, update), place, since) {
            self.refuse(place, Rejection::Overloaded, out);
        }
    }

    /// Takes out those that wait for what an update is answered with.
    pub fn take_listeners(&mut self, run: RunId, update: CommandId) -> Vec<FramePlace> {
        self.listeners.of((run, update))
    }

    /// Tells those that wait for a run how it ended.
    pub fn tell_end<T>(
        &mut self,
        run: RunId,
        (status, successor): (RunStatus, Option<RunId>),
        position: Position,
        out: &mut Vec<Output<R, T>>,
    ) {
        for place in self.watchers.of(run) {
            self.reply(place, ShardReply::Ended { status, position, successor }, out);
        }
        let (first, last) = (CommandId::from_uuid(uuid::Uuid::nil()), CommandId::from_uuid(uuid::Uuid::max()));
        for place in self.listeners.among((run, first)..=(run, last)) {
            self.refuse(place, Rejection::Run(RunRejection::RunClosed { status, successor }), out);
        }
    }

    /// Lets those ask again that have waited for a run for so long that they have done so.
    pub fn let_watchers_ask_again<T>(&mut self, now: Duration, out: &mut Vec<Output<R, T>>) {
        for place in self.watchers.old(now).into_iter().chain(self.listeners.old(now)) {
            self.turn_away(Waits::Process(place), out);
        }
    }

    /// Tells whoever waits there to ask the next owner.
    pub fn turn_away<T>(&mut self, waits: Waits, out: &mut Vec<Output<R, T>>) {
        let rejection = Rejection::NotOwner;
        match waits {
            Waits::Process(place) => self.reply(place, ShardReply::Refused { rejection }, out),
            Waits::Worker(place) => {
                let complete = self.reply_work(place, WorkReply::Refused { rejection });
                if let Some(Complete { reply: (reply, _), answers }) = complete {
                    self.send(reply, None, answers, out);
                }
            }
        }
    }

    /// Gives back all that wait for the end of a run, or for a reply.
    pub fn abandon_watchers(&mut self) -> impl Iterator<Item = FramePlace> + use<R> {
        std::mem::take(&mut self.watchers).abandon().chain(std::mem::take(&mut self.listeners).abandon())
    }
}
