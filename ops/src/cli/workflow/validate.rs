//! `validate`: says everything that is wrong with definitions, without an engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use headwater_core::Slug;

use super::files::{self, Found, Sourced};
use crate::cli::{Failure, show};
use crate::documents::{Batch, Located, Placed};

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
    let file = |document: usize| sourced.get(document).map(|one| one.path.display().to_string()).unwrap_or_default();
    let actions =
        checked.actions.iter().map(|one| (one.document, "action", one.definition.slug.to_string(), String::new()));
    let workflows =
        checked.workflows.iter().map(|one| (one.document, "workflow", one.slug.to_string(), one.nodes.to_string()));
    let mut rows: Vec<_> = actions.chain(workflows).collect();
    rows.sort();
    let rows = rows.into_iter().map(|(at, kind, slug, nodes)| vec![kind.to_owned(), slug, nodes, file(at)]);
    println!("{}", show::table(&["", "slug", "nodes", "file"], rows));
    Ok(ExitCode::SUCCESS)
}

/// Prints what is not forbidden and yet worth a look.
fn print_warnings(sourced: &[Sourced], checked: &Batch) {
    let of = |document: usize, slug: &Slug, placed: &[Placed]| -> Vec<Located> {
        placed.iter().map(|placed| Located { document, slug: Some(slug.to_string()), placed: placed.clone() }).collect()
    };
    let actions = checked.actions.iter().flat_map(|one| of(one.document, &one.definition.slug, &one.findings));
    let workflows = checked.workflows.iter().flat_map(|one| of(one.document, &one.slug, &one.findings));
    let mut located: Vec<_> = actions.chain(workflows).collect();
    located.sort_by_key(|located| located.document);
    files::lines(sourced, &located).iter().for_each(|line| eprintln!("{line}"));
}
