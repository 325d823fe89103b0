//! `task list`

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `task list` takes.
#[derive(Debug, Args)]
pub struct ListSettings {
    /// Who may answer: assigned to this name, or to nobody.
    #[arg(long)]
    assignee: Option<String>,
    #[arg(long)]
    workflow: Option<String>,
    #[arg(long)]
    run: Option<String>,
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Where the page begins: what the page before said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ListSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let mut query = vec![("limit", settings.limit.to_string())];
    let given = [
        ("assignee", settings.assignee),
        ("workflow", settings.workflow),
        ("run", settings.run),
        ("cursor", settings.cursor),
    ];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let page = client.get("/tasks", &query).await?;
    show::answer(client.output, &page, || {
        let columns = ["taskId", "workflow", "title", "askedAt", "dueAt"];
        let rows = show::items(&page, "tasks").map(|task| {
            let mut row = columns.map(|name| show::cell(&task[name])).to_vec();
            row.push(assignees(&task["assignees"]));
            row
        });
        show::table(&["task", "workflow", "title", "asked", "due", "assignees"], rows)
    });
    show::next_page(&page);
    Ok(ExitCode::SUCCESS)
}

/// Names, or that it is anybody.
pub(super) fn assignees(listed: &serde_json::Value) -> String {
    let names: Vec<String> = listed.as_array().into_iter().flatten().map(show::cell).collect();
    if names.is_empty() { "anybody".to_owned() } else { names.join(", ") }
}
