//! The sources as the rules see them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand beside the other packages").to_owned()
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the repository by its path from the root, without what is built or kept beside it.
pub fn files() -> Vec<String> {
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

pub fn files_ending(ending: &str) -> impl Iterator<Item = String> {
    files().into_iter().filter(move |path| path.ends_with(ending))
}

/// The package a path belongs to, by its first folder.
pub fn package(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// Rust sources that are shipped, as code alone: without comments, literals and test modules.
pub fn shipped() -> Vec<(String, String)> {
    let shipped = files_ending(".rs").filter(|path| path.contains("/src/") && !is_test(path));
    shipped.map(|path| (path.clone(), without_tests(code(&read(&path))))).collect()
}

/// Blanks out comments and literals; lines stay where they are.
pub fn code(text: &str) -> String {
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
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
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

pub fn report(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}

/// Every dependency of a manifest, of whatever kind, as it is spelled there.
pub fn dependencies(manifest: &str) -> BTreeSet<String> {
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
fn the_reader_of_sources_sees_code_only() {
    let text = "a(); // tokio\nb(\"tokio\\\" tokio\", 'x', '\\'', r#\"tokio\"#); /* tokio\n */ c::<'a>();\n";
    let seen = code(text);
    assert!(!seen.contains("tokio"), "{seen}");
    assert!(seen.contains("a();") && seen.contains("c::<'a>();") && seen.lines().count() == text.lines().count());
    let tested = without_tests("x.y();\n#[cfg(test)]\nmod tests {\n fn f() { z.unwrap() }\n}\nw();\n".to_owned());
    assert!(tested.contains("x.y();") && tested.contains("w();") && !tested.contains("unwrap"), "{tested}");
    assert_eq!(lines_with("use tokio_util;\nuse tokio::x;\n", "tokio"), [2]);
}
