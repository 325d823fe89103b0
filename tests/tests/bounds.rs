//! What the papers say of the sources: whether `docs/bounds.md` and `docs/promises.md` are true, and whether what can be brought
//! about again and again is said in the log once a second at most.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a process of the engine speaks while it works. The command line speaks to whoever called it.
const SPEAKING: [&str; 7] = [
    "streams/src",
    "workers/src/shard_worker",
    "workers/src/shard_client.rs",
    "workers/src/shard_client",
    "projector/src",
    "ops/src/api",
    "ops/src/roles.rs",
];

/// What is said every time, and what keeps it from being said often: each words and a reason.
const PACED: [(&str, &str); 37] = [
    ("a task panicked; it is begun anew", "a pause before each new begin"),
    ("this process cannot drive the shard", "once for each time a shard is given up"),
    ("no sign of life given", "once a heartbeat"),
    ("the shard worker ended badly", "once for each tenure"),
    ("the shard worker does not come to rest", "once for each tenure"),
    ("a driver was never told to stop", "once for each tenure"),
    ("a notice is not on the feed yet, trying again", "a pause before each try"),
    ("a definition is not published yet, trying again", "a pause before each try"),
    ("a command made the shard's driver panic", "a recovery and a pause before the next"),
    ("the shard cannot be taken over, trying again", "a pause before each try"),
    ("quarantined", "once for each aggregate and take-over"),
    ("stepped down", "once for each tenure"),
    ("no checkpoint was written", "once for each checkpoint that is due"),
    ("folding a commit panicked", "once for each of 64 commits at most"),
    ("the checkpoint is not used", "once for each take-over"),
    ("the database may have given our turn", "once for each session"),
    ("projecting stopped; it will go on", "a pause before each new begin"),
    ("a shard is set aside", "its reader ends with it"),
    ("a journal that does not follow is not looked at", "once for each shard that is set aside"),
    ("the journal does not show what was projected of it", "its reader ends with it"),
    ("a table is missing and is made anew", "once for each time it is gone"),
    ("the tables of members and leases were made anew", "once for each time they are"),
    ("this process cannot join the members again yet", "a pause before each try"),
    ("the journal shows again what was seen of it", "once for each hold"),
    ("the shard is on hold, and nothing is written to it", "once for each hold"),
    ("that the shard is on hold cannot be told yet", "a pause before each try"),
    ("whether the shard is on hold is not known, trying again", "a pause before each try"),
    ("somebody has put the shard on hold", "once for each hold"),
    ("the shard is not released from hold", "once for each release, and a pause before each try"),
    ("released from hold", "once for each release"),
    ("a lost definition is not restored", "once for each release and workflow"),
    ("what is to be sent again is not written yet", "a pause before each try"),
    ("what another shard has lost is sent again", "once for each incarnation of another shard"),
    ("its journal began anew", "once for each incarnation"),
    ("that the journal has begun cannot be told yet", "a pause before each try"),
    ("some requests did not end in time", "once, at the stop"),
    ("the database is not ready, trying again", "a pause before each try"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn what_can_be_brought_about_again_and_again_is_said_once_a_second_at_most() {
    let mut found = Vec::new();
    for place in SPEAKING {
        sources(&root().join(place), &mut found);
    }
    let (mut unpaced, mut said_of) = (Vec::new(), [false; PACED.len()]);
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !["warn!(", "error!("].iter().any(|macro_| line.contains(&format!("tracing::{macro_}"))) {
                continue;
            }
            let before = &lines[at.saturating_sub(3)..at];
            let said = lines[at..lines.len().min(at + 4)].join("\n");
            let paced = PACED.iter().position(|(words, _)| said.contains(words));
            paced.into_iter().for_each(|paced| said_of[paced] = true);
            if paced.is_none() && !before.iter().any(|line| line.contains(".due()")) {
                unpaced.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(
        unpaced.is_empty(),
        "ask `Complaints::due` before, or say in PACED what keeps it rare:\n{}",
        unpaced.join("\n")
    );
    let gone: Vec<_> = PACED.iter().zip(said_of).filter(|(_, said)| !said).map(|((words, _), _)| words).collect();
    assert!(gone.is_empty(), "nobody says any more: {gone:?}");
}

/// The rows of the tables in `docs/bounds.md`, by cell.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/bounds.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what grows"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// All sources, one behind the other.
fn everything() -> String {
    let mut all = Vec::new();
    for folder in ["core", "streams", "workers", "projector", "ops", "tests"] {
        for part in ["src", "tests"] {
            let path = root().join(folder).join(part);
            if path.is_dir() {
                sources(&path, &mut all);
            }
        }
    }
    all.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_test_that_holds_a_promise_is_there() {
    let all = everything();
    let text = fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let tests =
        text.lines().filter(|line| line.starts_with("| ")).filter_map(|row| row.trim_end_matches('|').rsplit_once('|'));
    let named: Vec<_> =
        tests.flat_map(|(_, cell)| cell.split('`')).filter(|word| word.len() > 1 && !word.contains(' ')).collect();
    assert!(named.len() > 80, "the tables are not read: {named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "not there: {missing:#?}");
}

#[test]
fn every_bound_that_is_documented_is_there_and_so_is_its_test() {
    let all = everything();
    let rows = rows();
    assert!(rows.len() > 50, "the tables are not read: {rows:?}");
    let mut missing = Vec::new();
    for row in &rows {
        let [what, by, bound, _, constant, test] = &row[..] else { panic!("six cells: {row:?}") };
        assert!([what, by, bound].iter().all(|cell| !cell.is_empty()), "{row:?}");
        if let Some((path, name)) = constant.trim_matches('`').split_once(':') {
            let text = fs::read_to_string(root().join(path)).unwrap_or_default();
            if !text.contains(&format!("const {name}: ")) && !text.contains(&format!("{name}: ")) {
                missing.push(constant.clone());
            }
        }
        let test = test.trim_matches('`');
        if !test.is_empty() && !all.contains(&format!("fn {test}(")) {
            missing.push(test.to_owned());
        }
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
}
