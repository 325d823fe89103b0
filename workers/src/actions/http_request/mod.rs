//! `http_request`: one request and its answer.

mod body;
mod follow;
mod target;
#[cfg(test)]
mod tests;
mod unexpected;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use headwater_core::Json;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use serde::{Deserialize, Serialize};

use crate::actions::ActionsError;
use crate::sdk::{Context, HandlerError, Outcome};
use follow::{Outgoing, Redirects};
use target::PublicOnly;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
const RESPONSE_BYTES_MAX: usize = 512 * 1024;

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
    /// Default: at most five are followed. `false`: a redirect is the answer.
    #[serde(default)]
    pub follow_redirects: Option<bool>,
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
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
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
/// `http_invalid`, `http_forbidden_target`, `http_redirect`, `http_too_large` and `http_body_invalid` are permanent;
/// `http_status` is for 3xx and for 4xx but 408, 425 and 429, `http_failed` for a certificate that is not good for the
/// name; otherwise, as `http_timeout`, they may go well another time.
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
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| invalid(format!("{method:?} is not a method")))?;
    let mut url = Url::parse(&request.url).map_err(|error| invalid(format!("`url` is not a URL: {error}")))?;
    for (name, value) in &request.query {
        let text: String = serde_json::from_str(value.as_str()).unwrap_or_else(|_| value.as_str().to_owned());
        url.query_pairs_mut().append_pair(name, &text);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().map_err(|_| invalid(format!("{name:?} is not the name of a header")))?;
        let not_a_value = |_| invalid(format!("what {name} is to be cannot be sent in a header"));
        let value: HeaderValue = value.parse().map_err(not_a_value)?;
        headers.insert(name, value);
    }
    let body = match (request.body, request.json) {
        (Some(_), Some(_)) => return Err(invalid("give body or json, not both".into())),
        (None, Some(json)) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Some(json.as_str().to_owned())
        }
        (body, None) => body,
    };
    let redirects = if request.follow_redirects == Some(false) { Redirects::Answered } else { Redirects::Followed };
    let outgoing = Outgoing { method, url, headers, body };
    let answer = follow::send(&client.client, context, client.public_only, outgoing, redirects).await?;
    let status = answer.status();
    let expected = match request.expect_status.as_slice() {
        [] => status.is_success(),
        some => some.contains(&status.as_u16()),
    };
    let headers = answer.headers().clone();
    let read = body::read(context, answer, bytes_max).await;
    if !expected {
        return Err(unexpected::failure(status, &headers, &read.unwrap_or_default(), SystemTime::now()));
    }
    let body = body::decode(&headers, &read?)?;
    Ok(Outcome::of(&HttpAnswer { status: status.as_u16(), body, headers: readable(&headers) }))
}

fn failed(error: reqwest::Error) -> HandlerError {
    // The url may carry secrets in its query.
    let error = error.without_url();
    let (is_refusal, is_certificate) = (target::is_refusal(&error), is_certificate(&error));
    let HandlerError { message, .. } = HandlerError::from(error);
    if is_refusal {
        return forbidden(message);
    }
    let failure = HandlerError::new("http_failed", message);
    if is_certificate { failure.permanent() } else { failure }
}

fn forbidden(message: String) -> HandlerError {
    HandlerError::new("http_forbidden_target", message).permanent()
}

/// Returns whether an error began with a certificate that is not good for the name: another try meets the same one.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = match inner {
            // An input or output error passes over what it holds when it is asked for its source.
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        cause = match inner {
            Some(inner) if inner.is::<std::io::Error>() => Some(inner),
            Some(_) | None => error.source(),
        };
    }
    false
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
