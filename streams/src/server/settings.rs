//! What the server is told: its configuration file, and the ports it found.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ClusterSeat;
use super::accounts::{CROSSINGS, Crossing, ENGINE_ACCOUNT, WORKER_ACCOUNT, worker_hears, worker_publishes};
use crate::Cause;

pub(super) const LOG: &str = "nats-server.log";
pub(super) const ENGINE: &str = "engine";
pub(super) const WORKER: &str = "worker";
/// The secrets of a server.
pub(super) struct Settings {
    pub(super) engine_password: String,
    pub(super) worker_password: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settings(…)")
    }
}

/// Where the server listens; -1 asks for any free port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) client: i32,
    pub(super) monitor: i32,
}

/// Gives the engine's account the streams of a server from before there were accounts: it kept them in the global one.
pub(super) fn adopt_streams(data_dir: &Path) -> io::Result<()> {
    let store = data_dir.join("streams/jetstream");
    let (global, ours) = (store.join("$G"), store.join(ENGINE_ACCOUNT));
    if global.is_dir() && !ours.exists() { fs::rename(global, ours) } else { Ok(()) }
}

impl Settings {
    pub(super) fn random() -> Self {
        let password = || uuid::Uuid::new_v4().simple().to_string();
        Self { engine_password: password(), worker_password: password() }
    }

    /// Writes the configuration, readable by nobody else, and returns where.
    pub(super) fn write(&self, data_dir: &Path, ports: &Ports, seat: Option<&ClusterSeat>) -> io::Result<PathBuf> {
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
        let path = data_dir.join("nats-server.conf");
        if path.exists() {
            fs::remove_file(&path)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(self.text(data_dir, ports, seat).as_bytes())?;
        Ok(path)
    }

    fn text(&self, data_dir: &Path, ports: &Ports, seat: Option<&ClusterSeat>) -> String {
        let Self { engine_password, worker_password } = self;
        let Ports { client, monitor } = ports;
        let quoted = |path: PathBuf| serde_json::Value::from(path.to_string_lossy().into_owned());
        let (log, ports_dir, store) =
            (quoted(data_dir.join(LOG)), quoted(data_dir.to_owned()), quoted(data_dir.join("streams")));
        let [engine, workers] = [ENGINE_ACCOUNT, WORKER_ACCOUNT].map(crossings);
        let (publishes, hears) = (worker_publishes(), worker_hears());
        let (name, cluster) = match seat {
            None => ("headwater", String::new()),
            Some(seat) => (seat.name.as_str(), seat.text()),
        };
        format!(
            r#"host: "127.0.0.1"
port: {client}
http: "127.0.0.1:{monitor}"
server_name: {name}
log_file: {log}
ports_file_dir: {ports_dir}
max_payload: 8388608
write_deadline: "10s"
jetstream {{
  store_dir: {store}
  sync_interval: always
}}
{cluster}accounts {{
  {ENGINE_ACCOUNT} {{
    jetstream: enabled
    users: [ {{ user: {ENGINE}, password: "{engine_password}" }} ]
{engine}
  }}
  {WORKER_ACCOUNT} {{
    users: [
      {{
        user: {WORKER}
        password: "{worker_password}"
        permissions: {{
          publish: {{ allow: {publishes:?} }}
          subscribe: {{ allow: {hears:?} }}
        }}
      }}
    ]
{workers}
  }}
}}
"#
        )
    }
}

/// Returns what an account exports and imports, as lines of its block.
fn crossings(account: &str) -> String {
    let list = |what: &str, of: fn(Crossing) -> &'static str, line: fn(Crossing) -> String| {
        let lines: String = CROSSINGS.into_iter().filter(|it| of(*it) == account).map(line).collect();
        format!("    {what}: [\n{lines}    ]")
    };
    let exports = list("exports", Crossing::exporter, |it| format!("      {{ stream: \"{}\" }}\n", it.subject()));
    let imports = list("imports", Crossing::importer, |it| {
        format!("      {{ stream: {{ account: {}, subject: \"{}\" }} }}\n", it.exporter(), it.subject())
    });
    format!("{exports}\n{imports}")
}

#[derive(Deserialize)]
struct PortsFile {
    nats: Vec<String>,
    #[serde(default)]
    monitoring: Vec<String>,
}

impl Ports {
    /// Reads what the server with this process id wrote once it listened.
    pub(super) fn read(data_dir: &Path, pid: u32) -> Result<Self, Cause> {
        let bytes = fs::read(data_dir.join(format!("nats-server_{pid}.ports")))?;
        let file: PortsFile = serde_json::from_slice(&bytes)?;
        let port = |urls: &[String]| -> Result<i32, Cause> {
            let url = urls.first().ok_or("no address")?;
            Ok(url.rsplit(':').next().ok_or("no port")?.parse()?)
        };
        Ok(Self { client: port(&file.nats)?, monitor: port(&file.monitoring)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_configuration_with_the_passwords_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        let settings = Settings::random();
        let path = settings.write(&data_dir, &Ports { client: -1, monitor: -1 }, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_ne!(settings.engine_password, settings.worker_password);
    }
}
