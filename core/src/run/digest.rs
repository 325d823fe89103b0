//! By what two foldings of a run are told apart without being laid side by side.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::History;
use super::state::Run;
use crate::Revision;

/// How many bytes of a run are hashed for whoever asks: its shard decides nothing meanwhile.
pub const DIGESTED_BYTES_MAX: usize = 1 << 20;

/// A hash of what a checkpoint holds of a run, and where that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDigest {
    /// Of the last event folded.
    pub revision: Revision,
    /// SHA-256, 64 hex digits; `None`: there is more of the run than is hashed.
    pub digest: Option<String>,
}

/// Returns the digest of an active run. What memos were told in the meantime has no part in it.
pub fn digest_of(run: &Run) -> RunDigest {
    digest_within(run, DIGESTED_BYTES_MAX)
}

fn digest_within(run: &Run, bytes_max: usize) -> RunDigest {
    let mut record = run.record();
    record.forget_landings();
    let mut hashing = Hashing { hash: Sha256::new(), left: bytes_max };
    let written = serde_json::to_writer(&mut hashing, &record);
    let hex = |hash: Sha256| hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    RunDigest { revision: run.revision(), digest: written.ok().map(|()| hex(hashing.hash)) }
}

impl History {
    /// Returns the digest of the run as it is by now, however much that is; `None`: nothing has happened. An active run's shard gives
    /// the same of the same history, or none.
    pub fn digest(&self) -> Option<RunDigest> {
        self.run().map(|run| digest_within(run, usize::MAX))
    }
}

struct Hashing {
    hash: Sha256,
    left: usize,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
