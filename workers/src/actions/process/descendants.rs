//! Everything that descends from this process, found in `/proc` and ended.
//!
//! This process is a subreaper: whoever loses its parent becomes its child, so nothing gets out from under it, in
//! whatever session or group it is. That a scan finds nothing proves nothing, because what is scanned moves; that this
//! process has no child left is the proof.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// How often what multiplies is stopped before it is killed, newcomers and all.
const ROUNDS_MAX: usize = 200;

/// A process and when it began, which tells it from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Descendant {
    pid: i32,
    began: u64,
}

struct Stat {
    parent: i32,
    began: u64,
    is_zombie: bool,
}

/// Reads `/proc/<pid>/stat`: `pid (name) state ppid … starttime …`, where the name may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let is_zombie = matches!(*fields.first()?, "Z" | "X");
    Some(Stat { parent: fields.get(1)?.parse().ok()?, began: fields.get(19)?.parse().ok()?, is_zombie })
}

/// Lists what descends from this process and is not dead.
pub(super) fn living() -> Vec<Descendant> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut children: HashMap<i32, Vec<(i32, Stat)>> = HashMap::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let (mut found, mut todo) = (Vec::new(), vec![own]);
    while let Some(parent) = todo.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            todo.push(pid);
            if !stat.is_zombie {
                found.push(Descendant { pid, began: stat.began });
            }
        }
    }
    found
}

/// Sends a signal to everything that descends from this process now.
pub(super) fn signal_all(signal: Signal) {
    living().into_iter().for_each(|process| process.signal(signal));
}

/// Kills what descends from this process. First all of it is stopped, until a scan finds nobody new, so that what
/// multiplies has no time to; what comes in meanwhile is for the next call.
pub(super) fn kill_all() {
    let mut stopped = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let fresh: Vec<_> = living().into_iter().filter(|process| stopped.insert(*process)).collect();
        if fresh.is_empty() {
            break;
        }
        fresh.into_iter().for_each(|process| process.signal(Signal::STOP));
    }
    signal_all(Signal::KILL);
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
