//! What is counted on the way, and what is kept of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::time::Duration;

use super::output::{DepthStat, DirectoryStat, ExtensionStat, FileStat, Issue, ScanOutput, SizeBucket, Summary};

const LARGEST_FILES_MAX: usize = 40;
const LARGEST_DIRECTORIES_MAX: usize = 25;
const EXTENSIONS_MAX: usize = 40;
const ISSUES_MAX: usize = 50;
const DEPTHS_MAX: usize = 64;
/// The output travels through the engine: the list of directories, by far its longest part, is cut here.
const DIRECTORIES_MAX: usize = 1_500;
const DIRECTORIES_BYTES_MAX: usize = 200_000;
/// The longest path shown; longer ones lose their middle.
const PATH_CHARS_MAX: usize = 300;

/// The upper ends of the sizes files are sorted into, in bytes.
const BUCKETS: [(&str, u64); 6] = [
    ("0-1KB", 1 << 10),
    ("1-10KB", 10 << 10),
    ("10-100KB", 100 << 10),
    ("100KB-1MB", 1 << 20),
    ("1-10MB", 10 << 20),
    (">10MB", u64::MAX),
];

/// A scan under way.
pub(super) struct Statistics {
    /// Each after the one it lies in; the first is the root.
    directories: Vec<Directory>,
    extensions: BTreeMap<String, Count>,
    buckets: [Count; BUCKETS.len()],
    depths: BTreeMap<u64, Depth>,
    largest: BinaryHeap<Reverse<Ranked>>,
    earliest: Option<jiff::Timestamp>,
    latest: Option<jiff::Timestamp>,
    all: Count,
    issues: Vec<Issue>,
    issue_count: u64,
    pub(super) truncated: bool,
}

/// A file by size, then by name from the front.
type Ranked = (u64, Reverse<String>, Option<jiff::Timestamp>);

struct Directory {
    path: String,
    depth: u64,
    parent: usize,
    own: Count,
}

#[derive(Default, Clone, Copy)]
struct Count {
    files: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn absorb(&mut self, other: Self) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

#[derive(Default)]
struct Depth {
    count: Count,
    directories: u64,
}

impl Statistics {
    pub(super) fn new() -> Self {
        let root = Directory { path: ".".to_owned(), depth: 0, parent: 0, own: Count::default() };
        Self {
            directories: vec![root],
            extensions: BTreeMap::new(),
            buckets: Default::default(),
            depths: BTreeMap::new(),
            largest: BinaryHeap::new(),
            earliest: None,
            latest: None,
            all: Count::default(),
            issues: Vec::new(),
            issue_count: 0,
            truncated: false,
        }
    }

    /// Adds a directory and returns its position.
    pub(super) fn directory(&mut self, path: &str, parent: usize) -> usize {
        let depth = self.directories[parent].depth + 1;
        self.depths.entry(depth).or_default().directories += 1;
        self.directories.push(Directory { path: path.to_owned(), depth, parent, own: Count::default() });
        self.directories.len() - 1
    }

    pub(super) fn file(&mut self, path: &str, directory: usize, bytes: u64, modified: Option<jiff::Timestamp>) {
        let home = &mut self.directories[directory];
        home.own.add(bytes);
        self.depths.entry(home.depth + 1).or_default().count.add(bytes);
        self.all.add(bytes);
        self.extensions.entry(extension_of(path)).or_default().add(bytes);
        let bucket = BUCKETS.iter().position(|(_, end)| bytes < *end).unwrap_or(BUCKETS.len() - 1);
        self.buckets[bucket].add(bytes);
        if let Some(modified) = modified {
            self.earliest = Some(self.earliest.map_or(modified, |earliest| earliest.min(modified)));
            self.latest = Some(self.latest.map_or(modified, |latest| latest.max(modified)));
        }
        self.largest.push(Reverse((bytes, Reverse(path.to_owned()), modified)));
        if self.largest.len() > LARGEST_FILES_MAX {
            self.largest.pop();
        }
    }

