//! `http_request`: the engine's own worker makes a request.

use super::{Input, Kind, engine};
use crate::definition::BuiltIn;

pub(super) static KIND: Kind = Kind {
    word: "http_request",
    read: |node, said, _| Some(engine(node, &KIND, &said, BuiltIn::HttpRequest)),
    input: Input::Fields {
        known: &[
            "method",
            "url",
            "headers",
            "query",
            "body",
            "json",
            "expectStatus",
            "followRedirects",
            "maxResponseBytes",
            "timeoutMs",
        ],
        needed: "url",
    },
};
