//! The history of one quarantined aggregate, read from its journal for a release.

use headwater_core::shard::{Bundle, Compiler, RefoldOrder, Refolded, Refolding, ShardMap};
use headwater_core::{Sequence, ShardId};
use headwater_streams::journals::{Entry, Journals, Stretch};

use super::recover::aside;

/// Folds the history anew.
///
/// # Errors
/// Why it cannot be: in words for whoever asked for the release.
pub(super) async fn refold<J: Journals>(
    journals: &J,
    shard: ShardId,
    order: RefoldOrder,
    map: ShardMap,
    compiler: &Compiler,
) -> Result<Refolded, String> {
    let info = journals.describe(shard).await.map_err(|error| format!("the journal cannot be read: {error}"))?;
    let info = info.ok_or_else(|| "the journal is gone".to_owned())?;
    if info.first > Sequence::FIRST {
        return Err(format!("the journal begins at entry {}, so its history is not whole", info.first));
    }
    let mut stretch = Stretch::new(journals, shard, Sequence::FIRST, order.through.in_stream());
    let mut refolding = Refolding::new(order, shard, map)?.compiling(compiler);
    loop {
        let entries = stretch.next().await.map_err(|error| format!("the journal cannot be read: {error}"))?;
        if entries.is_empty() {
            break;
        }
        let folding = aside(move || fold(refolding, &entries));
        refolding = folding.await.map_err(|panic| panic.to_string()).flatten()?;
    }
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
