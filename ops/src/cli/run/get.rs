//! `run get`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::branches::counted;
use crate::cli::client::{ApiSettings, Client};
use crate::cli::{Failure, show};

/// What `run get` takes.
#[derive(Debug, Args)]
pub struct GetSettings {
    run: String,
    #[command(flatten)]
    api: ApiSettings,
}

pub async fn run(settings: GetSettings) -> Result<ExitCode, Failure> {
    let client = Client::new(&settings.api)?;
    let run = client.get(&format!("/runs/{}", settings.run), &[]).await?;
    show::answer(client.output, &run, || {
        let calls: Vec<_> = show::items(&run, "traces").filter(|trace| !trace["childRunId"].is_null()).collect();
        let children = calls.into_iter().map(|trace| {
            let [node, attempt, child] = ["nodeId", "attempt", "childRunId"].map(|name| show::cell(&trace[name]));
            vec![node, attempt, child, show::cell(&trace["status"])]
        });
        let children: Vec<_> = children.collect();
        let shown = format!("{}\n\n{}", super::card(&run), nodes(&run));
        if children.is_empty() {
            return shown;
        }
        let calls = show::table(&["node", "attempt", "calls run", "status"], children);
        format!("{shown}\n\n{calls}")
    });
    Ok(ExitCode::SUCCESS)
}

/// A line for each node, however often it happens; with what became of the branches that it opened, where one does.
fn nodes(run: &Value) -> String {
    let columns = ["nodeId", "kind", "status", "attempts"];
    let has_branches = show::items(run, "nodes").any(|node| counted(node).is_some());
    let rows = show::items(run, "nodes").map(|node| {
        let counted = has_branches.then(|| counted(node).unwrap_or_default());
        let of = |name: &str| if name == "status" { super::status_of(node) } else { show::cell(&node[name]) };
        columns.iter().map(|name| of(name)).chain(counted).collect()
    });
    let header = ["node", "kind", "status", "attempts", "branches"];
    show::table(&header[..columns.len() + usize::from(has_branches)], rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_with_branches_is_one_line_that_counts_them() {
        let judges = json!({"nodeId": "judges", "kind": "forEach", "status": "failed", "attempts": 1, "bodyOf": null,
            "branches": {"kind": "item", "total": 10, "open": 0, "succeeded": 9, "failed": 1, "cancelled": 0}});
        let judge = json!({"nodeId": "judge", "kind": "job", "status": "failed", "attempts": 12, "bodyOf": "judges", "branches": null});
        let shown = nodes(&json!({"nodes": [judges, judge]}));
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NODE", "KIND", "STATUS", "ATTEMPTS", "BRANCHES"]);
        assert_eq!(lines[1], ["judges", "forEach", "failed", "1", "9/10", "items,", "1", "failed"]);
        assert_eq!(lines[2], ["judge", "job", "failed", "12"]);
        let plain = nodes(&json!({"nodes": [{"nodeId": "a", "kind": "noop", "status": "succeeded", "attempts": 1}]}));
        assert!(!plain.contains("BRANCHES"), "{plain}");
    }
}
