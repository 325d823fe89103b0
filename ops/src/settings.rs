//! What a process of the engine is told when it starts: flags, or environment variables of the same names.

mod host;
mod shown;

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use headwater_core::run::RunLimits;
use headwater_core::{MemberId, WorkspaceId};
use headwater_streams::{BrokerConfig, Credentials};
use headwater_workers::actions::ActionPolicy;
use headwater_workers::shard_worker::ShardSettings;

pub use host::{AllowedHost, InvalidHost};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Role {
    /// Answers HTTP requests.
    Api,
    /// Drives its share of the shards.
    Shards,
    /// Executes the built-in actions that need a process of the engine.
    Tasks,
    /// Folds the journals into Postgres.
    Projector,
}

/// Where the broker is, and as whom to come.
#[derive(Debug, Clone, Args)]
pub struct BrokerSettings {
    /// One or more nats:// addresses, comma-separated.
    #[arg(long, env = "HEADWATER_NATS_URL", default_value = "nats://127.0.0.1:4222")]
    pub nats_url: String,
    #[arg(long, env = "HEADWATER_NATS_USER", requires = "nats_password")]
    pub nats_user: Option<String>,
    #[arg(long, env = "HEADWATER_NATS_PASSWORD", hide_env_values = true)]
    pub nats_password: Option<String>,
    /// A credentials file (JWT and seed), instead of user and password.
    #[arg(long, env = "HEADWATER_NATS_CREDS", conflicts_with = "nats_user")]
    pub nats_creds: Option<std::path::PathBuf>,
    /// Where the broker serves /varz: only there it says whether it syncs before it acknowledges.
    #[arg(long, env = "HEADWATER_NATS_MONITOR_URL")]
    pub nats_monitor_url: Option<String>,
}

impl BrokerSettings {
    /// Returns how to connect.
    pub fn config(&self) -> BrokerConfig {
        let credentials = match (&self.nats_creds, &self.nats_user, &self.nats_password) {
            (Some(path), _, _) => Credentials::File(path.clone()),
            (None, Some(user), Some(password)) => {
                Credentials::Password { user: user.clone(), password: password.clone() }
            }
            (None, _, _) => Credentials::None,
        };
        BrokerConfig { credentials, monitor_url: self.nats_monitor_url.clone(), ..BrokerConfig::new(&self.nats_url) }
    }
}

/// What built-in actions may do; nothing that could harm this machine or its network unless allowed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ActionSettings {
    /// Let http_request reach private, loopback and link-local addresses.
    #[arg(long, env = "HEADWATER_ALLOW_PRIVATE_ADDRESSES", value_parser = BoolishValueParser::new())]
    pub allow_private_addresses: bool,
    /// Let process run commands, with the rights of this process.
    #[arg(long, env = "HEADWATER_ALLOW_PROCESSES", value_parser = BoolishValueParser::new())]
    pub allow_processes: bool,
}

/// Everything `serve` takes.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    #[command(flatten)]
    pub broker: BrokerSettings,
    /// A libpq connection string or postgres:// address. Needed by the roles api and projector.
    #[arg(long, env = "HEADWATER_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<String>,
    /// What this process does.
    #[arg(long, env = "HEADWATER_ROLES", value_delimiter = ',', default_value = "api,shards,tasks,projector")]
    pub roles: Vec<Role>,
    /// Where the API listens.
    #[arg(long, env = "HEADWATER_LISTEN", default_value = "127.0.0.1:4000")]
    pub listen: SocketAddr,
    /// Names (host or host:port) under which the API may be addressed, and whose web pages may change things. On the
    /// loopback interface its own names go without saying; elsewhere any name does, unless some are given here.
    #[arg(long, env = "HEADWATER_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<AllowedHost>,
    /// How many shards a new cluster gets (1-1024); an existing one keeps what it has.
    #[arg(long, env = "HEADWATER_SHARDS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: u16,
    /// How many replicas each stream has (1 or 3).
    #[arg(long, env = "HEADWATER_REPLICAS", default_value_t = 1)]
    pub replicas: usize,
    /// This process's name among the members; default: made of the host's name and the process id.
    #[arg(long, env = "HEADWATER_MEMBER")]
    pub member: Option<MemberId>,
    /// After how many milliseconds of silence a member's shards are taken by others.
    #[arg(long, env = "HEADWATER_MEMBER_TTL_MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(300..))]
    pub member_ttl_ms: u64,
    /// After how many milliseconds of silence the holder of an attempt has lost it.
    #[arg(long, env = "HEADWATER_LEASE_TTL_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(500..))]
    pub lease_ttl_ms: u64,
    /// After how many bundles of its journal a shard gets a new checkpoint, for the next owner to start from.
    #[arg(long, env = "HEADWATER_CHECKPOINT_BUNDLES", default_value_t = ShardSettings::CHECKPOINT_BUNDLES, value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_bundles: u64,
    /// After how many bytes of its journal it gets one, if that comes first.
    #[arg(long, env = "HEADWATER_CHECKPOINT_BYTES", default_value_t = ShardSettings::CHECKPOINT_BYTES, value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_bytes: u64,
    /// How many turns the loops of a run may have in all, before it fails with `loop_limit`.
    #[arg(long, env = "HEADWATER_RUN_TURNS_MAX", default_value_t = RunLimits::DEFAULT.turns, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub run_turns_max: u32,
    /// How many branches a run may open in all (items, turns and tries), before it fails with `branch_limit`.
    #[arg(long, env = "HEADWATER_RUN_BRANCHES_MAX", default_value_t = RunLimits::DEFAULT.branches, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub run_branches_max: u32,
    /// Whose built-in actions the role tasks executes.
    #[arg(long, env = "HEADWATER_WORKSPACES", value_delimiter = ',', default_value = "default")]
    pub workspaces: Vec<WorkspaceId>,
    #[command(flatten)]
    pub actions: ActionSettings,
    /// Start even though the broker acknowledges before it has synced to disk, or does not say: a power cut can then
    /// lose what was acknowledged.
    #[arg(long, env = "HEADWATER_ALLOW_UNSAFE_SYNC", value_parser = BoolishValueParser::new())]
    pub allow_unsafe_sync: bool,
}

impl ServeSettings {
    /// Returns after how much silence of a member its shards move.
    pub fn member_ttl(&self) -> Duration {
        Duration::from_millis(self.member_ttl_ms)
    }

    /// Returns what built-in actions may do.
    pub fn action_policy(&self) -> ActionPolicy {
        let ActionSettings { allow_private_addresses, allow_processes } = self.actions;
        ActionPolicy { allow_private_addresses, allow_processes, supervisor: None }
    }

    /// Returns how the shards of this process are driven.
    pub fn shard_settings(&self) -> ShardSettings {
        ShardSettings {
            lease_ttl: self.lease_ttl(),
            checkpoint_bundles: self.checkpoint_bundles,
            checkpoint_bytes: self.checkpoint_bytes,
            run_limits: RunLimits { turns: self.run_turns_max, branches: self.run_branches_max },
            ..ShardSettings::default()
        }
    }

    /// Returns after how much silence of its holder an attempt is lost.
    pub fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_ms)
    }
}
