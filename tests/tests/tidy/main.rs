//! Keeps the house: what can be read off the sources of the rules in ARCHITECTURE.md, and whether the papers are true.
//!
//! Needs nothing but the standard library, so it can also be run alone, from the root of the repository:
//! `CARGO_MANIFEST_DIR=$PWD/tests rustc --edition 2024 --test tests/tests/tidy/main.rs -o target/tidy && target/tidy`

mod arrows;
mod fields;
mod modules;
mod papers;
mod sizes;
mod sources;
mod words;
