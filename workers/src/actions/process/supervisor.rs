//! The process between a worker and one command: it starts the command, and when that has ended, or the worker wants it
//! to, or the worker is gone, it ends everything that the command started, wherever that went.
//!
//! It speaks over the socket that is its standard input: one line of [`Order`] in, one line of [`Verdict`] out; the end
//! of what the worker says means stop. Its standard output and error output are the command's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, set_child_subreaper, wait, waitid};
use serde::{Deserialize, Serialize};

use super::descendants;
use super::group::Group;

/// The only argument of a program that is to be a supervisor.
pub(super) const ARGUMENT: &str = "__supervise-a-command";
/// How long a command that is told to end may take before it is killed.
pub(super) const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long what was killed may stay as it is: what waits for a device or runs as somebody else does not go.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// How long killing may take in all, as long as something changes.
pub(super) const KILL_MAX: Duration = Duration::from_secs(60);
/// How long to wait between two rounds of killing.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether this program begins with [`supervise_if_asked`], and so can be started as a supervisor.
static CAN_SUPERVISE: AtomicBool = AtomicBool::new(false);

/// What is to be started. The rest of the environment is the supervisor's own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub words: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub cwd: Option<PathBuf>,
    pub stdin: Option<String>,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Verdict {
    /// The command ended with this code, or 128 and the number of its signal; so many processes could not be ended.
    Ended {
        exit_code: i32,
        /// That ended it, if one did. Supervisors of other releases do not say.
        #[serde(default)]
        signal: Option<i32>,
        left: usize,
    },
    /// The command could not be started.
    NotStarted { reason: String },
}

enum News {
    Ended(WaitStatus),
    /// This process has no child any more: nothing that the command started is left.
    NobodyLeft,
    Stop,
}

/// Supervises a command, and does not return, where a worker started this program for that. A program that serves
/// `process` calls this before anything else.
pub fn supervise_if_asked() {
    CAN_SUPERVISE.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == ARGUMENT) {
        // Whoever started it sees that there is no verdict.
        std::process::exit(if supervise().is_ok() { 0 } else { 1 });
    }
}

pub(super) fn this_program_can_supervise() -> bool {
    CAN_SUPERVISE.load(Ordering::Relaxed)
}

fn supervise() -> io::Result<()> {
    let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut said = BufReader::new(worker.try_clone()?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line)?;
    // Whoever loses its parent becomes our child.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let (started, group) = match Group::make() {
        Some(group) => group.within(|| start(order)),
        None => (start(order), None),
    };
    let verdict = match started {
        Ok(command) => carry_out(command, said, group.as_ref()),
        Err(error) => Verdict::NotStarted { reason: error.to_string() },
    };
    drop(group);
    let mut line = serde_json::to_vec(&verdict)?;
    line.push(b'\n');
    (&worker).write_all(&line)
}

fn start(order: Order) -> io::Result<Pid> {
    let Order { words, env, cwd, stdin } = order;
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(env).process_group(0).stdin(Stdio::piped());
    if let Some(cwd) = cwd {
        command.current_dir(cwd);
    }
    let mut child = command.spawn()?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), stdin) {
        // A command that does not want its input is its own business.
        std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    }
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn carry_out(command: Pid, worker: BufReader<UnixStream>, group: Option<&Group>) -> Verdict {
    let (sender, news) = mpsc::channel();
    let stop = sender.clone();
    std::thread::spawn(move || {
        // It says nothing more: this ends when it has no more use for the command, or is gone.
        let _ = io::copy(&mut worker.take(u64::MAX), &mut io::sink());
        let _ = stop.send(News::Stop);
    });
    std::thread::spawn(move || reap(command, &sender));
    let mut ended = until_ended(&news);
    let begun = Instant::now();
    let (mut changed, mut before) = (begun, BTreeSet::new());
    loop {
        // Most commands leave nobody, and that is known at once.
        match news.recv_timeout(PAUSE) {
            Ok(News::NobodyLeft) => return verdict(ended, 0),
            Ok(News::Ended(status)) => ended = Some(status),
            Ok(News::Stop) | Err(_) => {}
        }
        group.inspect(|group| group.kill());
        let found = descendants::kill_children();
        if found != before {
            (changed, before) = (Instant::now(), found);
        } else if changed.elapsed() > KILL_WAIT {
            return verdict(ended, descendants::living().len());
        }
        if begun.elapsed() > KILL_MAX {
            return verdict(ended, descendants::living().len());
        }
    }
}

/// Waits until the command has ended, or would not although it was told to.
fn until_ended(news: &Receiver<News>) -> Option<WaitStatus> {
    match news.recv() {
        Ok(News::Ended(status)) => return Some(status),
        Ok(News::Stop | News::NobodyLeft) | Err(_) => descendants::signal_all(Signal::TERM),
    }
    match news.recv_timeout(TERM_GRACE) {
        Ok(News::Ended(status)) => Some(status),
        Ok(News::Stop | News::NobodyLeft) | Err(_) => None,
    }
}

/// Takes leave of every child that ends, until there is none.
fn reap(command: Pid, news: &Sender<News>) {
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => {
                let _leave = descendants::hold_leave();
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    if pid == command {
                        let _ = news.send(News::Ended(status));
                    }
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => {
                let _ = news.send(News::NobodyLeft);
                return;
            }
        }
    }
}

fn verdict(ended: Option<WaitStatus>, left: usize) -> Verdict {
    // What did not end by itself was killed.
    let signal = ended.map_or(Some(Signal::KILL.as_raw()), WaitStatus::terminating_signal);
    let exit_code = ended.and_then(WaitStatus::exit_status).unwrap_or(128 + signal.unwrap_or(Signal::KILL.as_raw()));
    Verdict::Ended { exit_code, signal, left }
}
