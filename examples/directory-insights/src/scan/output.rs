//! What a scan says about a directory.

use serde::{Deserialize, Serialize};

/// A whole scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanOutput {
    /// The scanned directory, absolute.
    pub root_path: String,
    pub generated_at: String,
    pub duration_ms: u64,
    pub summary: Summary,
    /// The largest directories, each after the one it lies in; the first is the root, `.`.
    pub directories: Vec<DirectoryStat>,
    /// By size, the largest first; the last may stand for all others.
    pub extension_stats: Vec<ExtensionStat>,
    pub size_distribution: Vec<SizeBucket>,
    pub depth_stats: Vec<DepthStat>,
    pub largest_files: Vec<FileStat>,
    pub directories_by_size: Vec<DirectoryStat>,
    pub issues: Vec<Issue>,
}

/// The scan in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub total_files: u64,
    /// Without the root itself.
    pub total_directories: u64,
    /// In bytes.
    pub total_size: u64,
    /// In bytes.
    pub average_file_size: f64,
    /// Of the deepest file or directory; entries of the root have depth 1.
    pub max_depth: u64,
    #[serde(default)]
    pub earliest_modified_at: Option<String>,
    #[serde(default)]
    pub latest_modified_at: Option<String>,
    /// Whether there was more than `maxEntries`.
    pub truncated: bool,
    pub max_entries: u64,
    /// How many entries could not be read, listed or not.
    #[serde(default)]
    pub issue_count: u64,
}

/// A directory. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryStat {
    /// Relative to the root, which is `.` itself.
    pub path: String,
    pub depth: u64,
    /// Files in it and below it.
    pub file_count: u64,
    /// Bytes in it and below it.
    pub size: u64,
    /// Bytes of the files right in it.
    pub own_size: u64,
}

/// All files with one ending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionStat {
    /// Lower case, with its dot; `(none)` for files without, `(other)` for all that are not listed.
    pub extension: String,
    pub file_count: u64,
    pub total_size: u64,
}

/// All files of about one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SizeBucket {
    pub label: String,
    pub file_count: u64,
    pub total_size: u64,
}

/// All entries at one depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DepthStat {
    pub depth: u64,
    pub file_count: u64,
    pub directory_count: u64,
    pub total_size: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileStat {
    pub path: String,
    pub size: u64,
    #[serde(default)]
    pub modified_at: Option<String>,
}

/// An entry that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    pub path: String,
    pub message: String,
}
