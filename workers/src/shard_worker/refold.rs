//! The history of one quarantined aggregate, read from its journal for a release.

use std::time::Duration;

use headwater_core::Sequence;
use headwater_core::shard::{Bundle, RefoldOrder, Refolded, Refolding, ShardMap};
use headwater_streams::journal::{Entry, Journal};

use super::recover::aside;

/// How long the journal may be silent.
const READ_WAIT: Duration = Duration::from_secs(10);
/// How many entries are read at once.
const ENTRIES: usize = 256;

/// Folds the history anew.
///
/// # Errors
/// Why it cannot be: in words for whoever asked for the release.
pub(super) async fn refold(journal: Journal, order: RefoldOrder, map: ShardMap) -> Result<Refolded, String> {
    let info = journal.info().await.map_err(|error| format!("the journal cannot be read: {error}"))?;
    if info.first > Sequence::FIRST {
        return Err(format!("the journal begins at entry {}, so its history is not whole", info.first));
    }
    let through = order.through.in_stream();
    let mut refolding = Refolding::new(order, journal.shard(), map)?;
    let mut reader = journal.read(Sequence::FIRST);
    while reader.position() <= through {
        let entries = reader.next(ENTRIES, READ_WAIT).await;
        let entries = entries.map_err(|error| format!("the journal cannot be read: {error}"))?;
        if entries.is_empty() {
            return Err(format!("the journal says nothing of entry {}", reader.position()));
        }
        let folding = aside(move || fold(refolding, &entries));
        refolding = folding.await.map_err(|panic| panic.to_string()).flatten()?;
    }
    reader.close().await;
    let finishing = aside(move || refolding.finish());
    finishing.await.map_err(|panic| panic.to_string()).flatten()
}

fn fold(mut refolding: Refolding, entries: &[Entry]) -> Result<Refolding, String> {
    for Entry { sequence, bytes, .. } in entries {
        let bundle = Bundle::read(bytes).map_err(|error| format!("entry {sequence}: {error}"))?;
        refolding.fold(*sequence, &bundle);
    }
    Ok(refolding)
}
