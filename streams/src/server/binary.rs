//! Finds a `nats-server` that is new enough.

use std::env;
use std::ffi::OsString;
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
    /// Neither where `ops/setup/install.sh` puts it nor on `PATH`.
    #[error("no {NAME} found: run ops/setup/install.sh, or name one (2.14 or newer) in HEADWATER_NATS_SERVER")]
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
    /// Finds one: what `HEADWATER_NATS_SERVER` names (that or none), else where `ops/setup/install.sh` puts it
    /// (`${XDG_DATA_HOME:-$HOME/.local/share}/headwater/bin`), else on `PATH`. The first that is new enough is taken.
    /// Whoever starts a server asks here: the engine, its tests and the examples.
    ///
    /// # Errors
    /// See [`BinaryError`]; of several that do not fit, the first is named.
    pub fn find() -> Result<Self, BinaryError> {
        Self::find_by(|name| env::var_os(name))
    }

    fn find_by(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, BinaryError> {
        // As in a shell's `${NAME:-}`: an empty variable is none.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(named) = variable("HEADWATER_NATS_SERVER") {
            return Self::at(Path::new(&named));
        }
        let data = variable("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/share")));
        let installed = data.map(|data| data.join("headwater/bin"));
        let path = variable("PATH").unwrap_or_default();
        let directories = installed.into_iter().chain(env::split_paths(&path));
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

    /// What is found where these variables are set.
    fn found(variables: &[(&str, &Path)]) -> Result<PathBuf, BinaryError> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        ServerBinary::find_by(value).map(|binary| binary.path)
    }

    #[test]
    fn a_server_is_found_where_setup_puts_it_and_that_one_goes_first() {
        let home = tempfile::tempdir().unwrap();
        let installed = home.path().join(".local/share/headwater/bin");
        let (elsewhere, path) = (home.path().join("data"), home.path().join("path"));
        for folder in [&installed, &elsewhere.join("headwater/bin"), &path] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let (home, none) = (("HOME", home.path()), Path::new(""));
        assert!(matches!(found(&[home, ("PATH", &path)]), Err(BinaryError::NotFound)));
        let on_path = pretend(&path, "v2.14.0");
        assert_eq!(found(&[home, ("PATH", &path)]).unwrap(), on_path);
        let installed = pretend(&installed, "v2.15.0");
        assert_eq!(found(&[home, ("PATH", &path)]).unwrap(), installed);
        assert_eq!(found(&[home]).unwrap(), installed);
        // Empty variables are none.
        assert_eq!(found(&[home, ("XDG_DATA_HOME", none), ("HEADWATER_NATS_SERVER", none)]).unwrap(), installed);
        let moved = pretend(&elsewhere.join("headwater/bin"), "v2.15.0");
        assert_eq!(found(&[home, ("XDG_DATA_HOME", &elsewhere)]).unwrap(), moved);
    }

    #[test]
    fn a_server_that_is_named_is_taken_or_none() {
        let home = tempfile::tempdir().unwrap();
        let installed = home.path().join(".local/share/headwater/bin");
        std::fs::create_dir_all(&installed).unwrap();
        pretend(&installed, "v2.15.0");
        let old = pretend(home.path(), "v2.9.25");
        let refusal = found(&[("HOME", home.path()), ("HEADWATER_NATS_SERVER", &old)]).unwrap_err();
        assert!(matches!(refusal, BinaryError::TooOld { .. }), "{refusal}");
        // One that is too old on the way is passed over.
        let fitting = found(&[("XDG_DATA_HOME", &home.path().join(".local/share")), ("PATH", home.path())]);
        assert!(fitting.is_ok());
    }
}
