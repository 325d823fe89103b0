//! How large things may be.

use std::collections::BTreeMap;

use crate::sources::{files_ending, package, read, report, shipped};

const SOURCE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 80;
const TYPE_LINES_MAX: usize = 600;

/// Functions with one arm for each event there is: they are read as tables.
const TABLES: [(&str, &str); 2] = [("core/src/run/evolve/mod.rs", "learn"), ("projector/src/fold/run.rs", "fold_run")];

#[test]
fn a_file_answers_one_question() {
    let long = |path: String| {
        let lines = read(&path).lines().count();
        let question = "which second question does it answer? give that one a file of its own";
        (lines > SOURCE_LINES_MAX).then(|| format!("{path} has {lines} lines: {question}"))
    };
    let sources = files_ending(".rs").filter(|path| path.contains("/src/"));
    report(sources.filter_map(long).collect(), "longer than one sitting (400 lines)");
}

/// Items that begin with a line which `named` knows, by name, and how many lines they have: as rustfmt leaves them, an item
/// ends where a brace stands below its beginning.
fn items(code: &str, named: impl Fn(&str) -> Option<String>) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = named(line.trim_start()) else { continue };
        let body = lines[at..].iter().position(|line| line.ends_with(['{', ';', '}']));
        if body.is_none_or(|body| !lines[at + body].ends_with('{')) {
            continue;
        }
        let end = format!("{}}}", " ".repeat(line.len() - line.trim_start().len()));
        found.extend(lines[at..].iter().position(|line| *line == end).map(|length| (name, length + 1)));
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn function(line: &str) -> Option<String> {
    let (before, name) = line.split_once("fn ")?;
    let is_head = |part: &str| ["const", "async", "unsafe"].contains(&part) || part.starts_with("pub");
    before.split_whitespace().all(is_head).then(|| word(name))
}

fn implementation(line: &str) -> Option<String> {
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(generic) => generic.split_once("> ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    (!rest.contains(" for ")).then(|| word(rest))
}

#[test]
fn a_function_is_seen_at_once() {
    let mut found = Vec::new();
    for (path, code) in shipped() {
        for (name, lines) in items(&code, function) {
            if lines > FUNCTION_LINES_MAX && !TABLES.contains(&(path.as_str(), name.as_str())) {
                found.push(format!("{path}: {name} has {lines} lines"));
            }
        }
    }
    report(found, "functions longer than a screen (80 lines)");
}

#[test]
fn a_type_is_one_thing() {
    let mut sizes: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (path, code) in shipped() {
        for (name, lines) in items(&code, implementation) {
            *sizes.entry((package(&path).to_owned(), name)).or_default() += lines;
        }
    }
    let mut found = Vec::new();
    for ((package, name), lines) in sizes {
        if lines > TYPE_LINES_MAX {
            found.push(format!("{package}: the implementations of {name} have {lines} lines"));
        }
    }
    report(found, "types that are several things (600 lines)");
}

#[test]
fn items_are_measured_from_their_first_line_to_their_last() {
    let code = "impl<T> A<T> {\n    pub(super) fn f(\n    ) {\n        x\n    }\n}\nimpl B for A {}\ntrait C {\n    fn g();\n    fn h() {}\n}\n";
    assert_eq!(items(code, function), [("f".to_owned(), 4)]);
    assert_eq!(items(code, implementation), [("A".to_owned(), 6)]);
}
