//! The main job from outside: two workflows, a worker program of its own, and what the catalogue then says.

use std::path::Path;

use headwater_tests::cluster::{Cluster, Engine};
use headwater_tests::until;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

struct House {
    cluster: Cluster,
    engine: Engine,
    http: Client,
    _worker: headwater_tests::cluster::WorkerProcess,
}

impl House {
    async fn open() -> Self {
        // The engine's processes install the provider themselves; a test that speaks HTTP is a process too.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::start().await;
        let engine = cluster.engine("api,shards,projector").await;
        let worker = cluster.worker_program("directory-insights").await;
        let house = Self { cluster, engine, http: Client::new(), _worker: worker };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/directory-insights/workflows");
        for name in ["directory-insights-report", "directory-insights-archive"] {
            let text = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
            let document: Value = serde_json::from_str(&text).unwrap();
            let (status, answer) = house.post("/workflows", &document).await;
            assert!(status.is_success(), "{answer}");
        }
        house
    }

    fn scanned(&self) -> std::path::PathBuf {
        let folder = self.cluster.folder().join("scanned");
        std::fs::create_dir_all(folder.join("deep/er")).unwrap();
        for (name, bytes) in [("a.txt", 10), ("deep/b.rs", 5_000), ("deep/er/c.rs", 200_000)] {
            std::fs::write(folder.join(name), vec![b'x'; bytes]).unwrap();
        }
        folder
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.http.post(format!("{}{path}", self.engine.api)).json(body).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}: {}", self.engine.how_it_is()));
        (answer.status(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.http.get(format!("{}{path}", self.engine.api)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Starts a run, waits for its end, and returns its id and status.
    async fn run(&self, workflow: &str, input: Value) -> (String, String) {
        let (status, answer) =
            self.post(&format!("/workflows/{workflow}/runs?wait=60s"), &json!({"input": input})).await;
        assert!(status.is_success(), "{answer}");
        let data = &answer["data"];
        (data["runId"].as_str().unwrap().to_owned(), data["status"].as_str().unwrap().to_owned())
    }

    async fn report(&self) -> (String, String) {
        let (scan, out) = (self.scanned(), self.cluster.folder().join("report"));
        self.run("directory-insights-report", json!({"scanDir": scan, "outputDir": out, "reportTitle": "Test"})).await
    }

    /// Waits until the history of an asset has so many versions, each with its run's end.
    async fn history(&self, workflow: &str, asset: &str, versions: usize) -> Vec<Value> {
        until("the history is projected", || async {
            let (_, answer) = self.get(&format!("/workflows/{workflow}/assets/{asset}/history")).await;
            let items = answer["data"]["history"].as_array()?.clone();
            let complete = items.len() == versions && items.iter().all(|item| item["runCompletedAt"].is_string());
            complete.then_some(items)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_becomes_a_report_an_archive_and_a_catalogue() {
    let house = House::open().await;
    let asset = "directory.insights.report";
    let before = until("the workflow is projected", || async {
        let (status, answer) = house.get("/workflows/directory-insights-report/assets").await;
        (status == StatusCode::OK).then_some(answer)
    })
    .await;
    assert_eq!(before["data"]["assets"][0]["available"], json!(false));
    assert_eq!(before["data"]["assets"][0]["latest"], Value::Null);

    let (first, status) = house.report().await;
    assert_eq!(status, "succeeded");
    let history = house.history("directory-insights-report", asset, 1).await;
    assert_eq!(history[0]["version"], json!(1));
    assert_eq!(history[0]["runId"], json!(first));
    assert_eq!((&history[0]["runStatus"], &history[0]["stepStatus"]), (&json!("succeeded"), &json!("succeeded")));
    assert_eq!((&history[0]["stepId"], &history[0]["stepName"]), (&json!("report"), &json!("Generate visualizations")));
    assert_eq!(history[0]["payload"]["summary"]["totalFiles"], json!(3));
    assert_eq!(history[0]["schema"]["required"], json!(["outputDir", "reportTitle", "generatedAt", "artifacts"]));
    assert!(history[0]["freshness"]["ttlMs"].is_u64());
    let page = std::fs::read_to_string(house.cluster.folder().join("report/index.html")).unwrap();
    assert!(page.contains("<title>Test") && !page.contains("http://") && !page.contains("https://"));

    let (second, _) = house.report().await;
    let history = house.history("directory-insights-report", asset, 2).await;
    assert_eq!([&history[0]["version"], &history[1]["version"]], [&json!(2), &json!(1)], "newest first");
    assert_eq!(history[0]["runId"], json!(second));

    let archives = house.cluster.folder().join("archives");
    let (_, status) = house.run("directory-insights-archive", json!({"archiveDir": archives})).await;
    assert_eq!(status, "succeeded");
    let made = house.history("directory-insights-archive", "directory.insights.archive", 1).await;
    assert_eq!(made[0]["inputs"], json!([{"assetId": asset, "partitionKey": null, "version": 2}]));
    assert!(Path::new(made[0]["payload"]["archivePath"].as_str().unwrap()).is_file());

    let (status, _) = house.get("/workflows/directory-insights-report/assets/directory.insights.archive/history").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "the workflow does not declare it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_before_any_report_starts_the_producer_once_or_says_what_is_missing() {
    let house = House::open().await;
    let archives = house.cluster.folder().join("archives");
    let (run, status) = house.run("directory-insights-archive", json!({"archiveDir": archives})).await;
    assert_eq!(status, "failed");
    let failed = until("the run is projected", || async {
        let (_, answer) = house.get(&format!("/runs/{run}")).await;
        answer["data"].to_string().contains("producer_input_missing").then_some(answer)
    })
    .await;
    assert!(failed.to_string().contains("scanDir"), "{failed}");

    let (scan, out) = (house.scanned(), house.cluster.folder().join("report"));
    let input = json!({"archiveDir": archives, "scanDir": scan, "outputDir": out});
    let (both, other) = tokio::join!(
        house.run("directory-insights-archive", input.clone()),
        house.run("directory-insights-archive", input)
    );
    assert_eq!((both.1.as_str(), other.1.as_str()), ("succeeded", "succeeded"));
    let history = house.history("directory-insights-report", "directory.insights.report", 1).await;
    assert_eq!(history.len(), 1, "one producer for both");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_artifact_fails_the_archive_by_name_and_publishes_nothing() {
    let house = House::open().await;
    house.report().await;
    std::fs::remove_file(house.cluster.folder().join("report/summary.md")).unwrap();
    let archives = house.cluster.folder().join("archives");
    let (run, status) = house.run("directory-insights-archive", json!({"archiveDir": archives})).await;
    assert_eq!(status, "failed");
    until("the failure names the file", || async {
        let (_, answer) = house.get(&format!("/runs/{run}")).await;
        answer["data"].to_string().contains("summary.md").then_some(())
    })
    .await;
    let (_, inventory) = house.get("/workflows/directory-insights-archive/assets").await;
    let archive = inventory["data"]["assets"].as_array().unwrap().iter();
    let archive = archive.clone().find(|asset| asset["assetId"] == "directory.insights.archive").unwrap();
    assert_eq!(archive["available"], json!(false));
    assert!(std::fs::read_dir(&archives).map_or(true, |mut files| files.next().is_none()), "nothing is left behind");
}
