//! Words that must not stand in the code.

use std::fs;

use crate::sources::{code, files, files_ending, lines_with, package, read, report, root, shipped};

const BANNED_NAMES: [&str; 12] =
    ["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "model", "models", "types", "base"];

#[test]
fn modules_are_named_after_what_they_hold() {
    let sources = files_ending(".rs").filter(|path| !path.starts_with("tests/"));
    let named = |path: &String| path.trim_end_matches(".rs").split('/').any(|part| BANNED_NAMES.contains(&part));
    report(sources.filter(named).collect(), "names that say nothing: name the noun");
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let mut found = Vec::new();
    for path in files_ending(".rs") {
        let code = code(&read(&path));
        for word in ["todo!", "unimplemented!", "dbg!"] {
            found.extend(lines_with(&code, word).iter().map(|line| format!("{path}:{line} {word}")));
        }
    }
    for (path, code) in shipped() {
        let lines = code.lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"));
        found.extend(lines.map(|(n, _)| format!("{path}:{} .unwrap(): say with expect why it holds", n + 1)));
    }
    report(found, "left for later");
}

#[test]
fn no_file_names_a_machine_of_ours() {
    let own_paths = ["/home/", "/root/", "/Users/"];
    let own_registries = ["sparse+", "replace-with", "index-url", "GOPROXY", "registry=http", "registry = \"http"];
    let begins = |line: &str, at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~}/".contains(c));
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| path != "tests/tests/tidy/words.rs") {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (n, line) in text.lines().enumerate() {
            let mut named = own_paths.iter().filter(|own| line.match_indices(**own).any(|(at, _)| begins(line, at)));
            let mut fetched = own_registries.iter().filter(|own| line.contains(**own));
            let foreign = line.strip_prefix("source = \"").is_some_and(|source| !source.contains("crates.io-index\""));
            if let Some(own) = named.next().or_else(|| fetched.next()) {
                found.push(format!("{path}:{} {own}", n + 1));
            } else if foreign && path == "Cargo.lock" {
                found.push(format!("{path}:{} a source other than crates.io", n + 1));
            }
        }
    }
    report(found, "paths and registries of somebody's machine");
}

/// Enums of ours that grow: whoever tells their variants apart tells all of them apart.
const CLOSED: [&str; 27] = [
    "AssetCommand",
    "AssetEffect",
    "AssetEvent",
    "Asker",
    "BuiltIn",
    "Command",
    "Effect",
    "Ending",
    "Event",
    "Execution",
    "HoldReason",
    "Input",
    "Output",
    "Phase",
    "Record",
    "Rejection",
    "RunCommand",
    "RunEffect",
    "RunEvent",
    "RunStatus",
    "ShardReply",
    "ShardRequest",
    "ToRun",
    "Trigger",
    "WorkReply",
    "WorkRequest",
    "WorkflowEvent",
];

/// The lines of `_` arms beside arms that name one of our own variants.
fn blind_arms(code: &str) -> Vec<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let names_ours = |line: &str| {
        let pattern = line.trim_start().trim_start_matches("| ").trim_start_matches('&');
        let inner = ["Some(", "Ok(", "Err("].iter().fold(pattern, |rest, wrap| rest.strip_prefix(wrap).unwrap_or(rest));
        inner.split_once("::").is_some_and(|(name, _)| CLOSED.contains(&name))
    };
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !line.trim_start().starts_with("_ =>") {
            continue;
        }
        let arms =
            lines[..at].iter().rev().take_while(|above| above.trim().is_empty() || indent(above) >= indent(line));
        if arms.into_iter().any(|above| indent(above) == indent(line) && names_ours(above)) {
            found.push(at + 1);
        }
    }
    found
}

#[test]
fn whoever_tells_our_variants_apart_names_them_all() {
    let sources = shipped().into_iter().filter(|(path, _)| ["core", "workers", "projector"].contains(&package(path)));
    let found =
        sources.flat_map(|(path, code)| blind_arms(&code).into_iter().map(move |line| format!("{path}:{line}")));
    report(found.collect(), "`_` arms over our own enums: a new variant would pass them unseen");
    let code = "match event {\n    Some(RunEvent::A { .. }) => {\n        b\n    }\n    _ => c,\n}\nmatch value {\n    Value::A => b,\n    _ => c,\n}\n";
    assert_eq!(blind_arms(code), [5]);
}
