//! `validate`: says everything that is wrong with definitions, without an engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files::{self, Sourced};
use super::{Failure, show};
use crate::documents::{Compiled, Located};

/// What `validate` takes.
#[derive(Debug, Args)]
pub struct ValidateSettings {
    /// Files, or folders of .json, .yaml and .yml files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub fn run(settings: &ValidateSettings) -> Result<ExitCode, Failure> {
    let sourced = files::read(&settings.paths)?;
    let compiled = files::compile(&sourced)?;
    print_warnings(&sourced, &compiled);
    let rows = sourced.iter().zip(&compiled).map(|(sourced, (definition, _))| {
        vec![definition.slug.to_string(), definition.nodes.len().to_string(), sourced.path.display().to_string()]
    });
    println!("{}", show::table(&["workflow", "nodes", "file"], rows));
    Ok(ExitCode::SUCCESS)
}

/// Prints what is not forbidden and yet worth a look.
fn print_warnings(sourced: &[Sourced], compiled: &[Compiled]) {
    for (document, (definition, warnings)) in compiled.iter().enumerate() {
        for finding in warnings {
            let located = Located { document, slug: Some(definition.slug.to_string()), finding: finding.clone() };
            eprintln!("{}", files::line(sourced, &located));
        }
    }
}
