//! `headwater test` as people type it: no server, no network.
//!
//! | file | question |
//! |---|---|
//! | here | how the command answers |
//! | `found` | which mistakes of definitions and handlers come to light |
//! | `refused` | what is wrong with a test file |
//! | `faults` | what goes wrong by a seed |

mod faults;
mod found;
mod refused;

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
