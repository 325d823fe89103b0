//! The API from outside, against real servers. Every answer is held against the OpenAPI document on the way.

mod actions;
mod actors;
mod as_of;
mod batches;
mod branches;
mod browsers;
mod calls;
mod commands;
mod compensation;
mod contexts;
mod dev;
#[path = "../../../projector/tests/door.rs"]
mod door;
mod edge;
mod engine;
mod explain;
mod exports;
mod followers;
mod holds;
mod large;
mod large_definitions;
mod lives;
mod marks;
mod named_runs;
mod neighbours;
mod operations;
mod outages;
mod people;
mod quarantine;
mod readable;
mod releases;
mod reuse;
mod signals;
mod symbols;
mod updates;
mod values;
