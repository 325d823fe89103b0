//! `run branches`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run branches` takes.
#[derive(Debug, Args)]
pub struct BranchesSettings {
    run: String,
    /// Only those that this node opened: a `forEach`, or the first node of a loop.
    #[arg(long)]
    node: Option<String>,
    /// running, succeeded, failed or cancelled.
    #[arg(long)]
    status: Option<String>,
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Where the page begins: what the page before said.
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: BranchesSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let mut query = vec![("limit", settings.limit.to_string())];
    let given = [("node", settings.node), ("status", settings.status), ("after", settings.after)];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let page = client.get(&format!("/runs/{}/branches", settings.run), &query).await?;
    show::answer(client.output, &page, || {
        let header = ["branch", "in", "node", "kind", "position", "status", "opened", "ended", "output"];
        show::table(&header, show::items(&page, "branches").map(row))
    });
    if let Some(next) = page["next"].as_str() {
        eprintln!("there are more: --after {next}");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(branch: &Value) -> Vec<String> {
    let columns = ["branch", "parentBranch", "nodeId", "kind", "position", "status", "openedAt", "endedAt"];
    let outcome = match branch["error"].as_object() {
        Some(error) => show::glance(error.get("message").unwrap_or(&Value::Null)),
        None => show::glance(&branch["output"]),
    };
    columns.iter().map(|name| show::cell(&branch[*name])).chain([outcome]).collect()
}

/// How the branches that a node opened stand, in a few words; `None`: it opens none.
pub fn counted(node: &Value) -> Option<String> {
    let counts = node["branches"].as_object()?;
    let count = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    let some = |name: &str, word: &str| match count(name) {
        0 => String::new(),
        number => format!(", {number} {word}"),
    };
    let total = count("total");
    Some(match counts.get("kind").and_then(Value::as_str) {
        Some("turn") if node["bodyOf"].is_null() => format!("turn {total}"),
        Some("turn") => format!("{total} turns{}", some("open", "open")),
        Some("undo") => {
            let rest = [some("failed", "failed"), some("open", "open")].concat();
            format!("{}/{total} undone{rest}", count("succeeded"))
        }
        Some(_) | None => {
            let rest = [some("failed", "failed"), some("cancelled", "cancelled"), some("open", "open")].concat();
            format!("{}/{total} items{rest}", count("succeeded"))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn branches_are_counted_in_a_few_words() {
        let counts = |kind: &str, body_of: Value| json!({"bodyOf": body_of, "branches": {"kind": kind, "total": 10, "open": 1, "succeeded": 7, "failed": 2, "cancelled": 0}});
        assert_eq!(counted(&counts("item", Value::Null)).unwrap(), "7/10 items, 2 failed, 1 open");
        assert_eq!(counted(&counts("turn", Value::Null)).unwrap(), "turn 10");
        assert_eq!(counted(&counts("turn", json!("each"))).unwrap(), "10 turns, 1 open");
        assert_eq!(counted(&json!({"branches": null})), None);
        // An engine of an older release says nothing.
        assert_eq!(counted(&json!({})), None);
    }

    #[test]
    fn a_branch_is_a_line_with_what_it_left() {
        let branch = json!({"branch": 3, "parentBranch": 0, "nodeId": "judges", "kind": "item", "position": 2, "status": "failed",
            "openedAt": "then", "endedAt": null, "output": null, "error": {"code": "boom", "message": "it broke"}});
        assert_eq!(row(&branch), ["3", "0", "judges", "item", "2", "failed", "then", "-", "it broke"]);
    }
}
