//! Redirects, followed by ourselves: what a definition says for one origin goes to no other.
//!
//! Another origin (scheme, host or port) gets none of the definition's headers and no body; no request says where it
//! comes from. RFC 9110, section 15.4.

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::target::{self, PublicOnly};
use super::{failed, forbidden};
use crate::sdk::{Context, HandlerError};

const REDIRECTS_MAX: usize = 5;

/// One request, as it goes out.
pub(super) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<String>,
}

/// Whether redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Followed,
    Answered,
}

/// Sends the request, and those it is redirected to; returns the last answer.
pub(super) async fn send(
    client: &Client,
    context: &Context,
    public_only: Option<PublicOnly>,
    mut outgoing: Outgoing,
    redirects: Redirects,
) -> Result<Response, HandlerError> {
    for _ in 0..=REDIRECTS_MAX {
        target::check(&outgoing.url, public_only).map_err(|refusal| forbidden(refusal.to_string()))?;
        let answer = send_one(client, &outgoing).await?;
        context.heartbeat();
        let Some(location) = location(&answer).filter(|_| redirects == Redirects::Followed) else {
            return Ok(answer);
        };
        outgoing = outgoing.redirected(answer.status(), location?)?;
    }
    Err(refused(format!("more than {REDIRECTS_MAX} redirects")))
}

async fn send_one(client: &Client, outgoing: &Outgoing) -> Result<Response, HandlerError> {
    let mut headers = outgoing.headers.clone();
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    let mut wire = client.request(outgoing.method.clone(), outgoing.url.clone()).headers(headers);
    if let Some(body) = &outgoing.body {
        wire = wire.body(body.clone());
    }
    wire.send().await.map_err(failed)
}

fn refused(message: String) -> HandlerError {
    HandlerError::new("http_redirect", message).permanent()
}

/// Returns where an answer sends us. `None`: nowhere.
fn location(answer: &Response) -> Option<Result<Url, HandlerError>> {
    let moved = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = answer.headers().get(LOCATION).filter(|_| moved.contains(&answer.status()))?;
    let url = std::str::from_utf8(location.as_bytes()).ok().and_then(|text| answer.url().join(text).ok());
    Some(url.ok_or_else(|| refused("the answer redirects to what is not a URL".to_owned())))
}

impl Outgoing {
    fn redirected(mut self, status: StatusCode, url: Url) -> Result<Self, HandlerError> {
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method);
        if url.origin() != self.url.origin() {
            if keeps_method && (self.body.is_some() || !is_safe) {
                let host = url.host_str().unwrap_or_default();
                let message = format!(
                    "the answer ({status}) sends the {} request on to another origin, {host}: it is not repeated there; \
                     correct the url, or see to it with `followRedirects: false`",
                    self.method
                );
                return Err(refused(message));
            }
            self.headers.clear();
            self.body = None;
        }
        if !keeps_method {
            [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING]
                .into_iter()
                .for_each(|name| drop(self.headers.remove(name)));
            self.body = None;
            if self.method != Method::HEAD {
                self.method = Method::GET;
            }
        }
        self.url = url;
        Ok(self)
    }
}
