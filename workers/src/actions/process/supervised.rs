//! The worker's end of a command under its supervisor.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

use super::group::Group;
use super::supervisor::{self, KILL_MAX, Order, TERM_GRACE, Verdict};
use super::{INHERITED, ended_without_verdict};
use crate::sdk::{Context, HandlerError};

/// A command under way. Its supervisor ends everything the command started as soon as this is dropped.
pub(super) struct Supervised {
    supervisor: Child,
    /// Its number.
    pid: Option<u32>,
    stop: Option<OwnedWriteHalf>,
    verdict: OwnedReadHalf,
}

/// What a command left behind.
pub(super) struct Ended {
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub truncated: bool,
}

impl Supervised {
    /// Starts a supervisor, `program` or this program anew, and gives it its order.
    pub(super) async fn start(program: Option<&Path>, order: &Order) -> io::Result<Self> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(program.unwrap_or(Path::new("/proc/self/exe")));
        command.arg(supervisor::ARGUMENT).env_clear().process_group(0);
        command.envs(INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value))));
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        // It holds the other end of the socket.
        drop(command);
        let (verdict, mut stop) = UnixStream::from_std(ours)?.into_split();
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        stop.write_all(&line).await?;
        Ok(Self { pid: child.id(), supervisor: child, stop: Some(stop), verdict })
    }

    /// Waits until the command has ended and nothing it started is left.
    pub(super) async fn end(&mut self, context: &Context, bytes_max: usize) -> Result<Ended, HandlerError> {
        let (stdout, stderr) = (self.supervisor.stdout.take(), self.supervisor.stderr.take());
        let pid = self.pid;
        let verdict = async {
            let mut line = Vec::new();
            let said = self.verdict.read_to_end(&mut line).await.ok();
            let verdict = said.and_then(|_| serde_json::from_slice(&line).ok());
            if verdict.is_none() {
                kill_left(pid);
            }
            verdict
        };
        let (stdout, stderr, verdict) =
            tokio::join!(collect(context, stdout, bytes_max), collect(context, stderr, bytes_max), verdict);
        let _ = self.supervisor.wait().await;
        match verdict {
            Some(Verdict::Ended { exit_code, signal, left: 0 }) => {
                Ok(Ended { exit_code, signal, truncated: stdout.1 || stderr.1, stdout: stdout.0, stderr: stderr.0 })
            }
            Some(Verdict::Ended { left, .. }) => {
                Err(HandlerError::new("process_failed", format!("the command ended, but {}", left_behind(left))))
            }
            Some(Verdict::NotStarted { reason }) => {
                Err(HandlerError::new("process_failed", format!("the command cannot be started: {reason}")))
            }
            None => Err(ended_without_verdict()),
        }
    }

    /// Tells the command to end, and waits until it and everything it started is gone.
    ///
    /// # Errors
    /// Says what is left: what runs as somebody else or waits for a device does not go.
    pub(super) async fn stop(mut self) -> Result<(), String> {
        self.stop = None;
        let mut line = Vec::new();
        // It kills what does not listen, says what it could not kill, and ends. On a machine that is too busy for that it
        // goes on by itself.
        let patience = TERM_GRACE + KILL_MAX * 2;
        match tokio::time::timeout(patience, self.verdict.read_to_end(&mut line)).await {
            Err(_) => return Err("what it started is still being ended".to_owned()),
            // An order that was not even read yet leaves no verdict, and nothing was started.
            Ok(_) => drop(self.supervisor.wait().await),
        }
        match serde_json::from_slice(&line) {
            Ok(Verdict::Ended { left: left @ 1.., .. }) => Err(left_behind(left)),
            Ok(Verdict::Ended { left: 0, .. } | Verdict::NotStarted { .. }) => Ok(()),
            Err(_) => {
                kill_left(self.pid);
                Ok(())
            }
        }
    }
}

/// Kills what is left where a supervisor was killed itself and the command has a group.
fn kill_left(supervisor: Option<u32>) {
    supervisor.into_iter().for_each(Group::kill_left_by);
}

fn left_behind(count: usize) -> String {
    format!("{count} of the processes it started could not be killed")
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
