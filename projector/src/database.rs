//! The connections: pools whose sessions are bound to one schema, and the migrations that build a schema.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls};

use crate::fault::{Fault, Unfit, client_error};
use crate::tables::run_terms;
use crate::write::WriteError;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Says why the database did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Rejection: the address is not one of a Postgres server.
    #[error("not the address of a postgres database")]
    AddressInvalid(#[source] tokio_postgres::Error),
    /// Unavailable: it cannot be reached, or could not do it now. Try again after a moment.
    #[error("the database is out of reach")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Unavailable, until its operator has mended it: it answers that it does not do what it is asked. Try again all the same.
    #[error("the database refuses what is asked of it ({0}): mend it, and what waits goes on by itself")]
    Unfit(Unfit),
    /// Corrupt: the schema is not one this version can have made.
    #[error("the schema {schema} cannot be migrated")]
    Unmigratable { schema: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl DatabaseError {
    /// Returns what its operator has to mend, if anything.
    pub fn unfit(&self) -> Option<Unfit> {
        match self {
            Self::Unfit(unfit) => Some(unfit.clone()),
            Self::Unmigratable { source, .. } => Some(Unfit { state: None, message: format!("{self}: {source}") }),
            Self::AddressInvalid(_) | Self::Unavailable(_) => None,
        }
    }
}

impl From<deadpool_postgres::PoolError> for DatabaseError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.into()),
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        match Fault::of(&error) {
            Fault::Passing => Self::Unavailable(error.into()),
            // Nothing but a write has rows of its own to blame: it says so before it comes here.
            Fault::Data | Fault::Unfit => Self::Unfit(Unfit::of(&error)),
        }
    }
}

/// A schema of read models on a Postgres server. Clones share their connections.
#[derive(Clone)]
pub struct Database {
    config: Config,
    schema: String,
    readers: Pool,
    writers: Pool,
    /// Without a deadline on the server's side: a migration or a comparison takes as long as the tables are big.
    menders: Pool,
}

impl Database {
    /// The schema that is read.
    pub const LIVE: &'static str = "headwater";
    /// The schema a rebuild fills.
    pub const NEXT: &'static str = "headwater_next";
    /// The schema the last rebuild replaced.
    pub const PREVIOUS: &'static str = "headwater_previous";

    /// Whether what no migration can fill in by itself is filled in: a mark that goes with the table wherever its schema goes.
    pub(crate) const IS_FILLED: &'static str =
        "SELECT coalesce(obj_description('run_terms'::regclass, 'pg_class') = 'filled', false)";

    const CONNECTIONS_MAX: usize = 12;
    const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
    const SILENCE_MAX: Duration = Duration::from_secs(15);

