//! How many files and connections this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as are ever of use; some programs that actions start walk through all they may have.
const WANTED: u64 = 65_536;

/// Raises this process's own limit as far as it may, at most to 65,536; the usual 1,024 are gone quickly.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Returns how many this process may have open now.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(WANTED)
}