    pub(super) fn issue(&mut self, path: &str, error: &io::Error) {
        self.issue_count += 1;
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue { path: shortened(path), message: error.to_string() });
        }
    }

    pub(super) fn finish(self, root: &str, took: Duration, entries_max: u64) -> ScanOutput {
        let directories = self.totals();
        let summary = Summary {
            total_files: self.all.files,
            total_directories: self.directories.len() as u64 - 1,
            total_size: self.all.bytes,
            average_file_size: (self.all.bytes as f64 / self.all.files.max(1) as f64).round(),
            max_depth: self.depths.keys().next_back().copied().unwrap_or(0),
            earliest_modified_at: self.earliest.map(crate::rfc3339),
            latest_modified_at: self.latest.map(crate::rfc3339),
            truncated: self.truncated,
            max_entries: entries_max,
            issue_count: self.issue_count,
        };
        let mut largest: Vec<_> = self.largest.into_iter().map(|Reverse(file)| file).collect();
        largest.sort_by(|a, b| b.cmp(a));
        ScanOutput {
            root_path: root.to_owned(),
            generated_at: crate::now(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            summary,
            directories_by_size: directories.iter().skip(1).take(LARGEST_DIRECTORIES_MAX).cloned().collect(),
            directories: capped(directories),
            extension_stats: by_size(self.extensions),
            size_distribution: BUCKETS
                .iter()
                .zip(self.buckets)
                .map(|((label, _), count)| bucket(label, count))
                .collect(),
            depth_stats: self.depths.into_iter().take(DEPTHS_MAX).map(|(depth, at)| at.shown(depth)).collect(),
            largest_files: largest
                .into_iter()
                .map(|(size, Reverse(path), modified)| FileStat {
                    path: shortened(&path),
                    size,
                    modified_at: modified.map(crate::rfc3339),
                })
                .collect(),
            issues: self.issues,
        }
    }

    /// All directories with everything below them, the largest first and none before the one it lies in.
    fn totals(&self) -> Vec<DirectoryStat> {
        let mut totals: Vec<Count> = self.directories.iter().map(|directory| directory.own).collect();
        for at in (1..self.directories.len()).rev() {
            let below = totals[at];
            totals[self.directories[at].parent].absorb(below);
        }
        let mut shown: Vec<DirectoryStat> = self
            .directories
            .iter()
            .zip(totals)
            .map(|(directory, total)| DirectoryStat {
                path: directory.path.clone(),
                depth: directory.depth,
                file_count: total.files,
                size: total.bytes,
                own_size: directory.own.bytes,
            })
            .collect();
        shown.sort_by(|a, b| (Reverse(a.size), a.depth, &a.path).cmp(&(Reverse(b.size), b.depth, &b.path)));
        shown
    }
}

impl Depth {
    fn shown(self, depth: u64) -> DepthStat {
        let Count { files, bytes } = self.count;
        DepthStat { depth, file_count: files, directory_count: self.directories, total_size: bytes }
    }
}

fn bucket(label: &str, count: Count) -> SizeBucket {
    SizeBucket { label: label.to_owned(), file_count: count.files, total_size: count.bytes }
}

/// Cuts the list where it gets too long to travel. A path that would have to be shortened is left out with all
/// below it: its name would no longer say where it lies.
fn capped(directories: Vec<DirectoryStat>) -> Vec<DirectoryStat> {
    let mut bytes = 0;
    let fits = |directory: &DirectoryStat| directory.path.chars().count() <= PATH_CHARS_MAX;
    directories
        .into_iter()
        .filter(fits)
        .take(DIRECTORIES_MAX)
        .take_while(|directory| {
            bytes += directory.path.len() + 80;
            bytes <= DIRECTORIES_BYTES_MAX
        })
        .collect()
}

fn by_size(extensions: BTreeMap<String, Count>) -> Vec<ExtensionStat> {
    let mut all: Vec<(String, Count)> = extensions.into_iter().collect();
    all.sort_by(|a, b| {
        (Reverse(a.1.bytes), Reverse(a.1.files), &a.0).cmp(&(Reverse(b.1.bytes), Reverse(b.1.files), &b.0))
    });
    if all.len() > EXTENSIONS_MAX {
        let mut other = Count::default();
        all.split_off(EXTENSIONS_MAX - 1).into_iter().for_each(|(_, count)| other.absorb(count));
        all.push(("(other)".to_owned(), other));
    }
    let shown = |(extension, count): (String, Count)| ExtensionStat {
        extension,
        file_count: count.files,
        total_size: count.bytes,
    };
    all.into_iter().map(shown).collect()
}

/// Returns the ending of a file name, if it looks like one.
fn extension_of(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && (1..=16).contains(&ending.chars().count()) => {
            format!(".{}", ending.to_lowercase())
        }
        _ => "(none)".to_owned(),
    }
}

fn shortened(path: &str) -> String {
    let chars: Vec<char> = path.chars().collect();
    if chars.len() <= PATH_CHARS_MAX {
        return path.to_owned();
    }
    let half = PATH_CHARS_MAX / 2;
    chars[..half].iter().chain(&['…']).chain(&chars[chars.len() - half..]).collect()
}
