//! How far the projector of another process is: one look at the database for all who want to know.
//!
//! A look is one statement, whatever is waited for and by however many; while nobody wants to know, nobody looks.

use std::time::Duration;

use headwater_core::ShardId;
use tokio_util::sync::CancellationToken;

use super::{Away, Progress, Publisher, Wanted};
use crate::database::Database;
use crate::queries::Reads;

/// Looks at the cursors of a database into which another process projects.
#[derive(Debug, Clone)]
pub struct Observer {
    reads: Reads,
    publisher: Publisher,
}

/// How often it looks while a reader waits for a position.
const SOON: Duration = Duration::from_millis(20);
/// How often while somebody follows what happens.
const IN_TIME: Duration = Duration::from_millis(100);
/// How long the database is left alone that did not answer.
const AWAY: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

impl Observer {
    /// Makes one for these shards. Nothing is looked at before [`Self::run`].
    pub fn new(database: Database, shards: &[ShardId]) -> Self {
        Self { reads: Reads::of(database), publisher: Publisher::new(shards) }
    }

    /// Returns a view of what it sees. Lag and broken shards are not part of it.
    pub fn progress(&self) -> Progress {
        self.publisher.progress()
    }

    /// Looks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.publisher.wanted() {
                Wanted::NotNow => {
                    // What was seen grows old: whoever comes next waits for a look of its own.
                    self.publisher.forget();
                    self.publisher.away(Away::Not);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.publisher.roused() => continue,
                    }
                }
                Wanted::Soon => SOON,
                Wanted::InTime => IN_TIME,
            };
            let looked = tokio::time::timeout(ANSWER_WAIT, self.reads.cursor_rows()).await;
            let pause = match looked {
                Ok(Ok(cursors)) => {
                    self.publisher.away(Away::Not);
                    self.publisher.cursors(&cursors);
                    pause
                }
                // It may have crashed, and then its cursors stand before where they stood.
                failed @ (Ok(Err(_)) | Err(_)) => {
                    let unfit = failed.ok().and_then(|looked| looked.err()?.unfit());
                    self.publisher.forget();
                    self.publisher.away(if unfit.is_some() { Away::Unfit } else { Away::OutOfReach });
                    AWAY
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                // From one who only follows to one who waits.
                () = self.publisher.roused(), if pause == IN_TIME => {}
            }
        }
    }
}
