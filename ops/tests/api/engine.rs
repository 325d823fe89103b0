//! An engine with servers of its own, and a client that holds every answer against the OpenAPI document.

use std::path::Path;
use std::time::Duration;

use headwater::api::openapi_document;
use headwater::dev::Servers;
use headwater::settings::ServeSettings;
use headwater::{process, roles};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Engine {
    pub base: String,
    pub http: reqwest::Client,
    pub servers: Servers,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), process::ServeError>>,
    folder: tempfile::TempDir,
}

/// An answer, already found to be as documented.
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        &self.body["data"]
    }

    #[track_caller]
    pub fn problem(&self, code: &str) -> &Value {
        assert_eq!(self.body["code"], code, "{}", self.body);
        assert_eq!(self.body["status"], self.status.as_u16());
        &self.body
    }
}

pub const DEADLINE: Duration = Duration::from_secs(60);

impl Engine {
    pub async fn start() -> Self {
        let engine = Self::with(|settings| settings).await;
        engine.becomes_ready().await;
        engine
    }

    pub async fn becomes_ready(&self) {
        let ready = async {
            while self.get("/readyz").await.status != StatusCode::OK {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, ready).await.expect("the engine becomes ready");
    }

    /// Starts with other settings, and does not wait until it is ready.
    pub async fn with(change: impl FnOnce(ServeSettings) -> ServeSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Postgres never runs as root, and must pass through.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        Self::on(folder, change).await
    }

    /// Stops everything, lets something happen to what it has stored, and starts it again.
    pub async fn restarted(self, meanwhile: impl AsyncFnOnce(&Path)) -> Self {
        let Self { servers, stop, serving, folder, .. } = self;
        stop.cancel();
        tokio::time::timeout(DEADLINE, serving).await.expect("it stops in time").unwrap().unwrap();
        servers.stop().await;
        meanwhile(folder.path()).await;
        Self::on(folder, |settings| settings).await
    }

    /// Starts on what a folder holds.
    async fn on(folder: tempfile::TempDir, change: impl FnOnce(ServeSettings) -> ServeSettings) -> Self {
        let servers = Servers::start(folder.path()).await.unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let settings = change(ServeSettings { listen, shards: 2, ..servers.settings() });
        let stop = CancellationToken::new();
        let (ready, listening) = oneshot::channel();
        let process = process::prepare(&settings).await.unwrap();
        let stopping = stop.clone();
        let serving = tokio::spawn(async move {
            roles::serve(process, &settings, None, stopping, |address| ready.send(address).expect("the test waits"))
                .await
        });
        let address = tokio::time::timeout(DEADLINE, listening).await.unwrap().unwrap();
        headwater::cli::client::use_ring();
        let http = reqwest::Client::new();
        Self { base: format!("http://{address}"), http, servers, stop, serving, folder }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.serving).await.expect("it stops in time").unwrap().unwrap();
        self.servers.stop().await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).timeout(DEADLINE)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn post_text(&self, path: &str, media: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(Method::POST, path).header("content-type", media).body(body)).await
    }

    /// Sends a request and holds the answer against the document.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().as_str().to_lowercase(), request.url().path().to_owned());
        let response = self.http.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let media = headers["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let body = if media.ends_with("json") { serde_json::from_str(&text).unwrap() } else { json!(text) };
        check_documented(&method, &path, status, &media, &body);
        Answer { status, headers, body }
    }

    /// Applies definitions and returns the token.
    pub async fn apply(&self, documents: Value) -> String {
        let answer = self.post("/workflows", documents).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        answer.body["data"]["token"].as_str().unwrap().to_owned()
    }
}

fn check_documented(method: &str, path: &str, status: StatusCode, media: &str, body: &Value) {
    let document = openapi_document();
    let schema = match operation(method, path) {
        // Unknown routes and methods answer problems too.
        None => json!({"$ref": "#/components/schemas/Problem"}),
        Some(operation) => {
            let responses = &operation["responses"];
            let response = responses.get(status.as_str());
            let response = response.unwrap_or_else(|| panic!("{method} {path}: {status} is not documented: {body}"));
            let response = match response["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => response,
            };
            let content = response["content"].as_object().unwrap();
            let described = content.get(media);
            described.unwrap_or_else(|| panic!("{method} {path} {status}: {media} is not documented: {body}"))["schema"]
                .clone()
        }
    };
    let schema = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{method} {path} {status} is not as documented: {errors:#?}\n{body:#}");
}

/// Finds the operation of the most literal path that fits.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &&String| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len() && template.iter().zip(&parts).all(|(t, p)| t.starts_with('{') || t == p)
    };
    let paths = openapi_document()["paths"].as_object().unwrap();
    let template = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count())?;
    paths[template].get(method)
}
