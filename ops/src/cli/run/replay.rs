//! `run replay`: folds an exported run without an engine, and says where it stands.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::{Failure, show};
use crate::codes::Exit;
use crate::export::{Replay, Standing};

/// What `run replay` takes.
#[derive(Debug, Args)]
pub struct ReplaySettings {
    /// What `run export` has written.
    file: PathBuf,
    /// Only up to this event.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    at: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(settings: &ReplaySettings) -> Result<ExitCode, Failure> {
    let named = |error: &dyn std::fmt::Display| printable(&format!("{}: {error}", settings.file.display()));
    let file = File::open(&settings.file).map_err(|error| Failure::new(named(&error)).exit(Exit::InvalidInput))?;
    let replayed = Replay::of(BufReader::new(file), settings.at);
    let standing = replayed.map_err(|flawed| Failure::new(named(&Failure::of(&flawed))))?;
    let Standing { run, context, time, events, bundles, is_compared } = standing;
    if settings.json {
        let (time, compared) = (time.to_string(), is_compared);
        let shown = json!({"runId": run, "events": events, "bundles": bundles, "time": time, "compared": compared, "context": context});
        println!("{shown:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let compared = if is_compared { "the same" } else { "not compared" };
    println!(
        "{}\n",
        show::card([
            ("run", run.to_string()),
            ("status", context.status.to_string()),
            ("events", format!("{events} in {bundles} bundles, each of which can be")),
            ("last", time.to_string()),
            ("what the engine saw", compared.to_owned()),
            ("state", printable(&json!(context.state).to_string())),
        ])
    );
    let nodes = context.nodes.iter().map(|(node, seen)| {
        let output = seen.output.as_ref().map(|output| printable(&show::glance(&output.to_value())));
        vec![
            node.to_string(),
            json!(seen.status).as_str().unwrap_or_default().to_owned(),
            seen.attempts.to_string(),
            output.unwrap_or_default(),
        ]
    });
    println!("{}", show::table(&["node", "status", "attempts", "output"], nodes));
    Ok(ExitCode::SUCCESS)
}

/// Who gets a file from somebody does not let it move the terminal's cursor.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}
