//! What all this is in the words of OpenAPI 3.1. The document is written by hand, and held to the truth by tests:
//! every route stands in it, and every answer the tests get fits it.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

use super::asked::Asked;
use super::{Api, Problem};
use crate::codes::TABLE;

/// Returns the document.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document: Value = serde_saphyr::from_str(include_str!("openapi.yaml")).expect("a test reads it");
        document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
        let codes: Vec<_> = TABLE.iter().map(|entry| entry.text).collect();
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = json!(codes);
        document
    })
}

/// `GET /openapi.json`
pub async fn serve(State(_): State<Arc<Api>>, asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document().to_string()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::paths;

    #[test]
    fn the_document_lists_every_route_and_no_other() {
        let listed = document()["paths"].as_object().unwrap();
        let mut routes = paths();
        routes.sort_unstable();
        let listed: Vec<(&str, Vec<&str>)> = listed
            .iter()
            .map(|(path, item)| {
                let methods = item.as_object().unwrap().keys().map(String::as_str);
                (path.as_str(), methods.filter(|key| *key != "parameters").collect())
            })
            .collect();
        let routes: Vec<(&str, Vec<&str>)> =
            routes.into_iter().map(|(path, methods)| (path, methods.to_vec())).collect();
        assert_eq!(listed, routes);
    }

    #[test]
    fn every_name_in_a_path_is_described() {
        for (path, item) in document()["paths"].as_object().unwrap() {
            let described = item["parameters"].as_array().into_iter().flatten().filter_map(|parameter| {
                let parameter = match parameter["$ref"].as_str() {
                    Some(reference) => document().pointer(reference.trim_start_matches('#')).unwrap(),
                    None => parameter,
                };
                (parameter["in"] == "path").then(|| parameter["name"].as_str().unwrap())
            });
            let mut described: Vec<_> = described.collect();
            described.sort_unstable();
            let mut named: Vec<_> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            named.sort_unstable();
            assert_eq!(described, named, "{path}");
        }
    }
}
