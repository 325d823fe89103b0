//! What the codes of problems mean.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::asked::Asked;
use crate::api::{Problem, answer, problem};
use crate::codes::{Code, Entry, TABLE};

#[derive(Serialize)]
struct Codes {
    problems: Vec<Explained>,
}

#[derive(Serialize)]
struct Explained {
    #[serde(rename = "type")]
    kind: String,
    code: &'static str,
    status: u16,
    title: &'static str,
    remedy: &'static str,
}

/// `GET /problems`
pub async fn list(asked: Asked) -> Result<Response, Problem> {
    asked.finish()?;
    Ok(answer::data(StatusCode::OK, Codes { problems: TABLE.iter().map(explained).collect() }))
}

/// `GET /problems/{area}/{name}`
pub async fn one(asked: Asked) -> Result<Response, Problem> {
    let text = format!("{}/{}", asked.segment("area"), asked.segment("name"));
    asked.finish()?;
    let code = Code::of_text(&text).ok_or_else(|| Problem::new(Code::RouteNotFound, "there is no such code"))?;
    Ok(answer::data(StatusCode::OK, explained(code.entry())))
}

fn explained(entry: &Entry) -> Explained {
    let Entry { text, status, title, remedy, .. } = *entry;
    Explained { kind: problem::kind(entry), code: text, status, title, remedy }
}
