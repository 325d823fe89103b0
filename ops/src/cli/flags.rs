//! No flag is there for nothing: each of every command is given, and has to make a difference.

use clap::{Arg, ArgAction, Command, CommandFactory as _, Parser as _};

use super::{Arguments, config};

/// One of them suits any flag.
const SAMPLES: [&str; 10] =
    ["3", "700", "127.0.0.1:7", "7", "name", "nats://name", "http://name:7", "key=value", "postgres://name", "30s"];

/// Every command that can be typed, with the words that lead to it.
fn commands() -> Vec<(Vec<String>, Command)> {
    let mut root = Arguments::command();
    root.build();
    let (mut found, mut todo) = (Vec::new(), vec![(vec!["headwater".to_owned()], root)]);
    while let Some((words, command)) = todo.pop() {
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        for below in below {
            let words = words.iter().cloned().chain([below.get_name().to_owned()]).collect();
            todo.push((words, below.clone()));
        }
        if !command.is_subcommand_required_set() {
            found.push((words, command));
        }
    }
    found
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    let builtin = |arg: &&Arg| {
        !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
    };
    command.get_arguments().filter(builtin)
}

/// What is typed to give an argument a value; several tries.
fn given(arg: &Arg) -> Vec<Vec<String>> {
    let flag = arg.get_long().map(|long| format!("--{long}"));
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return vec![flag.into_iter().collect()];
    }
    let possible: Vec<String> =
        arg.get_possible_values().iter().rev().map(|value| value.get_name().to_owned()).collect();
    let values = if possible.is_empty() { SAMPLES.map(str::to_owned).to_vec() } else { possible };
    values.into_iter().map(|value| flag.iter().cloned().chain([value]).collect()).collect()
}

/// What must be typed with a flag that does not go alone.
fn beside(words: &[String], arg: &Arg) -> Vec<String> {
    let wanted: &[&str] = match arg.get_id().as_str() {
        "nats_user" => &["--nats-password", "beside"],
        _ => &[],
    };
    let needed = match words.last().map(String::as_str) {
        Some("pin") if !["version", "none"].contains(&arg.get_id().as_str()) => &["--none"][..],
        Some("migrate") if arg.get_id() != "version" => &["--version", "2"][..],
        Some("reassign") if arg.get_id() != "to" => &["--to", "beside"][..],
        Some("rebuild") if arg.get_id() != "postgres_url" => &["--postgres-url", "postgres://beside"],
        Some("release") if words[1] == "hold" && arg.get_id() != "reason" => &["--reason", "beside"][..],
        Some("release") if words[1] == "quarantine" && !["refold", "skip", "end"].contains(&arg.get_id().as_str()) => {
            &["--end"][..]
        }
        _ => &[],
    };
    wanted.iter().chain(needed).map(|word| (*word).to_owned()).collect()
}

fn required(command: &Command, besides: &Arg) -> Vec<String> {
    let positional = command.get_positionals().filter(|arg| arg.is_required_set() && arg.get_id() != besides.get_id());
    let one = |arg: &Arg| arg.get_possible_values().first().map_or("5".to_owned(), |value| value.get_name().to_owned());
    positional.map(one).collect()
}

fn parsed(words: &[&[String]]) -> Option<Arguments> {
    Arguments::try_parse_from(words.concat()).ok()
}

#[test]
fn every_flag_of_every_command_makes_a_difference() {
    for (words, command) in commands() {
        for arg in flags(&command) {
            let (beside, required) = (beside(&words, arg), required(&command, arg));
            let said = |given: &[String]| parsed(&[&words, &required, &beside, given]).map(|read| format!("{read:?}"));
            let without = said(&[]);
            let differs = given(arg).iter().any(|given| said(given).is_some_and(|with| Some(with) != without));
            assert!(differs, "{} {}", words.join(" "), arg.get_id());
        }
    }
}

#[test]
fn every_flag_of_the_servers_arrives_where_they_go_by_it() {
    let mut walked = 0;
    for (words, command) in commands() {
        let [_, config, server] = &words[..] else { continue };
        if config != "config" {
            continue;
        }
        let shown = |given: &[String], beside: &[String]| match parsed(&[&words, beside, given])?.command {
            super::Command::Config(settings) => Some(config::shown(&settings)),
            _ => None,
        };
        for arg in flags(&command).filter(|arg| !arg.is_global_set()) {
            let (name, beside) = (arg.get_long().expect("servers take flags only"), beside(&words, arg));
            let without = shown(&[], &beside).expect("nothing is required");
            assert!(without.contains_key(name), "{server} --{name} is not shown");
            let changed = |with: serde_json::Map<String, serde_json::Value>| {
                with.into_iter()
                    .filter(|(name, value)| without.get(name) != Some(value))
                    .map(|(name, _)| name)
                    .collect()
            };
            let changes: Vec<Vec<String>> =
                given(arg).iter().filter_map(|given| Some(changed(shown(given, &beside)?))).collect();
            assert!(changes.contains(&vec![name.to_owned()]), "{server} --{name} changes {changes:?}");
            let variable = arg.get_env().and_then(|variable| variable.to_str()).unwrap_or_default();
            let wanted = format!("HEADWATER_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(variable, wanted, "{server} --{name}");
            walked += 1;
        }
    }
    assert!(walked > 20, "{walked}");
}

/// A setting that is shown and documented and that nobody asks for is there for nothing all the same.
#[test]
fn every_flag_of_serve_is_asked_for_by_what_it_sets() {
    let sources = [include_str!("../settings.rs"), include_str!("../process.rs"), include_str!("../roles.rs")].concat();
    let reads: String = sources.lines().filter(|line| !line.trim_start().starts_with("pub ")).collect();
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let asked = |place: String| reads.match_indices(&place).any(|(at, _)| ends(&reads[at + place.len()..]));
    for (_, command) in commands().into_iter().filter(|(words, _)| words[1..] == ["serve".to_owned()]) {
        for arg in flags(&command).filter(|arg| !arg.is_global_set()) {
            let field = arg.get_id();
            let places =
                [format!("settings.{field}"), format!("self.{field}"), format!("{{ {field}"), format!(", {field}")];
            assert!(places.into_iter().any(asked), "nothing reads {field}");
        }
    }
}

#[test]
fn the_documentation_lists_every_flag_of_the_servers() {
    let docs = include_str!("../../../docs/operations.md");
    for (words, command) in commands().into_iter().filter(|(words, _)| words.len() == 2) {
        if words[1] == "serve" || words[1] == "dev" {
            for flag in flags(&command).filter_map(Arg::get_long) {
                assert!(docs.contains(&format!("`--{flag}")), "docs/operations.md lacks --{flag} of {}", words[1]);
            }
        }
    }
}
