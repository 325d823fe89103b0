//! Where the Postgres programs are on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::ServerError;

/// The folder of one installation's programs.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
}

/// The oldest major version whose programs are used.
const MAJOR_MIN: u32 = 15;

impl Binaries {
    /// Looks in `HEADWATER_POSTGRES_BIN`, in `PATH`, where Debian keeps its versions (newest first), and where
    /// `pg_config` says. The first that is new enough wins; one that was named explicitly must be.
    pub(super) fn find() -> Result<Self, ServerError> {
        if let Some(folder) = std::env::var_os("HEADWATER_POSTGRES_BIN").filter(|folder| !folder.is_empty()) {
            let folder = PathBuf::from(folder);
            return match major_version(&folder) {
                Some(major) if major >= MAJOR_MIN => Ok(Self { folder }),
                Some(_) | None => Err(ServerError::ProgramsNotFound { looked_in: vec![folder] }),
            };
        }
        let folders = candidates();
        match folders.iter().find(|folder| major_version(folder).is_some_and(|major| major >= MAJOR_MIN)) {
            Some(folder) => Ok(Self { folder: folder.clone() }),
            None => Err(ServerError::ProgramsNotFound { looked_in: folders }),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    folders.extend(debian.into_iter().map(|(_, folder)| folder));
    let said = Command::new("pg_config").arg("--bindir").output().ok();
    let said = said.and_then(|output| String::from_utf8(output.stdout).ok());
    folders.extend(said.map(|text| PathBuf::from(text.trim())).filter(|folder| folder.is_absolute()));
    folders
}

/// Asks the server program in `folder` for its version; `None` when there is none, or not all that belongs to it.
fn major_version(folder: &Path) -> Option<u32> {
    if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
        return None;
    }
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    // "postgres (PostgreSQL) 15.18 (Debian …)"
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split(['.', 'd', 'b', 'r']).next()?.parse().ok()
}
