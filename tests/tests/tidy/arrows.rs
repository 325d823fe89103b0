//! Who may know whom: packages, and the crates of others.

use std::collections::BTreeMap;

use crate::sources::{code, dependencies, files_ending, lines_with, package, read, report, shipped};

/// Which of our own packages each may name. A package that is not here is not known.
pub const ARROWS: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("streams", &["headwater-core"]),
    ("workers", &["headwater-core", "headwater-streams"]),
    ("projector", &["headwater-core", "headwater-streams"]),
    ("ops", &["headwater-core", "headwater-streams", "headwater-workers", "headwater-projector"]),
    ("examples", &["headwater-core", "headwater-streams", "headwater-workers"]),
    ("tests", &["headwater-core", "headwater-streams", "headwater-workers", "headwater-projector"]),
];

/// Crates that only one package may name, in its sources and among its dependencies.
const FENCES: [(&str, &str); 7] = [
    ("async_nats", "streams"),
    ("tokio_postgres", "projector"),
    ("deadpool_postgres", "projector"),
    ("refinery", "projector"),
    ("axum", "ops"),
    ("hyper", "ops"),
    ("clap", "ops"),
];

/// All that the core stands on: whoever embeds the rules takes these with them.
const CRATES_OF_CORE: [&str; 12] = [
    "cel",
    "jiff",
    "jsonschema",
    "regex-automata",
    "rustc-hash",
    "serde",
    "serde_ignored",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
    "uuid",
];

/// What the core must do without: async, files, network, clocks, logging, the environment.
const NOT_IN_CORE: [&str; 14] = [
    "tokio",
    "futures_util",
    "async",
    "await",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "tracing",
    "println!",
    "eprintln!",
];

#[test]
fn no_package_names_one_that_it_must_not_know() {
    let arrows: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let mut found = Vec::new();
    for path in files_ending("/Cargo.toml") {
        let Some(allowed) = arrows.get(package(&path)) else {
            found.push(format!("{path}: say in ARROWS what this package may know"));
            continue;
        };
        for name in dependencies(&read(&path)) {
            let ours = name == "headwater" || name.starts_with("headwater-");
            if ours && !allowed.contains(&name.as_str()) {
                found.push(format!("{path} names {name}"));
            }
            let fenced = FENCES.iter().find(|(fenced, _)| fenced.replace('_', "-") == name);
            if let Some((_, home)) = fenced.filter(|(_, home)| *home != package(&path)) {
                found.push(format!("{path} names {name}, which belongs to {home}"));
            }
        }
    }
    report(found, "arrows that must not exist (ARCHITECTURE.md, what is absent where)");
}

#[test]
fn foreign_crates_stay_behind_their_fences() {
    let mut found = Vec::new();
    for path in files_ending(".rs") {
        let code = code(&read(&path));
        for (fenced, home) in FENCES.into_iter().filter(|(_, home)| *home != package(&path)) {
            let lines = lines_with(&code, fenced);
            found.extend(lines.iter().map(|line| format!("{path}:{line} names {fenced}, which belongs to {home}")));
        }
    }
    report(found, "crates named outside the package that wraps them");
}

#[test]
fn the_core_has_no_clock_no_async_and_no_io() {
    let mut found = Vec::new();
    for (path, code) in shipped().into_iter().filter(|(path, _)| package(path) == "core") {
        for word in NOT_IN_CORE {
            found.extend(lines_with(&code, word).iter().map(|line| format!("{path}:{line} {word}")));
        }
    }
    report(found, "times, ids and randomness are arguments of the core; bytes are moved elsewhere");
}

#[test]
fn the_core_stands_on_few_crates() {
    let manifest = read("core/Cargo.toml");
    let shipped = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    let used: Vec<String> = dependencies(shipped).into_iter().collect();
    assert_eq!(used, CRATES_OF_CORE, "what the core stands on");
}
