//! The rules of the shard from outside: given what happened, when a command comes, then these are the facts.

mod assets;
mod bounds;
mod branches;
mod checkpoints;
mod compiling;
mod effects;
mod everything;
mod first_use;
mod golden_checkpoint;
mod incarnations;
mod lanes;
mod laws;
mod owner;
mod panics;
mod poison;
mod quarantine;
mod release;
mod release_desk;
mod reports;
mod runs;
mod speed;
mod turns;
mod witnesses;
mod workflows;
mod world;
