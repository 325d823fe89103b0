//! Which module of the core may know which: each only those in the rows above its own.

use std::collections::BTreeMap;

use crate::sources::{lines_with, package, read, report, shipped};

/// From the bottom to the top. Those in one row are strangers to each other.
const LAYERS: [&[&str]; 11] = [
    &["json", "position", "time"],
    &["id"],
    &["actor", "address", "failure", "ownership", "value"],
    &["credit", "expr"],
    &["definition"],
    &["task"],
    &["dialogue"],
    // No aggregate knows another, nor who carries what they say to each other.
    &["action", "asset", "memo", "run", "workflow"],
    &["shard"],
    &["protocol"],
    &["desk"],
];

/// The module that each name at the root of the core comes from.
fn homes(lib: &str) -> BTreeMap<String, String> {
    let mut homes = BTreeMap::new();
    for statement in lib.split(';') {
        if let Some((_, module)) = statement.rsplit_once("mod ") {
            homes.insert(module.trim().to_owned(), module.trim().to_owned());
        } else if let Some((module, names)) = statement.rsplit_once("pub use ").and_then(|(_, it)| it.split_once("::"))
        {
            let names = names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty());
            homes.extend(names.map(|name| (name.to_owned(), module.to_owned())));
        }
    }
    homes
}

/// What a file names of the root: `crate::x`, and every name in `crate::{x, y::z}`.
fn named(code: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find(';').unwrap_or(list.len())];
                let first = list.split(',').map(|name| name.trim_matches(|c: char| !is_part(c)));
                found.extend(first.map(|name| name.split("::").next().unwrap_or_default().to_owned()));
            }
            None => found.push(rest.chars().take_while(|c| is_part(*c)).collect()),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

#[test]
fn modules_of_the_core_know_only_what_is_below_them() {
    let homes = homes(&read("core/src/lib.rs"));
    let mut found = Vec::new();
    let sources = shipped().into_iter().filter(|(path, _)| package(path) == "core" && path != "core/src/lib.rs");
    for (path, code) in sources {
        let module = path["core/src/".len()..].split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let Some(own) = layer(module) else {
            found.push(format!("{path}: say in LAYERS where the module {module} stands"));
            continue;
        };
        for name in named(&code) {
            let Some(home) = homes.get(&name).filter(|home| *home != module) else { continue };
            let below = layer(home).is_some_and(|layer| layer < own);
            if !below {
                let lines = lines_with(&code, &name);
                found.push(format!("{path}:{lines:?} names {name} of {home}, which is not below {module}"));
            }
        }
    }
    report(found, "arrows inside the core that must not exist (ARCHITECTURE.md)");
}

#[test]
fn names_are_followed_to_their_modules() {
    let homes = homes("pub mod run;\nmod id;\npub use id::{\n    RunId, NodeId,\n};\npub use time::Timestamp;\n");
    let of = |name: &str| homes.get(name).map(String::as_str);
    assert_eq!((of("run"), of("RunId"), of("Timestamp"), of("X")), (Some("run"), Some("id"), Some("time"), None));
    let code = "use crate::run::Run;\nuse crate::{Json, NodeId,\n RunId};\nfn f() -> crate::Slug { crate::g() }\n";
    assert_eq!(named(code), ["run", "Json", "NodeId", "RunId", "Slug", "g"]);
}
