//! Finds a `nats-server` that is new enough.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker::parse_version;
use crate::{Broker, Disposition};

const NAME: &str = "nats-server";

/// A `nats-server` that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinary {
    pub path: PathBuf,
    /// Major and minor.
    pub version: (u32, u32),
}

/// Says why there is none.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// Neither `HEADWATER_NATS_SERVER`, nor the directories asked for, nor `PATH` has one.
    #[error("no {NAME} found: install 2.14 or newer, or name one in HEADWATER_NATS_SERVER")]
    NotFound,
    #[error("{} does not run", .path.display())]
    Broken { path: PathBuf, source: io::Error },
    #[error("{} is {version}, at least 2.14 is needed", .path.display())]
    TooOld { path: PathBuf, version: String },
}

impl BinaryError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NotFound | Self::Broken { .. } | Self::TooOld { .. } => Disposition::Rejection,
        }
    }
}

impl ServerBinary {
    /// Finds one: what `HEADWATER_NATS_SERVER` names (that or none), else in `extra`, else on `PATH`. The first that
    /// is new enough is taken.
    ///
    /// # Errors
    /// See [`BinaryError`]; of several that do not fit, the first is named.
    pub fn find(extra: &[PathBuf]) -> Result<Self, BinaryError> {
        if let Some(named) = env::var_os("HEADWATER_NATS_SERVER") {
            return Self::at(Path::new(&named));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = extra.iter().cloned().chain(env::split_paths(&path));
        let mut first_failure = None;
        for candidate in directories.map(|directory| directory.join(NAME)).filter(|path| path.is_file()) {
            match Self::at(&candidate) {
                Ok(binary) => return Ok(binary),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        Err(first_failure.unwrap_or(BinaryError::NotFound))
    }

    /// Takes the one at `path`.
    ///
    /// # Errors
    /// See [`BinaryError`].
    pub fn at(path: &Path) -> Result<Self, BinaryError> {
        let output = Command::new(path).arg("--version").output();
        let output = output.map_err(|source| BinaryError::Broken { path: path.to_owned(), source })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().rsplit(' ').next().unwrap_or_default();
        match parse_version(version) {
            Some(parsed) if parsed >= Broker::SERVER_VERSION_MIN => Ok(Self { path: path.to_owned(), version: parsed }),
            Some(_) | None => Err(BinaryError::TooOld { path: path.to_owned(), version: version.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn pretend(directory: &Path, version: &str) -> PathBuf {
        let path = directory.join(NAME);
        std::fs::write(&path, format!("#!/bin/sh\necho 'nats-server: {version}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_server_that_is_too_old_is_refused_with_its_version() {
        let directory = tempfile::tempdir().unwrap();
        let path = pretend(directory.path(), "v2.9.25");
        let refusal = ServerBinary::at(&path).unwrap_err();
        assert!(matches!(refusal, BinaryError::TooOld { ref version, .. } if version == "v2.9.25"), "{refusal}");
        let path = pretend(directory.path(), "v2.14.0");
        assert_eq!(ServerBinary::at(&path).unwrap().version, (2, 14));
    }
}
