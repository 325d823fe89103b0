//! A worker against a shard that is played by the test.

mod house;
mod long;
mod silence;
mod speed;
mod tasks;
