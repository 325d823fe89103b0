//! The API from outside, against real servers. Every answer is held against the OpenAPI document on the way.

mod commands;
mod edge;
mod engine;
mod lives;
mod neighbours;
mod outages;
