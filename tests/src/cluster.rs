//! Real processes: a broker, a database, engines and workers; each can be killed and started again.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use headwater_core::shard::ShardMap;
use headwater_projector::server::PostgresServer;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::{Broker, BrokerConfig, Credentials, shard_map};
use headwater_workers::shard_client::ShardClient;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A broker and a database in a private folder, and what the processes of a test share.
pub struct Cluster {
    pub nats: NatsServer,
    pub postgres: PostgresServer,
    folder: tempfile::TempDir,
}

/// An engine process.
pub struct Engine {
    pub(crate) child: Child,
    /// Where its API answers, if it has that role.
    pub api: String,
}

/// A worker process.
pub struct WorkerProcess {
    pub(crate) child: Child,
}

/// Where test workers write down what they begin.
const BEGUN: &str = "begun";
/// How often the engines of tests give signs of life: faster than in life, so that tests are too.
const MEMBER_TTL_MS: &str = "1000";
const LEASE_TTL_MS: &str = "2000";

impl Cluster {
    /// Starts the servers.
    ///
    /// # Panics
    /// When one is missing or does not start.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("headwater-test-").tempdir().expect("a private folder");
        open_for_passing(folder.path());
        let binary = ServerBinary::find().expect("nats-server: run ops/setup/install.sh");
        let config = ServerConfig::new(folder.path().join("nats"));
        let nats = tokio::task::spawn_blocking(move || NatsServer::start(&binary, config));
        let nats = nats.await.expect("no panic").expect("nats-server starts");
        let postgres = PostgresServer::start(&folder.path().join("postgres")).await.expect("postgres starts");
        Self { nats, postgres, folder }
    }

    /// Returns a folder of the test's own.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts an engine process with these roles and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn engine(&self, roles: &str) -> Engine {
        self.engine_with(roles, &[]).await
    }

    /// The same, with more flags.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn engine_with(&self, roles: &str, flags: &[&str]) -> Engine {
        self.begun_engine(roles, |command| command.args(flags)).await
    }

    /// The same, with a file that takes its whole log.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn engine_logging(&self, roles: &str, log: std::fs::File) -> Engine {
        self.begun_engine(roles, |command| command.env("HEADWATER_LOG", "info").stderr(log)).await
    }

    async fn begun_engine(&self, roles: &str, change: impl FnOnce(&mut Command) -> &mut Command) -> Engine {
        let mut command = Command::new(binary("headwater"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--roles", roles]);
        command.args(["--member-ttl-ms", MEMBER_TTL_MS, "--lease-ttl-ms", LEASE_TTL_MS]);
        command.env("HEADWATER_POSTGRES_URL", self.postgres.url());
        change(&mut command);
        let (mut child, line) = spawn(&mut command, &self.nats.engine()).await;
        let api = line.rsplit(' ').next().unwrap_or_default().to_owned();
        if roles.contains("api") {
            answers(&mut child, api.trim_start_matches("http://")).await;
        }
        Engine { child, api }
    }

    /// Starts a process of the test worker with so many slots and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn worker(&self, slots: usize) -> WorkerProcess {
        let mut command = Command::new(binary("test-worker"));
        command.arg(slots.to_string()).arg(self.folder().join(BEGUN));
        let (child, _) = spawn(&mut command, &self.nats.worker()).await;
        WorkerProcess { child }
    }

    /// Returns the attempts that test workers have begun, in order: `run/node/attempt` each.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn begun(&self) -> Vec<String> {
        let path = self.folder().join(BEGUN);
        let text = if path.exists() { std::fs::read_to_string(path).expect("readable") } else { String::new() };
        text.lines().map(str::to_owned).collect()
    }

    /// Starts any worker program of this workspace and waits for its first line.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn worker_program(&self, name: &str) -> WorkerProcess {
        let (child, _) = spawn(&mut Command::new(binary(name)), &self.nats.worker()).await;
        WorkerProcess { child }
    }

    /// Connects as the engine does.
    ///
    /// # Panics
    /// When the broker cannot be reached.
    pub async fn access(&self) -> (Broker, ShardMap, ShardClient) {
        let broker = Broker::connect(&self.nats.engine()).await.expect("the broker is there");
        let map = shard_map::load(&broker).await.expect("the map is readable").expect("an engine has made the map");
        let client = ShardClient::new(&broker, map.shards);
        (broker, map, client)
    }
}

