//! The rules of the shard from outside: given what happened, when a command comes, then these are the facts.

mod assets;
mod bounds;
mod laws;
mod owner;
mod quarantine;
mod runs;
mod workflows;
mod world;
