//! Definitions on disk: files, and folders full of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::codes::Exit;
use crate::documents::{self, Aim, Batch, Located, Place, Spelling, check_all};
use crate::failure::Failure;

/// A definition and the file it stands in.
#[derive(Debug, Clone)]
pub struct Sourced {
    pub path: PathBuf,
    pub document: Value,
    /// All that stands in the file.
    text: Arc<str>,
    spelling: Spelling,
    /// Where in it the document is.
    root: String,
}

/// What of a folder is not looked into: what tools keep there, not people.
const NOT_ENTERED: [&str; 2] = ["node_modules", "target"];
/// The fields by which a document shows that it is meant to be a definition.
const SIGNS: [&str; 4] = ["slug", "steps", "nodes", "workflows"];

/// What was found in files and folders.
#[derive(Debug, Default)]
pub struct Found {
    pub sourced: Vec<Sourced>,
    /// What was passed over in folders, and why.
    pub skipped: Vec<String>,
}

/// Reads every definition of these files, and of the `.json`, `.yaml` and `.yml` files of these folders and the folders
/// in them, in order of their names. In folders, hidden ones, `node_modules` and `target` are passed over, and files that
/// are no definitions; what is named itself is not.
///
/// # Errors
/// Everything that cannot be read, at once.
pub fn read(paths: &[PathBuf]) -> Result<Found, Failure> {
    let mut problems = Vec::new();
    let (mut files, mut found) = (Vec::new(), Found::default());
    for path in paths {
        if let Err(error) = collect(path, true, &mut files, &mut found.skipped) {
            problems.push(format!("{}: {error}", path.display()));
        }
    }
    for File { path, named } in files {
        let Some(spelling) = spelling(&path) else {
            problems.push(format!("{}: a definition is a .json, .yaml or .yml file", path.display()));
            continue;
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        match documents::definitions(&text, spelling) {
            Ok(documents) if named || documents.iter().any(|document| is_meant(&document.value)) => {
                let text: Arc<str> = text.into();
                found.sourced.extend(documents.into_iter().map(|documents::Document { value, root }| Sourced {
                    path: path.clone(),
                    document: value,
                    text: text.clone(),
                    spelling,
                    root,
                }));
            }
            Err(error) if named || SIGNS.iter().any(|sign| text.contains(sign)) => {
                problems.push(format!("{}: [{}] {error}", path.display(), error.code.entry().text));
            }
            Ok(_) | Err(_) => found.skipped.push(format!("{} (no definition)", path.display())),
        }
    }
    if problems.is_empty() && found.sourced.is_empty() {
        problems.push("there is no definition in these places".to_owned());
    }
    if problems.is_empty() { Ok(found) } else { Err(Failure::new(problems.join("\n")).exit(Exit::InvalidInput)) }
}

/// Says on the error output what was passed over.
pub fn print_skipped(skipped: &[String]) {
    if !skipped.is_empty() {
        let more = skipped.len().saturating_sub(SKIPPED_SHOWN);
        let shown = skipped.iter().take(SKIPPED_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        eprintln!("passed over: {shown}{more}");
    }
}

/// How many names of what was passed over are printed.
const SKIPPED_SHOWN: usize = 10;

/// Whether a document has a field that only definitions have.
fn is_meant(document: &Value) -> bool {
    SIGNS.iter().any(|sign| document.get(sign).is_some())
}

struct File {
    path: PathBuf,
    /// By the caller, not found in a folder.
    named: bool,
}

fn collect(path: &Path, named: bool, files: &mut Vec<File>, skipped: &mut Vec<String>) -> std::io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        for entry in entries(path)?.iter().filter(|entry| !is_hidden(entry)) {
            if entry.is_dir() && NOT_ENTERED.iter().any(|name| entry.ends_with(name)) {
                skipped.push(format!("{}/", entry.display()));
            } else {
                collect(entry, false, files, skipped)?;
            }
        }
    } else if named || spelling(path).is_some() {
        files.push(File { path: path.to_owned(), named });
    }
    Ok(())
}

/// Returns what a folder holds, in order of the names.
///
/// # Errors
/// It cannot be read.
pub fn entries(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Returns whether something in a folder is not looked into: hidden, or what tools keep there.
pub fn is_passed_over(path: &Path) -> bool {
    is_hidden(path) || NOT_ENTERED.iter().any(|name| path.ends_with(name))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Returns how a file is spelled, by its name.
pub fn spelling(path: &Path) -> Option<Spelling> {
    match path.extension()?.to_str()? {
        "json" => Some(Spelling::Json),
        "yaml" | "yml" => Some(Spelling::Yaml),
        _ => None,
    }
}

/// Checks all of them.
///
/// # Errors
/// Every problem of every file, with its path and code; warnings too.
pub fn check(sourced: &[Sourced]) -> Result<Batch, Failure> {
    check_all(sourced.iter().map(|one| &one.document)).map_err(|refused| {
        let lines = lines(sourced, &refused.findings);
        Failure::new(format!("the definitions have problems\n{}", lines.join("\n"))).exit(Exit::InvalidInput)
    })
}

/// Finds places in files: of the document, the path in it and the code of what was found there.
pub fn places<'f>(sourced: &[Sourced], found: impl Iterator<Item = (usize, &'f str, &'f str)>) -> Vec<Option<Place>> {
    let (mut by_file, mut count) = (BTreeMap::<&Path, Vec<_>>::new(), 0);
    for (n, (document, path, code)) in found.enumerate() {
        count = n + 1;
        if let Some(one) = sourced.get(document) {
            by_file.entry(&one.path).or_default().push((n, one, Aim::at(&one.root, path, code)));
        }
    }
    let mut places = vec![None; count];
    for sought in by_file.into_values() {
        let aims: Vec<_> = sought.iter().map(|(_, _, aim)| aim.clone()).collect();
        let Some((_, one, _)) = sought.first() else { continue };
        for ((n, ..), place) in sought.iter().zip(documents::locate(&one.text, one.spelling, &aims)) {
            places[*n] = place;
        }
    }
    places
}

/// Names a file with a place in it, as editors take it.
pub fn shown(path: &Path, place: Option<Place>) -> String {
    let place = place.map(|Place { line, column }| format!(":{line}:{column}"));
    format!("{}{}", path.display(), place.unwrap_or_default())
}

/// Each finding on one line: file with line and column, severity, place in the document, code, message.
pub fn lines(sourced: &[Sourced], found: &[Located]) -> Vec<String> {
    let codes: Vec<_> = found.iter().map(|located| located.placed.finding.code.to_string()).collect();
    let sought = found.iter().zip(&codes).map(|(located, code)| {
        let path = located.placed.finding.path.as_str();
        (located.document, path, code.as_str())
    });
    let places = places(sourced, sought);
    found.iter().zip(places).map(|(located, place)| line(sourced, located, place)).collect()
}

fn line(sourced: &[Sourced], located: &Located, place: Option<Place>) -> String {
    let path = sourced.get(located.document).map_or_else(String::new, |sourced| shown(&sourced.path, place));
    let finding = &located.placed.finding;
    let severity = format!("{:?}", finding.severity).to_lowercase();
    let which = located.slug.clone().unwrap_or_else(|| {
        let here = sourced.get(located.document).map(|here| &here.path);
        let before = sourced[..located.document.min(sourced.len())].iter().filter(|one| Some(&one.path) == here);
        format!("document {}", before.count() + 1)
    });
    format!("{path}: {severity} in {which} at {:?} [{}] {}", finding.path, finding.code, finding.message)
}
