//! What was ever written of attempts that somebody outside ends.

use headwater_core::run::RunEvent;
use headwater_core::{Attempt, CommandId};

use crate::runs::name;

/// One event of each kind.
pub fn callbacks() -> Vec<(&'static str, RunEvent)> {
    let callback = CommandId::from_uuid(uuid::Uuid::from_u128(13));
    vec![
        ("callback-awaited", RunEvent::CallbackAwaited { node: name("gate"), attempt: Attempt::new(2) }),
        ("callback-heard", RunEvent::CallbackHeard { node: name("gate"), attempt: Attempt::new(2) }),
        ("callback-answered", RunEvent::CallbackAnswered { callback, said: 0x0123_4567_89ab_cdef }),
    ]
}
