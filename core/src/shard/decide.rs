//! How a command finds its aggregate, and what its commit is.

use super::chains::addressed;
use super::held::room_for_values;
use super::lane::Hearing;
use super::shelf::Told;
use super::state::Shard;
use super::{AggregateId, Commit, Effect, Granted, Origin, Owner, Rejection, Submission, kinds};
use crate::credit::Hands;
use crate::run::{Budget, RunLimits, RunStatus};
use crate::task::Task;
use crate::{RunId, SessionId, Timestamp, WorkspaceId};

/// Tasks and the sessions they were granted to.
pub type HandedTasks = Vec<(SessionId, Task)>;

/// What became of a command.
#[derive(Debug, Default)]
pub struct Decided {
    /// Absent: the command changes nothing (any more).
    pub commit: Option<Commit>,
    /// To leave once the commit is durable.
    pub effects: Vec<Effect>,
    /// For the answer.
    pub granted: Option<Granted>,
    /// What was granted to which worker.
    pub tasks: HandedTasks,
    /// The run that ended with this commit.
    pub ended: Option<(RunId, RunStatus)>,
    /// Where the commit has large values: whose they are.
    pub stores_in: Option<WorkspaceId>,
    /// It waits for a release; the bundle has to say so.
    pub parked: Option<Box<(AggregateId, Submission)>>,
}

/// How many runs that wait for their turns lessen what is done at once: beyond them, what costs next to nothing still fits.
const WAITING_COUNTED_MAX: usize = 63;

impl Shard {
    /// Decides a command against the state, which includes everything decided before. The state has moved on by
    /// the commit returned; it must be appended, or the shard be dropped. `hands` are the
    /// workers that can be handed what becomes ready.
    ///
    /// # Errors
    /// The fact in the way; nothing has changed.
    pub fn decide(&mut self, submission: Submission, now: Timestamp, hands: &mut Hands) -> Result<Decided, Rejection> {
        if let Some(from) = submission.from {
            match self.hear(from, &submission.command)? {
                Hearing::Decide => {}
                Hearing::Heard => return Ok(Decided::default()),
            }
        }
        let submission = addressed(self, submission);
        kinds::set_aside_what_is_broken(self, &submission);
        match self.park(&submission) {
            Some(parked) => parked,
            None => self.decide_now(submission, now, hands),
        }
    }

    /// Decides a command that waits for nothing.
    pub(super) fn decide_now(
        &mut self,
        submission: Submission,
        now: Timestamp,
        hands: &mut Hands,
    ) -> Result<Decided, Rejection> {
        let now = now.max(self.memory.clock);
        let from = submission.from;
        let (asked, command) = submission.apart();
        if let Some((first, last)) = self.memory.granted(asked.command).filter(|_| !is_told_again(from)) {
            let told = Told { session: hands.preferred(), first, last };
            return Ok(kinds::answer_again(self, &command, told));
        }
        kinds::decide(self, asked, command, from, now, hands)
    }

    /// What a decision may take: the more runs wait for their turns, the less it does at once, and the more large values the runs
    /// of its workspace hold, the fewer it may make.
    pub(super) fn budget(&mut self, workspace: Option<&WorkspaceId>) -> Budget {
        let Budget { work, bytes, stored, held, work_at_once, run } = self.bounds.decision;
        let held = workspace.map_or(held, |workspace| room_for_values(self, workspace, stored).min(held));
        let waiting = self.unfinished().len().min(WAITING_COUNTED_MAX) as u64;
        Budget { work, bytes, stored, held, work_at_once: work_at_once / (1 + waiting), run }
    }
}

/// Whether a command comes from a shard that began anew, or is for one that did: that it was granted once does not say that
/// who asked still knows. What aggregates hold keeps it from happening twice.
fn is_told_again(from: Option<Origin>) -> bool {
    from.is_some_and(|from| !from.place.sequence.incarnation().is_first() || !from.toward.is_first())
}

impl<C> Owner<C> {
    /// Bounds how long runs may go on from here on.
    pub fn limit_runs(&mut self, limits: RunLimits) {
        self.shard.bounds.decision.run = limits;
    }
}
