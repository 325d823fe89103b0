//! What somebody outside says to a run: signals, answers, who is to answer; and the runs before and after it.

use super::person::{Said, answer, reassign};
use super::signal::receive;
use crate::run::decision::Decision;
use crate::run::succession::hear_of_chain;
use crate::run::{AwaitedSignal, RunCommand, RunRejection};

/// Has a run hear it; what it does not say to the run it leaves alone.
///
/// # Errors
/// Why it is not heard; nothing has happened.
pub(in crate::run) fn hear(decision: &mut Decision<'_>, said: RunCommand) -> Result<(), RunRejection> {
    if matches!(said, RunCommand::InheritSignal(_) | RunCommand::HearSuccessor { .. }) {
        hear_of_chain(decision, said);
        Ok(())
    } else if let RunCommand::Signal { workspace: _, signal, name, key, payload, broadcast, update } = said {
        receive(decision, signal, AwaitedSignal { name, key }, payload, (broadcast, update))
    } else if let RunCommand::AnswerPerson { workspace: _, node, attempt, answer: id, by, value } = said {
        answer(decision, Said { node, attempt, answer: id, by, value })
    } else if let RunCommand::ReassignPerson { workspace: _, id, node, attempt, assignees, by, reason } = said {
        reassign(decision, id, (node, attempt), assignees, (by, reason))
    } else {
        Ok(())
    }
}
