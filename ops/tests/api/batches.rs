//! Folders larger than a body: all or none, checked as they arrive.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::engine::{DEADLINE, Engine};

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

fn large(n: usize, bytes: usize) -> Value {
    json!({"slug": format!("w{n}"), "metadata": {"filler": "x".repeat(bytes)}, "steps": [
        {"id": "a", "action": "noop", "produces": [{"assetId": format!("made.{n}")}]},
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_applied_as_a_whole_or_not_at_all() {
    let engine = Engine::start().await;
    let send = async |body: String| engine.post_text("/batches", "application/x-ndjson", body).await;
    // Five times what one body may have.
    let mut documents: Vec<_> = (0..20).map(|n| large(n, 256 * 1024)).collect();
    documents.push(json!({"slug": "bad", "steps": [{"id": "a", "action": "noop", "dependsOn": ["b"]}]}));
    documents.push(json!({"slug": "w3", "steps": [{"id": "a", "action": "noop"}]}));
    let refused = send(lines(&documents)).await;
    let problems = refused.problem("definition/invalid")["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|one| (one["document"].as_u64(), one["code"].as_str())).collect();
    assert_eq!(places, [(Some(20), Some("dangling_reference")), (Some(21), Some("duplicate"))]);
    let lines_of: Vec<_> = problems.iter().map(|one| (one["line"].as_u64(), one["column"].as_u64())).collect();
    let column_of = |n: usize, value: &str| documents[n].to_string().find(value).map(|at| at as u64 + 1);
    assert_eq!(lines_of, [(Some(21), column_of(20, "\"b\"")), (Some(22), column_of(21, "\"w3\""))]);
    engine.post("/workflows/w0/runs", json!({})).await.problem("workflow/not_found");

    documents.truncate(20);
    // White space between lines, and none at the end, changes nothing.
    let text = lines(&documents);
    let applied = engine
        .send(
            engine
                .request(reqwest::Method::POST, "/batches?readable=10s")
                .header("content-type", "application/x-ndjson")
                .body(format!("\n{}", text.trim_end())),
        )
        .await;
    assert_eq!(applied.data(201)["workflows"].as_array().unwrap().len(), 20);
    assert_eq!(applied.data(201)["readable"], true);
    assert_eq!(applied.data(201)["workflows"][7]["slug"], "w7");
    assert_eq!(engine.get("/workflows?limit=100").await.data(200)["workflows"].as_array().unwrap().len(), 20);
    assert_eq!(send(text).await.data(200)["workflows"][19]["created"], false);

    let consumer = json!({"slug": "uses", "steps": [
        {"id": "a", "action": "noop", "consumes": [{"assetId": "made.1"}, {"assetId": "made.by.nobody"}]},
    ]});
    let warned = send(lines(&[consumer])).await;
    assert_eq!(warned.data(201)["workflows"][0]["warnings"][0]["path"], "/steps/0/consumes/1");
    for (body, code) in [
        ("{\"slug\":", "request/not_json"),
        ("{}\n{\"a\":1,\"a\":2}\n", "request/duplicate_key"),
        ("", "request/invalid_field"),
        ("\n\n", "request/invalid_field"),
    ] {
        send(body.to_owned()).await.problem(code);
    }
    send(format!("{{\"slug\":\"{}\"}}", "x".repeat(17 * 1024 * 1024))).await.problem("request/too_large");
    engine.post("/batches", json!([])).await.problem("request/media_type");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_applies_folders_of_any_size() {
    let engine = Engine::start().await;
    let folder = tempfile::tempdir().unwrap();
    for n in 0..400 {
        std::fs::write(folder.path().join(format!("w{n}.json")), large(n, 8 * 1024).to_string()).unwrap();
    }
    let apply = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.arg("apply").arg(folder.path()).env("HEADWATER_API", &engine.base).stdin(Stdio::null());
        let output = tokio::time::timeout(DEADLINE, command.kill_on_drop(true).output()).await.unwrap().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, table, said) = apply().await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(table.matches("new version").count(), 400);
    assert!(said.contains("400 of 400 definitions checked: applying them"), "{said}");
    std::fs::write(folder.path().join("z.json"), r#"{"slug":"z","steps":[]}"#).unwrap();
    let (code, _, said) = apply().await;
    assert!(code == Some(2) && said.contains("z.json:1:21: error in z at \"/steps\""), "{said}");
    engine.stop().await;
}
