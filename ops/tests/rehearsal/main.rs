//! `headwater test` and `headwater run replay` as people type them: no server, no network.
//!
//! | file | question |
//! |---|---|
//! | here | whether the examples' tests pass, and how the command answers |
//! | `found` | which mistakes of definitions and handlers come to light |
//! | `assets` | which versions there are before, and what a consumer gets |
//! | `refused` | what is wrong with a test file |
//! | `compensation` | what undoes nodes |
//! | `faults` | what goes wrong by a seed |
//! | `exported` | what is folded of an exported run, and what is found in one that was changed |

mod assets;
mod compensation;
mod exported;
mod faults;
mod found;
mod refused;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What the command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The one case, as programs see it.
    pub fn case(&self) -> Value {
        let said: Value = serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err));
        said["files"][0]["cases"][0].clone()
    }
}

pub fn headwater(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(arguments)
        // Nothing listens there: whoever asked would fail.
        .env("HEADWATER_API", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with a definition and a test of it.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn of(definition: &str, test: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flow.yaml"), definition).unwrap();
        std::fs::write(folder.path().join("flow.test.yaml"), test).unwrap();
        Self { folder }
    }

    pub fn test(&self, arguments: &[&str]) -> Said {
        let path = self.folder.path().join("flow.test.yaml");
        headwater(&[&["test", path.to_str().unwrap()], arguments].concat())
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tests_of_examples() -> Vec<PathBuf> {
    [
        "examples/directory-insights/directory-insights.test.yaml",
        "examples/ideation/ideation.test.yaml",
        "examples/tests/callback.test.yaml",
        "examples/tests/endless.test.yaml",
        "examples/tests/patterns.test.yaml",
        "examples/tests/saga.test.yaml",
    ]
    .map(|path| repository().join(path))
    .to_vec()
}

#[test]
fn the_tests_of_the_examples_pass() {
    let files = tests_of_examples();
    let files: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let said = headwater(&[&["test"], files.as_slice()].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("\n29 passed, 0 failed\n"), "{}", said.out);
    // And so they are found in their folders.
    let folder = repository().join("examples");
    assert_eq!(headwater(&["test", folder.to_str().unwrap()]).out, said.out);
    let without = headwater(&["test", folder.join("patterns").to_str().unwrap()]);
    assert!(without.code == 2 && without.err.contains("there is no test in these places"), "{}", without.err);
}

/// The blocks of a page that are marked so, without their fences.
fn blocks<'p>(page: &'p str, mark: &str) -> Vec<&'p str> {
    let fence = format!("\n```{mark}\n");
    let found = page.split(&fence).skip(1);
    found.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn the_examples_of_the_documentation_do_what_it_says() {
    let page = std::fs::read_to_string(repository().join("docs/testing.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for block in blocks(&page, "yaml") {
        let name = block.lines().next().and_then(|line| line.strip_prefix("# ")).expect("an example names its file");
        std::fs::write(folder.path().join(name), block).unwrap();
    }
    // The closing fences of the others look like opening ones of these.
    let answers: Vec<_> = blocks(&page, "").into_iter().filter(|block| block.contains(".test.yaml\n  ")).collect();
    assert_eq!(answers.len(), 2);
    let play = |name: &str| headwater(&["test", folder.path().join(name).to_str().unwrap()]);
    for (name, code, answer) in [
        ("order", 0, Some(answers[0])),
        ("each", 0, None),
        ("gate", 0, None),
        ("ask", 0, None),
        ("charge", 1, Some(answers[1])),
    ] {
        let said = play(&format!("{name}.test.yaml"));
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        let shown = said.out.replace(&format!("{}/", folder.path().display()), "");
        assert!(answer.is_none_or(|answer| shown.starts_with(answer)), "{shown}");
    }
}
