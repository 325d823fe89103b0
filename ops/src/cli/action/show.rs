//! `action show`

use std::process::ExitCode;

use clap::Args;
use headwater_core::definition::ActionRef;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `action show` takes.
#[derive(Debug, Args)]
pub struct ShowSettings {
    /// The action: `fetch` for its current version, or `fetch@3`.
    action: ActionRef,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ShowSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let ActionRef { slug, version } = settings.action;
    let version = version.map(|version| format!("/versions/{version}")).unwrap_or_default();
    let found = client.get(&format!("/actions/{slug}{version}"), &[]).await?;
    show::answer(client.output, &found, || {
        let columns = ["workflow", "workflowVersion", "nodeId", "version"];
        let rows = show::items(&found, "users").map(|user| columns.map(|name| show::cell(&user[name])).to_vec());
        let users = show::table(&["used by", "version", "node", "as version"], rows);
        let document = serde_json::to_string_pretty(&found["document"]).unwrap_or_default();
        format!("{slug}@{} {}\n{document}\n{users}", found["version"], show::cell(&found["contentHash"]))
    });
    Ok(ExitCode::SUCCESS)
}
