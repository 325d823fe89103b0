//! `apply`: makes definitions the current versions of their workflows.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{ApiSettings, Client};
use super::{Failure, files, show};

/// What `apply` takes.
#[derive(Debug, Args)]
pub struct ApplySettings {
    /// Files, or folders of .json, .yaml and .yml files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ApplySettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let sourced = files::read(&settings.paths)?;
    files::compile(&sourced)?;
    let documents: Vec<&Value> = sourced.iter().map(|sourced| &sourced.document).collect();
    let request = client.request(Method::POST, "/workflows").json(&json!({"workflows": documents}));
    let applied = client.send(request).await?;
    // The engine's, which knows the other workflows too; in the order of the documents.
    for (sourced, workflow) in sourced.iter().zip(show::items(&applied, "workflows")) {
        for warning in show::items(workflow, "warnings") {
            let text = |field: &str| warning[field].as_str().unwrap_or_default();
            let (at, code, message) = (text("path"), text("code"), text("message"));
            let slug = show::cell(&workflow["slug"]);
            eprintln!("{}: warning in {slug} at {at:?} [{code}] {message}", sourced.path.display());
        }
    }
    show::answer(client.output, &applied, || {
        let rows = show::items(&applied, "workflows").map(|workflow| {
            let state = if workflow["created"] == true { "new version" } else { "unchanged" };
            vec![show::cell(&workflow["slug"]), show::cell(&workflow["version"]), state.to_owned()]
        });
        show::table(&["workflow", "version", ""], rows)
    });
    Ok(ExitCode::SUCCESS)
}
