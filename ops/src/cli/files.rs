//! Definitions on disk: files, and folders full of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::codes::Exit;
use crate::documents::{self, Compiled, Located, Spelling};
use crate::failure::Failure;

/// A definition and the file it stands in.
#[derive(Debug, Clone)]
pub struct Sourced {
    pub path: PathBuf,
    pub document: Value,
}

/// Reads every definition of these files, and of the `.json`, `.yaml` and `.yml` files of these folders and the folders
/// in them, in order of their names.
///
/// # Errors
/// Everything that cannot be read, at once.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Sourced>, Failure> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if let Err(error) = collect(path, true, &mut files) {
            problems.push(format!("{}: {error}", path.display()));
        }
    }
    let mut sourced = Vec::new();
    for path in files {
        match fs::read_to_string(&path) {
            Ok(text) => match documents::definitions(&text, spelling(&path).unwrap_or(Spelling::Json)) {
                Ok(documents) => {
                    sourced.extend(documents.into_iter().map(|document| Sourced { path: path.clone(), document }));
                }
                Err(error) => problems.push(format!("{}: [{}] {error}", path.display(), error.code.entry().text)),
            },
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    if problems.is_empty() && sourced.is_empty() {
        problems.push("there is no definition in these places".to_owned());
    }
    if problems.is_empty() { Ok(sourced) } else { Err(Failure::new(problems.join("\n")).exit(Exit::InvalidInput)) }
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries.iter().filter(|entry| !is_hidden(entry)) {
            collect(entry, false, files)?;
        }
    } else if named || spelling(path).is_some() {
        files.push(path.to_owned());
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn spelling(path: &Path) -> Option<Spelling> {
    match path.extension()?.to_str()? {
        "json" => Some(Spelling::Json),
        "yaml" | "yml" => Some(Spelling::Yaml),
        _ => None,
    }
}

/// Compiles all of them.
///
/// # Errors
/// Every problem of every file, with its path and code; warnings too.
pub fn compile(sourced: &[Sourced]) -> Result<Vec<Compiled>, Failure> {
    let documents: Vec<Value> = sourced.iter().map(|sourced| sourced.document.clone()).collect();
    documents::compile_all(&documents).map_err(|findings| {
        let lines: Vec<_> = findings.iter().map(|located| line(sourced, located)).collect();
        Failure::new(format!("the definitions have problems\n{}", lines.join("\n"))).exit(Exit::InvalidInput)
    })
}

/// A finding on one line: file, place, code, message.
pub fn line(sourced: &[Sourced], located: &Located) -> String {
    let path = sourced.get(located.document).map_or_else(String::new, |sourced| sourced.path.display().to_string());
    let finding = &located.finding;
    let severity = format!("{:?}", finding.severity).to_lowercase();
    let slug = located.slug.as_deref().unwrap_or("?");
    format!("{path}: {severity} in {slug} at {:?} [{}] {}", finding.path, finding.code, finding.message)
}
