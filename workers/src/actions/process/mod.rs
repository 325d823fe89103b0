//! `process`: one command under a supervisor, which leaves nothing behind of what the command started.

mod descendants;
mod group;
mod supervised;
mod supervisor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::Json;
use serde::{Deserialize, Serialize};

use super::ActionPolicy;
use crate::sdk::{Context, HandlerError, JobResult, Outcome};
use supervised::{Ended, Supervised};
use supervisor::Order;

pub use supervisor::supervise_if_asked;

const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// What of this process's environment a command gets. The rest may hold secrets of the engine.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// How much of the end of the error output goes into the failure's message, and into its details.
const EXCERPT_CHARS: usize = 500;
const STDERR_BYTES_MAX: usize = 2 * 1024;

/// What is to be run.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessRequest {
    pub command: CommandLine,
    /// Added to what every command gets: `PATH, HOME, LANG, LC_ALL, TZ, TMPDIR` of the worker.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// A text as it is, anything else as JSON.
    #[serde(default)]
    pub stdin: Option<Json>,
    /// Whether `command` is a line for `/bin/sh`.
    #[serde(default)]
    pub shell: bool,
    /// For the output and for the error output, each; at most, and by default, 256 KiB. The rest is dropped.
    #[serde(default)]
    pub max_output_bytes: Option<usize>,
    #[serde(default)]
    pub parse: Parse,
    /// Default: the attempt's timeout alone counts.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// A program and its arguments, or one text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    Words(Vec<String>),
    Line(String),
}

/// What the output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Parse {
    #[default]
    Text,
    /// A list of lines.
    Lines,
    /// One JSON value.
    Json,
    /// `{status, result, errorMessage?}` as handlers return it: the only way for a command to produce assets.
    Result,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessAnswer {
    exit_code: i32,
    stdout: Json,
    stderr: String,
    truncated: bool,
}

/// What programs may ask of a command that failed: `error.details`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessDetails<'a> {
    exit_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    /// The end of it.
    stderr: &'a str,
}

/// Runs the command. It is over when the command ends; whatever else the command started is gone when this returns, in
/// whatever session or group it was. Where this is dropped, its supervisor sees to that within seconds.
///
/// # Errors
/// `process_forbidden` and `process_invalid` are permanent; `process_exit`, `process_timeout`, `process_output` and
/// `process_failed` may go well another time.
pub async fn execute(
    policy: &ActionPolicy,
    context: &Context,
    request: ProcessRequest,
) -> Result<Outcome, HandlerError> {
    let supervisor = supervisor_of(policy)?;
    let (parse, timeout_ms) = (request.parse, request.timeout_ms);
    let bytes_max = request.max_output_bytes.unwrap_or(OUTPUT_BYTES_MAX).min(OUTPUT_BYTES_MAX);
    let order = order(request)?;
    let started = Supervised::start(supervisor, &order).await;
    let mut supervised = started.map_err(|error| {
        HandlerError::new("process_failed", format!("the supervisor of the command cannot be started: {error}"))
    })?;
    let timeout = async {
        match timeout_ms {
            Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            None => std::future::pending().await,
        }
    };
    let (code, why) = tokio::select! {
        ended = supervised.end(context, bytes_max) => return ended.and_then(|ended| judge(ended, parse)),
        () = context.cancelled() => ("cancelled", "the attempt was cancelled"),
        () = timeout => ("process_timeout", "the command did not end in time"),
    };
    match supervised.stop().await {
        Ok(()) => Err(HandlerError::new(code, why)),
        Err(left) => Err(HandlerError::new(code, format!("{why}; {left}"))),
    }
}

/// Returns the program that supervises; `None`: this one.
fn supervisor_of(policy: &ActionPolicy) -> Result<Option<&Path>, HandlerError> {
    let forbidden = |message: &str| Err(HandlerError::new("process_forbidden", message).permanent());
    match &policy.supervisor {
        _ if !policy.allow_processes => forbidden("this worker runs no commands"),
        Some(program) => Ok(Some(program)),
        None if supervisor::this_program_can_supervise() => Ok(None),
        None => forbidden(
            "this worker program cannot supervise commands: call `actions::supervise_if_asked` first in its `main`",
        ),
    }
}

fn ended_without_verdict() -> HandlerError {
    HandlerError::new("process_failed", "the supervisor of the command ended before it")
}

fn order(request: ProcessRequest) -> Result<Order, HandlerError> {
    let invalid = |message: &str| HandlerError::new("process_invalid", message).permanent();
    let shell = |line: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), line];
    let words = match (request.command, request.shell) {
        (CommandLine::Line(line), true) => shell(line),
        (CommandLine::Words(words), true) => match <[String; 1]>::try_from(words) {
            Ok([line]) => shell(line),
            Err(_) => return Err(invalid("with shell, command is one line")),
        },
        (CommandLine::Words(words), false) => words,
        (CommandLine::Line(_), false) => return Err(invalid("without shell, command is a list of words")),
    };
    if words.is_empty() {
        return Err(invalid("command is empty"));
    }
    let text = |json: Json| serde_json::from_str(json.as_str()).unwrap_or_else(|_| json.as_str().to_owned());
    Ok(Order { words, env: request.env, cwd: request.cwd, stdin: request.stdin.map(text) })
}

fn judge(ended: Ended, parse: Parse) -> Result<Outcome, HandlerError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    let (stdout, stderr) = (text(&ended.stdout), text(&ended.stderr));
    if ended.exit_code != 0 {
        let tail = stderr.chars().count().saturating_sub(EXCERPT_CHARS);
        let excerpt: String = stderr.chars().skip(tail).collect();
        let message = format!("the command ended with {}: {}", ended.exit_code, excerpt.trim());
        let from = stderr.ceil_char_boundary(stderr.len().saturating_sub(STDERR_BYTES_MAX));
        let details = ProcessDetails { exit_code: ended.exit_code, signal: ended.signal, stderr: &stderr[from..] };
        return Err(HandlerError::new("process_exit", message).with_details(&details));
    }
    let unreadable = |error: String| HandlerError::new("process_output", format!("the output cannot be read: {error}"));
    let stdout = match parse {
        Parse::Text => Json::of(&stdout),
        Parse::Lines => Json::of(&stdout.lines().collect::<Vec<_>>()),
        Parse::Json => Json::parse_bytes(&ended.stdout).map_err(|error| unreadable(error.to_string()))?,
        Parse::Result => {
            let json = Json::parse_bytes(&ended.stdout).map_err(|error| unreadable(error.to_string()))?;
            return JobResult::read(&json)?.into_outcome();
        }
    };
    let Ended { exit_code, truncated, .. } = ended;
    Ok(Outcome::of(&ProcessAnswer { exit_code, stdout, stderr, truncated }))
}
