//! Why a job gave up.

use std::io;
use std::path::Path;

/// Why a job gave up; the code is stable, for retry policies and failure transitions.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is not what the job takes. Another try gives the same.
    #[error("{0}")]
    InvalidInput(String),
    /// What should be read is not there.
    #[error("{0}")]
    NotFound(String),
    /// A path that would lead out of where it belongs.
    #[error("{0}")]
    UnsafePath(String),
    /// The file system refused; another try may do better.
    #[error("{action} {path}: {source}")]
    Io { action: &'static str, path: String, source: io::Error },
    /// Somebody asked for it to stop.
    #[error("the job was cancelled")]
    Cancelled,
}

impl Failure {
    /// Returns the code under which the failure is reported.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) => "invalid_input",
            Self::NotFound(_) => "not_found",
            Self::UnsafePath(_) => "unsafe_path",
            Self::Io { .. } => "io",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether another try is useless.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::InvalidInput(_) | Self::NotFound(_) | Self::UnsafePath(_) | Self::Cancelled => true,
            Self::Io { .. } => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { action, path, source }
    }
}
