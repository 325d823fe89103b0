//! Whether what is written beside the code is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::arrows::ARROWS;
use crate::sources::{files, files_ending, read, report, root};

const ARCHITECTURE_LINES_MAX: usize = 250;
const RECORD_LINES_MAX: usize = 45;

/// Released migrations: name, length in bytes, FNV-1a (64 bits) of the bytes. Only ever added to.
const MIGRATIONS: [(&str, usize, u64); 15] = [
    ("V1__read_models.sql", 8260, 0xfd18_fb7c_e65a_4d06),
    ("V2__who_asked.sql", 765, 0xd06f_d568_58ce_65a8),
    ("V3__as_of.sql", 2430, 0xce6e_54da_c90c_d5a2),
    ("V4__branches.sql", 1547, 0xa390_de5d_0df0_bd7e),
    ("V5__tolerated.sql", 280, 0x5f54_41a6_7506_4adb),
    ("V6__pinned.sql", 468, 0x63cc_f5b5_c263_e9ae),
    ("V7__calls.sql", 120, 0x4a0a_ffc5_691d_90dd),
    ("V8__stored_values.sql", 580, 0x143c_f6c6_b389_4ac4),
    ("V9__actions.sql", 1157, 0x7df6_c2cd_d105_6f34),
    ("V10__what_runs_are_called.sql", 723, 0x0afb_5fe5_eab3_e60f),
    ("V11__how_runs_are_found.sql", 977, 0xfac9_97aa_5b0d_f75e),
    ("V12__human_tasks.sql", 1085, 0xf067_a10f_8b30_4ec1),
    ("V13__continued_runs.sql", 152, 0xbc5d_8eee_6336_e067),
    ("V14__snapshots.sql", 732, 0xbc7d_b978_73ad_2cf5),
    ("V15__successors.sql", 144, 0x4caf_9e29_2313_d4b2),
];

#[test]
fn records_are_numbered_without_gaps_and_say_their_price() {
    let mut found = Vec::new();
    let records = files().into_iter().filter(|path| path.starts_with("ops/adr/"));
    for (n, path) in records.enumerate() {
        let number = format!("{:04}-", n + 1);
        if !path["ops/adr/".len()..].starts_with(&number) || !path.ends_with(".md") {
            found.push(format!("{path}: here {number}title.md is expected"));
        }
        let text = read(&path);
        let title = format!("# {}. ", n + 1);
        for part in [title.as_str(), "## Context", "## Decision", "## Price"] {
            if !text.lines().any(|line| line.starts_with(part)) {
                found.push(format!("{path} lacks `{part}`"));
            }
        }
        if text.lines().count() > RECORD_LINES_MAX {
            found.push(format!("{path} is longer than {RECORD_LINES_MAX} lines"));
        }
    }
    report(found, "decision records");
}

#[test]
fn the_two_commands_are_there() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| line.split_once(':')).map(|(t, _)| t).collect();
    let named = readme.lines().filter_map(|line| line.strip_prefix("make ")).filter_map(|rest| rest.split(' ').next());
    let named: BTreeSet<&str> = named.collect();
    for command in ["demo", "test"] {
        assert!(named.contains(command), "README.md does not show `make {command}`");
    }
    let missing: Vec<String> = named.difference(&targets).map(|target| format!("make {target}")).collect();
    report(missing, "README.md shows what the Makefile does not have");
}

#[test]
fn ci_has_nothing_but_what_setup_installs() {
    let script = read(".ci/run");
    let commands = || script.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let run = "env -i \"${scrubbed[@]}\" \\";
    let after = commands().skip_while(|line| *line != run).nth(1);
    assert_eq!(after, Some("make test </dev/null"), ".ci/run: `{run}` and then make test");
    for own in ["HEADWATER_", "XDG_"] {
        assert!(commands().all(|line| !line.contains(own)), ".ci/run hands {own}* on");
    }
    // One finder of the servers for all: whoever looks alone looks elsewhere than setup puts them.
    for (variable, finder) in [
        ("HEADWATER_NATS_SERVER", "streams/src/server/binary.rs"),
        ("HEADWATER_POSTGRES_BIN", "projector/src/server/binaries.rs"),
    ] {
        let read_in = |path: &String| read(path).contains(&format!("(\"{variable}\""));
        let finders: Vec<String> = files_ending(".rs").filter(read_in).filter(|path| path != file!()).collect();
        assert_eq!(finders, [finder], "{variable}");
    }
}