    /// Makes the schema [`Self::LIVE`] if need be, migrates it, and returns it.
    ///
    /// # Errors
    /// See [`DatabaseError`]; what was migrated before an error stays.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        let database = Self::at(url)?;
        database.migrate().await?;
        Ok(database)
    }

    /// Returns the schema [`Self::LIVE`] without a look whether it is there: for a process that must start while the
    /// server is away, and migrates once it is back.
    ///
    /// # Errors
    /// [`DatabaseError::AddressInvalid`]: the address is not one.
    pub fn at(url: &str) -> Result<Self, DatabaseError> {
        let config: Config = url.parse().map_err(DatabaseError::AddressInvalid)?;
        Ok(Self::of(config, Self::LIVE))
    }

    /// Returns another schema of the same server, with connections of its own.
    pub(crate) fn sibling(&self, schema: &str) -> Self {
        Self::of(self.config.clone(), schema)
    }

    fn of(config: Config, schema: &str) -> Self {
        // A plan that was made while a table was empty must not scan it when it is full: the writer's few statements
        // all reach their rows by index.
        let settled = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
                       -c enable_mergejoin=off -c statement_timeout=60s";
        Self {
            readers: pool(&config, schema, "-c statement_timeout=30s -c enable_seqscan=off -c enable_bitmapscan=off"),
            writers: pool(&config, schema, settled),
            menders: pool(&config, schema, ""),
            config,
            schema: schema.to_owned(),
        }
    }

    /// Returns the schema's name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The newest migration that this program knows.
    pub(crate) fn newest_migration() -> i32 {
        embedded::migrations::runner().get_migrations().iter().map(|one| one.version()).max().unwrap_or_default()
    }

    /// Makes the schema if need be and applies the migrations it lacks. Safe to call from several processes at once.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        // Where this future is dropped, the session's end gives the lock back: so its connection leaves the pool.
        let mut connection = Object::take(self.menders.get().await?);
        let schema = &self.schema;
        // One process migrates, the others find it done.
        connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
        let outcome = async {
            connection.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
            let client: &mut tokio_postgres::Client = &mut connection;
            embedded::migrations::runner().run_async(client).await.map_err(|error| {
                match client_error(&error).map(|error| (Fault::of(error), Unfit::of(error))) {
                    Some((Fault::Passing, _)) => DatabaseError::Unavailable(error.into()),
                    Some((Fault::Data | Fault::Unfit, unfit)) => DatabaseError::Unfit(unfit),
                    None => DatabaseError::Unmigratable { schema: schema.clone(), source: error.into() },
                }
            })
        }
        .await;
        let outcome = match outcome {
            Ok(_) => fill(&mut connection).await,
            Err(error) => Err(error),
        };
        connection.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})")).await?;
        outcome
    }

    /// Lets go of the sessions that nobody uses: settings and plans of old ones outlive what they came from.
    pub(crate) fn renew(&self) {
        for pool in [&self.readers, &self.writers, &self.menders] {
            pool.retain(|_, _| false);
        }
    }

    pub(crate) async fn reader(&self) -> Result<Object, DatabaseError> {
        Ok(self.readers.get().await?)
    }

    pub(crate) async fn mender(&self) -> Result<Object, DatabaseError> {
        Ok(self.menders.get().await?)
    }

    pub(crate) async fn writer(&self) -> Result<Object, DatabaseError> {
        Ok(self.writers.get().await?)
    }
}

/// Fills in by what the runs are found that an earlier release has projected, all or none, while no projector writes.
async fn fill(connection: &mut deadpool_postgres::ClientWrapper) -> Result<(), DatabaseError> {
    if connection.query_one(Database::IS_FILLED, &[]).await?.get(0) {
        return Ok(());
    }
    let transaction = connection.transaction().await?;
    transaction.batch_execute("LOCK TABLE projection_cursors IN EXCLUSIVE MODE").await?;
    match run_terms::fill(&transaction).await {
        Ok(()) => {}
        Err(WriteError::Database(error)) => return Err(error),
        Err(WriteError::Refused { source, .. }) => return Err(source.into()),
        Err(WriteError::CursorMoved | WriteError::Journal(_)) => return Ok(()),
    }
    transaction.batch_execute("COMMENT ON TABLE run_terms IS 'filled'").await?;
    Ok(transaction.commit().await?)
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// So that the server ends the session of a machine that is gone within half a minute, and gives back the locks it holds.
const NOTICE_THE_DEAD: &str = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

const MIGRATION_LOCK: i64 = 0x6865_6164_7761_7465;

fn pool(config: &Config, schema: &str, settings: &str) -> Pool {
    let mut config = config.clone();
    let given = config.get_options().unwrap_or_default();
    let options = format!("{given} -c search_path={schema} -c timezone=UTC -c jit=off {NOTICE_THE_DEAD} {settings}");
    config.options(options.trim()).application_name("headwater");
    config.connect_timeout(Database::CONNECT_DEADLINE);
    // A session with a server that is gone without a word ends, and whoever waits for an answer with it.
    config.keepalives_idle(Database::SILENCE_MAX).keepalives_interval(Database::SILENCE_MAX / 3);
    config.tcp_user_timeout(Database::SILENCE_MAX);
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    let deadline = Some(Database::CONNECT_DEADLINE);
    Pool::builder(manager)
        .max_size(Database::CONNECTIONS_MAX)
        .timeouts(Timeouts { wait: deadline, create: deadline, recycle: deadline })
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is given, so timeouts are possible")
}
