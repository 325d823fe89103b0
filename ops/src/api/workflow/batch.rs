//! How thousands of definitions come in: one on a line, checked as they arrive, and applied only when all are fine.
//!
//! Kept are their canonical documents and what they declare: at most [`BYTES_MAX`] of one batch at a time in a process.
//! Nothing is applied before every definition was checked, and compared with all others. From then on all are applied:
//! what does not happen is repeated, and applying the same again is no new version. A process that dies in between
//! leaves the rest to whoever sends the batch again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use futures_util::StreamExt as _;
use headwater_core::Json;
use tokio::time::Instant;

use super::apply::{self, Applied};
use super::{actions, neighbours};
use crate::api::asked::{Asked, Caller};
use crate::api::{Api, Problem, body, readable};
use crate::codes::Code;
use crate::documents::{self, Checked, Checks, Spelling, Unreadable};

/// The most that the documents of a batch may have together.
pub const BYTES_MAX: usize = 128 * 1024 * 1024;
/// The most documents of a batch.
pub const DOCUMENTS_MAX: usize = 10_000;
/// How long a batch may take to arrive, being checked meanwhile.
pub const BODY_WAIT: Duration = Duration::from_secs(600);
/// How long a batch may take in all.
pub const PATIENCE: Duration = Duration::from_secs(1_200);
/// What one line may have.
const LINE_BYTES_MAX: usize = body::DOCUMENTS_BYTES_MAX;
const MEDIA: &str = "application/x-ndjson";
/// How many are under way at once.
const AT_ONCE: usize = 32;
/// How long what did not happen is repeated.
const APPLY_WAIT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(200);

/// `POST /batches`
pub async fn apply(State(api): State<Arc<Api>>, mut asked: Asked, request: Request) -> Result<Response, Problem> {
    let readable_within = readable::asked(&mut asked, false)?;
    let caller = asked.finish_to_change()?;
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media.split(';').next().unwrap_or_default().trim() != MEDIA {
        let detail = format!("a batch is one JSON definition on each line: send it as {MEDIA}, not as {media:?}");
        return Err(Problem::new(Code::MediaType, detail));
    }
    let _turn = api.turns.batch()?;
    let checks = receive(request.into_body()).await?;
    let documents = checks.documents();
    let checks = actions::fill(&api, &caller.workspace, checks).await?;
    let mut batch = checks.finish().map_err(|refused| apply::refused(&refused, documents))?;
    if documents == 0 {
        return Err(Problem::new(Code::InvalidField, "the batch holds no definition"));
    }
    neighbours::compare(&api, &caller.workspace, &mut batch.workflows).await?;
    apply::refuse_errors(&batch.workflows)?;
    let actions = actions::apply(&api, &caller, &batch.actions).await?;
    let workflows = apply_all(&api, &caller, &batch.workflows).await?;
    Ok(apply::answer(&api, &caller.workspace, &batch, (&actions, &workflows), readable_within).await)
}

/// Reads line by line and checks each, so that whoever sends goes no faster than that.
async fn receive(body: axum::body::Body) -> Result<Checks, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut checks, mut line, mut bytes, mut number) = (Checks::default(), Vec::new(), 0, 1);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::new(Code::Incomplete, error.to_string()))?;
        bytes += chunk.len();
        if bytes > BYTES_MAX {
            let detail = format!("the batch has more than {BYTES_MAX} bytes: send it in several");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let mut rest = &chunk[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            checks = check(checks, std::mem::take(&mut line), number).await?;
            number += 1;
        }
        line.extend_from_slice(rest);
        if line.len() > LINE_BYTES_MAX {
            return Err(too_long(number));
        }
    }
    check(checks, line, number).await
}

fn too_long(number: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("line {number} has more than {LINE_BYTES_MAX} bytes: one definition has less"))
}

async fn check(mut checks: Checks, line: Vec<u8>, number: usize) -> Result<Checks, Problem> {
    if line.len() > LINE_BYTES_MAX {
        return Err(too_long(number));
    }
    if line.trim_ascii().is_empty() {
        return Ok(checks);
    }
    if checks.documents() >= DOCUMENTS_MAX {
        let detail = format!("the batch has more than {DOCUMENTS_MAX} definitions: send it in several");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    // Compiling takes as long as a document is large.
    let checked = tokio::task::spawn_blocking(move || {
        let json = Json::parse_bytes(&line).map_err(Unreadable::from)?;
        checks.check(&json.to_value());
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        documents::place(text, Spelling::Json, checks.last().map(|placed| ("/0", placed)));
        checks.last().for_each(|placed| placed.line = placed.line.and(Some(number)));
        Ok(checks)
    });
    let unreadable = |Unreadable { code, detail }: Unreadable| Problem::new(code, format!("line {number}: {detail}"));
    match checked.await {
        Ok(checked) => checked.map_err(unreadable),
        Err(_) => Err(Problem::new(Code::Internal, format!("line {number} could not be checked"))),
    }
}

async fn apply_all(api: &Api, caller: &Caller, checked: &[Checked]) -> Result<Vec<Applied>, Problem> {
    let deadline = Instant::now() + APPLY_WAIT;
    let under_way: Vec<_> = checked.iter().map(|one| apply_surely(api, caller, one, deadline)).collect();
    let ended: Vec<_> = futures_util::stream::iter(under_way).buffered(AT_ONCE).collect().await;
    let (count, all) = (ended.iter().filter(|one| one.is_ok()).count(), ended.len());
    let failed = |problem: Problem| {
        let rest = "send the batch again: what is applied stays as it is";
        problem.prefixed(&format!("{count} of {all} definitions are applied; {rest}"))
    };
    ended.into_iter().collect::<Result<_, _>>().map_err(failed)
}

/// Applies one; what did not happen, or may have, is repeated: the same content is no new version.
async fn apply_surely(api: &Api, caller: &Caller, checked: &Checked, deadline: Instant) -> Result<Applied, Problem> {
    loop {
        let problem = match apply::apply_one(api, caller, checked).await {
            Ok(applied) => return Ok(applied),
            Err(problem) => problem,
        };
        let passes = [Code::Unavailable, Code::ShardUnavailable, Code::Overloaded, Code::Indeterminate];
        if !passes.contains(&problem.code()) || Instant::now() > deadline || api.stopping.is_cancelled() {
            return Err(problem);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
