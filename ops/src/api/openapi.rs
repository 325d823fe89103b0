//! What all this is in the words of OpenAPI 3.1. The document is written by hand, and held to the truth by tests:
//! every route stands in it, and every answer the tests get fits it.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::asked::Asked;
use super::{Api, Problem};
use crate::codes::TABLE;

/// The pieces of the resources; what they share stands beside this file.
const PIECES: [(&str, &str); 11] = [
    ("action", include_str!("action/openapi.yaml")),
    ("workflow", include_str!("workflow/openapi.yaml")),
    ("run", include_str!("run/openapi.yaml")),
    ("task", include_str!("task/openapi.yaml")),
    ("callback", include_str!("callback/openapi.yaml")),
    ("asset", include_str!("asset/openapi.yaml")),
    ("queue", include_str!("queue/openapi.yaml")),
    ("quarantine", include_str!("quarantine/openapi.yaml")),
    ("hold", include_str!("hold/openapi.yaml")),
    ("projection", include_str!("projection/openapi.yaml")),
    ("operations", include_str!("operations/openapi.yaml")),
];

/// Adds the paths and schemas of a piece. Panics where one is there already.
fn join(document: &mut Value, piece: Value, resource: &str) {
    for place in ["/paths", "/components/schemas"] {
        let whole = document.pointer_mut(place).and_then(Value::as_object_mut).expect("the document has the place");
        for (name, value) in piece.pointer(place).and_then(Value::as_object).into_iter().flatten() {
            let before = whole.insert(name.clone(), value.clone());
            assert!(before.is_none(), "{resource} describes {name} a second time");
        }
    }
}

/// Returns the document.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let read = |text: &str| serde_saphyr::from_str::<Value>(text).expect("a test reads it");
        let mut document = read(include_str!("openapi.yaml"));
        for (resource, piece) in PIECES {
            join(&mut document, read(piece), resource);
        }
        document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
        let codes: Vec<_> = TABLE.iter().map(|entry| entry.text).collect();
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = json!(codes);
        for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
                // Anything else would be a mistake of ours, or of something in between.
                for status in errors(method, path) {
                    responses.insert(status.to_string(), json!({"$ref": "#/components/responses/Problem"}));
                }
            }
        }
        document
    })
}

/// Lists the statuses with which an operation can fail.
fn errors(method: &str, path: &str) -> BTreeSet<u16> {
    // A parameter or header that is not valid, a body where none is read, a name of the host; a mistake of ours, time.
    let mut errors = BTreeSet::from([400, 415, 421, 500, 504]);
    if method == "post" {
        // A web page; a body too slow or too large; a shard that has too much to do, or that nobody drives.
        errors.extend([403, 408, 413, 429, 503]);
    }
    let is_static = ["/livez", "/metrics", "/openapi.json", "/problems"].iter().any(|part| path.starts_with(part));
    if !is_static {
        errors.insert(503);
    }
    if path.contains('{') && path != "/queues/{queue}" {
        errors.insert(404);
    }
    if method == "get" && !is_static {
        // A token or cursor of what was given up.
        errors.insert(410);
    }
    match path {
        "/workflows" if method == "post" => drop(errors.insert(422)),
        "/workflows/validate" | "/batches" => drop(errors.insert(422)),
        "/workflows/{slug}/runs" | "/runs/{runId}/signals" => errors.extend([409, 422]),
        "/runs/{runId}/updates" => errors.extend([409, 410, 422]),
        "/runs/{runId}/tasks/{node}/answers" | "/runs/{runId}/tasks/{node}/reassign" => errors.extend([409, 422]),
        "/runs/{runId}/updates/{updateId}" => errors.extend([409, 422, 429]),
        "/runs/{runId}/nodes/{node}/complete" | "/runs/{runId}/nodes/{node}/timer" => errors.extend([409, 422]),
        "/runs/{runId}/retry" | "/runs/{runId}/restart" | "/runs/{runId}/fork" => errors.extend([409, 413, 422]),
        "/runs/{runId}/diff" => errors.extend([409, 413]),
        "/runs/{runId}/pause"
        | "/runs/{runId}/resume"
        | "/runs/{runId}/terminate"
        | "/runs/{runId}/nodes/{node}/skip"
        | "/runs/{runId}/cancel"
        | "/callbacks/{token}"
        | "/callbacks/{token}/heartbeat"
        | "/quarantine/{aggregate}/release"
        | "/holds/{shard}/release" => {
            errors.extend([409]);
        }
        // A history that cannot be folded, or whose values are too large.
        "/runs/{runId}/context" | "/runs/{runId}/explain" => errors.extend([409, 413]),
        "/runs/{runId}/live" => errors.extend([409, 413, 429]),
        "/runs/{runId}/callbacks" => errors.extend([409, 429]),
        "/runs/{runId}/events/stream" => drop(errors.insert(429)),
        _ => {}
    }
    errors
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
    fn the_papers_list_every_operation_with_what_it_does() {
        let papers = include_str!("../../../docs/api.md");
        for (path, item) in document()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
                let (method, summary) = (method.to_uppercase(), operation["summary"].as_str().unwrap());
                let row = format!("| `{method} {path}` | {summary} |");
                assert!(papers.contains(&row), "docs/api.md lacks this row:\n{row}");
            }
        }
        for row in papers.lines().filter_map(|line| line.strip_prefix("| `")) {
            let Some((operation, _)) = row.split_once('`') else { continue };
            let Some((method @ ("GET" | "POST"), path)) = operation.split_once(' ') else { continue };
            let method = method.to_lowercase();
            assert!(document()["paths"][path][&method].is_object(), "docs/api.md has a row of {operation}");
        }
    }

    #[test]
    fn every_status_of_a_code_is_listed_with_some_operation() {
        let listed: BTreeSet<String> = document()["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| {
                let operations = item.as_object().unwrap().values();
                operations.filter_map(|one| one["responses"].as_object()).flat_map(|them| them.keys().cloned())
            })
            .collect();
        for entry in TABLE.iter().filter(|entry| entry.status != 405) {
            assert!(listed.contains(&entry.status.to_string()), "{} is {}", entry.text, entry.status);
        }
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
