//! The engine's processes and its command line: one program in any role.
//!
//! This crate is *not* a place for rules: it starts what the other crates are, and shows it over HTTP and in a terminal.
//!
//! | module | question it answers |
//! |---|---|
//! | [`settings`] | what a process of the engine is told when it starts |
//! | [`process`] | what the roles of a process share |
//! | [`roles`] | what a process does: shards, tasks, projector, api |
//! | [`dev`] | everything in one process, with servers of its own |
//! | [`api`] | what HTTP clients can ask |
//! | [`codes`] | what can go wrong, for programs |
//! | [`documents`] | how JSON and YAML from outside become values |
//! | [`cli`] | what people type |
//! | [`rehearsal`] | what a run would do, on paper |
//! | [`bench`] | how fast it is, beside the bare broker |
//! | [`export`] | what one file of a run holds, and whether it can have been so |
//! | [`failure`] | why a command did not do as asked |
//! | [`telemetry`] | logs |
//! | [`descriptors`] | how many files and connections this process may have open |

pub mod api;
pub mod bench;
pub mod cli;
pub mod codes;
pub mod descriptors;
pub mod dev;
pub mod documents;
pub mod export;
pub mod failure;
pub mod process;
pub mod rehearsal;
pub mod roles;
pub mod settings;
pub mod telemetry;
