//! From an empty folder to one that a server can be started in.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::account::Account;
use super::binaries::Binaries;
use super::{PostgresServer, ServerError};

/// Returns whom the server in `folder` must run as.
pub(super) fn account_for(folder: &Path) -> Result<Option<Account>, ServerError> {
    // The file system knows who we are without a call to libc: what is made here is ours.
    let probe = folder.join(".owner");
    std::fs::write(&probe, []).map_err(|source| ServerError::file(&probe, source))?;
    let about = std::fs::metadata(&probe).map_err(|source| ServerError::file(&probe, source))?;
    std::fs::remove_file(&probe).map_err(|source| ServerError::file(&probe, source))?;
    let account = Account::for_server(about.uid())?;
    if let Some(account) = account {
        account.check_reach(folder)?;
    }
    Ok(account)
}

/// Makes what is missing in the folder, ends a server that was left behind there, and returns the password.
pub(super) async fn prepare(
    folder: &Path,
    binaries: &Binaries,
    account: Option<Account>,
) -> Result<String, ServerError> {
    let (data, sockets) = (folder.join("data"), folder.join("socket"));
    own(folder, account)?;
    std::fs::create_dir_all(&sockets).map_err(|source| ServerError::file(&sockets, source))?;
    own(&sockets, account)?;
    let password_path = folder.join("password");
    if data.join("PG_VERSION").is_file() && password_path.is_file() {
        if data.join("postmaster.pid").is_file() {
            // Of a crash. Where no such process is left this fails, and the server itself clears the file.
            let mut stop = command(&binaries.program("pg_ctl"), account);
            let _ = run("pg_ctl", stop.args(["stop", "-m", "fast", "-t", "30", "-D"]).arg(&data)).await;
        }
        let text = std::fs::read_to_string(&password_path);
        return Ok(text.map_err(|source| ServerError::file(&password_path, source))?.trim().to_owned());
    }
    // An initialisation that did not finish is begun again.
    let _ = std::fs::remove_dir_all(&data);
    let _ = std::fs::remove_file(&password_path);
    let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&password_path);
    let written = file.and_then(|mut file| file.write_all(password.as_bytes()));
    written.map_err(|source| ServerError::file(&password_path, source))?;
    chown_to(&password_path, account)?;
    let mut initdb = command(&binaries.program("initdb"), account);
    initdb.arg("-D").arg(&data).args(["-U", PostgresServer::DATABASE]).arg("--pwfile").arg(&password_path);
    initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
    let outcome = run("initdb", initdb.current_dir(folder)).await;
    if outcome.is_err() {
        let _ = std::fs::remove_dir_all(&data);
    }
    outcome.map(|()| password)
}

fn own(folder: &Path, account: Option<Account>) -> Result<(), ServerError> {
    let closed = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    closed.map_err(|source| ServerError::file(folder, source))?;
    chown_to(folder, account)
}

fn chown_to(path: &Path, account: Option<Account>) -> Result<(), ServerError> {
    let Some(account) = account else { return Ok(()) };
    chown(path, Some(account.uid), Some(account.gid)).map_err(|source| ServerError::file(path, source))
}

/// Runs a program as the server's account, in an environment of its own.
pub(super) fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    // Neither the owner's locale nor its PG* settings; and none of its groups, when it is root.
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
    if let Some(account) = account {
        command.gid(account.gid).uid(account.uid);
    }
    // A terminal's Ctrl-C is for the owner, which then ends the server in order.
    command.process_group(0);
    command
}

async fn run(program: &'static str, command: &mut Command) -> Result<(), ServerError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let deadline = PostgresServer::START_DEADLINE;
    let Ok(output) = tokio::time::timeout(deadline, command.output()).await else {
        return Err(ServerError::DeadlinePassed { program, deadline });
    };
    let output = output.map_err(|source| ServerError::file(Path::new(program), source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServerError::Failed { program, said: last_lines(&output.stderr) })
}

/// Returns the end of what a program said, in one line.
pub(super) fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}
