//! Everything that descends from this process, found in `/proc` and ended.
//!
//! This process is a subreaper: whoever loses its parent becomes its child, so nothing gets out from under it, in
//! whatever session or group it is, and killing children until there are none ends everything. That a look finds nobody
//! proves nothing, because what is looked for moves; that this process has no child left is the proof.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// How often newcomers are killed in a row before the dead are taken leave of.
const ROUNDS_MAX: usize = 1000;

/// Held by whoever takes leave of a dead child, and by whoever signals children by their numbers: the number of a child
/// that nobody has taken leave of belongs to nobody else.
static LEAVE: Mutex<()> = Mutex::new(());

/// Keeps the numbers of this process's children what they are.
pub(super) fn hold_leave() -> MutexGuard<'static, ()> {
    LEAVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the children of this process and whoever becomes its child by that, until a look finds nobody new. Returns
/// whom it found: what is still there after that could not be killed, or is not dead yet.
pub(super) fn kill_children() -> BTreeSet<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let _leave = hold_leave();
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let fresh: Vec<_> = children(own).into_iter().filter(|pid| killed.insert(*pid)).collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    killed
}

/// Signals everything that descends from this process now.
pub(super) fn signal_all(signal: Signal) {
    let _leave = hold_leave();
    living().into_iter().for_each(|process| process.signal(signal));
}

/// Lists what descends from this process and is not dead.
pub(super) fn living() -> Vec<Descendant> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let (mut found, mut todo) = (Vec::new(), vec![own]);
    while let Some(parent) = todo.pop() {
        for pid in children(parent) {
            todo.push(pid);
            if let Some(Stat { began, is_dead: false, .. }) = stat(pid) {
                found.push(Descendant { pid, began });
            }
        }
    }
    found
}

/// A process and when it began, which tells it from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Descendant {
    pid: i32,
    began: u64,
}

impl Descendant {
    /// Signals this process, and none that got its number meanwhile. One that is gone does not mind.
    fn signal(self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => {
                if stat(self.pid).is_some_and(|stat| stat.began == self.began) {
                    let _ = pidfd_send_signal(&handle, signal);
                }
            }
            // A kernel before 5.3.
            Err(Errno::NOSYS) => drop(kill_process(pid, signal)),
            Err(_) => {}
        }
    }
}

/// Lists the children of a process, dead ones too: in one read a thread, or where the kernel does not tell, by asking
/// every process who its parent is.
fn children(parent: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let told: Option<Vec<String>> =
        threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
    match told {
        Some(told) => told.iter().flat_map(|line| line.split_ascii_whitespace()).flat_map(str::parse).collect(),
        None => numbers().filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent)).collect(),
    }
}

fn numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Stat {
    parent: i32,
    began: u64,
    is_dead: bool,
}

/// Reads `/proc/<pid>/stat`: `pid (name) state ppid … starttime …`, where the name may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let is_dead = matches!(*fields.first()?, "Z" | "X");
    Some(Stat { parent: fields.get(1)?.parse().ok()?, began: fields.get(19)?.parse().ok()?, is_dead })
}
