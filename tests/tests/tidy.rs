//! Keeps the house: what can be read off the sources of the rules in ARCHITECTURE.md, and whether the papers are true.
//!
//! Needs nothing but the standard library, so it can also be run alone, from the root of the repository:
//! `CARGO_MANIFEST_DIR=$PWD/tests rustc --edition 2024 --test tests/tests/tidy.rs -o target/tidy && target/tidy`

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our own packages each may name. A package that is not here is not known.
const ARROWS: [(&str, &[&str]); 7] = [
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

const BANNED_NAMES: [&str; 12] =
    ["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "model", "models", "types", "base"];

/// Released migrations: name, length in bytes, FNV-1a (64 bits) of the bytes. Only ever added to.
const MIGRATIONS: [(&str, usize, u64); 1] = [("V1__read_models.sql", 8260, 0xfd18_fb7c_e65a_4d06)];

const SOURCE_LINES_MAX: usize = 400;
const ARCHITECTURE_LINES_MAX: usize = 250;
const RECORD_LINES_MAX: usize = 45;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand beside the other packages").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the repository by its path from the root, without what is built or kept beside it.
fn files() -> Vec<String> {
    let (root, mut found, mut todo) = (root(), Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = path.to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !["target", ".git", ".headwater"].contains(&name.as_str()) {
                todo.push(path);
            } else if kind.is_file() && name != ".git" {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn files_ending(ending: &str) -> impl Iterator<Item = String> {
    files().into_iter().filter(move |path| path.ends_with(ending))
}

/// The package a path belongs to, by its first folder.
fn package(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// Rust sources that are shipped, as code alone: without comments, literals and test modules.
fn shipped() -> Vec<(String, String)> {
    let shipped = files_ending(".rs").filter(|path| path.contains("/src/") && !is_test(path));
    shipped.map(|path| (path.clone(), without_tests(code(&read(&path))))).collect()
}

/// Blanks out comments and literals; lines stay where they are.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    while at < chars.len() {
        let end = if starts(at, "//") {
            (at..chars.len()).find(|n| chars[*n] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            (at + 2..chars.len()).find(|n| starts(*n, "*/")).map_or(chars.len(), |n| n + 2)
        } else if let Some(end) = end_of_text(&chars, at) {
            end
        } else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the literal that begins at `at` ends; `None` where none begins.
fn end_of_text(chars: &[char], at: usize) -> Option<usize> {
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '"' => (at + 1..chars.len())
            .scan(false, |escaped, n| {
                let ends = chars[n] == '"' && !*escaped;
                *escaped = chars[n] == '\\' && !*escaped;
                Some((n, ends))
            })
            .find(|(_, ends)| *ends)
            .map(|(n, _)| n + 1),
        'r' if !in_word => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            let open = at + 1 + hashes;
            if chars.get(open) != Some(&'"') {
                return None;
            }
            let closes = |n: &usize| chars[*n] == '"' && (1..=hashes).all(|h| chars.get(n + h) == Some(&'#'));
            (open + 1..chars.len()).find(closes).map(|n| n + 1 + hashes)
        }
        // A character, not a lifetime.
        '\'' if chars.get(at + 1) == Some(&'\\') => (at + 3..chars.len()).find(|n| chars[*n] == '\'').map(|n| n + 1),
        '\'' if chars.get(at + 2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}

/// Blanks out modules behind `#[cfg(test)]`.
fn without_tests(code: String) -> String {
    let mut rest = code.as_str();
    let mut out = String::with_capacity(code.len());
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let body = &rest[at..];
        let semicolon = body.find(';').unwrap_or(body.len());
        let end = match body.find('{').filter(|brace| *brace < semicolon) {
            None => semicolon,
            Some(open) => {
                let mut depth = 0_usize;
                let closed = body[open..].char_indices().find(|(_, c)| {
                    depth = depth + usize::from(*c == '{') - usize::from(*c == '}');
                    depth == 0
                });
                closed.map_or(body.len(), |(n, _)| open + n + 1)
            }
        };
        out.extend(body[..end].chars().filter(|c| *c == '\n'));
        rest = &body[end..];
    }
    out.push_str(rest);
    out
}

/// The lines on which a word stands by itself.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
            let closes = word.ends_with(|c: char| !is_part(c));
            !before.is_some_and(is_part) && (closes || !after.is_some_and(is_part))
        })
    };
    code.lines().enumerate().filter(|(_, line)| stands(line)).map(|(n, _)| n + 1).collect()
}

fn report(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}

/// Every dependency of a manifest, of whatever kind, as it is spelled there.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut in_section = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            in_section = section.trim_end_matches(']').ends_with("dependencies");
        } else if in_section && !line.is_empty() && !line.starts_with('#') {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || "_-".contains(*c)).collect();
            found.insert(name);
        }
    }
    found
}

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
fn a_file_answers_one_question() {
    let long = |path: String| {
        let lines = read(&path).lines().count();
        let question = "which second question does it answer? give that one a file of its own";
        (lines > SOURCE_LINES_MAX).then(|| format!("{path} has {lines} lines: {question}"))
    };
    let sources = files_ending(".rs").filter(|path| path.contains("/src/"));
    report(sources.filter_map(long).collect(), "longer than one sitting (400 lines)");
}

