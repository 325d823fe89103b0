//! What can happen in a cluster, and who asks what of whom.

use std::rc::Rc;

use headwater_core::credit::Credit;
use headwater_core::desk::Needed;
use headwater_core::protocol::{Call, Handed, Hello, ShardReply, WorkAnswer, WorkRequest};
use headwater_core::shard::{Append, AssetNotice, Awaited, Submission, WorkflowKey};
use headwater_core::{BundleId, DefinitionVersion, Json, LeaseToken, RunId, Sequence, SessionId, ShardId};

use crate::seat::Ticket;

/// Who asked, and so who hears the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    Client {
        errand: usize,
    },
    /// An effect of a bundle of another shard.
    Effect {
        seat: usize,
        lane: ShardId,
        /// Which of those that are on their way together.
        number: usize,
    },
    Worker {
        worker: usize,
        life: u32,
    },
    /// Said by somebody who does not listen any more.
    Nobody,
}

/// What is asked of a shard.
#[derive(Debug, Clone)]
pub enum Wish {
    Submit(Submission),
    Await(RunId),
    /// One request at most: without any it carries credit.
    Work {
        worker: usize,
        session: SessionId,
        credit: Credit,
        request: Option<WorkRequest>,
    },
}

#[derive(Debug, Clone)]
pub enum Said {
    Shard(ShardReply),
    Work(WorkAnswer),
}

pub struct Ask {
    pub asker: Asker,
    pub shard: ShardId,
    pub wish: Rc<Wish>,
    pub tries: u32,
}

/// One entry of the agenda.
pub enum Happening {
    Arrives {
        ask: u64,
        shard: ShardId,
        wish: Rc<Wish>,
    },
    Taken {
        seat: usize,
        ask: u64,
        wish: Rc<Wish>,
    },
    Answered {
        ask: u64,
        said: Said,
    },
    AskedAgain {
        ask: u64,
    },
    AppendArrives {
        seat: usize,
        append: Rc<Append>,
        heard: bool,
    },
    AppendAnswered {
        seat: usize,
        bundle: BundleId,
        stored: Option<Sequence>,
    },
    AppendUnclear {
        seat: usize,
        bundle: BundleId,
    },
    Local {
        seat: usize,
    },
    NoticeArrives {
        seat: usize,
        notice: AssetNotice,
        ticket: Ticket,
    },
    DefinitionArrives {
        seat: usize,
        key: WorkflowKey,
        version: DefinitionVersion,
        document: Json,
        ticket: Ticket,
    },
    Delivered {
        seat: usize,
        ticket: Ticket,
    },
    Found {
        seat: usize,
        needed: Needed,
    },
    Compiled {
        seat: usize,
        awaited: Awaited,
        documents: Vec<Json>,
    },
    Hello {
        seat: usize,
        hello: Hello,
    },
    SeatTurn {
        seat: usize,
    },
    /// A run that has more to do goes on.
    GoesOn {
        seat: usize,
    },
    /// The process learns that the shard is not its own any more.
    Dismissed {
        seat: usize,
    },
    TakeOver {
        shard: ShardId,
    },
    Handed {
        worker: usize,
        session: SessionId,
        handed: Handed,
    },
    Called {
        worker: usize,
        call: Call,
    },
    WorkerTurn {
        worker: usize,
        life: u32,
    },
    Begins {
        worker: usize,
        life: u32,
        lease: LeaseToken,
    },
    Ends {
        worker: usize,
        life: u32,
        lease: LeaseToken,
    },
    Runs {
        worker: usize,
        life: u32,
        lease: LeaseToken,
    },
    Restarts {
        worker: usize,
    },
    ClientTurn,
    Fault,
    Heals,
}
