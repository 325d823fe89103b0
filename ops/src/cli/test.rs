//! `test`: plays the cases of test files, without an engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::workflow::files;
use crate::codes::Exit;
use crate::documents::{self, Aim, Checked, Spelling};
use crate::failure::Failure;
use crate::rehearsal::{self, Part, Problem, Rehearsal, Script, Verdict};

/// How large a test file may be.
pub const TEST_FILE_BYTES_MAX: u64 = 4 << 20;

/// With how many seeds a case is tried at most.
pub const SEEDS_MAX: u32 = 100_000;

/// What `test` takes.
#[derive(Debug, Args)]
pub struct TestSettings {
    /// Test files, in YAML or JSON; of folders all that end in `.test.yaml`, `.test.yml` or `.test.json`.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only the cases with this in their names.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Have things go wrong in every case, as this seed chooses.
    #[arg(long, value_name = "SEED")]
    faults: Option<u64>,
    /// Try each case with so many seeds, from the given one or 1 on, until one fails.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(SEEDS_MAX)))]
    seeds: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(settings: &TestSettings) -> Result<ExitCode, Failure> {
    let mut files = Vec::new();
    for path in &settings.files {
        collect(path, true, &mut files)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())).exit(Exit::InvalidInput))?;
    }
    if files.is_empty() {
        return Err(Failure::new("there is no test in these places").exit(Exit::InvalidInput));
    }
    let read: Vec<_> = files.iter().map(|path| (path, read(path))).collect();
    let problems: Vec<String> = read.iter().filter_map(|(_, read)| read.as_ref().err().cloned()).collect();
    if !problems.is_empty() {
        return Err(Failure::new(problems.join("\n")).exit(Exit::InvalidInput));
    }
    let (mut passed, mut failed, mut shown) = (0_u32, 0_u32, Vec::new());
    for (path, rehearsal) in read.into_iter().filter_map(|(path, read)| Some((path, read.ok()?))) {
        let verdicts = verdicts(&rehearsal, settings);
        for verdict in &verdicts {
            *(if verdict.is_passed() { &mut passed } else { &mut failed }) += 1;
        }
        if settings.json {
            let cases: Vec<Value> = verdicts.iter().map(rehearsal::json).collect();
            shown.push(json!({"file": path, "cases": cases}));
        } else if !verdicts.is_empty() {
            println!("{}", path.display());
            verdicts.iter().flat_map(rehearsal::lines).for_each(|line| println!("  {line}"));
        }
    }
    if settings.json {
        println!("{:#}", json!({"files": shown, "passed": passed, "failed": failed}));
    } else {
        println!("{passed} passed, {failed} failed");
    }
    if passed + failed == 0 {
        return Err(Failure::new("no case has such a name").exit(Exit::NotFound));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}

/// What files with tests are called in folders.
const ENDINGS: [&str; 3] = [".test.yaml", ".test.yml", ".test.json"];

/// Finds test files; what is named itself is one.
fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        for entry in files::entries(path)?.into_iter().filter(|entry| !files::is_passed_over(entry)) {
            collect(&entry, false, files)?;
        }
    } else if named || ENDINGS.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
        files.push(path.to_owned());
    }
    Ok(())
}

fn verdicts(rehearsal: &Rehearsal, settings: &TestSettings) -> Vec<Verdict> {
    let is_meant = |name: &str| settings.case.as_ref().is_none_or(|part| name.contains(part));
    let meant = rehearsal.cases().enumerate().filter(|(_, case)| is_meant(&case.name));
    meant.map(|(at, _)| verdict(rehearsal, at, settings)).collect()
}

/// Plays a case, with one seed after the other where that is asked for: the first that fails counts.
fn verdict(rehearsal: &Rehearsal, case: usize, settings: &TestSettings) -> Verdict {
    let Some(count) = settings.seeds else { return rehearsal.play(case, settings.faults) };
    let first = settings.faults.unwrap_or(1);
    let mut seed = first;
    loop {
        let verdict = rehearsal.play(case, Some(seed));
        if !verdict.is_passed() || seed.wrapping_sub(first) + 1 >= u64::from(count) {
            return verdict;
        }
        seed = seed.wrapping_add(1);
    }
}

/// Reads a test file and the definitions that it names.
fn read(path: &Path) -> Result<Rehearsal, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let spelling = files::spelling(path).ok_or_else(|| failed(&"a test is a .json, .yaml or .yml file"))?;
    let size = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > TEST_FILE_BYTES_MAX {
        return Err(failed(&format!("it has {size} bytes, and at most {TEST_FILE_BYTES_MAX} are read")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    let mut found = documents::definitions(&text, spelling)
        .map_err(|error| failed(&format!("[{}] {error}", error.code.entry().text)))?;
    let (Some(document), true) = (found.pop(), found.is_empty()) else {
        return Err(failed(&"a test file holds one document"));
    };
    let placed = |problems: Vec<Problem>| lines(path, &text, spelling, &document.root, &problems);
    let script = Script::read(&document.value).map_err(placed)?;
    let parts = parts(path, &script).map_err(|failure| failed(&failure))?;
    Rehearsal::of(script, parts).map_err(placed)
}

/// Reads and checks the definitions that a test file names.
fn parts(path: &Path, script: &Script) -> Result<Vec<Part>, Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths: Vec<_> = script.definitions.iter().map(|named| folder.join(named)).collect();
    let found = files::read(&paths)?;
    let checked = files::check(&found.sourced)?;
    let part = |Checked { slug, source, content_hash, declares, .. }: Checked| {
        let made = declares.into_iter().filter(|(_, declaration)| !declaration.producers.is_empty());
        Part { slug, source, content_hash, produces: made.map(|(asset, _)| asset).collect() }
    };
    Ok(checked.workflows.into_iter().map(part).collect())
}

/// Each problem on one line, as those of definitions.
fn lines(path: &Path, text: &str, spelling: Spelling, root: &str, problems: &[Problem]) -> String {
    let aim = |problem: &Problem| Aim { root, path: problem.path.clone().into(), by_name: problem.by_name };
    let places = documents::locate(text, spelling, &problems.iter().map(aim).collect::<Vec<_>>());
    let line = |(problem, place): (&Problem, _)| {
        format!("{}: error at {:?} {}", files::shown(path, place), problem.path, problem.message)
    };
    problems.iter().zip(places).map(line).collect::<Vec<_>>().join("\n")
}
