//! The parts of the page that need no script: cards, bars, columns, tables.

use std::fmt::Write as _;

use super::wording::{bytes, count, counted, day, html, percent};
use crate::scan::{DirectoryStat, ExtensionStat, FileStat, ScanOutput};

/// How many file types are drawn one by one.
const TYPES_MAX: usize = 12;

/// The scan in a few numbers.
pub(super) fn cards(scan: &ScanOutput) -> String {
    let summary = &scan.summary;
    let newest = day(summary.latest_modified_at.as_deref());
    let oldest = day(summary.earliest_modified_at.as_deref());
    let cut = scan.extension_stats.iter().any(|stat| stat.extension == "(other)");
    let types = format!("{}{} types", scan.extension_stats.len(), if cut { "+" } else { "" });
    let cards = [
        ("Total size", bytes(summary.total_size), format!("{} on average", bytes(summary.average_file_size as u64))),
        ("Files", count(summary.total_files), types),
        ("Directories", count(summary.total_directories), format!("{} levels deep", summary.max_depth)),
        ("Last change", newest, format!("oldest {oldest}")),
    ];
    let mut out = String::from("<div class=\"cards\">");
    for (label, value, note) in cards {
        let _ = write!(
            out,
            "<div class=\"card\"><div class=\"label\">{label}</div><div class=\"value\">{}</div><div class=\"note\">{}</div></div>",
            html(&value),
            html(&note)
        );
    }
    out.push_str("</div>");
    out
}

/// File types as bars, by size.
pub(super) fn types(stats: &[ExtensionStat], total: u64) -> String {
    let largest = stats.iter().map(|stat| stat.total_size).max().unwrap_or(0);
    let mut out = String::from("<ol class=\"bars\">");
    for stat in stats.iter().take(TYPES_MAX) {
        let _ = write!(
            out,
            "<li><span class=\"name\">{}</span><span class=\"bar\"><i style=\"width:{:.2}%\"></i></span>\
             <span class=\"size\">{}</span><span class=\"note\">{:.1}% · {}</span></li>",
            html(&stat.extension),
            percent(stat.total_size, largest).max(0.5),
            bytes(stat.total_size),
            percent(stat.total_size, total),
            counted(stat.file_count, "file", "files"),
        );
    }
    out.push_str("</ol>");
    if stats.len() > TYPES_MAX {
        let rest: u64 = stats.iter().skip(TYPES_MAX).map(|stat| stat.total_size).sum();
        let _ = write!(out, "<p class=\"note\">and {} more with {}</p>", stats.len() - TYPES_MAX, bytes(rest));
    }
    out
}

/// One column of a chart.
pub(super) struct Column {
    pub(super) label: String,
    pub(super) value: u64,
    pub(super) title: String,
}

/// Files by size, as columns.
pub(super) fn sizes(scan: &ScanOutput) -> String {
    let column = |bucket: &crate::scan::SizeBucket| Column {
        label: bucket.label.replace("KB", "\u{a0}KB").replace("MB", "\u{a0}MB").replace('-', "–"),
        value: bucket.file_count,
        title: format!("{}, {} together", counted(bucket.file_count, "file", "files"), bytes(bucket.total_size)),
    };
    columns("two", scan.size_distribution.iter().map(column).collect())
}

/// Files by depth, as columns.
pub(super) fn depths(scan: &ScanOutput) -> String {
    const SHOWN: usize = 14;
    let mut shown: Vec<Column> = Vec::new();
    for stat in &scan.depth_stats {
        if shown.len() < SHOWN {
            let files = counted(stat.file_count, "file", "files");
            let title = format!("level {}: {files}, {}", stat.depth, bytes(stat.total_size));
            shown.push(Column { label: stat.depth.to_string(), value: stat.file_count, title });
        } else if let Some(last) = shown.last_mut() {
            last.value += stat.file_count;
            last.label = format!("≥{SHOWN}");
            last.title = format!("level {SHOWN} and deeper: {}", counted(last.value, "file", "files"));
        }
    }
    columns("one", shown)
}

/// `class` says how many lines the labels take.
fn columns(class: &str, columns: Vec<Column>) -> String {
    let largest = columns.iter().map(|column| column.value).max().unwrap_or(0);
    let narrow = columns.len() > 8;
    let mut out = format!("<div class=\"columns {class}\">");
    for Column { label, value, title } in columns {
        let height = percent(value, largest).max(if value > 0 { 1.5 } else { 0.0 });
        let _ = write!(
            out,
            "<div class=\"column\" title=\"{}\"><span class=\"count\">{}</span>\
             <span class=\"stem\"><i style=\"height:{height:.2}%\"></i></span><span class=\"label\">{}</span></div>",
            html(&title),
            short(value, narrow),
            html(&label)
        );
    }
    out.push_str("</div>");
    out
}

/// A number that fits above a column.
fn short(value: u64, narrow: bool) -> String {
    let exact_below = if narrow { 1_000 } else { 10_000 };
    match value {
        0..1_000_000 if value < exact_below => count(value),
        0..100_000 => format!("{:.1}k", value as f64 / 1_000.0),
        100_000..1_000_000 => format!("{}k", value / 1_000),
        _ => format!("{:.1}M", value as f64 / 1_000_000.0),
    }
}

/// The largest directories as a table.
pub(super) fn directories(stats: &[DirectoryStat], total: u64) -> String {
    let mut out = String::from(
        "<table><thead><tr><th>Directory</th><th class=\"wide\">Files</th><th>Size</th><th class=\"wide\">Share</th></tr></thead><tbody>",
    );
    // A directory that holds nothing but another one says nothing that the other does not say better.
    let within = |inner: &DirectoryStat, outer: &DirectoryStat| {
        let rest = inner.path.strip_prefix(outer.path.as_str());
        inner.size == outer.size
            && inner.file_count == outer.file_count
            && rest.is_some_and(|rest| rest.starts_with('/'))
    };
    for stat in stats.iter().filter(|outer| !stats.iter().any(|inner| within(inner, outer))) {
        let share = percent(stat.size, total);
        let _ = write!(
            out,
            "<tr><td class=\"path\">{}</td><td class=\"wide\">{}</td><td>{}</td>\
             <td class=\"wide\"><span class=\"bar\"><i style=\"width:{share:.2}%\"></i></span></td></tr>",
            path(&stat.path),
            count(stat.file_count),
            bytes(stat.size),
        );
    }
    out.push_str("</tbody></table>");
    out
}

/// The largest files as a table.
pub(super) fn files(stats: &[FileStat], total: u64) -> String {
    let mut out = String::from(
        "<table><thead><tr><th>File</th><th class=\"wide\">Changed</th><th>Size</th><th class=\"wide\">Share</th></tr></thead><tbody>",
    );
    for stat in stats {
        let share = percent(stat.size, total);
        let _ = write!(
            out,
            "<tr><td class=\"path\">{}</td><td class=\"wide\">{}</td><td>{}</td>\
             <td class=\"wide\"><span class=\"bar\"><i style=\"width:{share:.2}%\"></i></span></td></tr>",
            path(&stat.path),
            html(&day(stat.modified_at.as_deref())),
            bytes(stat.size),
        );
    }
    out.push_str("</tbody></table>");
    out
}

/// A path whose last part stands out.
fn path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((above, name)) => format!("<span class=\"dim\">{}/</span>{}", html(above), html(name)),
        None => html(path),
    }
}
