//! What the caller of a failed operation does next: the one question every error of this crate answers.

/// The cause behind an error, as the broker's client gave it.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Says what follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The rules say no: answer the caller, never retry.
    Rejection,
    /// Somebody was first: re-read, decide again, bounded.
    Conflict,
    /// It did not happen: back off, retry.
    Unavailable,
    /// It may have happened: read back, compare, then decide.
    Indeterminate,
    /// The bytes are not ours: dead-letter with the reason.
    Malformed,
    /// History breaks the rules: quarantine.
    Corrupt,
}

/// Says how a plain exchange with the broker went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The broker says no to this very request; asking again changes nothing.
    #[error("the broker refuses to {what}")]
    Refused { what: &'static str, source: Cause },
    /// It did not happen.
    #[error("the broker is not available to {what}")]
    Unavailable { what: &'static str, source: Cause },
    /// No answer in time: it may have happened.
    #[error("the broker did not answer in time whether it could {what}")]
    Indeterminate { what: &'static str, source: Cause },
    /// What the broker holds is not what this release writes.
    #[error("unreadable bytes while asked to {what}")]
    Malformed { what: &'static str, source: Cause },
}

impl ExchangeError {
    /// Returns what to do next.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Refused { .. } => Disposition::Rejection,
            Self::Unavailable { .. } => Disposition::Unavailable,
            Self::Indeterminate { .. } => Disposition::Indeterminate,
            Self::Malformed { .. } => Disposition::Malformed,
        }
    }

    pub(crate) fn refused(what: &'static str, source: impl Into<Cause>) -> Self {
        Self::Refused { what, source: source.into() }
    }

    pub(crate) fn unavailable(what: &'static str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { what, source: source.into() }
    }

    pub(crate) fn indeterminate(what: &'static str, source: impl Into<Cause>) -> Self {
        Self::Indeterminate { what, source: source.into() }
    }

    pub(crate) fn malformed(what: &'static str, source: impl Into<Cause>) -> Self {
        Self::Malformed { what, source: source.into() }
    }
}
