//! `process`: the engine's own worker runs a command, and ends all that it started.

use super::{Input, Kind, engine};
use crate::definition::BuiltIn;

pub(super) static KIND: Kind = Kind {
    word: "process",
    read: |node, said, _| Some(engine(node, &KIND, &said, BuiltIn::Process)),
    input: Input::Fields {
        known: &["command", "env", "cwd", "stdin", "shell", "maxOutputBytes", "parse", "timeoutMs"],
        needed: "command",
    },
};