#[test]
fn released_migrations_are_never_edited() {
    let mut found = Vec::new();
    let mut there: Vec<String> = files_ending(".sql").filter(|path| path.contains("/migrations/")).collect();
    for (name, length, hash) in MIGRATIONS {
        let path = format!("projector/migrations/{name}");
        let bytes = fs::read(root().join(&path)).unwrap_or_default();
        if (bytes.len(), fnv1a(&bytes)) != (length, hash) {
            let now = format!("({name:?}, {}, {:#x})", bytes.len(), fnv1a(&bytes));
            found.push(format!("{path} was edited: put it back and add the next one (now {now})"));
        }
        there.retain(|known| *known != path);
    }
    found.extend(there.iter().map(|path| {
        let bytes = fs::read(root().join(path)).unwrap();
        format!("{path} is new: add it to MIGRATIONS, {} bytes, {:#x}", bytes.len(), fnv1a(&bytes))
    }));
    report(found, "databases out there have run them as they were");
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn no_file_names_a_machine_of_ours() {
    let own_paths = ["/home/", "/root/", "/Users/"];
    let own_registries = ["sparse+", "replace-with", "index-url", "GOPROXY", "registry=http", "registry = \"http"];
    let begins = |line: &str, at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~}/".contains(c));
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| path != "tests/tests/tidy.rs") {
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

#[test]
fn records_are_numbered_without_gaps_and_say_their_price() {
    let mut found = Vec::new();
    let records = files().into_iter().filter(|path| path.starts_with("ops/adr/"));
    for (n, path) in records.enumerate() {
        let number = format!("{:04}-", n + 1);
        if !path["ops/adr/".len()..].starts_with(&number) || !path.ends_with(".md") {
            found.push(format!("{path}: here {number}title.md is expected"));
        }
        let text = read(&path);
        let title = format!("# {}. ", n + 1);
        for part in [title.as_str(), "## Context", "## Decision", "## Price"] {
            if !text.lines().any(|line| line.starts_with(part)) {
                found.push(format!("{path} lacks `{part}`"));
            }
        }
        if text.lines().count() > RECORD_LINES_MAX {
            found.push(format!("{path} is longer than {RECORD_LINES_MAX} lines"));
        }
    }
    report(found, "decision records");
}

#[test]
fn the_two_commands_are_there() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| line.split_once(':')).map(|(t, _)| t).collect();
    let named = readme.lines().filter_map(|line| line.strip_prefix("make ")).filter_map(|rest| rest.split(' ').next());
    let named: BTreeSet<&str> = named.collect();
    for command in ["demo", "test"] {
        assert!(named.contains(command), "README.md does not show `make {command}`");
    }
    let missing: Vec<String> = named.difference(&targets).map(|target| format!("make {target}")).collect();
    report(missing, "README.md shows what the Makefile does not have");
}

#[test]
fn ci_has_nothing_but_what_setup_installs() {
    let script = read(".ci/run");
    let commands = || script.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let run = "env -i \"${scrubbed[@]}\" \\";
    let after = commands().skip_while(|line| *line != run).nth(1);
    assert_eq!(after, Some("make test </dev/null"), ".ci/run: `{run}` and then make test");
    for own in ["HEADWATER_", "XDG_"] {
        assert!(commands().all(|line| !line.contains(own)), ".ci/run hands {own}* on");
    }
    // One finder of the servers for all: whoever looks alone looks elsewhere than setup puts them.
    for (variable, finder) in [
        ("HEADWATER_NATS_SERVER", "streams/src/server/binary.rs"),
        ("HEADWATER_POSTGRES_BIN", "projector/src/server/binaries.rs"),
    ] {
        let read_in = |path: &String| read(path).contains(&format!("(\"{variable}\""));
        let finders: Vec<String> = files_ending(".rs").filter(read_in).filter(|path| path != file!()).collect();
        assert_eq!(finders, [finder], "{variable}");
    }
}

