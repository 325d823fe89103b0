//! Runs that leave the engine in one file, and are folded without it.

use serde_json::{Value, json};

use crate::commands::Terminal;
use crate::engine::Engine;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_exported_and_folded_elsewhere_with_its_large_values() {
    let engine = Engine::start().await;
    engine
        .apply(json!({"slug": "wide",
            "nodes": [
                {"id": "list", "action": {"kind": "transform", "output": "${{ lists.range(200).map(i, input.pad) }}"}},
                {"id": "each", "forEach": {"items": "${{ nodes.list.output }}",
                    "body": {"id": "one", "action": {"kind": "transform", "output": "${{ size(item) }}"}}}},
                {"id": "sum", "storeResultAs": "sum",
                    "action": {"kind": "transform", "output": "${{ nodes.each.output.sum() }}"}}],
            "transitions": [{"from": "list", "to": "each"}, {"from": "each", "to": "sum"}]}))
        .await;
    let terminal = Terminal { engine: &engine };
    let pad = format!("pad={}", "x".repeat(1_000));
    let run = terminal.json(&["run", "start", "wide", "-p", &pad, "--wait"]).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    let (id, folder) = (run["runId"].as_str().unwrap().to_owned(), tempfile::tempdir().unwrap());
    let file = folder.path().join("run.jsonl");
    let file = file.to_str().unwrap();
    terminal.exits(0, &["run", "export", &id, "--to", file]).await;
    let (printed, _) = terminal.exits(0, &["run", "export", &id]).await;
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(printed, text, "the same run is the same file");
    assert!(text.contains("\"stored\":{\"digest\":"), "a large value stands in it");
    for (code, arguments) in [
        (4, &["run", "export", "01890000-0000-7000-8000-000000000000"][..]),
        (2, &["run", "export", "no-run"]),
        // What is another workspace's is not there.
        (4, &["run", "export", &id, "--workspace", "elsewhere"]),
    ] {
        terminal.exits(code, arguments).await;
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");

    // From here on there is no engine.
    let missing = folder.path().join("missing.jsonl");
    terminal
        .exits(4, &["run", "export", "01890000-0000-7000-8000-000000000000", "--to", missing.to_str().unwrap()])
        .await;
    assert!(!missing.exists());
    let (table, _) = terminal.exits(0, &["run", "replay", file]).await;
    assert!(table.contains("succeeded") && table.contains("the same"), "{table}");
    let (shown, _) = terminal.exits(0, &["run", "replay", file, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["context"]["state"]["sum"], &shown["compared"]), (&json!(200_000), &json!(true)));
    let changed = folder.path().join("changed.jsonl");
    std::fs::write(&changed, text.replacen("xxxx", "xxxy", 1)).unwrap();
    let (_, said) = terminal.exits(1, &["run", "replay", changed.to_str().unwrap()]).await;
    assert!(said.contains("is not as it was written"), "{said}");
    engine.stop().await;
}
