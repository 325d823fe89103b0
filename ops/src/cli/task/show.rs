//! `task show`

use std::process::ExitCode;

use clap::Args;

use super::list::assignees;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `task show` takes.
#[derive(Debug, Args)]
pub struct ShowSettings {
    /// As `task list` names it.
    task: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: ShowSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let task = client.get(&format!("/tasks/{}", settings.task), &[]).await?;
    show::answer(client.output, &task, || {
        let fields = [
            ("title", "title"),
            ("description", "description"),
            ("workflow", "workflow"),
            ("status", "status"),
            ("asked", "askedAt"),
            ("due", "dueAt"),
            ("reminded", "remindedAt"),
            ("closed", "closedAt"),
            ("form", "form"),
        ];
        let mut rows: Vec<_> = fields.iter().map(|(name, field)| (*name, show::cell(&task[*field]))).collect();
        rows.push(("assignees", assignees(&task["assignees"])));
        let answered = show::items(&task, "answers").map(|answer| show::actor(&answer["by"]));
        let answered: Vec<String> = answered.collect();
        rows.push(("answered", format!("{} of {}: {}", answered.len(), task["quorum"], answered.join(", "))));
        show::card(rows)
    });
    Ok(ExitCode::SUCCESS)
}
