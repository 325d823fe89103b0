//! The summary to read in a terminal.

use std::fmt::Write as _;

use super::wording::{bytes, count, day, duration, markdown, minute, percent};
use crate::scan::ScanOutput;

/// How many rows each table has.
const ROWS_MAX: usize = 10;

/// Writes the summary.
pub(super) fn page(title: &str, scan: &ScanOutput) -> String {
    let summary = &scan.summary;
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("# {}\n", markdown(title)));
    line(format!(
        "`{}`, scanned {} in {}.\n",
        scan.root_path.replace('`', "'"),
        minute(&scan.generated_at),
        duration(scan.duration_ms)
    ));
    if summary.truncated {
        line(format!("> The scan stopped after {} entries: the directory holds more.\n", count(summary.max_entries)));
    }
    line("| | |\n|---|---:|".to_owned());
    line(format!("| Files | {} |", count(summary.total_files)));
    line(format!("| Directories | {} |", count(summary.total_directories)));
    line(format!("| Size | {} |", bytes(summary.total_size)));
    line(format!("| Average file | {} |", bytes(summary.average_file_size as u64)));
    line(format!("| Deepest level | {} |", summary.max_depth));
    line(format!("| Oldest change | {} |", day(summary.earliest_modified_at.as_deref())));
    line(format!("| Newest change | {} |", day(summary.latest_modified_at.as_deref())));
    line("\n## File types by size\n\n| Type | Files | Size | Share |\n|---|---:|---:|---:|".to_owned());
    for stat in scan.extension_stats.iter().take(ROWS_MAX) {
        let share = percent(stat.total_size, summary.total_size);
        let (name, files, size) = (markdown(&stat.extension), count(stat.file_count), bytes(stat.total_size));
        line(format!("| {name} | {files} | {size} | {share:.1}% |"));
    }
    line("\n## Largest directories\n\n| Directory | Files | Size |\n|---|---:|---:|".to_owned());
    for stat in scan.directories_by_size.iter().take(ROWS_MAX) {
        line(format!("| {} | {} | {} |", markdown(&stat.path), count(stat.file_count), bytes(stat.size)));
    }
    line("\n## Largest files\n\n| File | Size | Changed |\n|---|---:|---|".to_owned());
    for file in scan.largest_files.iter().take(ROWS_MAX) {
        line(format!("| {} | {} | {} |", markdown(&file.path), bytes(file.size), day(file.modified_at.as_deref())));
    }
    if !scan.issues.is_empty() {
        let _ = writeln!(page, "\n## What could not be read ({})\n", count(summary.issue_count));
        for issue in &scan.issues {
            let _ = writeln!(page, "- {}: {}", markdown(&issue.path), markdown(&issue.message));
        }
    }
    page
}
