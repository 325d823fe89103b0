//! What was worked on when something panicked: which command, or which commit of the journal.
//!
//! A rule that panics leaves a state that is half of a story, so the owner it happened in is dropped. The next one has
//! to know what not to touch, or it would panic too, and the next process after it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::AggregateId;
use crate::{CommandId, Sequence};

/// The payload of a panic that [`Owner::submit`](super::Owner::submit) or [`Owner::fold`](super::Owner::fold) throws on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poison {
    /// Deciding a command panicked: name it to [`Owner::refuse`](super::Owner::refuse).
    Command {
        id: CommandId,
        aggregate: AggregateId,
        /// The shard gave the command to itself, under an id that is new each time: the aggregate is what to refuse.
        own: bool,
        said: String,
    },
    /// Folding a commit panicked: name it to [`Owner::spare`](super::Owner::spare).
    Commit { place: CommitPlace, aggregate: AggregateId, said: String },
}

/// A commit of a journal: the message, and which of its commits, from 0.
pub type CommitPlace = (Sequence, usize);

impl Poison {
    /// Reads the payload of a panic.
    ///
    /// # Errors
    /// What the panic said, where nothing names what was worked on.
    pub fn of(panic: Box<dyn Any + Send>) -> Result<Self, String> {
        panic.downcast::<Self>().map(|poison| *poison).map_err(|panic| said(&*panic))
    }
}

/// Does what may panic, and whatever it leaves half done is not looked at then.
///
/// # Errors
/// What the panic said.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic))
}

/// Does what may panic. A panic goes on under a name.
pub(super) fn named<T>(work: impl FnOnce() -> T, name: impl FnOnce(String) -> Poison) -> T {
    // Whatever it leaves half done is dropped with its owner.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(panic) => resume_unwind(Box::new(name(said(&*panic)))),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
