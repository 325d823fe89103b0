//! What `dev` leaves in its folder for others: how workers, and how operators, reach what it runs.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use headwater_workers::connection::Connection;

use super::{Servers, broker_settings};
use crate::settings::ServeSettings;

/// What workers are given.
pub(super) const CONNECTION: &str = Connection::FILE;

/// What an operator's shell sources to let `doctor` and `rebuild` reach these servers with every right.
const OPERATOR: &str = "operator.env";

/// Writes how others reach what `dev` runs.
pub(super) fn write_access(
    servers: &Servers,
    settings: &ServeSettings,
    api: &String,
    data_dir: &Path,
) -> io::Result<()> {
    let worker = servers.nats.worker();
    let inbox_prefix = worker.inbox_prefix.clone();
    let worker = broker_settings(&worker);
    let connection = Connection {
        nats_url: worker.nats_url,
        worker_user: worker.nats_user.unwrap_or_default(),
        worker_password: worker.nats_password.unwrap_or_default(),
        worker_inbox_prefix: inbox_prefix.unwrap_or_default(),
    };
    write_private(&data_dir.join(CONNECTION), &serde_json::to_string_pretty(&connection)?)?;
    let broker = &settings.broker;
    let given = [
        ("HEADWATER_NATS_URL", Some(&broker.nats_url)),
        ("HEADWATER_NATS_USER", broker.nats_user.as_ref()),
        ("HEADWATER_NATS_PASSWORD", broker.nats_password.as_ref()),
        ("HEADWATER_NATS_MONITOR_URL", broker.nats_monitor_url.as_ref()),
        ("HEADWATER_POSTGRES_URL", settings.postgres_url.as_ref()),
        ("HEADWATER_API", Some(api)),
    ];
    // Addresses and generated passwords: nothing in them means anything to a shell inside single quotes.
    let lines = given.iter().filter_map(|(name, value)| Some(format!("export {name}='{}'\n", (*value)?)));
    write_private(&data_dir.join(OPERATOR), &lines.collect::<String>())
}

/// Replaces a file whole, readable by its owner only.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // Made anew, so that it never has another's mode.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}
