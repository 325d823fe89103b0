//! `scan-directory`: what is in a directory.
//!
//! Walks breadth first, so that a scan cut off at `maxEntries` still shows the whole top. Symbolic links are not
//! followed; what cannot be read becomes an issue, not a failure.

mod output;
mod statistics;

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use output::{DepthStat, DirectoryStat, ExtensionStat, FileStat, Issue, ScanOutput, SizeBucket, Summary};
use statistics::Statistics;

use crate::{Attempt, Failure};

/// How many entries are visited unless the input says otherwise.
pub const ENTRIES_DEFAULT: u64 = 20_000;
/// The fewest and the most entries an input may ask for.
pub const ENTRIES: std::ops::RangeInclusive<u64> = 1_000..=200_000;

/// What to scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanInput {
    /// The directory to walk.
    pub scan_dir: PathBuf,
    /// How many entries are visited at most.
    #[serde(default)]
    pub max_entries: Option<u64>,
}

/// Scans a directory. The output stays below 400 KB however large the directory is.
///
/// # Errors
/// When the directory itself is not there or cannot be read.
pub fn scan_directory(input: &ScanInput, attempt: &Attempt<'_>) -> Result<ScanOutput, Failure> {
    let entries_max = input.max_entries.unwrap_or(ENTRIES_DEFAULT);
    if !ENTRIES.contains(&entries_max) {
        let message = format!("maxEntries must be from {} to {}", ENTRIES.start(), ENTRIES.end());
        return Err(Failure::InvalidInput(message));
    }
    let started = Instant::now();
    let root = open_root(&input.scan_dir)?;
    let mut statistics = Statistics::new();
    let mut todo = VecDeque::from([Visit { path: root.clone(), directory: 0 }]);
    let mut seen = 0_u64;
    'walk: while let Some(visit) = todo.pop_front() {
        attempt.step(seen as f64 / entries_max as f64)?;
        let names = match list(&visit.path) {
            Ok(names) => names,
            Err(error) => {
                statistics.issue(&relative(&root, &visit.path), &error);
                continue;
            }
        };
        for path in names {
            if seen == entries_max {
                statistics.truncated = true;
                break 'walk;
            }
            seen += 1;
            let shown = relative(&root, &path);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    let directory = statistics.directory(&shown, visit.directory);
                    todo.push_back(Visit { path, directory });
                }
                Ok(metadata) if metadata.is_file() => {
                    statistics.file(&shown, visit.directory, metadata.len(), modified(&metadata));
                }
                Ok(_) => {}
                Err(error) => statistics.issue(&shown, &error),
            }
        }
    }
    attempt.step(1.0)?;
    Ok(statistics.finish(&root.display().to_string(), started.elapsed(), entries_max))
}

struct Visit {
    path: PathBuf,
    /// Its position among the directories.
    directory: usize,
}

fn open_root(path: &Path) -> Result<PathBuf, Failure> {
    let root = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("the directory {} does not exist", path.display())),
        _ => Failure::io("could not open", path)(error),
    })?;
    if !root.is_dir() {
        return Err(Failure::InvalidInput(format!("{} is not a directory", path.display())));
    }
    fs::read_dir(&root).map_err(Failure::io("could not read", &root))?;
    Ok(root)
}

/// Lists a directory by name, so that the same tree gives the same scan.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    if inside.is_empty() { ".".to_owned() } else { inside.into_owned() }
}

fn modified(metadata: &Metadata) -> Option<jiff::Timestamp> {
    metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok())
}
