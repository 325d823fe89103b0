//! Which of several projectors of one schema works: the one whose session holds a lock in the database.

use std::time::Duration;

use deadpool_postgres::Object;
use headwater_core::ShardId;
use headwater_streams::backoff::Backoff;
use tokio::time::Instant;

use super::lane::say_unfit;
use super::{Publisher, Stage, Stop};
use crate::database::{Database, DatabaseError};
use crate::tables::cursors;

/// How often one that stands by asks whether it is its turn, and tells readers how far the other one is.
const ASK_INTERVAL: Duration = Duration::from_millis(250);
/// How often one that works looks whether its session still stands.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the session may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// The turn of this projector, for as long as its session stands.
pub(super) struct Turn(Option<Object>);

/// Waits until no other projector works on the schema. Meanwhile what the other one wrote is told to readers here.
pub(super) async fn wait(database: &Database, shards: &[ShardId], publisher: &Publisher) -> Turn {
    let (mut backoff, mut said) = (Backoff::of_duty(), false);
    loop {
        let began = Instant::now();
        let error = match ask(database, shards, publisher, &mut said).await {
            Ok(turn) => return turn,
            Err(error) => error,
        };
        let pause = backoff.after(began.elapsed());
        match error.unfit() {
            Some(unfit) => {
                say_unfit(&unfit);
                publisher.stopped(shards, &Stop { unfit, at: Stage::Opening });
                database.renew();
            }
            None => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, ?pause, "whether another projector works is not known");
            }
        }
        tokio::time::sleep(pause).await;
    }
}

async fn ask(
    database: &Database,
    shards: &[ShardId],
    publisher: &Publisher,
    said: &mut bool,
) -> Result<Turn, DatabaseError> {
    database.migrate().await?;
    // Out of the pool as soon as it holds the lock: the lock ends with the session, and nobody else gets either.
    let turn = Turn(Some(database.writer().await?));
    let connection = turn.session();
    loop {
        let asked = "SELECT pg_try_advisory_lock($1, hashtext($2))";
        if connection.query_one(asked, &[&LOCK, &database.schema()]).await?.try_get(0)? {
            tracing::debug!(waited = *said, "this projector works");
            break;
        }
        if !std::mem::replace(said, true) {
            tracing::info!("another projector works on this database; this one stands by");
        }
        let cursors = cursors::load(connection, shards).await?;
        // What stops the other one is said there.
        publisher.going_on(shards, Stage::Writing);
        publisher.cursors(&cursors);
        tokio::time::sleep(ASK_INTERVAL).await;
    }
    Ok(turn)
}

/// With the schema it names the lock.
const LOCK: i32 = 0x6877_7072;

impl Turn {
    /// Returns when the session is gone, and the lock with it, or does not answer any more.
    pub(super) async fn lost(&self) {
        while let Ok(Ok(())) = tokio::time::timeout(ANSWER_WAIT, self.session().batch_execute("SELECT 1")).await {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    fn session(&self) -> &Object {
        self.0.as_ref().expect("it is taken out when the turn is dropped")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closed, not given back: the lock must not go on in a pool.
        drop(self.0.take().map(Object::take));
    }
}
