//! `process`: one command in a process group of its own.

mod group;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use headwater_core::Json;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::sdk::{Context, HandlerError, JobResult, Outcome};
use group::ProcessGroup;

const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// How long a command that is told to end may take before it is killed.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// What of this process's environment a command gets. The rest may hold secrets of the engine.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// How much of the error output goes into the failure's message.
const EXCERPT_CHARS: usize = 500;

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

/// Runs the command. Whatever it started is gone when this returns, or is dropped.
///
/// # Errors
/// `process_forbidden` and `process_invalid` are permanent; `process_exit`, `process_timeout`, `process_output` and
/// `process_failed` may go well another time.
pub async fn execute(allowed: bool, context: &Context, request: ProcessRequest) -> Result<Outcome, HandlerError> {
    if !allowed {
        return Err(HandlerError::new("process_forbidden", "this worker runs no commands").permanent());
    }
    let mut child = command(&request)?
        .spawn()
        .map_err(|error| HandlerError::new("process_failed", format!("the command cannot be started: {error}")))?;
    let mut group = ProcessGroup::of(&child);
    let timeout = async {
        match request.timeout_ms {
            Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            None => std::future::pending().await,
        }
    };
    let bytes_max = request.max_output_bytes.unwrap_or(OUTPUT_BYTES_MAX).min(OUTPUT_BYTES_MAX);
    let stop = tokio::select! {
        ended = run(context, &mut child, &mut group, request.stdin.as_ref(), bytes_max) => return ended.and_then(|ended| judge(ended, request.parse)),
        () = context.cancelled() => HandlerError::new("cancelled", "the attempt was cancelled"),
        () = timeout => HandlerError::new("process_timeout", "the command did not end in time"),
    };
    group.terminate();
    // Whether it ends or not, the group is killed after this.
    let _ = tokio::time::timeout(TERM_GRACE, child.wait()).await;
    group.kill();
    Err(stop)
}

fn command(request: &ProcessRequest) -> Result<Command, HandlerError> {
    let invalid = |message: &str| HandlerError::new("process_invalid", message).permanent();
    let words = match (&request.command, request.shell) {
        (CommandLine::Line(line), true) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        (CommandLine::Words(words), true) => match words.as_slice() {
            [line] => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            _ => return Err(invalid("with shell, command is one line")),
        },
        (CommandLine::Words(words), false) => words.clone(),
        (CommandLine::Line(_), false) => return Err(invalid("without shell, command is a list of words")),
    };
    let (program, arguments) = words.split_first().ok_or_else(|| invalid("command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command.envs(INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value))));
    command.envs(&request.env).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &request.cwd {
        command.current_dir(cwd);
    }
    Ok(command)
}

struct Ended {
    exit_code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

async fn run(
    context: &Context,
    child: &mut Child,
    group: &mut ProcessGroup,
    stdin: Option<&Json>,
    bytes_max: usize,
) -> Result<Ended, HandlerError> {
    let input = stdin.map(|json| serde_json::from_str(json.as_str()).unwrap_or_else(|_| json.as_str().to_owned()));
    let pipe = child.stdin.take();
    let feed = async {
        if let (Some(mut pipe), Some(input)) = (pipe, input) {
            // A command that does not want its input is its own business.
            let _ = pipe.write_all(input.as_bytes()).await;
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let end = async {
        let status = child.wait().await;
        // What it left behind would keep the pipes open.
        group.kill();
        status
    };
    let (stdout, stderr, (), status) =
        tokio::join!(collect(context, stdout, bytes_max), collect(context, stderr, bytes_max), feed, end);
    let status = status?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    Ok(Ended {
        exit_code: status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
        truncated: stdout.1 || stderr.1,
        stdout: stdout.0,
        stderr: stderr.0,
    })
}

/// Reads to the end, keeping no more than `bytes_max`; says whether something was dropped. What it reads is a sign of
/// life.
async fn collect(context: &Context, pipe: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> (Vec<u8>, bool) {
    let mut kept = Vec::new();
    let mut truncated = false;
    let Some(mut pipe) = pipe else { return (kept, truncated) };
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        context.heartbeat();
        let room = bytes_max - kept.len();
        kept.extend_from_slice(&buffer[..read.min(room)]);
        truncated |= read > room;
    }
    (kept, truncated)
}

fn judge(ended: Ended, parse: Parse) -> Result<Outcome, HandlerError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    let (stdout, stderr) = (text(&ended.stdout), text(&ended.stderr));
    if ended.exit_code != 0 {
        let tail = stderr.chars().count().saturating_sub(EXCERPT_CHARS);
        let excerpt: String = stderr.chars().skip(tail).collect();
        let message = format!("the command ended with {}: {}", ended.exit_code, excerpt.trim());
        return Err(HandlerError::new("process_exit", message));
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

#[cfg(test)]
mod tests;
