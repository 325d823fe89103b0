//! How commands reach the API.

use std::time::Duration;

use clap::Args;
use headwater_core::ActorName;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::codes::Exit;
use crate::failure::Failure;

/// Where the API is, and how answers look.
#[derive(Debug, Clone, Args)]
pub struct ApiSettings {
    /// Where the API is.
    #[arg(long, env = "HEADWATER_API", default_value = "http://127.0.0.1:4000")]
    api: String,
    /// Whose definitions, runs and assets.
    #[arg(long, env = "HEADWATER_WORKSPACE", default_value = "default")]
    workspace: String,
    /// Who you are: recorded with what you change. Nobody checks it.
    #[arg(long, env = "HEADWATER_ACTOR", value_name = "NAME")]
    actor: Option<ActorName>,
    /// How answers look, on standard output.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    /// A token that a write answered: reads wait until what it stands for can be seen.
    #[arg(long, value_name = "TOKEN")]
    min_seq: Option<String>,
}

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// The API's data.
    Json,
}

/// Asks the API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    workspace: String,
    actor: Option<ActorName>,
    min_seq: Option<String>,
    pub output: Output,
}

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a run is followed before it is followed anew.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Chooses who does the cryptography of TLS, once for the process.
pub fn use_ring() {
    // Somebody may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(settings: &ApiSettings) -> Result<Self, Failure> {
        use_ring();
        let base = settings.api.trim_end_matches('/').to_owned();
        if let Err(error) = reqwest::Url::parse(&base) {
            return Err(
                Failure::new(format!("{base:?} is not the address of an API: {error}")).exit(Exit::InvalidInput)
            );
        }
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).timeout(TIMEOUT).build();
        let http = http.map_err(|error| Failure::of(&error))?;
        Ok(Self {
            http,
            base,
            workspace: settings.workspace.clone(),
            actor: settings.actor.clone(),
            min_seq: settings.min_seq.clone(),
            output: settings.output,
        })
    }

    /// Begins a request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.header("headwater-workspace", &self.workspace);
        match &self.actor {
            Some(actor) => request.header("headwater-actor", actor.as_str()),
            None => request,
        }
    }

    /// Reads: the `data` of the answer.
    ///
    /// # Errors
    /// What the API says, or that there is none.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(self.reading(path, query)).await
    }

    /// Reads: the whole answer as it came.
    ///
    /// # Errors
    /// What the API says, or that there is none.
    pub async fn text(&self, path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
        let (status, text) = self.answer(self.reading(path, query)).await?;
        if status.is_success() {
            return Ok(text);
        }
        Err(Failure::of_problem(status.as_u16(), &serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn reading(&self, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let request = self.request(Method::GET, path).query(query);
        match &self.min_seq {
            Some(token) => request.header("headwater-token", token),
            None => request,
        }
    }

    /// Follows what happens in a run behind a revision. `None`: the engine does not tell now.
    pub async fn follow(&self, run: &str, after: u64) -> Option<Response> {
        let request = self.request(Method::GET, &format!("/runs/{run}/events/stream"));
        let response = request.query(&[("after", after)]).timeout(FOLLOW_TIMEOUT).send().await.ok()?;
        (response.status() == StatusCode::OK).then_some(response)
    }

    /// Sends a request and returns the `data` of the answer.
    ///
    /// # Errors
    /// What the API says, or that there is none.
    pub async fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let (status, text) = self.answer(request).await?;
        let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body.get_mut("data").map(Value::take).unwrap_or(body));
        }
        Err(Failure::of_problem(status.as_u16(), &body))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(StatusCode, String), Failure> {
        let unreachable = |error: reqwest::Error| {
            let cause = Failure::of(&error.without_url());
            Failure::new(format!("the API at {} does not answer: {cause}", self.base)).exit(Exit::Unavailable)
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        Ok((status, response.text().await.map_err(unreachable)?))
    }
}
