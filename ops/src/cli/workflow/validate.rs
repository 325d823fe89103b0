//! `validate`: says everything that is wrong with definitions, without an engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files::{self, Found, Sourced};
use crate::cli::{Failure, show};
use crate::documents::{Checked, Located, Placed};

/// What `validate` takes.
#[derive(Debug, Args)]
pub struct ValidateSettings {
    /// Files, or folders of .json, .yaml and .yml files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub fn run(settings: &ValidateSettings) -> Result<ExitCode, Failure> {
    let Found { sourced, skipped } = files::read(&settings.paths)?;
    files::print_skipped(&skipped);
    let checked = files::check(&sourced)?;
    print_warnings(&sourced, &checked);
    let rows = sourced
        .iter()
        .zip(&checked)
        .map(|(sourced, one)| vec![one.slug.to_string(), one.nodes.to_string(), sourced.path.display().to_string()]);
    println!("{}", show::table(&["workflow", "nodes", "file"], rows));
    Ok(ExitCode::SUCCESS)
}

/// Prints what is not forbidden and yet worth a look.
fn print_warnings(sourced: &[Sourced], checked: &[Checked]) {
    let located = checked.iter().enumerate().flat_map(|(document, one)| {
        let located =
            move |placed: &Placed| Located { document, slug: Some(one.slug.to_string()), placed: placed.clone() };
        one.findings.iter().map(located)
    });
    let located: Vec<_> = located.collect();
    files::lines(sourced, &located).iter().for_each(|line| eprintln!("{line}"));
}
