//! Commands on definitions: applying them, and saying what is wrong with them.

pub mod apply;
mod files;
pub mod validate;
