//! Between HTTP and the handlers: what a request says, what is refused before anybody looks at it, and what answers look like.

pub mod admission;
pub mod answer;
pub mod asked;
pub mod body;
pub mod catalogue;
pub mod connections;
pub mod problem;
pub mod reading;
pub mod token;
pub mod turns;
