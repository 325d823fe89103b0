//! A run of thousands of items, with real processes: while it goes on and afterwards it is shown in short, and nothing of it is
//! missing where it is paged through.

use std::time::Instant;

use headwater_tests::cluster::Cluster;
use headwater_tests::until;
use reqwest::Client;
use serde_json::{Value, json};

const ITEMS: usize = 2_000;

fn definition() -> Value {
    json!({"slug": "wide", "steps": [{"id": "judges", "forEach": {"items": ITEMS, "onItemFailure": "continue", "merge": "last",
        "body": {"steps": [
            {"id": "judge", "jobSlug": "echo", "input": {"millis": 0, "at": "${{ index }}"}},
            {"id": "rate", "dependsOn": ["judge"], "action": {"kind": "transform", "output": "${{ 10 / (index % 100) }}"}}]}}}]})
}

async fn get(http: &Client, url: &str) -> Value {
    let answer = http.get(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json::<Value>().await.unwrap()["data"].take()
}

/// Reads every page of a list.
async fn all(http: &Client, url: &str, list: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let page = get(http, &format!("{url}?limit=1000{next}")).await;
        items.extend(page[list].as_array().unwrap().clone());
        let Some(after) = page["next"].as_str() else { return items };
        next = format!("&after={after}");
    }
}

fn node<'r>(run: &'r Value, id: &str) -> &'r Value {
    run["nodes"].as_array().unwrap().iter().find(|node| node["nodeId"] == id).expect("the node is shown")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_run_is_shown_in_short_and_nothing_of_it_is_missing() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let engine = cluster.engine("api,shards,projector").await;
    let (http, api) = (Client::new(), engine.api.clone());
    let applied = http.post(format!("{api}/workflows")).json(&definition()).send().await.unwrap();
    assert!(applied.status().is_success(), "{}", applied.text().await.unwrap());
    let started = http.post(format!("{api}/workflows/wide/runs?wait=0s")).json(&json!({})).send().await.unwrap();
    let started: Value = started.json().await.unwrap();
    let url = format!("{api}/runs/{}", started["data"]["runId"].as_str().unwrap());
    // Nobody works yet: all are open, and wait.
    let token = started["data"]["token"].as_str().unwrap();
    let waiting = get(&http, &format!("{url}?minSeq={token}")).await;
    let open = until("all items are open", || async {
        let run = get(&http, &url).await;
        (node(&run, "judges")["branches"]["open"] == ITEMS).then_some(run)
    });
    let run = open.await;
    assert_eq!(waiting["nodes"].as_array().unwrap().len(), 3);
    assert_eq!((&node(&run, "judge")["status"], &node(&run, "rate")["status"]), (&json!("queued"), &json!("pending")));

    let began = Instant::now();
    let _worker = cluster.worker(64).await;
    let mut looks = 0;
    let ended = until("the run ends", || {
        looks += 1;
        async {
            let run = get(&http, &url).await;
            assert!(run["traces"].as_array().unwrap().len() <= 1_000);
            assert_eq!(node(&run, "judges")["branches"]["total"], ITEMS);
            (!run["completedAt"].is_null()).then_some(run)
        }
    });
    let run = ended.await;
    println!("{ITEMS} items are done in {:?}, and were looked at {looks} times", began.elapsed());
    let asked = Instant::now();
    get(&http, &url).await;
    println!("the run is read in {:?}", asked.elapsed());
    assert_eq!(run["status"], "succeeded", "{}", run["error"]);
    let failed = ITEMS / 100;
    let counts = json!({"kind": "item", "total": ITEMS, "open": 0, "succeeded": ITEMS - failed, "failed": failed, "cancelled": 0});
    assert_eq!(node(&run, "judges")["branches"], counts);
    assert_eq!(
        (&node(&run, "judge")["status"], &node(&run, "judge")["attempts"]),
        (&json!("succeeded"), &json!(ITEMS))
    );
    assert_eq!(node(&run, "rate")["status"], "failed");
    assert_eq!(run["hasMoreTraces"], true);

    let branches = all(&http, &format!("{url}/branches"), "branches").await;
    assert_eq!(branches.len(), ITEMS);
    for (position, branch) in branches.iter().enumerate() {
        assert_eq!(branch["position"], position, "{branch}");
        let status = if position % 100 == 0 { "failed" } else { "succeeded" };
        assert_eq!((&branch["status"], branch["endedAt"].is_null()), (&json!(status), false), "{branch}");
    }
    let traces = all(&http, &format!("{url}/traces"), "traces").await;
    let of = |id: &str| traces.iter().filter(|trace| trace["nodeId"] == id).count();
    assert!(of("judge") == ITEMS && of("rate") >= ITEMS && of("judges") == 1, "{} {}", of("judge"), of("rate"));
}
