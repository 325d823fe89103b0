//! The control-flow patterns that this release runs: each example is applied to a real engine and started, and what comes of it
//! is what it says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_tests::cluster::Cluster;
use reqwest::Client;
use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn examples() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository().join("examples/patterns")).unwrap();
    let mut examples: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    examples.sort();
    examples
}

async fn get(http: &Client, url: String) -> Value {
    let answer = http.get(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.unwrap()
}

/// Says something to a run, while one of its nodes waits where that is said.
async fn tell(http: &Client, run: &str, mut signal: Value) {
    if let Some(node) = signal.as_object_mut().unwrap().remove("whileAt") {
        until(http, run, |run| {
            let nodes = run["nodes"].as_array().unwrap();
            nodes.iter().any(|found| found["nodeId"] == node && found["status"] == "waiting")
        })
        .await;
    }
    let told = http.post(format!("{run}/signals")).json(&signal).send().await.unwrap();
    assert_eq!(told.status(), 202, "{signal}: {}", told.text().await.unwrap());
}

async fn ended(http: &Client, run: &str) -> Value {
    until(http, run, |run| ["succeeded", "failed", "cancelled"].iter().any(|status| run["status"] == *status)).await
}

/// Looks at a run until it is so.
async fn until(http: &Client, run: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let looked = async {
        loop {
            let answer = http.get(run).send().await.unwrap();
            // Right after its start it may not be there yet.
            if answer.status().is_success() {
                let found = answer.json::<Value>().await.unwrap()["data"].clone();
                if is_so(&found) {
                    return found;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looked).await.expect("in time")
}

/// Starts what an example says, and compares what came of it.
async fn carry_out(http: &Client, api: &str, example: &Path) {
    let text = std::fs::read_to_string(example).unwrap();
    let applied = http.post(format!("{api}/workflows")).header("content-type", "application/yaml").body(text);
    let applied: Value = applied.send().await.unwrap().json().await.unwrap();
    let token = applied["data"]["token"].as_str().unwrap_or_else(|| panic!("{}: {applied}", example.display()));
    let name = example.file_stem().unwrap().to_str().unwrap();
    let slug = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
    let document = get(http, format!("{api}/workflows/{slug}?minSeq={token}")).await["data"]["document"].clone();
    let runs = document["metadata"]["runs"].as_array().expect("an example says what comes of it").clone();
    assert!(!runs.is_empty(), "{slug}");
    for told in runs {
        let start =
            |wait: &str| http.post(format!("{api}/workflows/{slug}/runs{wait}")).json(&json!({"input": told["input"]}));
        let signals = told["signals"].as_array().cloned().unwrap_or_default();
        let started = start(if signals.is_empty() { "?wait=30s" } else { "" }).send().await.unwrap();
        let started: Value = started.json().await.unwrap();
        let run = format!("{api}/runs/{}", started["data"]["runId"].as_str().unwrap());
        for signal in signals {
            tell(http, &run, signal).await;
        }
        let run = ended(http, &run).await;
        let case = format!("{slug} with {}: {run}", told["input"]);
        assert_eq!(run["status"], told["status"], "{case}");
        assert_eq!(run["error"]["code"], told["error"], "{case}");
        if !told["output"].is_null() {
            assert_eq!(run["output"], told["output"], "{case}");
        }
        for (node, status) in told["nodes"].as_object().expect("an example says how its nodes end") {
            let nodes = run["nodes"].as_array().unwrap();
            let found = nodes.iter().find(|found| found["nodeId"] == json!(node));
            assert_eq!(found.expect("the node exists")["status"], *status, "{node} of {case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pattern_that_is_said_to_run_does_what_its_example_says() {
    // The engine's processes install the provider themselves; a test that speaks HTTP is a process too.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let engine = cluster.engine("api,shards,projector").await;
    let http = Client::new();
    for example in examples() {
        carry_out(&http, &engine.api, &example).await;
    }
}

#[test]
fn the_table_of_patterns_has_a_row_for_each_and_its_examples_are_there() {
    let page = std::fs::read_to_string(repository().join("docs/patterns.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=43).collect::<Vec<_>>());
    let beside = page.lines().filter(|line| line.starts_with("* ")).filter_map(|line| line.rsplit(['[', ']']).nth(1));
    let named: BTreeSet<String> = rows
        .iter()
        .filter(|row| row[3] == "runs")
        .map(|row| row[4].split(['[', ']']).nth(1).expect("a row that runs names its example").to_owned())
        .chain(beside.map(str::to_owned))
        .collect();
    let there: BTreeSet<String> =
        examples().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(named, there);
    let counts = ["runs", "composed", "not yet"].map(|word| rows.iter().filter(|row| row[3] == word).count());
    assert_eq!(counts.iter().sum::<usize>(), 43);
    let said = format!("{} run, {} are composed of others, {} wait", counts[0], counts[1], counts[2]);
    assert!(page.contains(&said), "the page should say: {said}");
}