#[test]
fn the_map_is_short_and_true() {
    let map = read("ARCHITECTURE.md");
    let lines = map.lines().count();
    assert!(lines <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {lines} lines, at most {ARCHITECTURE_LINES_MAX}");
    let mut found = Vec::new();
    for path in map.split('`').skip(1).step_by(2) {
        let ours = ARROWS.iter().any(|(folder, _)| path.starts_with(&format!("{folder}/")));
        if ours && !root().join(path).exists() {
            found.push(format!("{path} is not there"));
        }
    }
    let of_row = |line: &str| line.strip_prefix("| `").and_then(|rest| invariant(rest).map(str::to_owned));
    let shown: BTreeSet<String> = map.lines().filter_map(of_row).collect();
    let mut held = BTreeSet::new();
    for path in files_ending(".rs") {
        let of_line = |line: &str| line.strip_prefix("//! * `").and_then(|rest| invariant(rest).map(str::to_owned));
        held.extend(read(&path).lines().filter_map(of_line));
    }
    found.extend(held.difference(&shown).map(|id| format!("{id} is not among the invariants")));
    found.extend(shown.difference(&held).map(|id| format!("{id} stands in no module")));
    report(found, "ARCHITECTURE.md");
}

/// Reads `ABC-7` before a backtick.
fn invariant(text: &str) -> Option<&str> {
    let (id, _) = text.split_once('`')?;
    let (kind, number) = id.split_once('-')?;
    let fits = kind.len() > 1 && kind.bytes().all(|b| b.is_ascii_uppercase());
    (fits && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = Vec::new();
    for path in files_ending(".md") {
        for target in links(&read(&path)) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
            let leads_to = if file.is_empty() { PathBuf::from(&path) } else { folder.join(file) };
            let there = root().join(&leads_to);
            if !there.exists() {
                found.push(format!("{path}: {target}"));
            } else if !anchor.is_empty() && !headings(&fs::read_to_string(&there).unwrap_or_default()).contains(anchor)
            {
                found.push(format!("{path}: {target} (no such heading)"));
            }
        }
    }
    report(found, "links that lead nowhere");
}

/// Relative targets of links outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, block) in text.split("```").enumerate() {
        if n % 2 == 1 {
            continue;
        }
        let prose: String = block
            .split("](")
            .enumerate()
            .map(|(n, part)| if n > 0 { format!("\u{1}{part}") } else { part.to_owned() })
            .collect();
        for part in prose.split('\u{1}').skip(1) {
            let target: String = part.chars().take_while(|c| *c != ')' && !c.is_whitespace()).collect();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target);
            }
        }
    }
    found
}

/// The anchors of a page's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let title = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
        let kept =
            title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        Some(kept.replace(' ', "-"))
    };
    text.lines().filter_map(heading).collect()
}

#[test]
fn the_reader_of_sources_sees_code_only() {
    let text = "a(); // tokio\nb(\"tokio\\\" tokio\", 'x', '\\'', r#\"tokio\"#); /* tokio\n */ c::<'a>();\n";
    let seen = code(text);
    assert!(!seen.contains("tokio"), "{seen}");
    assert!(seen.contains("a();") && seen.contains("c::<'a>();") && seen.lines().count() == text.lines().count());
    let tested = without_tests("x.y();\n#[cfg(test)]\nmod tests {\n fn f() { z.unwrap() }\n}\nw();\n".to_owned());
    assert!(tested.contains("x.y();") && tested.contains("w();") && !tested.contains("unwrap"), "{tested}");
    assert_eq!(lines_with("use tokio_util;\nuse tokio::x;\n", "tokio"), [2]);
    assert_eq!(links("[a](b.md#c) `x`\n```\n[n](o)\n```\n[d](https://e) [f](g)"), ["b.md#c", "g"]);
    assert!(headings("# What is there?\n## `headwater bench`\n").contains("headwater-bench"));
}
