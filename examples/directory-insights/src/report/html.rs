//! The page for a browser: one file, no resources of others, everything that comes from the disk escaped.

use serde_json::json;

use super::charts;
use super::wording::{count, counted, duration, html, json_in_script, minute};
use crate::scan::ScanOutput;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page may draw itself and nothing else: no request ever leaves it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Writes the page.
pub(super) fn page(title: &str, scan: &ScanOutput, generated_at: &str) -> String {
    let title = html(title);
    let root = html(&scan.root_path);
    let scanned = html(&minute(generated_at));
    let took = duration(scan.duration_ms);
    let cards = charts::cards(scan);
    let notices = notices(scan);
    let types = charts::types(&scan.extension_stats, scan.summary.total_size);
    let sizes = charts::sizes(scan);
    let depths = charts::depths(scan);
    let directories = charts::directories(&scan.directories_by_size, scan.summary.total_size);
    let files = charts::files(&scan.largest_files, scan.summary.total_size);
    let issues = issues(scan);
    let data = json_in_script(&map_data(scan));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
<style>
{STYLE}
</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p class="root" title="{root}">{root}</p>
<p class="note">{scanned} · scanned in {took}</p>
</header>
{notices}
{cards}
<section>
<div class="heading"><h2>Where the space is</h2><nav id="trail" aria-label="Directory"></nav></div>
<div id="map" role="group" aria-label="Directories by size"><noscript>The map needs JavaScript; the tables below do not.</noscript></div>
<p class="note" id="hint">Area is size. Select a directory to look inside.</p>
</section>
<div class="pair">
<section><h2>File types</h2>{types}</section>
<div class="stack">
<section><h2>Files by size</h2>{sizes}</section>
<section><h2>Files by depth</h2>{depths}</section>
</div>
</div>
<section><h2>Largest directories</h2>{directories}</section>
<section><h2>Largest files</h2>{files}</section>
{issues}
</main>
<div id="tip" role="status" hidden></div>
<script type="application/json" id="data">{data}</script>
<script>
{SCRIPT}
</script>
</body>
</html>
"#
    )
}

/// The directories as the map takes them: `[path, bytes, own bytes, files]`.
fn map_data(scan: &ScanOutput) -> String {
    let rows: Vec<_> = scan.directories.iter().map(|d| json!([d.path, d.size, d.own_size, d.file_count])).collect();
    let name = scan.root_path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/");
    json!({ "root": name, "directories": rows }).to_string()
}

fn notices(scan: &ScanOutput) -> String {
    let mut out = String::new();
    if scan.summary.truncated {
        let entries = count(scan.summary.max_entries);
        out.push_str(&format!(
            "<p class=\"notice\">The scan stopped after {entries} entries. The directory holds more than is shown here.</p>"
        ));
    }
    if scan.summary.issue_count > 0 {
        let entries = counted(scan.summary.issue_count, "entry", "entries");
        out.push_str(&format!(
            "<p class=\"notice\">{entries} could not be read. <a href=\"#issues\">See which</a></p>"
        ));
    }
    out
}

fn issues(scan: &ScanOutput) -> String {
    if scan.issues.is_empty() {
        return String::new();
    }
    let rows: String = scan
        .issues
        .iter()
        .map(|issue| format!("<tr><td class=\"path\">{}</td><td>{}</td></tr>", html(&issue.path), html(&issue.message)))
        .collect();
    format!(
        "<section id=\"issues\"><h2>What could not be read</h2><table class=\"issues\"><tbody>{rows}</tbody></table></section>"
    )
}