#[test]
fn the_map_is_short_and_true() {
    let map = read("ARCHITECTURE.md");
    let lines = map.lines().count();
    assert!(lines <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {lines} lines, at most {ARCHITECTURE_LINES_MAX}");
    let mut found = missing_files(&map);
    let of_row = |line: &str| line.strip_prefix("| `").and_then(|rest| invariant(rest).map(str::to_owned));
    let shown: BTreeSet<String> = map.lines().filter_map(of_row).collect();
    let mut held = BTreeSet::new();
    for path in files_ending(".rs") {
        let of_line = |line: &str| line.strip_prefix("//! * `").and_then(|rest| invariant(rest).map(str::to_owned));
        held.extend(read(&path).lines().filter_map(of_line));
    }
    found.extend(held.difference(&shown).map(|id| format!("{id} is not among the invariants")));
    found.extend(shown.difference(&held).map(|id| format!("{id} stands in no module")));
    report(found, "ARCHITECTURE.md");
}

/// The files and folders of ours that a page names in backticks and that are not there.
fn missing_files(page: &str) -> Vec<String> {
    let named = page.split('`').skip(1).step_by(2);
    let ours = named.filter(|path| ARROWS.iter().any(|(folder, _)| path.starts_with(&format!("{folder}/"))));
    ours.filter(|path| !root().join(path).exists()).map(|path| format!("{path} is not there")).collect()
}

/// Lines of a page from one heading to the next.
fn section<'a>(page: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let mut lines = page.lines();
    assert!(lines.any(|line| line == heading), "{heading}");
    lines.take_while(|line| !line.starts_with("## "))
}

#[test]
fn what_newcomers_search_for_stands_in_one_row_and_a_run_lives_in_few_rooms() {
    let map = read("ARCHITECTURE.md");
    for word in ["retry", "partition key", "minSeq"] {
        let rows: Vec<_> = section(&map, "## Where to open").filter(|line| line.contains(word)).collect();
        assert_eq!(rows.len(), 1, "{word}: {rows:?}");
    }
    let life = section(&map, "## The life of a run").collect::<Vec<_>>().join("\n");
    let mut rooms: Vec<&str> = life.split('`').skip(1).step_by(2).filter(|name| name.contains(".rs")).collect();
    rooms.dedup();
    let distinct: BTreeSet<&str> = rooms.iter().copied().collect();
    assert!((15..=30).contains(&distinct.len()), "{} rooms", distinct.len());
    assert!(rooms.len() - distinct.len() <= 4, "a run comes back into too many rooms: {rooms:?}");
}

#[test]
fn what_the_guide_names_is_there() {
    let guide = read("docs/contributing.md");
    let (guide, toy) = guide.split_once("## Add an aggregate").expect("it ends with an example");
    let mut found = missing_files(guide);
    // The bell of the example is not.
    found.extend(missing_files(toy).into_iter().filter(|path| !path.contains("bell")));
    report(found, "docs/contributing.md");
}

/// Reads `ABC-7` before a backtick.
fn invariant(text: &str) -> Option<&str> {
    let (id, _) = text.split_once('`')?;
    let (kind, number) = id.split_once('-')?;
    let fits = kind.len() > 1 && kind.bytes().all(|b| b.is_ascii_uppercase());
    (fits && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

#[test]
fn released_migrations_are_never_edited() {
    let mut found = Vec::new();
    let mut there: Vec<String> = files_ending(".sql").filter(|path| path.contains("/migrations/")).collect();
    for (name, length, hash) in MIGRATIONS {
        let path = format!("projector/migrations/{name}");
        let bytes = fs::read(root().join(&path)).unwrap_or_default();
        if (bytes.len(), fnv1a(&bytes)) != (length, hash) {
            let now = format!("({name:?}, {}, {:#x})", bytes.len(), fnv1a(&bytes));
            found.push(format!("{path} was edited: put it back and add the next one (now {now})"));
        }
        there.retain(|known| *known != path);
    }
    found.extend(there.iter().map(|path| {
        let bytes = fs::read(root().join(path)).unwrap();
        format!("{path} is new: add it to MIGRATIONS, {} bytes, {:#x}", bytes.len(), fnv1a(&bytes))
    }));
    report(found, "databases out there have run them as they were");
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = Vec::new();
    for path in files_ending(".md") {
        for target in links(&read(&path)) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
            let leads_to = if file.is_empty() { PathBuf::from(&path) } else { folder.join(file) };
            let there = root().join(&leads_to);
            if !there.exists() {
                found.push(format!("{path}: {target}"));
            } else if !anchor.is_empty() && !headings(&fs::read_to_string(&there).unwrap_or_default()).contains(anchor)
            {
                found.push(format!("{path}: {target} (no such heading)"));
            }
        }
    }
    report(found, "links that lead nowhere");
}

/// Relative targets of links outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, block) in text.split("```").enumerate() {
        if n % 2 == 1 {
            continue;
        }
        let prose: String = block
            .split("](")
            .enumerate()
            .map(|(n, part)| if n > 0 { format!("\u{1}{part}") } else { part.to_owned() })
            .collect();
        for part in prose.split('\u{1}').skip(1) {
            let target: String = part.chars().take_while(|c| *c != ')' && !c.is_whitespace()).collect();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target);
            }
        }
    }
    found
}

/// The anchors of a page's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let title = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
        let kept =
            title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        Some(kept.replace(' ', "-"))
    };
    text.lines().filter_map(heading).collect()
}

#[test]
fn links_and_headings_are_found_outside_code() {
    assert_eq!(links("[a](b.md#c) `x`\n```\n[n](o)\n```\n[d](https://e) [f](g)"), ["b.md#c", "g"]);
    assert!(headings("# What is there?\n## `headwater bench`\n").contains("headwater-bench"));
}
