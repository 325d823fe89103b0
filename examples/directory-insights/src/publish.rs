//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Failure;

/// A file under a temporary name; it disappears unless it is published.
pub(crate) struct Draft {
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Draft {
    /// Creates the temporary file next to its target, and the directory if need be.
    pub(crate) fn create(target: &Path) -> Result<(Self, File), Failure> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let directory = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(Failure::io("could not create", directory))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{name}.{}-{count}.tmp", std::process::id()));
        let file = File::create(&temporary).map_err(Failure::io("could not create", &temporary))?;
        Ok((Self { temporary, target: target.to_path_buf(), published: false }, file))
    }

    /// Makes the file durable and gives it its name. Returns its size.
    pub(crate) fn publish(mut self, file: File) -> Result<u64, Failure> {
        let finish = || -> io::Result<u64> {
            file.sync_all()?;
            let size = file.metadata()?.len();
            fs::rename(&self.temporary, &self.target)?;
            Ok(size)
        };
        let size = finish().map_err(Failure::io("could not write", &self.target))?;
        self.published = true;
        Ok(size)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a whole file at once. Returns its size.
pub(crate) fn write(target: &Path, bytes: &[u8]) -> Result<u64, Failure> {
    let (draft, mut file) = Draft::create(target)?;
    file.write_all(bytes).map_err(Failure::io("could not write", target))?;
    draft.publish(file)
}
