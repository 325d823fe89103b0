//! `archive-report`: the files of a report in one `.tar.gz`.
//!
//! Only files that really lie in the report's directory are packed: a path that leaves it, or a symbolic link on
//! the way, fails the job. The archive appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::publish::Draft;
use crate::report::{Artifact, ProducedAsset};
use crate::{Attempt, Failure};

/// The asset this job produces.
pub const ASSET_ID: &str = "directory.insights.archive";
/// The most files one archive holds.
const ARTIFACTS_MAX: usize = 1_000;
/// The longest name of an archive, without its ending.
const NAME_CHARS_MAX: usize = 100;

/// Which report to pack, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveInput {
    /// The payload of `directory.insights.report`.
    pub report: PackedReport,
    pub archive_dir: PathBuf,
    /// The name of the file, with or without `.tar.gz`. Default: the report's title and the time.
    #[serde(default)]
    pub archive_name: Option<String>,
}

/// What this job needs to know of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackedReport {
    pub output_dir: PathBuf,
    pub report_title: String,
    pub artifacts: Vec<PackedArtifact>,
}

/// A file of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackedArtifact {
    pub relative_path: String,
}

impl From<&Artifact> for PackedArtifact {
    fn from(artifact: &Artifact) -> Self {
        Self { relative_path: artifact.relative_path.clone() }
    }
}

/// The archive that was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Absolute.
    pub archive_path: String,
    pub generated_at: String,
    pub artifact_count: u64,
    pub size_bytes: u64,
    pub report_title: String,
}

/// The archive, and the asset it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveOutput {
    #[serde(flatten)]
    pub archive: Archive,
    pub assets: Vec<ProducedAsset<Archive>>,
}

/// Packs a report.
///
/// # Errors
/// A file that is missing, or would lead out of the report's directory, is named; nothing is left behind.
pub fn archive_report(input: &ArchiveInput, attempt: &Attempt<'_>) -> Result<ArchiveOutput, Failure> {
    let report = &input.report;
    if report.artifacts.is_empty() || report.artifacts.len() > ARTIFACTS_MAX {
        let message = format!("a report of {} artifacts cannot be packed", report.artifacts.len());
        return Err(Failure::InvalidInput(message));
    }
    let root = fs::canonicalize(&report.output_dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::NotFound(format!("the report's directory {} is gone", report.output_dir.display()))
        }
        _ => Failure::io("could not open", &report.output_dir)(error),
    })?;
    let artifacts: Vec<PathBuf> =
        report.artifacts.iter().map(|artifact| inside(&root, &artifact.relative_path)).collect::<Result<_, _>>()?;
    fs::create_dir_all(&input.archive_dir).map_err(Failure::io("could not create", &input.archive_dir))?;
    let directory = fs::canonicalize(&input.archive_dir).map_err(Failure::io("could not open", &input.archive_dir))?;
    let now = jiff::Timestamp::now();
    let name = archive_name(input.archive_name.as_deref(), &report.report_title, now);
    let target = directory.join(name);
    let (draft, file) = Draft::create(&target)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (packed, relative) in artifacts.iter().enumerate() {
        attempt.step(packed as f64 / artifacts.len() as f64)?;
        append(&mut archive, &root, relative)?;
    }
    let written = archive.into_inner().and_then(GzEncoder::finish);
    let file = written.map_err(Failure::io("could not write", &target))?;
    let size_bytes = draft.publish(file)?;
    attempt.step(1.0)?;
    let archive = Archive {
        archive_path: target.display().to_string(),
        generated_at: crate::rfc3339(now),
        artifact_count: artifacts.len() as u64,
        size_bytes,
        report_title: report.report_title.clone(),
    };
    let asset = ProducedAsset {
        asset_id: ASSET_ID.to_owned(),
        payload: archive.clone(),
        produced_at: archive.generated_at.clone(),
    };
    Ok(ArchiveOutput { archive, assets: vec![asset] })
}

/// Checks that a path names a file below the root, without a link on the way.
fn inside(root: &Path, relative: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(relative);
    let plain = path.components().all(|component| matches!(component, Component::Normal(_)));
    if relative.is_empty() || !plain {
        return Err(Failure::UnsafePath(format!("the artifact `{relative}` leads out of the report's directory")));
    }
    let mut walked = root.to_path_buf();
    for component in path.components() {
        walked.push(component);
        let metadata = fs::symlink_metadata(&walked).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::NotFound(format!("the artifact `{relative}` is missing from {}", root.display()))
            }
            _ => Failure::io("could not read", &walked)(error),
        })?;
        if metadata.is_symlink() {
            return Err(Failure::UnsafePath(format!("the artifact `{relative}` is, or lies behind, a symbolic link")));
        }
    }
    if !walked.is_file() {
        return Err(Failure::UnsafePath(format!("the artifact `{relative}` is not a file")));
    }
    Ok(path.to_path_buf())
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, root: &Path, relative: &Path) -> Result<(), Failure> {
    let path = root.join(relative);
    let failed = |error| Failure::io("could not pack", &path)(error);
    let mut file = File::open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(metadata.len());
    header.set_mode(0o644);
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    header.set_mtime(modified.map_or(0, |since| since.as_secs()));
    // A file that grows is cut at the length its header promises; one that shrinks fails.
    let mut content = Counted { inner: Read::by_ref(&mut file).take(metadata.len()), bytes: 0 };
    archive.append_data(&mut header, relative, &mut content).map_err(failed)?;
    if content.bytes != metadata.len() {
        return Err(failed(io::Error::other("the file changed while it was packed")));
    }
    Ok(())
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Makes a file name of what a user asked for, or of the title and the time.
fn archive_name(asked: Option<&str>, title: &str, now: jiff::Timestamp) -> String {
    let asked = asked.map(|name| slug(name.trim_end_matches(".tar.gz"))).filter(|name| !name.is_empty());
    let name = asked.unwrap_or_else(|| {
        let title = slug(title);
        let title = if title.is_empty() { "report" } else { &title };
        format!("{title}-{}", now.strftime("%Y%m%dT%H%M%SZ"))
    });
    format!("{name}.tar.gz")
}

/// Lower-case letters, digits and single dashes.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= NAME_CHARS_MAX {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}
