//! How much of a type other files may see.

use std::collections::BTreeSet;

use crate::sources::{report, shipped};

const SEEN_MAX: usize = 10;

/// How far a field can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// By the module it stands in, and those below it.
    Private,
    /// By some more: `pub(super)`, `pub(crate)`, `pub(in …)`.
    Few,
    /// By whoever sees the struct.
    All,
}

/// A struct with named fields.
#[derive(Debug, PartialEq, Eq)]
struct Struct {
    name: String,
    fields: Vec<Reach>,
}

/// Splits an item or a field from how far it can be seen.
fn reach(line: &str) -> (Reach, &str) {
    if let Some((_, rest)) = line.strip_prefix("pub(").and_then(|rest| rest.split_once(')')) {
        (Reach::Few, rest.trim_start())
    } else if let Some(rest) = line.strip_prefix("pub ") {
        (Reach::All, rest)
    } else {
        (Reach::Private, line)
    }
}

fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// How far the field reaches that begins on this line, if one does.
fn field(line: &str) -> Option<Reach> {
    let (reach, rest) = reach(line);
    let rest = rest.strip_prefix("r#").unwrap_or(rest);
    let after = rest.strip_prefix(word(rest)).filter(|after| after.len() < rest.len())?;
    (after == ":" || after.starts_with(": ")).then_some(reach)
}

/// The structs of a file as rustfmt leaves them: an item ends where a brace stands below its beginning, and a field begins
/// one step inside of it.
fn structs(code: &str) -> Vec<Struct> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (_, item) = reach(line.trim_start());
        let Some(name) = item.strip_prefix("struct ").map(word) else { continue };
        let head = lines[at..].iter().position(|line| line.ends_with(['{', ';', '}']));
        let Some(open) = head.map(|head| at + head).filter(|open| lines[*open].ends_with('{')) else { continue };
        let body = lines[open + 1..].iter().take_while(|inner| inner.is_empty() || indent(inner) > indent(line));
        let fields =
            body.filter(|inner| indent(inner) == indent(line) + 4).filter_map(|inner| field(inner.trim_start()));
        found.push(Struct { name: name.to_owned(), fields: fields.collect() });
    }
    found
}

impl Struct {
    /// How many of its fields other files touch. `is_above`: files stand below its module, which see what is private to it.
    /// A struct of which everything can be seen is data, and nothing is counted.
    fn seen(&self, is_above: bool) -> usize {
        let is_seen = |field: &&Reach| is_above || **field != Reach::Private;
        let is_data = self.fields.iter().all(|field| *field == Reach::All);
        if is_data { 0 } else { self.fields.iter().filter(is_seen).count() }
    }
}

/// Whether other files stand below the module of this one.
fn is_above(path: &str, others: &BTreeSet<&str>) -> bool {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let below = match file {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/"),
        _ => format!("{}/", path.trim_end_matches(".rs")),
    };
    others.iter().any(|other| *other != path && other.starts_with(&below))
}

#[test]
fn a_type_keeps_to_itself() {
    let sources = shipped();
    let paths: BTreeSet<&str> = sources.iter().map(|(path, _)| path.as_str()).collect();
    let mut found = Vec::new();
    for (path, code) in &sources {
        let is_above = is_above(path, &paths);
        for item in structs(code) {
            let (name, seen) = (&item.name, item.seen(is_above));
            if seen > SEEN_MAX {
                found.push(format!("{path}: other files see {seen} fields of {name}"));
            }
        }
    }
    report(
        found,
        "types that show more than 10 fields to other files: name the parts of what belongs together, or answer by methods",
    );
}

#[test]
fn fields_are_counted_as_far_as_they_are_seen() {
    use Reach::{All, Few, Private};
    let code = [
        "pub struct Unit;",
        "pub struct Pair(pub u8, u8);",
        "pub struct A<T>",
        "where",
        "    T: B,",
        "{",
        "    pub a: u8,",
        "    pub(super) b: C<",
        "        D,",
        "        E,",
        "    >,",
        "    #[serde(default)]",
        "    pub(in crate::f) c: u8,",
        "    r#type: u8,",
        "",
        "    d: fn(A) -> E,",
        "}",
        "mod m {",
        "    pub(crate) struct G {",
        "        pub a: u8,",
        "        pub b: H,",
        "    }",
        "}",
        "fn h() {",
        "    let a = A {",
        "        a: 1,",
        "    };",
        "}",
    ];
    let found = structs(&code.join("\n"));
    let named = |name: &str, fields: &[Reach]| Struct { name: name.to_owned(), fields: fields.to_vec() };
    assert_eq!(found, [named("A", &[All, Few, Few, Private, Private]), named("G", &[All, All])]);
    assert_eq!(
        (found[0].seen(false), found[0].seen(true)),
        (3, 5),
        "what everybody sees does not make the rest of it data"
    );
    assert_eq!((found[1].seen(false), found[1].seen(true)), (0, 0), "data");
}

#[test]
fn what_is_private_is_seen_by_the_files_below() {
    let paths = ["p/src/lib.rs", "p/src/a/mod.rs", "p/src/a/b.rs", "p/src/a/b/c.rs", "p/src/a/bc.rs", "p/src/d/mod.rs"];
    let others = BTreeSet::from(paths);
    assert_eq!(paths.map(|path| is_above(path, &others)), [true, true, true, false, false, false]);
}