impl Engine {
    /// Returns the number of its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Says how its process is, for who finds that it does not answer: its state, and at which ports it listens.
    pub fn how_it_is(&self) -> String {
        let Some(pid) = self.child.id() else { return "it has ended".to_owned() };
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let state = read("status").lines().find(|line| line.starts_with("State")).map(str::to_owned);
        let table = read("net/tcp");
        let listening = table.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A"));
        let ports = listening.filter_map(|line| line.split_whitespace().nth(1)?.rsplit(':').next());
        let ports: Vec<_> = ports.filter_map(|port| u16::from_str_radix(port, 16).ok()).collect();
        format!("process {pid}: {state:?}; there are listeners at {ports:?}")
    }

    /// Kills it as a crash would (SIGKILL).
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Stops it in its tracks (SIGSTOP): it knows nothing of it, then or later.
    pub async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// Lets it go on (SIGCONT).
    pub async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not stop in time.
    pub async fn stop(mut self) -> std::process::ExitStatus {
        self.signal("-TERM").await;
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.expect("in time").expect("a status")
    }
}

impl WorkerProcess {
    /// Kills it as a crash would (SIGKILL).
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Stops it in its tracks (SIGSTOP).
    pub async fn freeze(&self) {
        signal(&self.child, "-STOP").await;
    }

    /// Lets it go on (SIGCONT).
    pub async fn thaw(&self) {
        signal(&self.child, "-CONT").await;
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not stop in time.
    pub async fn stop(mut self) {
        signal(&self.child, "-TERM").await;
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.expect("in time").expect("a status");
    }
}

/// Waits until somebody listens there. A process that has ended says how.
async fn answers(child: &mut Child, address: &str) {
    let listens = async {
        while let Err(error) = tokio::net::TcpStream::connect(address).await {
            let ended = child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "the engine that served on {address} has ended: {ended:?}");
            eprintln!("the engine that serves on {address} does not listen: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::PATIENCE, listens).await.expect("it listens in time");
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.expect("kill is there").success());
}

/// The account Postgres runs under must be able to pass through.
fn open_for_passing(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).expect("the folder is ours");
}

/// Finds a binary of this workspace, built beside the test that runs.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.ancestors().find(|folder| folder.join(name).is_file());
    folder.unwrap_or_else(|| panic!("{name} is not built: cargo build --workspace --bins")).join(name)
}

pub(crate) async fn spawn(command: &mut Command, broker: &BrokerConfig) -> (Child, String) {
    command.env("HEADWATER_NATS_URL", &broker.url);
    if let Credentials::Password { user, password } = &broker.credentials {
        command.env("HEADWATER_NATS_USER", user).env("HEADWATER_NATS_PASSWORD", password);
    }
    if let Some(prefix) = &broker.inbox_prefix {
        command.env("HEADWATER_NATS_INBOX_PREFIX", prefix);
    }
    if let Some(url) = &broker.monitor_url {
        command.env("HEADWATER_NATS_MONITOR_URL", url);
    }
    let names_a_log = command.as_std().get_envs().any(|(name, _)| name == "HEADWATER_LOG");
    if !names_a_log && std::env::var_os("HEADWATER_LOG").is_none() {
        command.env("HEADWATER_LOG", "error");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = tokio::time::timeout(crate::PATIENCE, lines.next_line()).await.expect("ready in time");
    let first = first.expect("readable").expect("it says that it is ready before it ends");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, first)
}
