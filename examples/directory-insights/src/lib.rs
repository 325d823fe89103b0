//! Directory insights: three jobs that look at a directory, draw what they saw, and pack the drawing.
//!
//! `scan-directory` walks a tree, `generate-visualizations` writes a report about it, and `archive-report` packs a
//! report into one file. Each is a plain function from its input to its output; nothing here knows the engine.
//!
//! | module | question it answers |
//! |---|---|
//! | [`scan`] | what is in a directory |
//! | [`report`] | what does that look like |
//! | [`archive`] | how do the files of a report travel |
//! | [`handlers`] | under which names, as JSON in and JSON out |
//! | [`attempt`] | how a job says how far it is, and learns that it should stop |
//! | [`failure`] | why a job gave up |

pub mod archive;
pub mod attempt;
pub mod failure;
pub mod handlers;
mod publish;
pub mod report;
pub mod scan;

pub use attempt::Attempt;
pub use failure::Failure;

/// Returns the current time as RFC 3339 text in whole milliseconds.
fn now() -> String {
    rfc3339(jiff::Timestamp::now())
}

fn rfc3339(time: jiff::Timestamp) -> String {
    format!("{time:.3}")
}
