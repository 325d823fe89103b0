//! `http_request`: one request and its answer.

mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::Json;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::actions::ActionsError;
use crate::sdk::{Context, HandlerError, Outcome};
use target::PublicOnly;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: usize = 5;
const RESPONSE_BYTES_MAX: usize = 512 * 1024;
/// How much of an unexpected answer goes into the failure's message.
const EXCERPT_CHARS: usize = 300;

/// What is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRequest {
    pub url: String,
    /// Default `GET`.
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Added to the query of `url`.
    #[serde(default)]
    pub query: BTreeMap<String, Json>,
    /// Sent as it is.
    #[serde(default)]
    pub body: Option<String>,
    /// Sent as JSON.
    #[serde(default)]
    pub json: Option<Json>,
    /// Default: 200–299.
    #[serde(default)]
    pub expect_status: Vec<u16>,
    /// At most, and by default, 512 KiB.
    #[serde(default)]
    pub max_response_bytes: Option<usize>,
    /// For the whole exchange. Default 60 s; the attempt's timeout counts as well.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// What came back.
#[derive(Debug, Serialize)]
struct HttpAnswer {
    status: u16,
    headers: BTreeMap<String, String>,
    /// A value for JSON, else text.
    body: Json,
}

/// A client that goes only where it may.
pub struct HttpClient {
    client: Client,
    public_only: Option<PublicOnly>,
}

impl HttpClient {
    /// Makes a client. Unless `allow_private`, it refuses addresses that are not public, after every look-up and at
    /// every redirect. It uses no proxy, because a proxy would do the look-up.
    ///
    /// # Errors
    /// See [`ActionsError`].
    pub fn new(allow_private: bool) -> Result<Self, ActionsError> {
        // Whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let public_only = (!allow_private).then_some(PublicOnly);
        let redirect = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                return attempt.error("too many redirects");
            }
            match target::check(attempt.url(), public_only) {
                Ok(()) => attempt.follow(),
                Err(refusal) => attempt.error(refusal),
            }
        });
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect)
            .no_proxy()
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")));
        if let Some(resolver) = public_only {
            builder = builder.dns_resolver(resolver);
        }
        Ok(Self { client: builder.build()?, public_only })
    }
}

/// Makes the request.
///
/// # Errors
/// `http_invalid`, `http_forbidden_target`, `http_too_large` and `http_body_invalid` are permanent; `http_status` is for 4xx but 408, 425 and
/// 429; `http_failed` and `http_timeout` may go well another time.
pub async fn execute(client: &HttpClient, context: &Context, request: HttpRequest) -> Result<Outcome, HandlerError> {
    let timeout = request.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
    tokio::select! {
        answered = tokio::time::timeout(timeout, exchange(client, context, request)) => {
            answered.unwrap_or_else(|_| Err(HandlerError::new("http_timeout", format!("no answer within {timeout:?}"))))
        }
        () = context.cancelled() => Err(HandlerError::new("cancelled", "the attempt was cancelled")),
    }
}

async fn exchange(client: &HttpClient, context: &Context, request: HttpRequest) -> Result<Outcome, HandlerError> {
    let invalid = |message: String| HandlerError::new("http_invalid", message).permanent();
    let bytes_max = request.max_response_bytes.unwrap_or(RESPONSE_BYTES_MAX).min(RESPONSE_BYTES_MAX);
    let method = request.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| invalid(format!("{method:?} is no method")))?;
    let mut url = Url::parse(&request.url).map_err(|error| invalid(format!("the url is none: {error}")))?;
    for (name, value) in &request.query {
        let text: String = serde_json::from_str(value.as_str()).unwrap_or_else(|_| value.as_str().to_owned());
        url.query_pairs_mut().append_pair(name, &text);
    }
    target::check(&url, client.public_only)
        .map_err(|refusal| HandlerError::new("http_forbidden_target", refusal.to_string()).permanent())?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().map_err(|_| invalid(format!("{name:?} is no header")))?;
        let value: HeaderValue = value.parse().map_err(|_| invalid(format!("the value of {name} is none")))?;
        headers.insert(name, value);
    }
    let mut wire = client.client.request(method, url);
    match (request.body, request.json) {
        (Some(_), Some(_)) => return Err(invalid("give body or json, not both".into())),
        (Some(body), None) => wire = wire.body(body),
        (None, Some(json)) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            wire = wire.body(json.as_str().to_owned());
        }
        (None, None) => {}
    }
    let answer = wire.headers(headers).send().await.map_err(failed)?;
    context.heartbeat();
    let status = answer.status();
    let expected = match request.expect_status.as_slice() {
        [] => status.is_success(),
        some => some.contains(&status.as_u16()),
    };
    let headers = answer.headers().clone();
    let body = read(context, answer, bytes_max).await?;
    if !expected {
        return Err(unexpected(status, &body));
    }
    let body = decode(&headers, &body)?;
    Ok(Outcome::of(&HttpAnswer { status: status.as_u16(), body, headers: readable(&headers) }))
}

async fn read(context: &Context, mut answer: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, HandlerError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        context.heartbeat();
        if body.len() + chunk.len() > bytes_max {
            let message = format!("the answer has more than {bytes_max} bytes");
            return Err(HandlerError::new("http_too_large", message).permanent());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failed(error: reqwest::Error) -> HandlerError {
    // The url may carry secrets in its query.
    let error = error.without_url();
    let forbidden = target::is_refusal(&error);
    let HandlerError { message, .. } = HandlerError::from(error);
    if forbidden {
        HandlerError::new("http_forbidden_target", message).permanent()
    } else {
        HandlerError::new("http_failed", message)
    }
}

fn unexpected(status: StatusCode, body: &[u8]) -> HandlerError {
    let excerpt: String = String::from_utf8_lossy(body).chars().take(EXCERPT_CHARS).collect();
    let error = HandlerError::new("http_status", format!("the answer was {status}: {excerpt}"));
    let again = matches!(status.as_u16(), 408 | 425 | 429) || !status.is_client_error();
    if again { error } else { error.permanent() }
}

/// A body that says it is JSON is the value, or a failure that says why not; an empty one is an empty text.
fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Json, HandlerError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    if is_json && !body.is_empty() {
        return Json::parse_bytes(body).map_err(|error| {
            let message = format!("the answer says that it is JSON, and cannot be kept as such: {error}");
            HandlerError::new("http_body_invalid", message).permanent()
        });
    }
    Ok(Json::of(&String::from_utf8_lossy(body).replace('\0', "\u{fffd}")))
}

/// Returns the headers as text, several of one name joined.
fn readable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut readable: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        readable
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    readable
}
