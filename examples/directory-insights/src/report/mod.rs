//! `generate-visualizations`: what a scan looks like.
//!
//! Writes three files into a directory: the scan itself, a summary to read in a terminal, and a page for a browser
//! that needs nothing else. Each appears whole or not at all.

mod charts;
mod html;
mod markdown;
mod wording;

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scan::{ScanOutput, Summary};
use crate::{Attempt, Failure, publish};

/// The asset this job produces.
pub const ASSET_ID: &str = "directory.insights.report";
/// The title of a report that is given none.
const TITLE_DEFAULT: &str = "Directory insights";
/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 200;

/// What to draw, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportInput {
    pub output_dir: PathBuf,
    #[serde(default)]
    pub report_title: Option<String>,
    pub scan: ScanOutput,
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Below the report's directory.
    pub relative_path: String,
    pub media_type: String,
    pub description: String,
    pub size_bytes: u64,
}

/// A report: the payload of the asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Absolute.
    pub output_dir: String,
    pub report_title: String,
    /// The scanned directory.
    pub root_path: String,
    pub generated_at: String,
    pub summary: Summary,
    pub artifacts: Vec<Artifact>,
}

/// An asset as a job returns it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducedAsset<P> {
    pub asset_id: String,
    pub payload: P,
    pub produced_at: String,
}

/// The files that were written, and the asset they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportOutput {
    /// Absolute paths.
    pub files: Vec<String>,
    pub assets: Vec<ProducedAsset<Report>>,
}

/// Writes a report about a scan.
///
/// # Errors
/// When the directory cannot be made or written.
pub fn generate_visualizations(input: &ReportInput, attempt: &Attempt<'_>) -> Result<ReportOutput, Failure> {
    let title = input.report_title.as_deref().map(str::trim).filter(|title| !title.is_empty()).unwrap_or(TITLE_DEFAULT);
    let title: String = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
    fs::create_dir_all(&input.output_dir).map_err(Failure::io("could not create", &input.output_dir))?;
    let directory = fs::canonicalize(&input.output_dir).map_err(Failure::io("could not open", &input.output_dir))?;
    let generated_at = crate::now();
    let scan = &input.scan;
    let data = serde_json::to_vec_pretty(scan)
        .map_err(|e| Failure::InvalidInput(format!("the scan cannot be written as JSON: {e}")))?;
    let contents = [
        ("scan-data.json", "application/json", "The scan itself", data),
        ("summary.md", "text/markdown", "A summary in Markdown", markdown::page(&title, scan).into_bytes()),
        ("index.html", "text/html", "An interactive report", html::page(&title, scan, &generated_at).into_bytes()),
    ];
    let mut artifacts = Vec::new();
    let mut files = Vec::new();
    for (done, (name, media_type, description, bytes)) in contents.into_iter().enumerate() {
        attempt.step((done + 1) as f64 / 4.0)?;
        let path = directory.join(name);
        let size_bytes = publish::write(&path, &bytes)?;
        files.push(path.display().to_string());
        artifacts.push(Artifact {
            relative_path: name.to_owned(),
            media_type: media_type.to_owned(),
            description: description.to_owned(),
            size_bytes,
        });
    }
    attempt.step(1.0)?;
    let report = Report {
        output_dir: directory.display().to_string(),
        report_title: title,
        root_path: scan.root_path.clone(),
        generated_at: generated_at.clone(),
        summary: scan.summary.clone(),
        artifacts,
    };
    let asset = ProducedAsset { asset_id: ASSET_ID.to_owned(), payload: report, produced_at: generated_at };
    Ok(ReportOutput { files, assets: vec![asset] })
}
