//! Who asks for what is decided.

use super::frames::FramePlace;
use crate::protocol::ShardReply;
use crate::shard::{Rejection, Submission};
use crate::{LeaseToken, SessionId};

/// Who asked for a command, and so who hears of its outcome.
#[derive(Debug)]
pub struct Caller<T>(pub(super) Asker<T>);

#[derive(Debug)]
pub(super) enum Asker<T> {
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
    /// Who asks what another shard will look for: [`super::withheld`].
    Inquirer(Box<Self>),
    /// A worker that holds what is not its own any more: held, as is the next, until that is known to be true
    /// (`SHD-4`).
    Heartbeat {
        place: FramePlace,
        cancelled: Vec<LeaseToken>,
        unclear: Vec<LeaseToken>,
        stopping: Vec<LeaseToken>,
    },
    /// A worker that speaks of what is not of its workspace.
    Stranger {
        place: FramePlace,
        rejection: Rejection,
    },
    /// Who would wait for the end of a run that is not known.
    Watcher(FramePlace),
    /// Who has read something that may not be durable yet.
    Reader {
        place: FramePlace,
        told: Box<ShardReply>,
    },
    /// Who asks whether the shard can append.
    Prober(FramePlace),
    /// The shard itself: a definition to adopt.
    Adoption,
    /// The shard itself: timers, silence.
    Nobody,
}

/// Where somebody waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waits {
    Worker(FramePlace),
    Process(FramePlace),
}

impl<T> Asker<T> {
    /// Returns the session of a worker whose answer can carry tasks.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Work { session, .. } => Some(*session),
            Self::Shard(_)
            | Self::Effect { .. }
            | Self::Inquirer(_)
            | Self::Heartbeat { .. }
            | Self::Stranger { .. }
            | Self::Watcher(_)
            | Self::Reader { .. }
            | Self::Prober(_)
            | Self::Adoption
            | Self::Nobody => None,
        }
    }

    /// Returns where it waits for an answer, if it does.
    pub fn waits(&self) -> Option<Waits> {
        match self {
            Self::Work { place, .. } | Self::Stranger { place, .. } | Self::Heartbeat { place, .. } => {
                Some(Waits::Worker(*place))
            }
            Self::Shard(place) | Self::Watcher(place) | Self::Reader { place, .. } | Self::Prober(place) => {
                Some(Waits::Process(*place))
            }
            Self::Inquirer(asker) => asker.waits(),
            Self::Effect { .. } | Self::Adoption | Self::Nobody => None,
        }
    }
}
