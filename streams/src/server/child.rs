//! The process: started by a thread that stays, so that its end and its parent's end are both noticed.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

const SETPRIV: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];
const POLL: Duration = Duration::from_millis(20);

/// A child process. The kernel ties its life to the *thread* that started it, hence one that does nothing else.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    kill: mpsc::SyncSender<()>,
    ended: mpsc::Receiver<()>,
    has_ended: bool,
}

impl Child {
    pub(super) fn spawn(binary: &Path, config: &Path) -> io::Result<Self> {
        let mut command = match SETPRIV.iter().map(Path::new).find(|path| path.is_file()) {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL"]).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (kill, kill_asked) = mpsc::sync_channel::<()>(1);
        let (end, ended) = mpsc::sync_channel::<()>(1);
        let (start, started) = mpsc::sync_channel::<io::Result<u32>>(1);
        thread::Builder::new().name("nats-server".to_owned()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = start.send(Err(error));
                    return;
                }
            };
            let _ = start.send(Ok(child.id()));
            loop {
                match kill_asked.recv_timeout(POLL) {
                    Err(RecvTimeoutError::Timeout) => match child.try_wait() {
                        Ok(None) => {}
                        Ok(Some(_)) | Err(_) => break,
                    },
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                        let _ = child.kill();
                        let _ = child.wait();
                        break;
                    }
                }
            }
            let _ = end.send(());
        })?;
        let pid = started.recv().map_err(|_| io::Error::other("the thread that starts the server ended"))??;
        Ok(Self { pid, kill, ended, has_ended: false })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for the end and returns whether it came.
    pub(super) fn wait(&mut self, patience: Duration) -> bool {
        if !self.has_ended {
            let ended = self.ended.recv_timeout(patience);
            self.has_ended = !matches!(ended, Err(RecvTimeoutError::Timeout));
        }
        self.has_ended
    }

    /// Sends the signal that makes it close its files and end, by its own command for that.
    pub(super) fn ask_to_end(&self, binary: &Path) {
        let signal = format!("term={}", self.pid);
        let asked =
            Command::new(binary).arg("--signal").arg(signal).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Err(error) = asked {
            tracing::debug!(%error, "the server could not be asked to end");
        }
    }

    /// Kills it and waits until it is gone.
    pub(super) fn kill(&mut self) {
        const GONE: Duration = Duration::from_secs(5);
        let deadline = Instant::now() + GONE;
        let _ = self.kill.try_send(());
        while !self.wait(POLL) && Instant::now() < deadline {}
    }
}
