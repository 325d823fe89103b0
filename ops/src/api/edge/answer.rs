//! What an answer looks like: `{"data": …}`, and headers that say how fresh or where it is.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::asked::TOKEN_HEADER;
use super::token::Token;
use crate::api::Api;

/// How old what was read may be, in milliseconds.
pub const LAG_HEADER: HeaderName = HeaderName::from_static("headwater-lag-ms");

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
}

/// Answers with `data`.
pub fn data(status: StatusCode, data: impl Serialize) -> Response {
    (status, Json(Envelope { data })).into_response()
}

/// Answers a write; `token` also stands in the header.
pub fn written(status: StatusCode, token: &Token, written: impl Serialize) -> Response {
    let mut response = data(status, written);
    if let Ok(value) = HeaderValue::try_from(token.to_string()) {
        response.headers_mut().insert(HeaderName::from_static(TOKEN_HEADER), value);
    }
    response
}

impl Api {
    /// Answers a read.
    pub fn read(&self, read: impl Serialize) -> Response {
        let mut response = data(StatusCode::OK, read);
        self.mark_lag(&mut response);
        response
    }

    /// Says in the header how old what was read may be; nothing where nobody knows.
    pub fn mark_lag(&self, response: &mut Response) {
        if let Some(lag) = self.projection.lag_millis() {
            response.headers_mut().insert(LAG_HEADER, HeaderValue::from(lag));
        }
    }
}
